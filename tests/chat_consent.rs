//! What others may do to a person, and how the person ends it.

use serde_json::{Value, json};

use crate::harness::{Client, Plan};

fn room_of(answer: &Value) -> String {
    answer["room"].as_str().expect("the room's id").to_owned()
}

async fn open_dm(by: &Client, with: &Client) -> String {
    room_of(&by.ok("dm:open", json!({"user": with.id()})).await)
}

/// The flags of a direct message, absent ones as `false`.
fn flags(room: &Value) -> (bool, bool) {
    (room["request"] == true, room["hidden"] == true)
}

const REQUEST: (bool, bool) = (true, false);
const HIDDEN: (bool, bool) = (false, true);
const PLAIN: (bool, bool) = (false, false);

on_both! {
    /// 150 strangers write to a person. The oldest requests make room; nothing that the person does is refused.
    async fn strangers_who_write_lock_nobody_out(bus) {
        const STRANGERS: usize = 150;
        const REQUESTS: usize = 100;
        let cluster = Plan::on(bus).nodes(1).start().await;
        let victim = Client::guest(cluster.node(0), "Victim").await;
        for number in 0..STRANGERS {
            let stranger = Client::guest(cluster.node(0), &format!("s{number}")).await;
            let room = open_dm(&stranger, &victim).await;
            stranger.say(&room, &format!("buy {number}")).await;
            stranger.close().await;
        }
        let friend = Client::guest(cluster.node(0), "Friend").await;
        let theirs = open_dm(&friend, &victim).await;
        friend.say(&theirs, "it is me").await;
        victim.hear_text(&theirs, "it is me").await;
        victim.create("my own", "private").await;
        let again = victim.again(cluster.node(0)).await;
        let rooms = again.session["rooms"].as_array().expect("rooms");
        assert_eq!(rooms.iter().filter(|room| room["request"] == true).count(), REQUESTS);
        assert_eq!(rooms.len(), REQUESTS + 2, "the room of its own and the lobby");
        assert_eq!(flags(again.session_room(&theirs).expect("the newest request is there")), REQUEST);
    }
}

on_both! {
    async fn a_strangers_direct_message_is_a_request_until_it_is_answered(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let ann_too = ann.again(cluster.node(1)).await;
        let (bob, eve) = (Client::guest(cluster.node(1), "Bob").await, Client::guest(cluster.node(1), "Eve").await);
        let (of_bob, of_eve) = (open_dm(&bob, &ann).await, open_dm(&eve, &ann).await);
        for room in [&of_bob, &of_eve] {
            let added = ann.hear("room:added", |added| added["room"] == *room).await;
            assert_eq!(flags(&added), REQUEST, "{added}");
        }
        assert_eq!(flags(&bob.hear("room:added", |_| true).await), PLAIN, "who opened it is not asked");

        // One that was closed and comes back is open once it is answered.
        ann.ok("dm:close", json!({"room": of_bob})).await;
        ann_too.hear("room:settings", |settings| settings["hidden"] == true).await;
        bob.say(&of_bob, "are you there?").await;
        ann.hear_text(&of_bob, "are you there?").await;
        ann.say(&of_bob, "hello Bob").await;
        let of_bobs = |settings: &Value| settings["room"] == of_bob && settings["request"] == false;
        let settings = ann_too.hear("room:settings", of_bobs).await;
        assert_eq!(flags(&settings), PLAIN, "an answer accepts it");
        ann.say(&of_bob, "and again").await;
        let entered = ann.ok("room:accept", json!({"room": of_eve})).await;
        assert_eq!(entered["room"], of_eve, "{entered}");
        ann_too.hear("room:settings", |settings| settings["room"] == of_eve).await;
        ann.refused("room:accept", json!({"room": of_eve}), "not_found").await;
        let again = ann.again(cluster.node(0)).await;
        for room in [&of_bob, &of_eve] {
            assert_eq!(flags(again.session_room(room).expect("still there")), PLAIN);
        }
    }
}

on_both! {
    async fn a_direct_message_of_someone_known_is_no_request(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let shared = ann.create("Shared", "public").await;
        bob.ok("room:join", json!({"room": shared})).await;
        let room = open_dm(&bob, &ann).await;
        assert_eq!(flags(&ann.hear("room:added", |added| added["room"] == room).await), PLAIN);
    }
}

on_both! {
    async fn who_is_blocked_reaches_nobody_on_any_node(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let ann_too = ann.again(cluster.node(1)).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = open_dm(&bob, &ann).await;
        bob.say(&room, "before").await;
        ann.hear_text(&room, "before").await;

        ann.ok("user:block", json!({"user": bob.id(), "on": true})).await;
        let send = json!({"room": room, "nonce": "n1", "text": "after"});
        let refused = bob.refused("message:send", send.clone(), "forbidden").await;
        bob.refused("typing:set", json!({"room": room, "on": true}), "forbidden").await;
        let private = bob.create("Mine", "private").await;
        let to_invite = json!({"room": private, "user": ann.id()});
        assert_eq!(bob.refused("room:invite", to_invite.clone(), "forbidden").await, refused, "the same words");
        ann.say(&room, "you hear me").await;
        bob.hear_text(&room, "you hear me").await;
        let told = ann_too.hear("user:blocked", |told| told["user"] == bob.id()).await;
        assert_eq!(told["on"], true);
        assert!(bob.heard("user:blocked").is_empty(), "nobody is told that they are blocked");

        // One who was blocked before there was a direct message can't open one.
        let eve = Client::guest(cluster.node(1), "Eve").await;
        ann.ok("user:block", json!({"user": eve.id(), "on": true})).await;
        eve.refused("dm:open", json!({"user": ann.id()}), "forbidden").await;
        ann.refused("dm:open", json!({"user": eve.id()}), "forbidden").await;
        let again = ann.again(cluster.node(0)).await;
        assert_eq!(again.session["blocked"].as_array().map(Vec::len), Some(2), "{}", again.session["blocked"]);

        ann.ok("user:block", json!({"user": bob.id(), "on": false})).await;
        bob.ok("message:send", send).await;
        ann.hear_text(&room, "after").await;
        assert_eq!(bob.ok("room:invite", to_invite).await["added"], true);
        ann.refused("user:block", json!({"user": ann.id(), "on": true}), "bad_request").await;
        ann.refused("user:block", json!({"user": "nobody", "on": true}), "not_found").await;
        ann.refused("user:block", json!({"user": bob.id()}), "bad_request").await;
    }
}

