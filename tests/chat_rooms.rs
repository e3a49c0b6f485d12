//! Rooms: made, found, joined, left.

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Plan, until};

async fn make(client: &Client, name: &str, kind: &str) -> String {
    let made = client.ok("room:create", json!({"name": name, "kind": kind})).await;
    made["room"].as_str().expect("the room's id").to_owned()
}

/// All pages of a list.
async fn all_pages(client: &Client, event: &str, request: Value, list: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut request = request;
    for _ in 0..50 {
        let page = client.ok(event, request.clone()).await;
        items.extend(page[list].as_array().expect("a list").iter().cloned());
        match page.get("cursor") {
            Some(cursor) if !cursor.is_null() => request["cursor"] = cursor.clone(),
            _ => return items,
        }
    }
    panic!("{event} goes on for ever");
}

fn ids(rooms: &[Value]) -> Vec<&str> {
    rooms.iter().map(|room| room["room"].as_str().expect("an id")).collect()
}

on_both! {
    async fn who_makes_a_room_owns_it_and_hears_it_on_every_socket(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let other = ann.again(cluster.node(1)).await;
        let made = ann.ok("room:create", json!({"name": "  Tea  ", "kind": "public", "topic": "Green"})).await;
        let room = made["room"].as_str().expect("an id");
        for socket in [&ann, &other] {
            let added = socket.hear("room:added", |added| added["room"] == room).await;
            assert_eq!(added["name"], "Tea", "a name is trimmed: {added}");
            assert_eq!((&added["kind"], &added["topic"]), (&json!("public"), &json!("Green")), "{added}");
            assert_eq!((&added["role"], &added["unread"]), (&json!("owner"), &json!(0)), "{added}");
            assert!(added["position"]["offset"].is_u64(), "{added}");
        }
        let members = ann.ok("room:members", json!({"room": room})).await;
        let members = members["members"].as_array().unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!((&members[0]["user"], &members[0]["role"]), (&ann.session["user"], &json!("owner")));
        ann.fence(room, &[&other]).await;
    }
}

on_both! {
    async fn a_public_name_is_taken_whatever_its_case_and_a_private_one_never(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        make(&ann, "Ärger im Büro", "public").await;
        for name in ["Ärger im Büro", "ärger im büro", "ÄRGER IM BÜRO", "  Ärger im Büro "] {
            bob.refused("room:create", json!({"name": name, "kind": "public"}), "conflict").await;
            make(&bob, name, "private").await;
        }
    }
}

on_both! {
    async fn of_two_nodes_that_make_one_name_at_once_one_wins(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for round in 0..10 {
            let anns = ann.ask("room:create", &json!({"name": format!("race {round}"), "kind": "public"}));
            let bobs = bob.ask("room:create", &json!({"name": format!("RACE {round}"), "kind": "public"}));
            let answers = [anns.answer().await, bobs.answer().await];
            let made = answers.iter().filter(|answer| answer["ok"] == true).count();
            let refused = answers.iter().filter(|answer| answer["error"]["code"] == "conflict").count();
            assert_eq!((made, refused), (1, 1), "{answers:?}");
        }
    }
}

on_both! {
    async fn a_room_that_cannot_be_is_a_bad_request(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        for room in [
            json!({"kind": "public"}),
            json!({"name": "Tea"}),
            json!({"name": "", "kind": "public"}),
            json!({"name": "  ", "kind": "public"}),
            json!({"name": "x".repeat(65), "kind": "private"}),
            json!({"name": "a\u{1b}[31m", "kind": "public"}),
            json!({"name": "a\u{202e}b", "kind": "public"}),
            json!({"name": "a\u{200b}b", "kind": "private"}),
            json!({"name": "\u{3164}", "kind": "public"}),
            json!({"name": format!("a{}", "\u{301}".repeat(60)), "kind": "public"}),
            json!({"name": 5, "kind": "public"}),
            json!({"name": "Tea", "kind": "dm"}),
            json!({"name": "Tea", "kind": "secret"}),
            json!({"name": "Tea", "kind": 1}),
            json!({"name": "Tea", "kind": "public", "topic": 1}),
        ] {
            ann.refused("room:create", room, "bad_request").await;
        }
        make(&ann, &"é".repeat(64), "public").await;
    }
}

