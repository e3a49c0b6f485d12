//! Who gets in, as whom, and what is the first thing to be heard.

use serde_json::{Value, json};

use crate::harness::{Client, Connect, Plan};

on_both! {
    /// All that the protocol promises of `session`.
    async fn a_guest_hears_its_session_first(bus) {
        let cluster = Plan::on(bus).flag("--max-message-bytes", "20000").start().await;
        let node = cluster.node(1);
        let ada = Client::guest(node, "  Ada L. ").await;
        let session = &ada.session;

        assert_eq!(session["protocol"], 1, "{session}");
        assert_eq!(session["node"], node.id(), "{session}");
        assert_eq!(session["user"]["name"], "Ada L.", "trimmed: {session}");
        assert_eq!(session["user"]["guest"], true, "{session}");
        assert!(!ada.id().is_empty() && !ada.resume().is_empty(), "{session}");
        assert_eq!(session["recovered"], false, "{session}");
        assert!(session["serverTime"].as_u64().is_some_and(|time| time > 1_600_000_000_000), "milliseconds: {session}");

        let lobby = ada.session_room("lobby").expect("everyone is in the lobby");
        assert_eq!(lobby["kind"], "public", "{lobby}");
        assert_eq!(lobby["role"], "member", "{lobby}");
        assert_eq!(lobby["unread"], 0, "{lobby}");
        assert!(lobby["name"].as_str().is_some_and(|name| !name.is_empty()), "{lobby}");
        assert!(lobby["position"]["epoch"].is_string() && lobby["position"]["offset"].is_u64(), "{lobby}");

        let limits = &session["limits"];
        assert_eq!(limits["maxMessageBytes"], 20_000, "{limits}");
        assert_eq!(limits["messagesPerSecond"], 0, "off: {limits}");
        assert_eq!(limits["messageBurst"], 0, "off: {limits}");
        assert_eq!(limits["historyLimit"], 100, "{limits}");
        assert!(limits["maxPayload"].as_u64().is_some_and(|bytes| bytes >= 80_000), "4 times a text: {limits}");
    }
}

on_both! {
    /// Small texts still leave room for all other requests.
    async fn a_packet_may_always_have_64_kib(bus) {
        let cluster = Plan::on(bus).nodes(1).flag("--max-message-bytes", "10").start().await;
        let ada = Client::guest(cluster.node(0), "Ada").await;
        let limit = ada.session["limits"]["maxPayload"].as_u64().expect("maxPayload");
        assert!(limit >= 65_536, "{limit}");
    }
}

on_both! {
    /// 1 to 64 characters after trimming, nothing that can't be seen, turns the text or piles up.
    async fn a_name_that_is_none_is_refused(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let node = cluster.node(0);
        let bad = [
            json!(""),
            json!("   "),
            json!("é".repeat(65)),
            json!("a\nb"),
            json!("a\u{0}b"),
            json!("a\u{7f}b"),
            json!("a\u{85}b"),
            json!("x".repeat(10_000)),
            json!("a\u{202e}b"),
            json!("a\u{200b}b"),
            json!("\u{3164}"),
            json!(format!("a{}", "\u{301}".repeat(60))),
            json!(3),
            json!(true),
            json!(["Ada"]),
            json!({"name": "Ada"}),
        ];
        for name in bad {
            let refusal = Connect::with(&json!({"name": name})).try_to(node).await.err();
            let refusal = refusal.unwrap_or_else(|| panic!("the name {name} was taken"));
            assert_eq!(refusal.code(), "bad_request", "the name {name}");
        }
        for name in ["é".repeat(64), "😀".repeat(64), format!(" \t{} ", "x".repeat(64)), "<b>&amp;\"'".to_owned()] {
            let guest = Client::guest(node, &name).await;
            assert_eq!(guest.session["user"]["name"], name.trim());
        }
    }
}

on_both! {
    /// `unauthenticated` only if neither a token nor a name is given.
    async fn who_says_nothing_of_herself_is_refused(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let node = cluster.node(0);
        for connect in [Connect::bare(), Connect::raw("{}"), Connect::with(&json!({"client": "test"}))] {
            let refusal = connect.try_to(node).await.err().expect("a refusal");
            assert_eq!(refusal.code(), "unauthenticated");
        }
        for auth in ["[]", r#"["Ada"]"#] {
            let refusal = Connect::raw(auth).try_to(node).await.err().expect("a refusal");
            assert_eq!(refusal.code(), "bad_request", "the auth {auth}");
        }
        let wrong = [
            json!({"name": "Ada", "positions": [1]}),
            json!({"name": "Ada", "positions": {"lobby": 3}}),
            json!({"name": "Ada", "positions": "no JSON"}),
            json!({"name": "Ada", "resume": 3}),
        ];
        for auth in wrong {
            let refusal = Connect::with(&auth).try_to(node).await.err().expect("a refusal");
            assert_eq!(refusal.code(), "bad_request", "the auth {auth}");
        }
        Client::guest(node, "Ada").await.fence("lobby", &[]).await;
    }
}

