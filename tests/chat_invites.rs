//! The open invite links of a room: who sees them, and how one is ended.

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Plan, until};

async fn link(client: &Client, room: &str, more: Value) -> Value {
    let mut payload = json!({"room": room});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.ok("room:invite", payload).await["invite"].clone()
}

async fn links(client: &Client, room: &str) -> Vec<Value> {
    client.ok("room:invites", json!({"room": room})).await["invites"].as_array().expect("invites").clone()
}

on_both! {
    async fn open_links_are_listed_without_what_lets_in_and_ended(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let room = ann.create("Secret", "private").await;
        ann.ok("room:invite", json!({"room": room, "user": bob.id()})).await;
        let hers = link(&ann, &room, json!({"uses": 1_000, "expiresInSeconds": 30 * 86_400})).await;
        let his = link(&bob, &room, json!({"uses": 2})).await;

        let [first, second] = &links(&ann, &room).await[..] else { panic!("the owner sees both") };
        assert_eq!((&first["by"]["name"], &first["uses"]), (&json!("Bob"), &json!(2)), "which ends first");
        assert_eq!((&second["by"]["id"], &second["uses"]), (&json!(ann.id()), &json!(1_000)));
        assert!(first["expiresAt"].as_u64() < second["expiresAt"].as_u64());
        assert_eq!(links(&bob, &room).await, std::slice::from_ref(first), "a member sees the own");

        // An id is no link, and a link does not show its id.
        for invite in [first, second] {
            let id = invite["invite"].as_str().expect("an id");
            eve.refused("room:accept", json!({"invite": id}), "not_found").await;
            eve.refused("room:accept", json!({"invite": format!("{room}.{id}")}), "not_found").await;
            assert!(!hers.as_str().unwrap().contains(id) && !his.as_str().unwrap().contains(id));
        }
        for event in ["room:invites", "room:revoke"] {
            let payload = json!({"room": room, "invite": first["invite"]});
            eve.refused(event, payload, "not_found").await;
            ann.refused(event, json!({"room": "lobby", "invite": "x"}), "forbidden").await;
        }
        bob.refused("room:revoke", json!({"room": room, "invite": second["invite"]}), "not_found").await;
        bob.refused("room:revoke", json!({"room": room, "invite": hers}), "not_found").await;

        // Used once, it is the same link.
        let carl = Client::guest(cluster.node(0), "Carl").await;
        carl.ok("room:accept", json!({"invite": his})).await;
        assert_eq!(links(&bob, &room).await[0]["invite"], first["invite"]);
        assert_eq!(links(&carl, &room).await, [Value::Null; 0]);
        bob.ok("room:revoke", json!({"room": room, "invite": first["invite"]})).await;
        eve.refused("room:accept", json!({"invite": his}), "not_found").await;
        bob.refused("room:revoke", json!({"room": room, "invite": first["invite"]}), "not_found").await;
        ann.ok("room:revoke", json!({"room": room, "invite": second["invite"]})).await;
        eve.refused("room:accept", json!({"invite": hers}), "not_found").await;
        assert_eq!(links(&ann, &room).await, [Value::Null; 0]);
    }
}

on_both! {
    async fn many_links_come_in_pages(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = ann.create("Secret", "private").await;
        for seconds in 0..25 {
            link(&ann, &room, json!({"expiresInSeconds": 3_600 + seconds})).await;
        }
        let (mut found, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let mut payload = json!({"room": room, "limit": 10});
            if !cursor.is_null() {
                payload["cursor"] = cursor;
            }
            let page = ann.ok("room:invites", payload).await;
            found.extend(page["invites"].as_array().unwrap().iter().map(|invite| invite["expiresAt"].as_u64().unwrap()));
            cursor = page["cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert!(found.len() == 25 && found.is_sorted(), "{found:?}");
    }
}

scenario! {
    /// As earlier builds stored it: nobody knows who made it.
    async fn a_link_of_an_earlier_build_lets_in_and_is_ended_by_the_owner() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = ann.create("Secret", "private").await;
        let key = format!("chat:{{room:{room}}}");
        let invite = json!({"uses": 2, "expiresAt": 4_000_000_000_000_u64}).to_string();
        cluster.redis().ask(&["HSET", &format!("{key}:f"), "i:c2VjcmV0", &invite]).await;
        cluster.redis().ask(&["ZADD", &format!("{key}:x"), "0", "i:c2VjcmV0"]).await;
        let old = format!("{room}.c2VjcmV0");
        bob.ok("room:accept", json!({"invite": old})).await;
        assert_eq!(links(&bob, &room).await, [Value::Null; 0]);
        let [open] = &links(&ann, &room).await[..] else { panic!("one link") };
        assert_eq!((&open["uses"], &open["by"]), (&json!(1), &Value::Null));
        ann.ok("room:revoke", json!({"room": room, "invite": open["invite"]})).await;
        let eve = Client::guest(cluster.node(0), "Eve").await;
        eve.refused("room:accept", json!({"invite": old}), "not_found").await;
    }
}

on_both! {
    /// The races of uses and the end: whoever got in is in, and nobody gets in after the answer.
    async fn nobody_gets_in_by_a_link_after_its_end_is_acknowledged(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let room = ann.create("Secret", "private").await;
        let invite = link(&ann, &room, json!({"uses": 1_000})).await;
        let id = links(&ann, &room).await[0]["invite"].clone();
        let mut guests = Vec::new();
        for number in 0..5 {
            guests.push(Client::guest(cluster.node(number % 2), &format!("guest {number}")).await);
        }
        let racing: Vec<_> = guests.iter().map(|guest| guest.ask("room:accept", &json!({"invite": invite}))).collect();
        // Where it is used at the very same time, again and again, the end may have to be asked for again.
        until("the link is ended", async || {
            let answer = ann.request("room:revoke", json!({"room": room, "invite": id})).await;
            (answer["ok"] == true).then_some(())
        })
        .await;
        let late = Client::guest(cluster.node(1), "Late").await;
        late.refused("room:accept", json!({"invite": invite}), "not_found").await;
        let mut inside = 1;
        for accepted in racing {
            inside += usize::from(accepted.answer().await["ok"] == true);
        }
        let members = ann.ok("room:members", json!({"room": room})).await;
        assert_eq!(members["members"].as_array().map(Vec::len), Some(inside));
    }
}
