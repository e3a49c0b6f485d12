//! What the nodes' logs say, and what they never say.

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::redis_set::{Form, RedisSet, Version};
use crate::harness::{Bus, Client, Cluster, Connect, Node, Plan, until};

/// Words that stand nowhere but in what people say, are called, and prove themselves by.
const NAME: &str = "AnnTheVeryUnusual";
const ROOM: &str = "PeculiarRoom";
const TOPIC: &str = "a topic like no other";
const TEXT: &str = "a text like no other";
const TOKEN: &str = "a-token-like-no-other";

/// All that the nodes have logged.
fn logs(cluster: &Cluster) -> String {
    (0..cluster.len()).map(|number| cluster.node(number).last_words(usize::MAX) + "\n").collect()
}

/// What is well-formed, what is not, and what is nearly so.
async fn talk(cluster: &Cluster) -> Vec<String> {
    // Whatever becomes of them.
    let _ = Connect::with(&json!({"name": NAME, "token": TOKEN, "resume": TOKEN})).try_to(cluster.node(0)).await;
    let ann = Client::guest(cluster.node(0), NAME).await;
    let bob = Client::guest(cluster.node(cluster.len() - 1), "Bob").await;
    let room = ann.create(ROOM, "private").await;
    ann.request("room:create", json!({"name": ROOM, "kind": "public", "topic": TOPIC})).await;
    ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
    bob.hear("room:added", |added| added["room"] == room.as_str()).await;
    let invite = ann.ok("room:invite", json!({"room": room})).await["invite"].as_str().expect("an invite").to_owned();
    ann.say(&room, TEXT).await;
    bob.hear_text(&room, TEXT).await;
    for (event, payload) in [
        ("message:send", json!({"room": room, "nonce": [TEXT], "text": TEXT})),
        ("message:send", json!({"room": TEXT, "nonce": "n", "text": TEXT})),
        ("message:send", json!({"room": room, "nonce": "n", "text": TEXT.repeat(2000)})),
        ("message:send", json!([TEXT])),
        ("room:create", json!({"name": ROOM, "kind": TEXT})),
        ("room:accept", json!({"invite": TOKEN})),
        (TEXT, json!({"text": TEXT})),
    ] {
        assert_eq!(ann.request(event, payload).await["ok"], false);
    }
    for packet in [
        format!("42[\"message:send\",{{\"room\":\"{room}\",\"text\":\"{TEXT}"),
        format!("2{TEXT}"),
        format!("51-[\"{TEXT}\",{{\"_placeholder\":true,\"num\":0}}]"),
    ] {
        let eve = Client::guest(cluster.node(0), NAME).await;
        eve.raw(&packet);
        eve.ask("room:list", &json!({})).answer_if_any().await;
    }
    for auth in
        [format!("{{\"name\":\"{NAME}"), format!("[\"{TOKEN}\"]"), format!("{{\"name\":7,\"resume\":\"{TOKEN}\"}}")]
    {
        let _ = Connect::raw(&auth).try_to(cluster.node(0)).await;
    }
    let again = ann.again(cluster.node(cluster.len() - 1)).await;
    again.fence(&room, &[&bob]).await;
    let resume = again.resume().to_owned();
    vec![resume, ann.resume().to_owned(), invite]
}

/// A guest who polls, and says something that no other says.
async fn poll(node: &Node) -> String {
    let url = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
    let http = reqwest::Client::new();
    let text =
        async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").text().await.expect("a text");
    let open = text(http.get(&url)).await;
    let open: Value = serde_json::from_str(&open[1..]).expect("the handshake");
    let url = format!("{url}&sid={}", open["sid"].as_str().expect("a sid"));
    let connect = format!("40{}", json!({"name": NAME, "resume": TOKEN}));
    assert_eq!(text(http.post(&url).body(connect)).await, "ok");
    let resume = until("the session comes", async || {
        let packets = text(http.get(&url)).await;
        let session = packets.split('\u{1e}').find_map(|packet| packet.strip_prefix("42"))?;
        let session: Value = serde_json::from_str(session).expect("an event");
        session[1]["resume"].as_str().map(str::to_owned)
    })
    .await;
    let send = format!("42{}", json!(["message:send", {"room": "lobby", "nonce": nonce(), "text": TEXT}]));
    assert_eq!(text(http.post(&url).body(send)).await, "ok");
    resume
}

