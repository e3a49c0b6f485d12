//! A store that loses what it had while nodes run on: each node puts back what it holds, and they agree.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Bus, Client, Cluster, Connect, Node, Plan, until};

/// Within this all is put back, whatever was lost.
const RESTORED: Duration = Duration::from_secs(20);

/// One who is stored, and whose token says no more than which session it is of: without the session it is worth nothing.
async fn known(node: &Node, name: &str) -> Client {
    let new = Client::guest(node, name).await;
    new.ok("profile:set", json!({"invites": "all"})).await;
    let known = new.again(node).await;
    new.close().await;
    known
}

/// Two people in the lobby, each on a node of its own; a third node is there, too.
struct Scene {
    cluster: Cluster,
    ann: Client,
    bob: Client,
}

impl Scene {
    async fn start() -> Self {
        let cluster = Plan::on(Bus::Redis).nodes(3).start().await;
        let ann = known(cluster.node(0), "Ann").await;
        let bob = known(cluster.node(1), "Bob").await;
        ann.fence("lobby", &[&bob]).await;
        Self { cluster, ann, bob }
    }

    /// Deletes keys by hand.
    async fn delete(&mut self, keys: &[&str]) {
        let deleted = self.cluster.redis().ask(&[&["DEL"], keys].concat()).await;
        assert_eq!(deleted, [keys.len().to_string()], "{keys:?} are there");
    }

    /// Waits until a key is there again; panics if that takes too long.
    async fn returns(&mut self, key: &str) {
        let (redis, begun) = (self.cluster.redis().asked(), Instant::now());
        until(&format!("{key} is there again"), || async {
            (redis.ask(&["EXISTS", key]).await == ["1"]).then_some(())
        })
        .await;
        assert!(begun.elapsed() < RESTORED, "{key} was put back after {:?}", begun.elapsed());
    }

    /// Waits until those who had messages of the lobby are told that these are gone.
    async fn all_are_told_of_the_loss(&self) {
        for who in [&self.ann, &self.bob] {
            who.hear("gap", |gap| gap["room"] == "lobby" && gap["from"] == 1).await;
        }
    }

    /// Waits until people are known and there, on all nodes; panics if that takes too long.
    async fn all_are_known(&self) {
        let begun = Instant::now();
        for node in 0..self.cluster.len() {
            for who in [&self.ann, &self.bob] {
                until(&format!("node {node} knows {}", who.id()), || async {
                    let again = Connect::with(&json!({"resume": who.resume()})).try_to(self.cluster.node(node)).await;
                    let again = again.ok()?;
                    assert_eq!(again.id(), who.id());
                    again.close().await;
                    Some(())
                })
                .await;
            }
        }
        for asked in [&self.ann, &self.bob] {
            until("both are in the lobby", || async {
                let there = asked.ok("room:members", json!({"room": "lobby"})).await;
                let there = there["members"].as_array().expect("members").iter();
                let there: Vec<Value> = there.map(|member| member["user"]["id"].clone()).collect();
                [&self.ann, &self.bob].iter().all(|who| there.contains(&who.id().into())).then_some(())
            })
            .await;
        }
        assert!(begun.elapsed() < RESTORED, "all was well after {:?}", begun.elapsed());
    }
}

fn user_key(who: &Client, part: &str) -> String {
    format!("chat:{{user:{}}}:{part}", who.id())
}

async fn listed(who: &Client) -> Vec<String> {
    let found = who.ok("room:list", json!({"query": ""})).await;
    let rooms = found["rooms"].as_array().expect("rooms").iter();
    rooms.map(|room| room["name"].as_str().expect("a name").to_owned()).collect()
}

scenario! {
    /// Also who comes first after it, to a node that was not there before.
    async fn those_who_are_connected_stay_who_they_are_after_a_flushall() {
        let mut scene = Scene::start().await;
        scene.cluster.node_mut(2).kill();
        assert_eq!(scene.cluster.redis().ask(&["FLUSHALL"]).await, ["OK"]);
        // It finds an empty store, and makes a key of its own if it is the first.
        scene.cluster.node_mut(2).restart().await;
        let cy = Client::guest(scene.cluster.node(2), "Cy").await;
        scene.all_are_known().await;
        for node in 0..3 {
            let again = until(&format!("node {node} knows Cy"), async || {
                Connect::with(&json!({"resume": cy.resume()})).try_to(scene.cluster.node(node)).await.ok()
            })
            .await;
            assert_eq!(again.id(), cy.id());
        }
        assert!(scene.ann.is_open() && scene.bob.is_open(), "who is in the lobby only stays connected");
        scene.all_are_told_of_the_loss().await;
        scene.ann.fence("lobby", &[&scene.bob, &cy]).await;
        let sessions = scene.ann.ok("session:list", json!({})).await;
        assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "{sessions}");
        let losses = scene.cluster.node(0).metric("chat_store_losses_total").await;
        assert!(losses >= 1.0, "{losses}");
    }
}

scenario! {
    /// The nodes lose their connections to it, too.
    async fn an_empty_redis_in_the_place_of_the_old_one_is_given_what_nodes_hold() {
        let mut scene = Scene::start().await;
        scene.cluster.redis().kill();
        scene.cluster.redis().forget();
        scene.cluster.restart_redis().await;
        scene.all_are_known().await;
        scene.all_are_told_of_the_loss().await;
        scene.ann.fence("lobby", &[&scene.bob]).await;
    }
}

