//! How many commands each request costs Redis, those within scripts counted: nobody makes it work a lot by asking little.

use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;

use chat_server::transport::socketio::requests::ALL;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

use crate::harness::client::nonce;
use crate::harness::{Bus, Client, Cluster, Plan, RedisAt};

/// The rooms of one who is in as many as one can be.
const ROOMS: usize = 500;
/// How often each is counted; the least is what it costs.
const ROUNDS: usize = 3;
/// The others in a room.
const CROWD: usize = 60;
/// Longer than the times after which a node looks after the ends of logs, and compares what it holds with the store.
const BEAT: Duration = Duration::from_millis(13_000);

/// Everything that Redis executes.
struct Monitor {
    stream: BufReader<TcpStream>,
    redis: RedisAt,
    marks: u32,
    /// The scripts that run whatever anybody asks for.
    beats: HashSet<String>,
}

/// A command of a node, and how many it caused, itself counted.
struct Executed {
    words: Vec<String>,
    commands: usize,
}

impl Monitor {
    async fn start(addr: SocketAddr, redis: RedisAt) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(addr).await.unwrap());
        stream.get_mut().write_all(b"MONITOR\r\n").await.unwrap();
        let mut this = Self { stream, redis, marks: 0, beats: HashSet::new() };
        this.since_last().await;
        sleep(BEAT).await;
        this.beats = this.since_last().await.into_iter().filter_map(|executed| script(&executed.words)).collect();
        this
    }

    /// What was executed since the last call.
    async fn since_last(&mut self) -> Vec<Executed> {
        self.marks += 1;
        let mark = format!("mark {}", self.marks);
        self.redis.ask(&["ECHO", &mark]).await;
        let mut all: Vec<Executed> = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            let Some((from, command)) = line.split_once("] ") else { continue };
            if command.contains(&mark) {
                return all;
            }
            if from.ends_with(" lua") {
                // A script's commands come right behind it.
                all.last_mut().unwrap().commands += 1;
            } else {
                let words = command.trim_end().split("\" \"").map(|word| word.trim_matches('"').to_owned());
                all.push(Executed { words: words.collect(), commands: 1 });
            }
        }
    }

    /// What was asked for since the last call, without what goes on anyway.
    async fn asked(&mut self) -> Vec<Executed> {
        let mut all = self.since_last().await;
        all.retain(|executed| !self.goes_on_anyway(&executed.words));
        all
    }

    fn goes_on_anyway(&self, words: &[String]) -> bool {
        let about = |what: &str| words.iter().any(|word| word.contains(what));
        let looks_after_log = words[0] == "HGET" && words.last().is_some_and(|field| field == r"\xffh");
        words[0].eq_ignore_ascii_case("ping")
            || looks_after_log
            || words[0] == "HMGET" && (about("life") || about("session-key"))
            || about("{node:")
            || about("{activity}")
            || about("{presence}") && (about("beat") || about("reap"))
            || !about("{presence}") && script(words).is_some_and(|script| self.beats.contains(&script))
    }
}

fn script(words: &[String]) -> Option<String> {
    (words[0].eq_ignore_ascii_case("evalsha")).then(|| words[1].clone())
}

fn count(executed: &[Executed]) -> usize {
    executed.iter().map(|executed| executed.commands).sum()
}

/// Where things are measured.
struct Scene {
    cluster: Cluster,
    monitor: Monitor,
    table: Vec<(String, usize, usize)>,
    asked: BTreeSet<String>,
}

impl Scene {
    async fn start() -> Self {
        let mut cluster = Plan::on(Bus::Redis).nodes(2).start().await;
        let (addr, redis) = (cluster.redis().addr(), cluster.redis().asked());
        let monitor = Monitor::start(addr, redis).await;
        Self { cluster, monitor, table: Vec::new(), asked: BTreeSet::new() }
    }

    /// One who is stored: what that costs is counted by itself.
    async fn guest(&self, name: &str) -> Client {
        let guest = Client::guest(self.cluster.node(0), name).await;
        guest.ok("profile:set", json!({"invites": "all"})).await;
        guest
    }

    /// Asks, and counts what that costs with all that follows the ack, which may be `most`.
    async fn ask(&mut self, who: &Client, event: &str, payload: Value, case: &str, most: usize) -> Value {
        settled(who).await;
        self.monitor.since_last().await;
        let answer = who.ok(event, payload).await;
        settled(who).await;
        let executed = self.monitor.asked().await;
        self.asked.insert(event.to_owned());
        self.note(&format!("`{event}`{case}"), &executed, most);
        answer
    }

    /// The same of the request that ends its socket.
    async fn sign_out(&mut self, who: Client) {
        settled(&who).await;
        self.monitor.since_last().await;
        who.ask("session:revoke", &json!({"session": who.session["session"]})).answer_if_any().await;
        who.ended().await;
        let executed = self.monitor.asked().await;
        self.asked.insert("session:revoke".to_owned());
        self.note("`session:revoke`", &executed, MOST + END);
    }