scenario! {
    /// At any level: what dependencies print of what they carry is not lifted by `RUST_LOG`.
    async fn nothing_secret_is_logged_even_at_trace() {
        const ADMIN: &str = "an-admin-token-like-no-other-0123456789";
        const PASSWORD: &str = "a-password-like-no-other";
        const KEY: &str = "a-session-key-like-no-other-0123456789";
        let mut redis = RedisSet::start(Form::Standalone, Version::Machine);
        redis.tell(&format!("cli a acl setuser chat '>{PASSWORD}'"));
        let folder = tempfile::TempDir::new().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, ADMIN).expect("the admin token");
        let plan = Plan::over(&redis).log_level("trace,tungstenite=trace,fred=trace,hyper=trace");
        let plan = plan.flag("--redis-password", PASSWORD).flag("--session-keys", KEY);
        let mut cluster = plan.flag("--admin-token-file", token.to_str().expect("UTF-8")).start().await;
        let mut secrets = talk(&cluster).await;
        secrets.push(poll(cluster.node(0)).await);
        let answer = reqwest::Client::new().get(cluster.node(0).admin_url("/api/v1/analytics")).bearer_auth(ADMIN).send().await;
        assert!(answer.expect("an answer").status().is_success());
        for number in 0..cluster.len() {
            cluster.node(number).terminate();
            assert!(cluster.node_mut(number).ended().await.success());
        }
        let logs = logs(&cluster);
        let known = [NAME, ROOM, TOPIC, TEXT, TOKEN, ADMIN, PASSWORD, KEY].into_iter();
        for secret in known.chain(secrets.iter().map(String::as_str)) {
            let line = logs.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is logged");
        }
        assert!(logs.contains("\"DEBUG\""), "the nodes' own lines are not lifted");
        println!("{} lines at trace, none with one of {} secrets", logs.lines().count(), 8 + secrets.len());
    }
}

scenario! {
    async fn a_key_that_redis_holds_is_warned_of() {
        const WARNING: &str = "the key that signs session tokens is in Redis";
        for (keys, expected) in [(None, true), (Some("k".repeat(32)), false)] {
            let plan = Plan::on(Bus::Redis).nodes(1);
            let plan = match &keys {
                Some(keys) => plan.flag("--session-keys", keys),
                None => plan,
            };
            let cluster = plan.start().await;
            let ready = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
            assert!(ready.status().is_success());
            let ready = ready.text().await.expect("a text");
            assert_eq!(ready.starts_with(&format!("ok, but {WARNING}")), expected, "{ready}");
            let warned = logs(&cluster).lines().any(|line| line.contains("\"WARN\"") && line.contains(WARNING));
            assert_eq!(warned, expected, "{}", logs(&cluster));
        }
        let cluster = Plan::on(Bus::Embedded).start().await;
        let ready = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
        assert_eq!(ready.text().await.expect("a text"), "ok\n");
        assert!(!logs(&cluster).contains("WARN"), "{}", logs(&cluster));
    }
}

on_both! {
    async fn no_text_no_name_and_no_token_is_logged(bus) {
        let mut cluster = Plan::on(bus).start().await;
        let secrets = talk(&cluster).await;
        for number in 0..cluster.len() {
            cluster.node(number).terminate();
            assert!(cluster.node_mut(number).ended().await.success());
        }
        let logs = logs(&cluster);
        let known = [NAME, ROOM, TOPIC, TEXT, TOKEN].into_iter().chain(secrets.iter().map(String::as_str));
        for secret in known {
            assert!(!logs.contains(secret), "{secret} is logged:\n{logs}");
        }
        let lines: Vec<Value> = logs.lines().filter(|line| !line.is_empty()).map(|line| {
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
        }).collect();
        assert!(lines.iter().any(|line| line["message"] == "stopped"), "{logs}");
        println!("{bus:?}: {} lines of {} node(s), each JSON, without any of {} secrets", lines.len(), cluster.len(), 5 + secrets.len());
    }
}

scenario! {
    async fn a_request_that_could_not_be_served_is_logged_with_its_id_and_its_trace() {
        let plan = Plan::on(Bus::Redis).nodes(1).flag("--otlp-endpoint", "http://127.0.0.1:9");
        let mut cluster = plan.flag("--trace-sample-ratio", "1").start().await;
        let ann = Client::guest(cluster.node(0), NAME).await;
        cluster.redis().kill();
        let answer = until("a send finds no Redis", async || {
            let answer = ann.request("message:send", json!({"room": "lobby", "nonce": nonce(), "text": TEXT})).await;
            (answer["ok"] == false).then_some(answer)
        })
        .await;
        assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
        assert!(answer["error"].get("cause").is_none(), "{answer}");
        let logs = logs(&cluster);
        let line = logs.lines().find(|line| line.contains("a request could not be served")).expect("a line");
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert!(line["socket"].is_string() && line["request"].is_number(), "{line}");
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
        assert!(!logs.contains(TEXT) && !logs.contains(NAME), "{logs}");
        println!("{line}");
    }
}

scenario! {
    async fn logs_for_people_are_plain_lines() {
        let mut cluster = Plan::on(Bus::Embedded).flag("--log-format", "pretty").start().await;
        cluster.node(0).terminate();
        assert!(cluster.node_mut(0).ended().await.success());
        let logs = logs(&cluster);
        let line = logs.lines().find(|line| line.contains("ready to take connections")).expect("a line");
        assert!(line.contains(" INFO ") && line.contains("broker=\"memory\"") && !line.contains('\u{1b}'), "{line}");
    }
}
