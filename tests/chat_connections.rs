//! What strangers can do with connections alone: nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::{Bus, Client, Connect, Node, Plan, Refusal, is_full};

/// Two minutes of it, and 2,000 connections of each kind.
const FULL: &str = "CONNECTIONS_FULL";

/// The kinds of requests that are never complete.
const UNFINISHED: [&str; 3] = [
    "",
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: chat\r\nCookie: ",
    "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: chat\r\nContent-Length: 100\r\n\r\n4",
];

/// Opens a connection that says `what` and no more, again whenever it is closed, until `over`.
async fn never_finish(address: String, what: &'static str, over: Arc<AtomicBool>, closed: Arc<AtomicUsize>) {
    while !over.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            let mut answer = [0; 512];
            // That it is closed is what is waited for.
            let _ = stream.write_all(what.as_bytes()).await;
            let _ = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut answer)).await;
            closed.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What anybody may ask for is answered.
async fn is_served(node: &Node) {
    for url in [format!("{}/", node.url()), node.admin_url("/livez"), node.admin_url("/readyz")] {
        // A connection of its own, as a stranger has.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        let answer = client.get(&url).send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
    }
}

scenario! {
    async fn requests_that_are_never_complete_keep_nobody_out() {
        let cluster = Plan::on(Bus::Embedded).files(512).start().await;
        let node = cluster.node(0);
        let mut people = Vec::new();
        for number in 0..50 {
            people.push(Client::guest(node, &format!("Person {number}")).await);
        }
        let (over, closed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (count, seconds) = if is_full(FULL) { (2_000, 120) } else { (300, 15) };
        let strangers: Vec<_> = UNFINISHED
            .iter()
            .flat_map(|what| std::iter::repeat_n(*what, count))
            .map(|what| tokio::spawn(never_finish(node.authority(), what, over.clone(), closed.clone())))
            .collect();
        let until = Instant::now() + Duration::from_secs(seconds);
        let (mut said, mut slowest) = (0, Duration::ZERO);
        while Instant::now() < until {
            let before = Instant::now();
            let speaker = said % people.len();
            let others: Vec<_> = (0..people.len()).filter(|number| *number != speaker).map(|number| &people[number]).collect();
            people[speaker].fence("lobby", &others).await;
            is_served(node).await;
            let newcomer = Client::guest(node, "Newcomer").await;
            newcomer.close().await;
            slowest = slowest.max(before.elapsed());
            said += 1;
        }
        let cut = node.metric("chat_connections_cut_total{reason=\"displaced\"}").await
            + node.metric("chat_connections_cut_total{reason=\"head_timeout\"}").await;
        println!("{} strangers, {} closed, {cut} cut; {said} rounds, the slowest {slowest:?}", strangers.len(), closed.load(Ordering::Relaxed));
        assert!(cut > 0.0, "there were more of them than files");
        assert!(people.iter().all(Client::is_open));
        over.store(true, Ordering::Relaxed);
        strangers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

scenario! {
    async fn a_session_that_is_not_open_costs_nothing() {
        const REQUESTS: usize = 4_500;
        let cluster = Plan::on(Bus::Embedded).start().await;
        let node = cluster.node(0);
        let client = reqwest::Client::new();
        let ask = async |sid: &str| {
            let url = format!("{}/socket.io/?EIO=4&transport=websocket&sid={sid}", node.url());
            let request = client
                .get(url)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "MDEyMzQ1Njc4OWFiY2RlZg==");
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            answer.bytes().await.expect("its body");
            status
        };
        let long = "x".repeat(20_000);
        ask(&long).await;
        let before = node.memory();
        for _ in 0..REQUESTS {
            assert_eq!(ask(&long).await, 400);
        }
        for number in 0..REQUESTS {
            assert_eq!(ask(&format!("{number:016}")).await, 400);
        }
        let more = node.memory().saturating_sub(before);
        println!("{} requests: {more} bytes more", 2 * REQUESTS);
        assert!(more < 16 << 20, "{more} bytes are kept of sessions that are not open");
    }
}

scenario! {
    async fn no_more_get_in_at_once_than_there_is_room_for() {
        const ROOM: usize = 10;
        let cluster = Plan::on(Bus::Embedded).flag("--max-connections", &ROOM.to_string()).start().await;
        let node = cluster.node(0);
        let all = futures_util::future::join_all((0..100).map(|number| async move {
            Connect::guest(&format!("Person {number}")).try_to(node).await
        }))
        .await;
        let (inside, outside): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!(inside.len(), ROOM);
        for refusal in outside.into_iter().filter_map(Result::err) {
            assert!(matches!(refusal, Refusal::Http(503, Some(_))), "{refusal:?}");
        }
    }
}

scenario! {
    /// Over HTTP/1.1 only, and with heads of a bounded size.
    async fn what_is_no_request_is_answered_or_closed() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let node = cluster.node(0);
        let admin = node.admin_url("").trim_start_matches("http://").to_owned();
        for address in [node.authority(), admin] {
            let long = format!("GET / HTTP/1.1\r\nHost: chat\r\nCookie: {}\r\n\r\n", "x".repeat(64_000));
            for (what, status) in [("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""), (long.as_str(), "HTTP/1.1 431")] {
                let mut stream = TcpStream::connect(&address).await.expect("a connection");
                // It may be closed before all is written.
                let _ = stream.write_all(what.as_bytes()).await;
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.starts_with(status) && !answer.contains("200 OK"), "{address}: {answer}");
            }
        }
    }
}

scenario! {
    /// A page is held to its own server, and so is what stands where there is no page.
    async fn every_answer_tells_browsers_what_a_page_may_do() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let node = cluster.node(0);
        for url in [format!("{}/", node.url()), format!("{}/nothing", node.url()), node.admin_url("/analytics")] {
            let answer = reqwest::get(&url).await.expect("an answer");
            let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let policy = header("content-security-policy");
            assert!(policy.contains("default-src 'self'") && !policy.contains("ws:"), "{url}: {policy}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{url}");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{url}");
            assert!(header("permissions-policy").contains("camera=()"), "{url}");
        }
    }
}
