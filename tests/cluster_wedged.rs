//! A node that stores and does not hear: its connections to Redis are up and answer, but the one on which it hears
//! brings nothing. Nobody may miss a word, and a load balancer has to be told.

use std::cell::Cell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::harness::{Bus, Client, Cluster, Connect, Plan, Refusal, until};

/// Within this a node that can't be mended says that it is not ready.
const UNREADY: Duration = Duration::from_secs(10);
/// Between two messages of one who talks.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Deserialize, Debug, PartialEq, Eq)]
struct Said {
    room: String,
    offset: u64,
    nonce: String,
}

/// One who hears a room, on as many connections as it takes.
struct Member {
    connections: Vec<Client>,
}

impl Member {
    async fn on(cluster: &Cluster, node: usize, name: &str, room: &str) -> Self {
        let client = Client::guest(cluster.node(node), name).await;
        client.ok("room:join", json!({"room": room})).await;
        Self { connections: vec![client] }
    }

    fn here(&self) -> &Client {
        self.connections.last().expect("one at least")
    }

    /// Goes on with another node, from where the last connection came to.
    async fn go_on(&mut self, cluster: &Cluster, node: usize, room: &str) {
        let position = self.here().position(room);
        let next = self.here().recover(cluster.node(node), &json!({(room): position})).await;
        assert_eq!(next.session["recovered"], true, "{}", next.session);
        self.connections.push(next);
    }

    /// What it heard in a room, one connection after the other.
    fn heard(&self, room: &str) -> Vec<Said> {
        let each = self.connections.iter().flat_map(|client| client.heard_as::<Said>("message:new"));
        each.filter(|said| said.room == room).collect()
    }
}

/// Talks in a room until it is told to stop; the nonces of what was acked, in order. Who is refused for a while, or loses
/// the connection, says the same again, and goes on with the other node.
async fn talk(who: &mut Member, cluster: &Cluster, room: &str, stop: &Cell<bool>) -> Vec<String> {
    let mut acked = Vec::new();
    let name = who.here().id().to_owned();
    while !stop.get() {
        let nonce = format!("{name}-{}", acked.len());
        let payload = json!({"room": room, "nonce": nonce, "text": "x"});
        loop {
            let answer = who.here().ask("message:send", &payload).answer_if_any().await;
            match answer {
                Some(answer) if answer["ok"] == true => break,
                Some(answer) => assert_eq!(answer["error"]["temporary"], true, "{answer}"),
                None => who.go_on(cluster, 1, room).await,
            }
            tokio::time::sleep(PAUSE).await;
        }
        acked.push(nonce);
        tokio::time::sleep(PAUSE).await;
    }
    acked
}

/// All have heard the same: all that was acked, each once, in the order of the offsets.
async fn all_is_complete(members: &[Member], room: &str, acked: &[Vec<String>]) {
    // Said last, so whoever has heard it has heard all.
    let last = members[0].here().say(room, "the last word").await;
    let top = last["position"]["offset"].as_u64().expect("an offset");
    for member in members {
        member.here().reach(room, top).await;
    }
    let whole = members[0].heard(room);
    for member in members {
        assert_eq!(member.heard(room), whole, "all hear the same");
    }
    assert!(whole.is_sorted_by(|one, next| one.offset < next.offset), "{whole:?}");
    let nonces: HashSet<&String> = whole.iter().map(|said| &said.nonce).collect();
    assert_eq!(nonces.len(), whole.len(), "each once");
    for one in acked {
        let hers: HashSet<&String> = one.iter().collect();
        let heard: Vec<&String> = whole.iter().map(|said| &said.nonce).filter(|nonce| hers.contains(nonce)).collect();
        assert_eq!(heard, one.iter().collect::<Vec<_>>(), "all that was acked, in the order in which it was said");
    }
    let sent: usize = acked.iter().map(Vec::len).sum();
    println!("{} messages ({sent} by the talkers) were heard once by each of {} members", whole.len(), members.len());
}