scenario! {
    /// Rooms are gone with all that was said there. Their people learn it by connecting anew, and stay who they are.
    async fn those_whose_room_is_gone_connect_anew_and_are_told_which_rooms_they_are_in() {
        let mut scene = Scene::start().await;
        let room = scene.ann.create("tea", "public").await;
        scene.bob.ok("room:join", json!({"room": room})).await;
        scene.ann.fence(&room, &[&scene.bob]).await;
        assert_eq!(scene.cluster.redis().ask(&["FLUSHALL"]).await, ["OK"]);
        scene.ann.ended().await;
        scene.bob.ended().await;
        let positions = json!({"lobby": scene.ann.position("lobby"), (&room): scene.ann.position(&room)});
        let back = scene.ann.recover(scene.cluster.node(2), &positions).await;
        assert_eq!(back.id(), scene.ann.id());
        assert_eq!(back.session["recovered"], false, "{}", back.session);
        assert!(back.session_room(&room).is_none(), "{}", back.session);
        assert!(back.session_room("lobby").is_some(), "{}", back.session);
        let gone = back.refused("message:send", json!({"room": room, "nonce": "n", "text": "there?"}), "not_found").await;
        assert_eq!(gone["temporary"], false, "{gone}");
        // Its name is free.
        back.create("tea", "public").await;
    }
}

scenario! {
    async fn each_key_of_the_store_that_is_deleted_by_hand_is_put_back() {
        let mut scene = Scene::start().await;
        let room = scene.ann.create("tea", "public").await;
        let (fields, names) = (user_key(&scene.ann, "f"), user_key(&scene.ann, "x"));
        let index = format!("chat:{{room:{room}}}:x");
        for keys in [
            &["chat:{cluster}:f"][..],
            &["chat:{directory}:f", &fields],
            &["chat:{cluster}:x", "chat:{directory}:x", &names, &index],
            &["chat:{room:lobby}:f"],
            &["chat:{presence}:nodes"],
            &["chat:{presence}:online"],
            &["chat:{presence}:cards"],
            &["chat:{presence}:users"],
            &["chat:{presence}:at"],
        ] {
            scene.delete(keys).await;
            for key in keys {
                scene.returns(key).await;
            }
            scene.all_are_known().await;
        }
        let members = scene.ann.ok("room:members", json!({"room": room})).await;
        assert_eq!(members["members"].as_array().map(Vec::len), Some(1), "{members}");
        assert!(scene.ann.is_open(), "nobody had to connect anew");
        assert!(listed(&scene.bob).await.contains(&"tea".to_owned()), "the directory has its name again");
        let back = scene.ann.again(scene.cluster.node(2)).await;
        assert!(back.session_room(&room).is_some(), "the list of the rooms one is in: {}", back.session);
    }
}

scenario! {
    /// Redis restarts from a file that is some time old: who came since is put back.
    async fn the_sessions_of_a_tail_that_is_gone_are_put_back() {
        let mut scene = Scene::start().await;
        let saved = tempfile::TempDir::new().expect("a folder");
        scene.cluster.redis().save_files(saved.path());
        let late = known(scene.cluster.node(0), "Late").await;
        scene.cluster.redis().kill();
        scene.cluster.redis().restore_files(saved.path());
        scene.cluster.restart_redis().await;
        scene.all_are_known().await;
        let key = user_key(&late, "f");
        scene.returns(&key).await;
        let again = late.again(scene.cluster.node(2)).await;
        assert_eq!(again.id(), late.id());
    }
}

scenario! {
    /// Only its presence is put back: its token says all that there is of it.
    async fn of_a_guest_who_is_not_stored_nothing_is_put_back_but_its_presence() {
        let mut scene = Scene::start().await;
        let silent = Client::guest(scene.cluster.node(0), "Silent").await;
        assert_eq!(scene.cluster.redis().ask(&["FLUSHALL"]).await, ["OK"]);
        scene.all_are_known().await;
        let (ann, key) = (user_key(&scene.ann, "f"), user_key(&silent, "f"));
        scene.returns(&ann).await;
        until("the silent guest is in the lobby", || async {
            let there = scene.bob.ok("room:members", json!({"room": "lobby"})).await;
            let there = there["members"].as_array().expect("members").iter();
            there.map(|member| &member["user"]["id"]).any(|id| *id == silent.id()).then_some(())
        })
        .await;
        assert_eq!(scene.cluster.redis().ask(&["EXISTS", &key]).await, ["0"]);
        let again = silent.again(scene.cluster.node(2)).await;
        assert_eq!(again.id(), silent.id());
        scene.ann.fence("lobby", &[&scene.bob, &silent, &again]).await;
        again.ok("message:send", json!({"room": "lobby", "nonce": "n", "text": "hello"})).await;
        assert_eq!(scene.cluster.redis().ask(&["EXISTS", &key]).await, ["1"], "it is stored with the first that it says");
    }
}

scenario! {
    /// What the store does not know of a session's end is not put back.
    async fn a_session_that_was_revoked_is_not_put_back() {
        let mut scene = Scene::start().await;
        let other = scene.ann.again(scene.cluster.node(2)).await;
        assert_eq!(other.session["session"], scene.ann.session["session"]);
        scene.ann.ask("session:revoke", &json!({"session": scene.ann.session["session"]})).answer_if_any().await;
        other.ended().await;
        scene.ann.ended().await;
        assert_eq!(scene.cluster.redis().ask(&["FLUSHALL"]).await, ["OK"]);
        let bob = user_key(&scene.bob, "f");
        scene.returns(&bob).await;
        let back = Connect::with(&json!({"resume": scene.ann.resume(), "name": "Ann"})).to(scene.cluster.node(1)).await;
        assert_ne!(back.id(), scene.ann.id(), "she is somebody new");
    }
}
