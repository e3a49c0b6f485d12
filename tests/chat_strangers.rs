//! What strangers may do here, by their addresses. The scenarios play them from addresses of the loopback network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Bus, Client, Node, Plan, until};

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

/// A handshake of a new guest over a WebSocket; whether its session opened before the connection closed.
async fn guest(node: &Node, from: IpAddr) -> bool {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
    let stream = connection(node, from).await;
    let Ok((mut socket, _)) = tokio_tungstenite::client_async(url, stream).await else { return false };
    socket.send(Message::text("40{\"name\":\"Eve\"}")).await.expect("to say who it is");
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text_and(|text| text.contains("\"session\"")) {
            return true;
        }
        assert!(!message.is_text_and(|text| text.starts_with("44")), "a CONNECT_ERROR stops stock clients: {message}");
    }
    false
}

trait IsText {
    fn is_text_and(&self, check: impl Fn(&str) -> bool) -> bool;
}

impl IsText for Message {
    fn is_text_and(&self, check: impl Fn(&str) -> bool) -> bool {
        self.to_text().is_ok_and(check)
    }
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
    /// New guests of an address wait for their turn, or are closed to try again; those who come back do not count.
    async fn an_address_makes_so_many_guests_and_no_other_pays_for_it() {
        const ATTEMPTS: usize = 360;
        let cluster = Plan::on(Bus::Embedded)
            .flag("--trusted-proxies", PROXY)
            .flag("--new-guests-per-second-per-address", "1")
            .start()
            .await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        let guests = join_all((0..ATTEMPTS).map(async |_| guest(node, address(1)).await)).await;
        let passed = guests.iter().filter(|passed| **passed).count();
        println!("of {ATTEMPTS} guests at once {passed} were let in");
        assert!((300..ATTEMPTS).contains(&passed), "300 s of the rate, and some who waited: {passed}");
        assert!(node.metric(r#"chat_handshakes_refused_total{reason="new_guests"}"#).await >= 1.0);
        assert!(guest(node, address(9)).await, "from another address");
        let again = ann.again(node).await;
        again.fence("lobby", &[&ann]).await;
    }
}

scenario! {
    /// A school of 1,000 whose people all come back at once, with the limits as shipped.
    async fn a_school_that_comes_back_at_once_is_let_in() {
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
            let some = join_all((0..100).map(async |_| guest(node, address(1)).await)).await;
            passed += some.into_iter().filter(|passed| *passed).count();
        }
        assert_eq!(passed, PEOPLE);
    }
}