async fn ready(cluster: &Cluster, node: usize) -> (u16, String) {
    let answer = reqwest::get(cluster.node(node).admin_url("/readyz")).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn is_refused(cluster: &Cluster, node: usize) {
    match Connect::guest("Eve").try_to(cluster.node(node)).await {
        Err(Refusal::Http(503, Some(_))) => {}
        Err(refusal) => panic!("{refusal:?}"),
        Ok(_) => panic!("a node that does not hear took a socket"),
    }
}

/// Two nodes, one of them behind a proxy; one who talks on each, and two more who listen.
struct Scene {
    cluster: Cluster,
    room: String,
    talkers: [Member; 2],
    members: Vec<Member>,
}

impl Scene {
    async fn begin() -> Self {
        let cluster = Plan::on(Bus::Redis).with_bus_proxy().start().await;
        let host = Client::guest(cluster.node(1), "Host").await;
        let room = host.create("wedged", "public").await;
        host.close().await;
        let talkers = [Member::on(&cluster, 0, "Ann", &room).await, Member::on(&cluster, 1, "Bob", &room).await];
        let mut members = Vec::new();
        for number in 0..4 {
            members.push(Member::on(&cluster, number % 2, &format!("Member {number}"), &room).await);
        }
        Self { cluster, room, talkers, members }
    }

    /// Both talk while `meanwhile` goes on; answers what was acked to them.
    async fn talk_while(&mut self, meanwhile: impl AsyncFnOnce(&Cluster, &mut [Member], &str)) -> Vec<Vec<String>> {
        let Self { cluster, room, talkers: [ann, bob], members } = self;
        let stop = Cell::new(false);
        let (hers, his, ()) = tokio::join!(talk(ann, cluster, room, &stop), talk(bob, cluster, room, &stop), async {
            // Not before both are talking.
            members[0].here().hear_many("message:new", 4).await;
            meanwhile(cluster, members, room).await;
            stop.set(true);
        });
        vec![hers, his]
    }

    async fn end(self, acked: &[Vec<String>]) {
        let Self { cluster, room, talkers, members } = self;
        let members: Vec<Member> = talkers.into_iter().chain(members).collect();
        all_is_complete(&members, &room, acked).await;
        assert_eq!(ready(&cluster, 0).await.0, 200);
        // Newcomers are taken, and heard.
        let eve = Client::guest(cluster.node(0), "Eve").await;
        let others: Vec<&Client> = members.iter().map(Member::here).collect();
        eve.fence("lobby", &others).await;
    }
}

/// Has somebody on the other node say something, and answers how long it took to be heard on the first.
async fn until_heard(members: &[Member], room: &str, text: &str) -> Duration {
    let begun = Instant::now();
    members[1].here().say(room, text).await;
    members[0].here().hear_text(room, text).await;
    begun.elapsed()
}

scenario! {
    async fn a_node_whose_bus_connection_is_wedged_begins_a_new_one() {
        let mut scene = Scene::begin().await;
        let acked = scene
            .talk_while(async |cluster, members, room| {
                let proxy = cluster.bus_proxy();
                let before = proxy.hearing();
                let begun = Instant::now();
                proxy.wedge_present();
                let heard = until_heard(members, room, "is anybody there?").await;
                until("a new bus connection", async || (proxy.hearing() > before).then_some(())).await;
                println!("wedged: what was said was heard after {heard:?}, a new connection hears after {:?}", begun.elapsed());
                until("handshakes are taken", async || Connect::guest("Eve").try_to(cluster.node(0)).await.ok()).await;
                println!("takes sockets after {:?}; what is said is heard after {:?}", begun.elapsed(),
                    until_heard(members, room, "and now?").await);
                assert!(proxy.held() > 0, "the wedge held nothing back");
                proxy.release();
            })
            .await;
        scene.end(&acked).await;
    }
}

scenario! {
    /// Pings are answered, nothing is heard: only what the node says to itself can tell.
    async fn a_node_whose_subscriptions_were_forgotten_begins_anew() {
        let mut scene = Scene::begin().await;
        let acked = scene
            .talk_while(async |cluster, members, room| {
                let proxy = cluster.bus_proxy();
                let before = proxy.hearing();
                let begun = Instant::now();
                proxy.forget();
                until("a new bus connection", async || (proxy.hearing() > before).then_some(())).await;
                println!("forgotten: a new connection hears after {:?}", begun.elapsed());
                println!("what is said is heard after {:?}", until_heard(members, room, "and now?").await);
                assert_eq!(ready(cluster, 0).await.0, 200, "mended before anybody had to be told");
            })
            .await;
        scene.end(&acked).await;
    }
}

scenario! {
    async fn a_node_that_cannot_hear_at_all_is_unready_and_hands_its_sockets_over() {
        let mut scene = Scene::begin().await;
        let acked = scene
            .talk_while(async |cluster, members, room| {
                let proxy = cluster.bus_proxy();
                let begun = Instant::now();
                proxy.wedge_all();
                let told = until("it is unready", async || {
                    let (status, reason) = ready(cluster, 0).await;
                    (status == 503).then_some(reason)
                })
                .await;
                let after = begun.elapsed();
                println!("wedged for good: unready after {after:?} ({})", told.trim());
                assert!(told.starts_with("deaf"), "{told}");
                assert!(after <= UNREADY, "unready after {after:?}");
                is_refused(cluster, 0).await;
                for member in members.iter_mut().step_by(2) {
                    member.here().hear("server:draining", |draining| draining["reconnectAfterMs"].is_u64()).await;
                    member.here().ended().await;
                    member.go_on(cluster, 1, room).await;
                }
                println!("its sockets are elsewhere after {:?}", begun.elapsed());
                println!("what is said is heard after {:?}", until_heard(members, room, "and now?").await);
                is_refused(cluster, 0).await;
                assert_eq!(ready(cluster, 0).await.0, 503);
                assert!(proxy.held() > 0, "the wedge held nothing back");
                let released = Instant::now();
                proxy.release();
                until("it is ready again", async || (ready(cluster, 0).await.0 == 200).then_some(())).await;
                println!("released: ready after {:?}", released.elapsed());
            })
            .await;
        assert_eq!(scene.talkers[0].connections.len(), 2, "the one who talked on it was handed over, too");
        scene.end(&acked).await;
    }
}