on_both! {
    /// The same user on any node: id, name, rooms, DMs.
    async fn a_resumed_session_is_the_same_user_elsewhere(bus) {
        let cluster = Plan::on(bus).start().await;
        let ada = Client::guest(cluster.node(0), "Ada").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        let private = ada.create("secret", "private").await;
        let public = ada.create("open", "public").await;
        let dm = ada.ok("dm:open", json!({"user": bob.id()})).await["room"].clone();
        let dm = dm.as_str().expect("the DM's id");
        ada.close().await;

        // A name that comes along is no new name: of the two the token rules.
        let auth = json!({"resume": ada.resume(), "name": "Somebody"});
        let back = Connect::with(&auth).to(cluster.node(1)).await;
        assert_eq!(back.session["user"], ada.session["user"]);
        assert_eq!(back.session["recovered"], true, "without positions it says if the session was resumed");
        for (room, kind, role) in [
            ("lobby", "public", "member"),
            (private.as_str(), "private", "owner"),
            (public.as_str(), "public", "owner"),
            (dm, "dm", "member"),
        ] {
            let entry = back.session_room(room).unwrap_or_else(|| panic!("{room} is missing: {}", back.session));
            assert_eq!(entry["kind"], kind, "{entry}");
            assert_eq!(entry["role"], role, "{entry}");
        }
        bob.say(dm, "welcome back").await;
        back.hear_text(dm, "welcome back").await;
        back.say(&private, "still mine").await;
    }
}

on_both! {
    /// A forged token counts as absent.
    async fn a_forged_resume_is_none(bus) {
        let cluster = Plan::on(bus).start().await;
        let ada = Client::guest(cluster.node(0), "Ada").await;
        let genuine = ada.resume();
        let mut forged = vec![String::new(), "x".to_owned(), "..".to_owned(), "x".repeat(9_000)];
        forged.push(format!("{genuine}A"));
        forged.push(genuine.chars().rev().collect());
        for at in [0, genuine.len() / 2, genuine.len() - 5] {
            let mut text = genuine.as_bytes().to_vec();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            forged.push(String::from_utf8(text).expect("a token is ASCII"));
        }
        let position = &ada.session_room("lobby").expect("the lobby")["position"];
        for token in forged {
            let shown: String = token.chars().take(80).collect();
            let alone = Connect::with(&json!({"resume": token})).try_to(cluster.node(1)).await;
            let code = alone.err().unwrap_or_else(|| panic!("{shown} was taken")).code().to_owned();
            // A token too long to be one may as well be malformed.
            let expected: &[&str] = if token.len() > 4_096 { &["unauthenticated", "bad_request"] } else { &["unauthenticated"] };
            assert!(expected.contains(&code.as_str()), "{shown}: {code}");
            if token.len() > 4_096 {
                continue;
            }
            let auth = json!({"resume": token, "name": "Eve", "positions": {"lobby": position}});
            let eve = Connect::with(&auth).to(cluster.node(1)).await;
            assert_ne!(eve.id(), ada.id(), "{shown}");
            assert_eq!(eve.session["recovered"], false, "{shown}");
            assert_eq!(eve.session["unrecovered"], json!(["lobby"]), "{shown}: all positions");
        }
        assert_eq!(ada.again(cluster.node(1)).await.id(), ada.id());
    }
}

on_both! {
    /// Sockets of one `resume` are one session, on whatever node.
    async fn two_sockets_of_one_user_hear_the_same(bus) {
        let cluster = Plan::on(bus).start().await;
        let first = Client::guest(cluster.node(0), "Ada").await;
        let second = first.again(cluster.node(1)).await;
        assert_eq!(first.id(), second.id());
        let ack = first.say("lobby", "from the first").await;
        let own = first.hear_text("lobby", "from the first").await;
        let other = second.hear_text("lobby", "from the first").await;
        assert_eq!(own, other);
        assert_eq!(own["id"], ack["id"]);
        second.close().await;
        first.fence("lobby", &[]).await;
    }
}

on_both! {
    /// A user begins with all of the lobby read, and unread counts go on across sessions.
    async fn a_session_tells_what_is_unread(bus) {
        let cluster = Plan::on(bus).start().await;
        let ada = Client::guest(cluster.node(0), "Ada").await;
        ada.say("lobby", "before Bob").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let unread = |client: &Client| -> Value { client.session_room("lobby").expect("the lobby")["unread"].clone() };
        assert_eq!(unread(&bob), 0);
        bob.ok("read:mark", json!({"room": "lobby", "offset": 1})).await;
        bob.close().await;
        for text in ["one", "two"] {
            ada.say("lobby", text).await;
        }
        assert_eq!(unread(&bob.again(cluster.node(0)).await), 2);
    }
}