on_both! {
    async fn the_list_shows_public_rooms_and_ones_own_page_by_page(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let mut public = vec!["lobby".to_owned()];
        for number in 0..7 {
            public.push(make(&ann, &format!("Open {number}"), "public").await);
        }
        let anns = make(&ann, "Ann's own", "private").await;
        let bobs = make(&bob, "Bob's own", "private").await;

        let seen = all_pages(&bob, "room:list", json!({"limit": 3}), "rooms").await;
        let seen_ids = ids(&seen);
        for room in &public {
            assert_eq!(seen_ids.iter().filter(|id| *id == room).count(), 1, "{room} once in {seen_ids:?}");
        }
        assert!(seen_ids.contains(&bobs.as_str()), "one's own private room");
        assert!(!seen_ids.contains(&anns.as_str()), "another's private room");
        assert_eq!(seen_ids.len(), 9, "{seen_ids:?}");
        let open = seen.iter().find(|room| room["name"] == "Open 3").unwrap();
        assert_eq!((&open["kind"], &open["members"]), (&json!("public"), &json!(1)), "{open}");
        assert!(open["topic"].is_string(), "{open}");
        assert!(open.get("role").is_none_or(Value::is_null), "Bob is no member: {open}");
        let own = seen.iter().find(|room| room["room"] == bobs.as_str()).unwrap();
        assert_eq!(own["role"], "owner", "{own}");
        let page = bob.ok("room:list", json!({"limit": 3})).await;
        assert_eq!(page["rooms"].as_array().unwrap().len(), 3, "{page}");

        let found = all_pages(&bob, "room:list", json!({"query": "oPEN 5"}), "rooms").await;
        assert_eq!(ids(&found), [public[6].as_str()]);
        let found = all_pages(&bob, "room:list", json!({"query": "Ann's"}), "rooms").await;
        assert!(found.is_empty(), "{found:?}");
    }
}