on_both! {
    async fn a_closed_direct_message_comes_back_with_the_next_message(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let ann_too = ann.again(cluster.node(1)).await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let room = open_dm(&ann, &bob).await;
        bob.say(&room, "hello").await;
        ann.hear_text(&room, "hello").await;

        ann.ok("dm:close", json!({"room": room})).await;
        assert_eq!(flags(&ann_too.hear("room:settings", |settings| settings["room"] == room).await), HIDDEN);
        let again = ann.again(cluster.node(1)).await;
        let closed = again.session_room(&room).expect("it can be found");
        assert_eq!((flags(closed), &closed["unread"]), (HIDDEN, &json!(0)), "{closed}");

        bob.say(&room, "are you there?").await;
        ann.hear_text(&room, "are you there?").await;
        let again = ann.again(cluster.node(1)).await;
        let back = again.session_room(&room).expect("it is back");
        assert_eq!((flags(back), &back["unread"]), (PLAIN, &json!(1)), "{back}");

        ann.ok("dm:close", json!({"room": room})).await;
        ann.ok("dm:open", json!({"user": bob.id()})).await;
        assert_eq!(flags(ann.again(cluster.node(0)).await.session_room(&room).expect("opened again")), PLAIN);

        let own = ann.create("Own", "private").await;
        ann.refused("dm:close", json!({"room": own}), "forbidden").await;
        ann.refused("dm:close", json!({"room": "lobby"}), "forbidden").await;
        Client::guest(cluster.node(0), "Eve").await.refused("dm:close", json!({"room": room}), "not_found").await;
    }
}

on_both! {
    async fn whoever_lets_nobody_add_them_is_asked(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        ann.ok("profile:set", json!({"invites": "none"})).await;
        let room = bob.create("Club", "private").await;
        let invite = json!({"room": room, "user": ann.id()});
        assert_eq!(bob.ok("room:invite", invite.clone()).await["added"], false);
        let invited = ann.hear("room:invited", |invited| invited["room"] == room).await;
        assert_eq!((&invited["name"], &invited["by"]["id"]), (&json!("Club"), &json!(bob.id())), "{invited}");
        ann.refused("history:get", json!({"room": room}), "not_found").await;
        let again = ann.again(cluster.node(1)).await;
        assert_eq!(again.session["invited"][0]["room"], room, "{}", again.session);
        assert_eq!(again.session["invites"], "none");

        let entered = ann.ok("room:accept", json!({"room": room})).await;
        assert_eq!((&entered["room"], &entered["role"]), (&json!(room), &json!("member")), "{entered}");
        bob.hear("member:joined", |joined| joined["user"]["id"] == ann.id()).await;
        bob.say(&room, "welcome").await;
        for socket in [&ann, &again] {
            socket.hear_text(&room, "welcome").await;
        }
        ann.refused("room:accept", json!({"room": room}), "not_found").await;

        // One that is declined, and one whose host has left, let in nobody.
        let declined = bob.create("Declined", "private").await;
        bob.ok("room:invite", json!({"room": declined, "user": ann.id()})).await;
        ann.ok("room:leave", json!({"room": declined})).await;
        ann.refused("room:accept", json!({"room": declined}), "not_found").await;
        let left = bob.create("Left", "private").await;
        bob.ok("room:invite", json!({"room": left, "user": ann.id()})).await;
        bob.ok("room:leave", json!({"room": left})).await;
        ann.refused("room:accept", json!({"room": left}), "not_found").await;
        assert_eq!(ann.again(cluster.node(0)).await.session["invited"], json!([]));
        for payload in [json!({}), json!({"room": room, "invite": "x"}), json!({"room": 5})] {
            ann.refused("room:accept", payload, "bad_request").await;
        }
    }
}

on_both! {
    async fn whoever_lets_known_people_add_them_is_asked_by_others_only(bus) {
        let cluster = Plan::on(bus).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let (bob, eve) = (Client::guest(cluster.node(1), "Bob").await, Client::guest(cluster.node(1), "Eve").await);
        ann.ok("profile:set", json!({"invites": "known"})).await;
        let room = open_dm(&ann, &bob).await;
        ann.say(&room, "hello").await;
        // A stranger's own request does not make the stranger known.
        open_dm(&eve, &ann).await;
        for (client, added) in [(&bob, true), (&eve, false)] {
            let room = client.create("Theirs", "private").await;
            assert_eq!(client.ok("room:invite", json!({"room": room, "user": ann.id()})).await["added"], added);
        }
        ann.hear("room:invited", |invited| invited["by"]["id"] == eve.id()).await;
        ann.refused("profile:set", json!({"invites": "some"}), "bad_request").await;
        ann.refused("profile:set", json!({}), "bad_request").await;
    }
}
