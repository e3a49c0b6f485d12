//! What strangers may do here, by their addresses. The scenarios play them from addresses of the loopback network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Bus, Client, Cluster, Node, Plan, until};

/// A node with a limit of one a second, to which another loopback address is a proxy.
async fn one_a_second(limit: &str) -> Cluster {
    Plan::on(Bus::Embedded).flag("--trusted-proxies", PROXY).flag(limit, "1").start().await
}

/// The address of a stranger.
fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 9, 9, last).into()
}

async fn connection(node: &Node, from: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from, 0)).expect("an address of the loopback network");
    socket.connect(node.authority().parse().expect("an address")).await.expect("a connection")
}

/// The status of a handshake over polling, and its `Retry-After`.
async fn handshake(node: &Node, from: IpAddr, header: &str) -> (u16, Option<u64>) {
    let mut stream = connection(node, from).await;
    let request = format!(
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("to ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let wait = answer.lines().find_map(|line| line.to_lowercase().strip_prefix("retry-after: ")?.parse().ok());
    (status, wait)
}

/// Makes handshakes until one is refused; answers whether that came soon.
async fn is_refused_soon(node: &Node, from: IpAddr, header: &str) -> bool {
    for _ in 0..200 {
        if handshake(node, from, header).await.0 == 503 {
            return true;
        }
    }
    false
}

/// The socket of a new guest whose session is open.
async fn guest(node: &Node, from: IpAddr) -> WebSocketStream<TcpStream> {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
    let (mut socket, _) =
        tokio_tungstenite::client_async(url, connection(node, from).await).await.expect("a handshake");
    socket.send(Message::text("40{\"name\":\"Eve\"}")).await.expect("to say who it is");
    until_said(&mut socket, "\"session\"").await;
    socket
}

/// The next message with this text in it.
async fn until_said(socket: &mut WebSocketStream<TcpStream>, text: &str) -> String {
    loop {
        let said = socket.next().await.expect("to be connected").expect("a message").to_string();
        if said.contains(text) {
            return said;
        }
    }
}

/// A new guest that says something; `None`, or the limit that it met and how long to wait.
async fn speaks(node: &Node, from: IpAddr) -> Option<(String, u64)> {
    let mut socket = guest(node, from).await;
    let say = r#"421["message:send",{"room":"lobby","nonce":"n","text":"hello"}]"#;
    socket.send(Message::text(say)).await.expect("to say something");
    let said = until_said(&mut socket, "431[").await;
    let answer: Value = serde_json::from_str(said.trim_start_matches("431")).expect("an ack");
    let error = answer[0].get("error")?;
    assert_eq!((&error["code"], &error["temporary"]), (&json!("rate_limited"), &json!(true)), "{error}");
    Some((error["limit"].as_str().expect("a limit").to_owned(), error["retryAfterMs"].as_u64().expect("a time")))
}

/// Some proxy is named, so that the loopback addresses are those of clients.
const PROXY: &str = "127.9.9.200";

scenario! {
    /// 400 handshakes from each of three addresses; whoever comes from another notices nothing.
    async fn an_address_makes_so_many_handshakes_and_no_other_pays_for_it() {
        let cluster = Plan::on(Bus::Embedded)
            .flag("--trusted-proxies", PROXY)
            .flag("--handshakes-per-second-per-address", "2")
            .start()
            .await;
        let node = cluster.node(0);
        let mut refused = Vec::new();
        for attacker in 1..=3 {
            let answers = join_all((0..4).map(async |_| {
                let mut answers = Vec::new();
                for _ in 0..100 {
                    answers.push(handshake(node, address(attacker), "").await);
                }
                answers
            }));
            let answers = answers.await.concat();
            let passed = answers.iter().filter(|(status, _)| *status == 200).count();
            assert!((120..300).contains(&passed), "60 s of the rate, and what comes meanwhile: {passed}");
            refused.extend(answers.into_iter().filter(|(status, _)| *status != 200));
        }
        assert!(refused.iter().all(|(status, wait)| *status == 503 && wait.is_some_and(|wait| wait >= 1)), "{refused:?}");
        assert_eq!(handshake(node, address(9), "").await.0, 200);
        let ann = Client::guest(node, "Ann").await;
        ann.say("lobby", "nobody else is concerned").await;
        // What a stranger says of its address is a claim; what a proxy says is believed.
        let claim = "X-Forwarded-For: 198.51.100.1\r\n";
        assert!(is_refused_soon(node, address(1), claim).await);
        let proxy: IpAddr = PROXY.parse().expect("an address");
        assert_eq!(handshake(node, proxy, claim).await.0, 200);
        let forged = "X-Forwarded-For: 198.51.100.1, 127.9.9.1\r\n";
        assert!(is_refused_soon(node, proxy, forged).await, "the last one is the proxy's own word");
        assert_eq!(handshake(node, proxy, claim).await.0, 200);
        let metric = r#"chat_handshakes_refused_total{reason="address"}"#;
        assert!(node.metric(metric).await >= refused.len() as f64);
        until("who waits as told is let in", async || {
            let (status, wait) = handshake(node, address(1), "").await;
            if status == 503 {
                tokio::time::sleep(Duration::from_secs(wait.expect("a time"))).await;
            }
            (status == 200).then_some(())
        })
        .await;
    }
}

scenario! {
    /// New guests of an address who say something are told to wait after too many; whoever only reads is not concerned, and
    /// those who come back do not count.
    async fn an_address_makes_so_many_guests_and_no_other_pays_for_it() {
        const ATTEMPTS: usize = 360;
        let cluster = one_a_second("--new-guests-per-second-per-address").await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        ann.say("lobby", "hello").await;
        let refused: Vec<_> = join_all((0..ATTEMPTS).map(async |_| speaks(node, address(1)).await)).await;
        let refused: Vec<(String, u64)> = refused.into_iter().flatten().collect();
        println!("of {ATTEMPTS} guests at once {} were told to wait", refused.len());
        assert!((1..=ATTEMPTS - 300).contains(&refused.len()), "300 s of the rate, and what comes meanwhile");
        assert!(refused.iter().all(|(limit, wait)| limit == "new-guests" && *wait > 0), "{refused:?}");
        assert!(node.metric(r#"chat_new_guests_total{result="rate_limited"}"#).await >= refused.len() as f64);
        assert!(node.metric(r#"chat_new_guests_total{result="stored"}"#).await >= 300.0);
        // To connect and to read costs nothing.
        let mut reader = guest(node, address(1)).await;
        reader.send(Message::text(r#"421["history:get",{"room":"lobby"}]"#)).await.expect("to ask");
        assert!(until_said(&mut reader, "431[").await.contains("\"ok\":true"));
        assert_eq!(speaks(node, address(9)).await, None, "from another address");
        ann.again(node).await.fence("lobby", &[&ann]).await;
        until("who waits as told is stored", async || {
            let Some((_, wait)) = speaks(node, address(1)).await else { return Some(()) };
            tokio::time::sleep(Duration::from_millis(wait)).await;
            None
        })
        .await;
    }
}

scenario! {
    /// 40 addresses, each within its own bound; those who are stored already are not concerned.
    async fn a_node_stores_so_many_new_guests_whatever_addresses_they_come_from() {
        const ADDRESSES: u8 = 40;
        const EACH: usize = 280;
        let cluster = one_a_second("--new-guests-per-second-per-address").await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        ann.say("lobby", "hello").await;
        let mut refused = Vec::new();
        for _ in 0..EACH {
            let some = join_all((1..=ADDRESSES).map(async |last| speaks(node, address(last)).await)).await;
            refused.extend(some.into_iter().flatten());
            if !refused.is_empty() {
                break;
            }
        }
        assert!(!refused.is_empty(), "6,000 at once, and 20 a second");
        assert!(refused.iter().all(|(limit, wait)| limit == "node-guests" && *wait > 0), "{refused:?}");
        assert!(node.metric(r#"chat_new_guests_total{result="stored"}"#).await >= 6_000.0);
        ann.say("lobby", "all the same").await;
        ann.again(node).await.fence("lobby", &[&ann]).await;
    }
}

scenario! {
    /// A customer of a provider has 65,536 networks of IPv6, and twenty times as much as one, not 65,536 times.
    async fn all_networks_of_a_customer_have_a_bound_together() {
        let cluster = one_a_second("--handshakes-per-second-per-address").await;
        let node = cluster.node(0);
        let proxy: IpAddr = PROXY.parse().expect("an address");
        let shake = async |customer: u32, network: usize| {
            let claim = format!("X-Forwarded-For: 2001:db8:{customer:x}:{network:x}::1\r\n");
            handshake(node, proxy, &claim).await.0
        };
        let mut passed = 0;
        let refused = loop {
            let answers = join_all((passed..passed + 8).map(|network| shake(1, network))).await;
            passed += answers.iter().filter(|status| **status == 200).count();
            if answers.contains(&503) || passed > 3_000 {
                break answers.contains(&503);
            }
        };
        println!("{passed} networks of a customer made a handshake each");
        assert!(refused && passed >= 1_200, "60 s of twenty times the rate, and what comes meanwhile: {passed}");
        assert_eq!(shake(2, 1).await, 200, "another customer");
        assert_eq!(handshake(node, address(1), "").await.0, 200, "an address of IPv4");
    }
}

scenario! {
    /// Everybody comes through it: it has the bound of many, and the log says what to do, not too often.
    async fn a_proxy_that_nobody_named_has_a_bound_that_is_far_higher() {
        let cluster = Plan::on(Bus::Embedded).flag("--handshakes-per-second-per-address", "1").start().await;
        let node = cluster.node(0);
        let forwarded = "X-Forwarded-For: 198.51.100.1\r\n";
        let mut passed = 0;
        let refused = loop {
            let answers = join_all((0..8).map(|_| handshake(node, address(1), forwarded))).await;
            passed += answers.iter().filter(|(status, _)| *status == 200).count();
            if answers.iter().any(|(status, _)| *status == 503) || passed > 3_000 {
                break answers.into_iter().find(|(status, _)| *status == 503);
            }
        };
        println!("{passed} handshakes through a proxy that is not named");
        assert!(passed >= 1_200, "60 s of twenty times the rate: {passed}");
        let wait = refused.expect("a bound").1;
        assert!(wait.is_some_and(|wait| wait >= 1), "{wait:?}");
        let log = node.last_words(10_000);
        let advice = log.lines().filter(|line| line.contains("--trusted-proxies does not name")).count();
        assert!((1..=3).contains(&advice), "once a minute at most: {advice}");
    }
}

scenario! {
    /// A school of 1,000 whose people all come at once and say something, with the limits as shipped.
    async fn a_school_that_comes_at_once_is_let_in() {
        const PEOPLE: usize = 1_000;
        let mut plan = Plan::on(Bus::Embedded).flag("--trusted-proxies", PROXY);
        for (limit, shipped) in
            [("--handshakes-per-second-per-address", "50"), ("--new-guests-per-second-per-address", "5")]
        {
            plan = plan.flag(limit, shipped);
        }
        let cluster = plan.start().await;
        let node = cluster.node(0);
        let mut passed = 0;
        for _ in 0..PEOPLE / 100 {
            let some = join_all((0..100).map(async |_| speaks(node, address(1)).await)).await;
            passed += some.into_iter().filter(Option::is_none).count();
        }
        assert_eq!(passed, PEOPLE);
    }
}