    fn note(&mut self, what: &str, executed: &[Executed], most: usize) {
        if std::env::var_os("CHATCLUSTER_SHOW_COMMANDS").is_some() {
            println!("{what}: {}", count(executed));
            for executed in executed {
                let words = executed.words.join(" ");
                println!("    {} {}", executed.commands, words.chars().take(150).collect::<String>());
            }
        }
        // What goes on beside it may fall into the time that is watched: it adds, and never takes away.
        match self.table.iter_mut().find(|(known, ..)| known == what) {
            Some((_, least, _)) => *least = count(executed).min(*least),
            None => self.table.push((what.to_owned(), count(executed), most)),
        }
    }
}

/// What was asked before is done, with what follows its ack.
async fn settled(who: &Client) {
    who.refused("nothing:at-all", json!({}), "unsupported").await;
}

/// So many rooms of a person, made at once.
async fn create_all(owner: &Client, kind: &str, names: impl Iterator<Item = String>) {
    let payloads: Vec<_> = names.map(|name| json!({"name": name, "kind": kind})).collect();
    let asked: Vec<_> = payloads.iter().map(|payload| owner.ask("room:create", payload)).collect();
    for pending in asked {
        let answer = pending.answer().await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    settled(owner).await;
}

scenario! {
    /// Every request of the contract, in a chat with many rooms and at the worst place that is known of it.
    async fn a_request_costs_redis_few_commands() {
        let mut scene = Scene::start().await;
        let many = scene.guest("Many").await;
        create_all(&many, "public", (0..ROOMS).map(|number| format!("Room {number:03}"))).await;
        let (ann, bob) = (scene.guest("Ann").await, scene.guest("Bob").await);
        let mut crowd = Vec::new();
        for number in 0..CROWD {
            crowd.push(scene.guest(&format!("Person {number}")).await);
        }

        // Scripts are loaded with their first use: that is not counted.
        for round in 0..1 + ROUNDS {
            if round == 1 {
                scene.table.clear();
            }
            let guest = Client::guest(scene.cluster.node(0), "Guest").await;
            scene.ask(&guest, "profile:set", json!({"invites": "all"}), ", first of a guest", MOST + NEW_GUEST).await;
            let (guest_id, name) = (guest.id().to_owned(), format!("Kitchen {round}"));
            let made = scene.ask(&ann, "room:create", json!({"name": name, "kind": "public"}), "", MOST + NEW_ROOM).await;
            let room = made["room"].as_str().unwrap().to_owned();
            let made = scene.ask(&ann, "room:create", json!({"name": name, "kind": "private"}), ", private", MOST + NEW_ROOM).await;
            let private = made["room"].as_str().unwrap().to_owned();
            for one in &crowd {
                one.ok("room:join", json!({"room": room})).await;
            }
            scene.ask(&bob, "room:join", json!({"room": room}), "", MOST + PAGE).await;
            scene.ask(&bob, "room:join", json!({"room": room}), ", once more", MOST).await;
            let renamed = json!({"room": room, "name": format!("Bathroom {round}")});
            scene.ask(&ann, "room:update", renamed, ", name", MOST).await;
            scene.ask(&ann, "room:update", json!({"room": room, "topic": "Soap"}), ", topic", MOST).await;
            scene.ask(&ann, "room:members", json!({"room": room}), "", MOST).await;
            scene.ask(&ann, "room:members", json!({"room": "lobby"}), " of the lobby", MOST).await;
            let added = json!({"room": private, "user": guest_id});
            guest.close().await;
            scene.ask(&ann, "room:invite", added, ", a person", MOST + CONSENT).await;
            let made = scene.ask(&ann, "room:invite", json!({"room": private}), ", a link", MOST).await;
            let invite = made["invite"].as_str().unwrap().to_owned();
            scene.ask(&bob, "room:accept", json!({"invite": invite}), "", MOST + PAGE).await;
            scene.ask(&ann, "dm:open", json!({"user": guest_id}), "", MOST + NEW_ROOM + CONSENT).await;
            scene.ask(&ann, "dm:open", json!({"user": guest_id}), ", once more", MOST).await;
            let stranger = scene.guest("Stranger").await;
            let dm = scene.ask(&ann, "dm:open", json!({"user": stranger.id()}), ", a stranger", MOST + NEW_ROOM + CONSENT).await;
            scene.ask(&ann, "dm:close", json!({"room": dm["room"]}), "", MOST).await;
            scene.ask(&stranger, "room:accept", json!({"room": dm["room"]}), ", a request", MOST + PAGE).await;
            scene.ask(&stranger, "profile:set", json!({"invites": "none"}), "", MOST).await;
            let asked_in = json!({"room": private, "user": stranger.id()});
            scene.ask(&ann, "room:invite", asked_in, ", who is asked", MOST + CONSENT).await;
            scene.ask(&stranger, "room:accept", json!({"room": private}), ", an invitation", MOST + PAGE + CONSENT).await;
            scene.ask(&stranger, "user:block", json!({"user": ann.id(), "on": true}), "", MOST).await;
            ann.ok("room:invite", json!({"room": private})).await;
            let links = scene.ask(&ann, "room:invites", json!({"room": private}), "", MOST).await;
            let link = json!({"room": private, "invite": links["invites"][0]["invite"]});
            scene.ask(&ann, "room:revoke", link, "", MOST).await;
            scene.ask(&ann, "session:list", json!({}), "", MOST).await;
            scene.sign_out(stranger).await;
            let said = json!({"room": room, "nonce": nonce(), "text": "Hello"});
            scene.ask(&ann, "message:send", said.clone(), ", first of a socket", MOST).await;
            let position = scene.ask(&ann, "message:send", said, ", again", MOST).await["position"].clone();
            let said = json!({"room": room, "nonce": nonce(), "text": "Hello"});
            scene.ask(&ann, "message:send", said, "", MOST).await;
            scene.ask(&ann, "typing:set", json!({"room": room, "on": true}), "", MOST).await;
            let after = json!({"room": room, "epoch": position["epoch"], "after": 0});
            scene.ask(&ann, "log:get", after, "", MOST).await;
            scene.ask(&ann, "history:get", json!({"room": room}), "", MOST).await;
            scene.ask(&ann, "read:mark", json!({"room": room, "offset": position["offset"]}), "", MOST).await;
            scene.ask(&bob, "room:leave", json!({"room": room}), "", MOST).await;
            scene.ask(&ann, "room:list", json!({"query": "no such room"}), ", without a match", MOST).await;
            scene.ask(&many, "room:list", json!({"query": "no such room"}), ", without a match among 500", MOST + 50).await;
            scene.ask(&ann, "room:list", json!({"limit": 10}), ", a page of 10", MOST + 2 * 10).await;
            scene.ask(&ann, "room:list", json!({}), ", a page of 50", MOST + 2 * 50).await;
        }

        // Hundreds that are not read; and hundreds that came and went, and said nothing.
        let noisy = ann.create("Noisy", "public").await;
        bob.ok("room:join", json!({"room": noisy})).await;
        let pending: Vec<_> = (0..600)
            .map(|number| json!({"room": noisy, "nonce": nonce(), "text": number.to_string()}))
            .map(|payload| ann.ask("message:send", &payload))
            .collect();
        for pending in pending {
            assert_eq!(pending.answer().await["ok"], true);
        }
        for round in 0..ROUNDS {
            let mark = json!({"room": noisy, "offset": 100 + round});
            scene.ask(&bob, "read:mark", mark, ", 500 left", MOST).await;
        }
        for _ in 0..300 {
            for event in ["room:leave", "room:join"] {
                bob.ok(event, json!({"room": noisy})).await;
            }
        }
        ann.say(&noisy, "at last").await;
        for _ in 0..ROUNDS {
            let after = json!({"room": noisy, "after": 602});
            scene.ask(&ann, "history:get", after, ", after 600 comings and goings", MOST + PAGE).await;
        }

        // The second node serves none of the rooms yet; then it does.
        for case in ["connect with 500 rooms that the node does not serve", "connect with 500 rooms, again"] {
            scene.monitor.since_last().await;
            let again = many.again(scene.cluster.node(1)).await;
            settled(&again).await;
            let executed = scene.monitor.asked().await;
            assert_eq!(again.session["rooms"].as_array().unwrap().len(), ROOMS + 1);
            scene.note(case, &executed, 2 * ROOMS + CONNECT);
            drop(again);
        }

        scene.check();
    }
}

/// Commands that a request may cost. A list of rooms costs one more for each room of one's own that it looks at, and for
/// each that it shows.
const MOST: usize = 20;
/// What a page of log costs beside it, where a request answers with one.
const PAGE: usize = 10;
/// What it costs to ask what another person lets one do.
const CONSENT: usize = 10;
/// What the end of a socket costs.
const END: usize = 10;
/// What a session costs beside its rooms.
const CONNECT: usize = 60;
/// What the first request of a guest costs that stores it.
const NEW_GUEST: usize = 20;
/// What a new room costs beside it: its own name, log and subscription.
const NEW_ROOM: usize = 10;

impl Scene {
    /// Shows the table, and holds it.
    fn check(&self) {
        println!("| request | commands of Redis | at most |\n|---|---|---|");
        for (what, commands, most) in &self.table {
            println!("| {what} | {commands} | {most} |");
        }
        let missing: Vec<_> =
            ALL.iter().map(|request| request.name).filter(|name| !self.asked.contains(*name)).collect();
        assert!(missing.is_empty(), "requests whose commands are not counted: {missing:?}");
        let over: Vec<_> = self.table.iter().filter(|(_, commands, most)| commands > most).collect();
        assert!(over.is_empty(), "too many commands: {over:?}");
    }
}
