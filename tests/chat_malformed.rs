//! What is not as the protocol says: an ack with a code, the connection stays, nobody else notices.

use chat_server::transport::socketio::requests::ALL;
use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::{Client, Connect, Plan};

/// Every request, with a payload that is well-formed.
fn requests() -> Vec<(&'static str, Value)> {
    ALL.iter().map(|request| (request.name, serde_json::from_str(request.example).unwrap())).collect()
}

async fn expect(client: &Client, packet: impl FnOnce(u64) -> String, code: &str) {
    let mut shown = String::new();
    let pending = client.raw_request(|id| {
        let packet = packet(id);
        shown = packet.chars().take(150).collect();
        packet
    });
    let answer = pending.answer().await;
    assert_eq!(answer["error"]["code"], code, "{shown} was answered {answer}");
    assert_eq!(answer["ok"], false, "{answer}");
    assert!(answer["error"]["message"].is_string() && answer["error"]["temporary"] == false, "{answer}");
}

/// Two people, of whom one behaves badly in the test, and the other must not notice.
async fn unnoticed(ann: &Client, bob: &Client) {
    assert!(ann.is_open());
    ann.fence("lobby", &[bob]).await;
    let others: Vec<_> =
        bob.heard("message:new").into_iter().filter(|message| message["by"]["id"] != ann.id()).collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(bob.heard("message:new").len(), 1, "nothing but the fence was stored");
}

on_both! {
    /// Anything but an object, for every request.
    async fn a_payload_that_is_no_object_is_a_bad_request(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for (event, good) in requests() {
            let as_array: Vec<&Value> = good.as_object().unwrap().values().collect();
            for payload in [json!(as_array), json!([good]), json!(good.to_string()), json!("x"), json!(null), json!(7), json!(true)] {
                expect(&ann, |id| format!("42{id}{}", json!([event, payload])), "bad_request").await;
            }
        }
        unnoticed(&ann, &bob).await;
    }
}

