//! A node that is cordoned takes nobody and keeps its WebSockets, until it is uncordoned or drained.

use std::io::Write;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::harness::deployment::Processes;
use crate::harness::polling::{Polling, next};
use crate::harness::{Bus, Client, Connect, Node, Plan, Refusal, until};

/// No page of this origin exists.
const NOBODY: &str = "http://nobody.example";
/// How many sessions poll where one has to wait for its turn.
const POLLING: u32 = 4;
const TOKEN: &str = "a token of the admin port";

/// The file that holds the token.
fn token_file() -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    writeln!(file, "{TOKEN}").expect("to write the token");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("UTF-8")
}

async fn ask_with(node: &Node, path: &str, token: Option<&str>) -> (u16, String) {
    let request = reqwest::Client::new().post(node.admin_url(path));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn ask(node: &Node, path: &str) -> (u16, String) {
    ask_with(node, path, Some(TOKEN)).await
}

/// Asks for what must be granted.
async fn granted(node: &Node, path: &str) {
    let (status, text) = ask(node, path).await;
    assert!(matches!(status, 200 | 202), "{path}: {status} {text}");
}

async fn readiness(node: &Node) -> (u16, String) {
    let answer = reqwest::get(node.admin_url("/readyz")).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn until_readiness_is(node: &Node, wanted: (u16, &str)) {
    until(&format!("{} is {wanted:?}", node.id()), async || {
        let (status, text) = readiness(node).await;
        (status == wanted.0 && text == wanted.1).then_some(())
    })
    .await;
}

const CORDONED: (u16, &str) = (503, "cordoned\n");

/// It may say more, such as that Redis holds the signing key.
async fn is_ready(node: &Node) -> bool {
    let (status, text) = readiness(node).await;
    status == 200 && text.starts_with("ok")
}

/// The state that a node says it is in, and the only one.
async fn state(node: &Node) -> &'static str {
    let mut found = Vec::new();
    for state in ["serving", "cordoned", "draining"] {
        if node.metric(&format!("chat_node_state{{state=\"{state}\"}}")).await > 0.0 {
            found.push(state);
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

async fn refuses_newcomers(node: &Node) {
    match Connect::guest("Newcomer").try_to(node).await {
        Err(Refusal::Http(503, Some(_))) => {}
        other => panic!("a newcomer got {:?}", other.map(|client| client.session.clone())),
    }
    let handshake = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
    let answer = reqwest::get(handshake).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.expect("a text");
    assert!(text.starts_with("cordoned"), "{text}");
}

/// What a session over polling begins with.
async fn session(polling: &Polling) -> Value {
    let (events, _) = polling.poll_until(|name, _| name == "session").await;
    events.into_iter().find(|(name, _)| name == "session").expect("a session").1
}

fn texts(events: &[(String, Value)]) -> Vec<String> {
    let messages = events.iter().filter(|(name, _)| name == "message:new");
    messages.map(|(_, message)| message["text"].as_str().expect("a text").to_owned()).collect()
}

on_both! {
    async fn a_cordoned_node_takes_nobody_and_keeps_its_web_sockets(bus) {
        let token = token_file();
        let cluster = Plan::on(bus).flag("--admin-token-file", path(&token)).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let node = cluster.node(0);
        assert_eq!(state(node).await, "serving");
        for _ in 0..2 {
            granted(node, "/cordon").await;
            // Nobody polls it.
            until_readiness_is(node, CORDONED).await;
            assert_eq!(state(node).await, "cordoned");
            refuses_newcomers(node).await;
        }
        assert!(node.metric("chat_handshakes_refused_total{reason=\"cordoned\"}").await >= 4.0);
        if bus == Bus::Redis {
            let bob = Client::guest(cluster.node(1), "Bob").await;
            bob.fence("lobby", &[&ann]).await;
        }
        ann.fence("lobby", &[]).await;
        assert_eq!(ann.heard("server:draining"), Vec::<Value>::new());

        for _ in 0..2 {
            granted(node, "/uncordon").await;
            assert!(is_ready(node).await);
            assert_eq!(state(node).await, "serving");
            Client::guest(node, "Newcomer").await.fence("lobby", &[&ann]).await;
        }
    }
}

scenario! {
    /// It is told, goes on with another node from where it was, and only then the node is unready.
    async fn a_session_that_polls_is_handed_over_first_and_loses_nothing() {
        let token = token_file();
        let cluster = Plan::on(Bus::Redis).flag("--admin-token-file", path(&token)).start().await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        let polly = Polling::guest(node, "Polly").await;
        let first = session(&polly).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        bob.say("lobby", "before").await;
        let (mut events, _) = polly.poll_until(|_, payload| payload["text"] == "before").await;

        granted(node, "/cordon").await;
        refuses_newcomers(node).await;
        events.extend(polly.poll_until(|name, _| name == "server:draining").await.0);
        assert!(is_ready(node).await, "it is told two seconds before it goes");
        bob.say("lobby", "meanwhile").await;
        // From here on nothing more comes: the last poll waits when the session is handed over.
        let unready = async {
            until_readiness_is(node, CORDONED).await;
            node.metric("chat_connections").await
        };
        let ((rest, status), connections) = tokio::join!(polly.poll_to_the_end(), unready);
        assert_eq!(connections, 1.0, "only Ann is left when the node is not ready any more");
        // Behind a proxy 503 is asked for elsewhere, and becomes the 400 of a node that serves.
        assert_eq!(status, 503);
        events.extend(rest);
        assert_eq!(node.metric("chat_handovers_total{transport=\"polling\"}").await, 1.0);
        assert_eq!(node.metric("chat_handovers_total{transport=\"websocket\"}").await, 0.0);

        bob.say("lobby", "missed").await;
        let heard = events.iter().rev().find(|(_, payload)| payload["offset"].is_u64()).expect("an entry");
        let position = json!({"epoch": heard.1["epoch"], "offset": heard.1["offset"]});
        let auth = json!({"resume": first["resume"], "positions": {"lobby": position}});
        let polly = Polling::with(cluster.node(1), &auth).await;
        let (more, _) = polly.poll_until(|_, payload| payload["text"] == "missed").await;
        assert_eq!(more[0].0, "session");
        assert_eq!(more[0].1["recovered"], true, "{}", more[0].1);
        events.extend(more);
        assert_eq!(texts(&events), ["before", "meanwhile", "missed"], "each once, in order");
        ann.hear_text("lobby", "missed").await;
        assert!(ann.is_open());
    }
}

/// A node on which some sessions poll that is cordoned, one socket a second; the session whose turn comes last, in
/// five seconds.
async fn last_of_some(node: &Node) -> Polling {
    let mut sessions = Vec::new();
    for number in 0..POLLING {
        let polling = Polling::guest(node, &format!("Polly {number}")).await;
        session(&polling).await;
        sessions.push(polling);
    }
    granted(node, "/cordon").await;
    let mut last = None;
    for polling in sessions {
        let (events, _) = polling.poll_until(|name, _| name == "server:draining").await;
        let (_, told) = events.last().expect("what was waited for");
        last = last.or((told["reconnectAfterMs"] == 1_000 * (POLLING - 1)).then_some(polling));
    }
    last.expect("a last one")
}

scenario! {
    /// One that is told may still become a WebSocket, and is left in peace then.
    async fn a_session_that_becomes_a_web_socket_in_time_stays() {
        let token = token_file();
        let plan = Plan::on(Bus::Embedded).flag("--admin-token-file", path(&token));
        let cluster = plan.flag("--drain-connections-per-second", "1").start().await;
        let node = cluster.node(0);
        let polly = last_of_some(node).await;
        let mut stream = polly.upgrade(node).await;
        until_readiness_is(node, CORDONED).await;
        stream.send(Message::text(format!("420{}", json!(["room:list", {}])))).await.expect("to send");
        while !next(&mut stream).await.starts_with("430") {}
        let handed_over = node.metric("chat_handovers_total{transport=\"polling\"}").await;
        assert_eq!(handed_over, f64::from(POLLING - 1), "all but this one");
    }
}

scenario! {
    /// Those whose turn had not come stay where they are.
    async fn an_uncordon_ends_the_handing_over() {
        let token = token_file();
        let plan = Plan::on(Bus::Embedded).flag("--admin-token-file", path(&token));
        let cluster = plan.flag("--drain-connections-per-second", "1").start().await;
        let node = cluster.node(0);
        let polly = last_of_some(node).await;
        granted(node, "/uncordon").await;
        until("the handing over has ended", async || node.last_words(100).contains("the cordon is over").then_some(()))
            .await;
        polly.post(&format!("420{}", json!(["room:list", {}]))).await;
        assert_eq!(polly.poll_ack(0).await["ok"], true);
        // And one begun anew is carried out.
        granted(node, "/cordon").await;
        assert_eq!(polly.poll_to_the_end().await.1, 503);
        until_readiness_is(node, CORDONED).await;
    }
}

scenario! {
    async fn a_drain_moves_those_whom_the_cordon_left() {
        let token = token_file();
        let cluster = Plan::on(Bus::Redis).flag("--admin-token-file", path(&token)).start().await;
        let node = cluster.node(0);
        let ann = Client::guest(node, "Ann").await;
        granted(node, "/cordon").await;
        until_readiness_is(node, CORDONED).await;
        granted(node, "/drain").await;
        ann.hear("server:draining", |told| told["reconnectAfterMs"].is_u64()).await;
        ann.ended().await;
        assert_eq!(readiness(node).await, (503, "draining\n".to_owned()));
        assert_eq!(state(node).await, "draining");
        let (status, text) = ask(node, "/uncordon").await;
        assert_eq!((status, text.as_str()), (409, "this node drains, and a drain is for good\n"));
        granted(node, "/cordon").await;
        assert_eq!(state(node).await, "draining");
        let back = ann.recover(cluster.node(1), &json!({"lobby": ann.position("lobby")})).await;
        assert_eq!(back.session["recovered"], true, "{}", back.session);
    }
}

scenario! {
    async fn who_has_no_token_may_ask_for_nothing() {
        let token = token_file();
        let cluster = Plan::on(Bus::Embedded).flag("--admin-token-file", path(&token)).start().await;
        let bare = Plan::on(Bus::Embedded).start().await;
        for path in ["/cordon", "/uncordon", "/drain"] {
            for wrong in [None, Some("another token"), Some("")] {
                assert_eq!(ask_with(cluster.node(0), path, wrong).await.0, 401, "{path} with {wrong:?}");
            }
            assert_eq!(ask(bare.node(0), path).await.0, 403, "{path} of a node that knows no token");
        }
        for cluster in [&cluster, &bare] {
            assert_eq!(state(cluster.node(0)).await, "serving");
        }
    }
}

scenario! {
    /// nginx holds all clients of an address to one node, and would send them to this one for ever.
    async fn behind_nginx_newcomers_and_those_who_poll_go_to_other_nodes() {
        let token = token_file();
        let chat = Processes::start_with(NOBODY, &["--admin-token-file", path(&token)]).await;
        let front = chat.front();
        let ann = Client::guest(&front, "Ann").await;
        let id = ann.session["node"].as_str().expect("a node").to_owned();
        let polly = Polling::guest(&front, "Polly").await;
        let first = session(&polly).await;
        assert_eq!(first["node"], *id, "the same address, the same node");
        let node = chat.named(&id);
        granted(node, "/cordon").await;

        let bob = Client::guest(&front, "Bob").await;
        assert_ne!(bob.session["node"], *id);
        bob.fence("lobby", &[&ann]).await;
        // Each of its requests comes to the cordoned node first.
        let pat = Polling::guest(&front, "Pat").await;
        assert_ne!(session(&pat).await["node"], *id);
        for number in 0..4 {
            let send = json!(["message:send", {"room": "lobby", "nonce": format!("n{number}"), "text": "by post"}]);
            pat.post(&format!("42{number}{send}")).await;
            let sent = pat.poll_ack(number).await;
            assert_eq!(sent["ok"], true, "{sent}");
        }

        let (_, status) = polly.poll_to_the_end().await;
        assert_eq!(status, 400, "what a node says that serves and does not know the session");
        let polly = Polling::with(&front, &json!({"resume": first["resume"]})).await;
        let again = session(&polly).await;
        assert_eq!(again["user"], first["user"]);
        assert_ne!(again["node"], *id);
        until_readiness_is(node, CORDONED).await;

        bob.fence("lobby", &[&ann]).await;
        granted(node, "/uncordon").await;
        let eve = Client::guest(&front, "Eve").await;
        assert_eq!(eve.session["node"], *id, "as before");
        ann.fence("lobby", &[&bob, &eve]).await;
    }
}