on_both! {
    async fn joining_a_public_room_answers_the_room_and_its_newest_messages(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let bob_too = bob.again(cluster.node(0)).await;
        let room = make(&ann, "Open", "public").await;
        for number in 0..5 {
            ann.say(&room, &format!("said {number}")).await;
        }
        let joined = bob.ok("room:join", json!({"room": room, "limit": 3})).await;
        assert_eq!((&joined["room"], &joined["name"]), (&json!(room), &json!("Open")), "{joined}");
        assert_eq!((&joined["kind"], &joined["role"]), (&json!("public"), &json!("member")), "{joined}");
        assert_eq!(joined["members"], 2, "{joined}");
        let texts: Vec<_> = joined["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
        assert_eq!(texts, ["said 2", "said 3", "said 4"], "the newest, in rising order");

        let event = ann.hear("member:joined", |joined| joined["user"]["id"] == bob.id()).await;
        assert_eq!((&event["room"], &event["user"]), (&json!(room), &bob.session["user"]), "{event}");
        assert_eq!(event["role"], "member", "{event}");
        for field in ["epoch", "offset", "id", "at", "by"] {
            assert!(!event[field].is_null(), "{field} of {event}");
        }
        let added = bob_too.hear("room:added", |added| added["room"] == room).await;
        assert_eq!((&added["role"], &added["unread"]), (&json!("member"), &json!(0)), "joining starts read: {added}");

        // Joining again changes nothing.
        bob.ok("room:join", json!({"room": room})).await;
        ann.fence(&room, &[&bob, &bob_too]).await;
        assert_eq!(ann.heard("member:joined").iter().filter(|joined| joined["user"]["id"] == bob.id()).count(), 1);
        let members = all_pages(&bob, "room:members", json!({"room": room}), "members").await;
        assert_eq!(members.len(), 2, "{members:?}");

        bob.refused("room:join", json!({"room": "no-such-room"}), "not_found").await;
        bob.refused("room:join", json!({}), "bad_request").await;
    }
}

on_both! {
    async fn who_is_not_in_a_public_room_may_read_it_and_nothing_else(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = make(&ann, "Open", "public").await;
        let said = ann.say(&room, "for everybody").await;
        let history = bob.ok("history:get", json!({"room": room})).await;
        assert_eq!(history["messages"][0]["text"], "for everybody", "{history}");
        let log = json!({"room": room, "epoch": said["position"]["epoch"], "after": 0});
        assert!(!bob.ok("log:get", log).await["events"].as_array().unwrap().is_empty());
        assert_eq!(bob.ok("room:members", json!({"room": room})).await["members"].as_array().unwrap().len(), 1);
        for (event, payload) in [
            ("message:send", json!({"room": room, "nonce": "n", "text": "hello"})),
            ("typing:set", json!({"room": room, "on": true})),
            ("read:mark", json!({"room": room, "offset": 1})),
            ("room:invite", json!({"room": room})),
            ("room:invite", json!({"room": room, "user": bob.id()})),
            ("room:leave", json!({"room": room})),
        ] {
            bob.refused(event, payload, "forbidden").await;
        }
        ann.fence(&room, &[]).await;
        bob.fence("lobby", &[]).await;
        assert!(bob.heard_in("message:new", &room).is_empty(), "reading is not joining");
    }
}

on_both! {
    async fn leaving_ends_the_room_on_every_socket_with_ones_own_leaving_as_its_last_event(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let bob_too = bob.again(cluster.node(0)).await;
        let room = make(&ann, "Open", "public").await;
        bob.ok("room:join", json!({"room": room})).await;
        bob_too.hear("room:added", |added| added["room"] == room).await;
        bob.ok("room:leave", json!({"room": room})).await;
        for socket in [&ann, &bob, &bob_too] {
            let left = socket.hear("member:left", |left| left["room"] == room).await;
            assert_eq!((&left["user"], &left["reason"]), (&bob.session["user"], &json!("left")), "{left}");
        }
        // The client itself fails on any event of the room after that.
        ann.fence(&room, &[]).await;
        ann.fence("lobby", &[&bob, &bob_too]).await;
        bob.refused("message:send", json!({"room": room, "nonce": "n", "text": "still here?"}), "forbidden").await;
        let later = bob.again(cluster.node(1)).await;
        assert!(later.session_room(&room).is_none());
        assert_eq!(all_pages(&ann, "room:members", json!({"room": room}), "members").await.len(), 1);

        // And back again.
        bob.ok("room:join", json!({"room": room})).await;
        bob_too.hear("room:added", |added| added["room"] == room).await;
        ann.fence(&room, &[&bob, &bob_too]).await;
    }
}

on_both! {
    async fn the_lobby_cannot_be_left_and_lists_who_is_connected(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let bob_too = bob.again(cluster.node(0)).await;
        ann.refused("room:leave", json!({"room": "lobby"}), "forbidden").await;
        let joined = ann.ok("room:join", json!({"room": "lobby"})).await;
        assert_eq!(joined["room"], "lobby", "joining where one is already: {joined}");
        for client in [&ann, &bob] {
            until("the list of the lobby shows each user once", || async {
                let members = all_pages(client, "room:members", json!({"room": "lobby"}), "members").await;
                let mut names: Vec<_> = members.iter().map(|member| member["user"]["name"].as_str().unwrap()).collect();
                names.sort_unstable();
                (names == ["Ann", "Bob"]).then_some(())
            })
            .await;
        }
        bob.close().await;
        bob_too.close().await;
        until("the list of the lobby is without Bob", || async {
            let members = all_pages(&ann, "room:members", json!({"room": "lobby"}), "members").await;
            (members.len() == 1).then_some(())
        })
        .await;
        assert!(ann.heard("member:left").is_empty(), "connecting is presence, not membership");
        assert!(ann.heard("member:joined").is_empty(), "connecting is presence, not membership");
    }
}

on_both! {
    async fn a_list_of_many_members_is_read_page_by_page(bus) {
        const MANY: usize = 130;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let mut others = Vec::new();
        for number in 0..MANY {
            others.push(Client::guest(cluster.node(number), &format!("guest {number}")).await);
        }
        until("all are listed, each once", || async {
            let members = all_pages(&ann, "room:members", json!({"room": "lobby"}), "members").await;
            let mut ids: Vec<_> = members.iter().map(|member| member["user"]["id"].as_str().unwrap()).collect();
            ids.sort_unstable();
            ids.dedup();
            (ids.len() == MANY + 1 && members.len() == MANY + 1).then_some(())
        })
        .await;
    }
}

on_both! {
    /// A Cyrillic o, a one for an l: what looks like a public name is taken with it, the lobby's as well.
    async fn no_two_public_rooms_look_alike(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let eve = Client::guest(cluster.node(1), "Eve").await;
        let room = ann.create("Kitchen", "public").await;
        for name in ["Kitc\u{4bb}en", "kit\u{441}hen", "L\u{43e}bby", "L0bby"] {
            eve.refused("room:create", json!({"name": name, "kind": "public"}), "conflict").await;
        }
        let own = eve.create("Pantry", "public").await;
        eve.refused("room:update", json!({"room": own, "name": "\u{39a}itchen"}), "conflict").await;
        // Private names are nobody's; and a room may change how it writes its own name.
        eve.create("kit\u{441}hen", "private").await;
        ann.ok("room:update", json!({"room": room, "name": "KIT\u{421}HEN"})).await;
        eve.refused("room:create", json!({"name": "Kitchen", "kind": "public"}), "conflict").await;
        // What it is no longer called is free, and so is what that looks like.
        ann.ok("room:update", json!({"room": room, "name": "Bathroom"})).await;
        eve.create("kit\u{441}hen", "public").await;
        ann.refused("room:update", json!({"room": room, "name": "Kitchen"}), "conflict").await;
    }
}

scenario! {
    /// An earlier version claimed names, and not what they look like.
    async fn public_names_of_an_earlier_version_are_held_after_an_upgrade() {
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.create("Kitchen", "public").await;
        let look = "\u{10ffff}kitchen";
        assert_eq!(cluster.redis().ask(&["HDEL", "chat:{directory}:f", look]).await, ["1"]);
        assert_eq!(cluster.redis().ask(&["ZREM", "chat:{directory}:x", look]).await, ["1"]);
        ann.create("kit\u{441}hen", "public").await;
        assert_eq!(cluster.redis().ask(&["HDEL", "chat:{directory}:f", look]).await, ["1"]);
        assert_eq!(cluster.redis().ask(&["ZREM", "chat:{directory}:x", look]).await, ["1"]);
        cluster.node(0).terminate();
        assert!(cluster.node_mut(0).ended().await.success());
        cluster.node_mut(0).restart().await;
        let redis = cluster.redis().asked();
        crate::harness::until("the look is claimed", || async {
            let found = redis.ask(&["HGET", "chat:{directory}:f", look]).await;
            found.first().filter(|claim| !claim.is_empty()).map(drop)
        })
        .await;
        let eve = Client::guest(cluster.node(0), "Eve").await;
        eve.refused("room:create", json!({"name": "Kit\u{441}h\u{435}n", "kind": "public"}), "conflict").await;
    }
}

scenario! {
    /// What is left of a room that nobody is in has an end; who enters it again keeps it.
    async fn a_room_that_all_have_left_expires() {
        const DAY: u64 = 24 * 3_600_000;
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        for (kind, days) in [("public", 30), ("private", 1)] {
            let room = make(&ann, "Tea", kind).await;
            ann.say(&room, "what is kept meanwhile").await;
            let invite = ann.ok("room:invite", json!({"room": room, "uses": 3})).await["invite"].clone();
            let redis = cluster.redis().asked();
            let left = async |key: &str| {
                let ttl = redis.ask(&["PTTL", &format!("chat:{{room:{room}}}:{key}")]).await;
                ttl[0].parse::<i64>().expect("a number")
            };
            assert_eq!(left("f").await, -1);
            bob.ok("room:accept", json!({"invite": invite})).await;
            ann.ok("room:leave", json!({"room": room})).await;
            assert_eq!(left("f").await, -1, "Bob is in it");
            bob.ok("room:leave", json!({"room": room})).await;
            for key in ["f", "x", "l", "n"] {
                let most = i64::try_from(days * DAY).unwrap();
                assert!((most - 600_000..=most).contains(&left(key).await), "{kind} {key}: {}", left(key).await);
            }
            ann.ok("room:accept", json!({"invite": invite})).await;
            assert_eq!(left("f").await, -1, "Ann is in it");
            let history = ann.ok("history:get", json!({"room": room})).await;
            assert_eq!(history["messages"][0]["text"], "what is kept meanwhile");
            ann.ok("room:leave", json!({"room": room})).await;
            // As if the time were over.
            for key in ["f", "x", "l", "n"] {
                redis.ask(&["DEL", &format!("chat:{{room:{room}}}:{key}")]).await;
            }
            bob.refused("room:join", json!({"room": room}), "not_found").await;
            bob.refused("room:accept", json!({"invite": invite}), "not_found").await;
        }
    }
}

on_both! {
    /// However many sockets ask for the last one.
    async fn rooms_made_on_all_nodes_at_once_have_the_same_end(bus) {
        const MOST: usize = 500;
        const SOCKETS: usize = 10;
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let sockets = futures_util::future::join_all((0..SOCKETS).map(|number| ann.again(cluster.node(number)))).await;
        let create = |number: usize| {
            let payload = json!({"name": format!("r{number}"), "kind": "private"});
            sockets[number % SOCKETS].ask("room:create", &payload)
        };
        let mut made = 0;
        for pending in (0..MOST + 50).map(create).collect::<Vec<_>>() {
            let answer = pending.answer().await;
            made += usize::from(answer["ok"] == true);
            assert!(answer["ok"] == true || answer["error"]["limit"] == "rooms", "{answer}");
        }
        assert_eq!(made, MOST);
    }
}