on_both! {
    /// A wrong type in each field of each request, or a field that is not there.
    async fn a_field_of_a_wrong_type_is_a_bad_request(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for (event, good) in requests() {
            for field in good.as_object().unwrap().keys() {
                for wrong in [json!([]), json!({}), json!(-1), json!(1.5), json!(null)] {
                    let mut payload = good.clone();
                    payload[field] = wrong;
                    ann.refused(event, payload, "bad_request").await;
                }
                let mut payload = good.clone();
                payload.as_object_mut().unwrap().remove(field);
                ann.refused(event, payload, "bad_request").await;
            }
        }
        let optional = [
            ("room:list", "query", json!(3)),
            ("room:list", "limit", json!("3")),
            ("room:list", "limit", json!(-3)),
            ("room:join", "since", json!("e-1")),
            ("room:join", "since", json!({"epoch": "e"})),
            ("room:join", "limit", json!(1.5)),
            ("message:send", "replyTo", json!(3)),
            ("history:get", "before", json!("1")),
            ("history:get", "after", json!(-1)),
            ("history:get", "limit", json!([])),
            ("log:get", "limit", json!("all")),
            ("read:mark", "offset", json!("1")),
        ];
        for (event, field, wrong) in optional {
            let mut payload = requests().into_iter().find(|(name, _)| *name == event).unwrap().1;
            payload[field] = wrong;
            ann.refused(event, payload, "bad_request").await;
        }
        // Numbers that no offset can be.
        for number in ["1e400", "18446744073709551616", "-0.5", "1e-3"] {
            let payload = format!(r#"{{"room":"lobby","offset":{number}}}"#);
            expect(&ann, |id| format!(r#"42{id}["read:mark",{payload}]"#), "bad_request").await;
        }
        unnoticed(&ann, &bob).await;
    }
}

on_both! {
    /// JSON that a strict parser refuses, in a packet whose ack id can be read.
    async fn what_a_strict_parser_refuses_is_a_bad_request(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let deep_objects = |depth: usize| format!("{}1{}", r#"{"x":"#.repeat(depth), "}".repeat(depth));
        let send = |text: &str| format!(r#"{{"room":"lobby","nonce":"{}","text":{text}}}"#, nonce());
        let payloads = [
            send(r#""\ud800""#),
            send(r#""\udc00 x""#),
            send(r#""\ud800\ud800""#),
            r#"{"room":"lobby","nonce":"\ud800","text":"x"}"#.to_owned(),
            r#"{"room":"\ud800","nonce":"n","text":"x"}"#.to_owned(),
            r#"{"room":"lobby","nonce":"n","text":"x","text":"y"}"#.to_owned(),
            format!(r#"{{"room":"lobby","nonce":"n","text":"x","more":{}}}"#, deep(200)),
            format!(r#"{{"room":"lobby","nonce":"n","text":"x","more":{}}}"#, deep(30_000)),
            format!(r#"{{"room":"lobby","nonce":"n","text":"x","more":{}}}"#, deep_objects(10_000)),
            send(&deep(1_000)),
            deep(30_000),
        ];
        for payload in payloads {
            expect(&ann, |id| format!(r#"42{id}["message:send",{payload}]"#), "bad_request").await;
        }
        unnoticed(&ann, &bob).await;
    }
}

on_both! {
    /// Bytes instead of JSON: the attachment is awaited, then the request is refused.
    async fn bytes_are_a_bad_request(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for payload in [
            r#"{"_placeholder":true,"num":0}"#,
            r#"{"room":"lobby","nonce":"n","text":{"_placeholder":true,"num":0}}"#,
        ] {
            let pending = ann.raw_request(|id| format!(r#"451-{id}["message:send",{payload}]"#));
            ann.raw_bytes(b"\x00\xff\x01bytes");
            let answer = pending.answer().await;
            assert_eq!(answer["error"]["code"], "bad_request", "{payload} was answered {answer}");
        }
        unnoticed(&ann, &bob).await;
    }
}

on_both! {
    async fn an_unknown_event_is_unsupported(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let long = "x".repeat(10_000);
        for event in ["no:such", "", "Message:Send", "constructor", "__proto__", "session", "message:new", &long, "räume"] {
            ann.refused(event, json!({"room": "lobby"}), "unsupported").await;
        }
        expect(&ann, |id| format!(r#"42{id}["no:such"]"#), "unsupported").await;
        unnoticed(&ann, &bob).await;
    }
}

on_both! {
    /// A missing payload is `{}`, more arguments and unknown fields are ignored, and a request needs no ack.
    async fn what_is_missing_or_too_much_is_taken_kindly(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let list = ann.raw_request(|id| format!(r#"42{id}["room:list"]"#)).answer().await;
        assert_eq!(list["ok"], true, "{list}");
        expect(&ann, |id| format!(r#"42{id}["message:send"]"#), "bad_request").await;
        let list = ann.raw_request(|id| format!(r#"42{id}["room:list",{{"new":[1,{{}}]}},7,"x"]"#)).answer().await;
        assert_eq!(list["ok"], true, "{list}");
        let payload = json!({"room": "lobby", "nonce": nonce(), "text": "without an ack"});
        ann.raw(&format!("42{}", json!(["message:send", payload])));
        bob.hear_text("lobby", "without an ack").await;
        ann.raw(&format!("42{}", json!(["message:send", {"room": "lobby"}])));
        ann.fence("lobby", &[&bob]).await;
    }
}

on_both! {
    /// What is not JSON at all, or has no plain name, can't be taken apart by the transport: it ends
    /// the connection that it came over (docs/protocol.md, "Malformed requests").
    async fn what_is_not_json_at_all_ends_only_its_connection(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let bodies = [
            "[]",
            "[3,{}]",
            "[null]",
            r#"["room\u003alist",{}]"#,
            r#"["message:send""#,
            r#"["message:send",{"room":"lobby","nonce":"n","text":"\u12"}]"#,
            r#"["message:send",{"room":"lobby","nonce":"n","text":'x'}]"#,
            r#"["message:send",{"room":"lobby","nonce":"n","text":NaN}]"#,
            r#"["message:send",{]"#,
        ];
        for body in bodies {
            let ann = Client::guest(cluster.node(0), "Ann").await;
            ann.raw(&format!("421{body}"));
            ann.ended().await;
            bob.fence("lobby", &[]).await;
        }
    }
}

on_both! {
    /// What is no packet may end the connection that it came over, and no other.
    async fn what_is_no_packet_concerns_only_its_connection(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for packet in ["", "9", "hello", "4", "47", "42", "4299999999999999999999999[\"room:list\",{}]", "40{}", "451-1", "\u{0}", "42/other,1[\"x\"]"] {
            let ann = Client::guest(cluster.node(0), "Ann").await;
            ann.raw(packet);
            ann.vanish().await;
            bob.fence("lobby", &[]).await;
        }
        for bytes in [&b""[..], b"\xff\xfe", b"4"] {
            let ann = Client::guest(cluster.node(0), "Ann").await;
            ann.raw_bytes(bytes);
            ann.vanish().await;
            bob.fence("lobby", &[]).await;
        }
    }
}

on_both! {
    /// Rooms and people that are not there, by names of all kinds.
    async fn a_room_that_is_not_there_is_not_found(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        for (event, good) in requests().into_iter().filter(|(_, good)| good.get("room").is_some()) {
            for room in ["nowhere", "Lobby", "r0", "lobby.x"] {
                let mut payload = good.clone();
                payload["room"] = json!(room);
                ann.refused(event, payload, "not_found").await;
            }
            for room in ["", "lobby ", "lo*y", "lobby}", "a\nb", &"x".repeat(10_000)] {
                let mut payload = good.clone();
                payload["room"] = json!(room);
                let answer = ann.request(event, payload).await;
                let code = answer["error"]["code"].as_str();
                assert!(matches!(code, Some("not_found" | "bad_request")), "{event} in {room:?}: {answer}");
            }
        }
        let auth = json!({"name": "x".repeat(10_000)});
        assert_eq!(Connect::with(&auth).try_to(cluster.node(0)).await.err().unwrap().code(), "bad_request");
        unnoticed(&ann, &bob).await;
    }
}
