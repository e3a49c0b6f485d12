//! Redis behind sentinels or as a Cluster, under the talk: which server has which room, and what is done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::Instant;

use super::faults::Outage;
use super::now;
use super::schedule::Dice;
use super::stage::{Head, Heads};
use crate::harness::redis_set::{Form, RedisSet, Version};
use crate::harness::{DEADLINE, INTERVAL};

/// How long a primary has to be silent before others act: longer than a busy machine lets it wait.
const PATIENCE_MS: u32 = 3_000;
/// The same while nothing is to be promoted.
const HELD_MS: u32 = 60_000;
const SENTINELS: [&str; 3] = ["s1", "s2", "s3"];

/// How Redis is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) form: Form,
    pub(crate) version: Version,
    /// Sends are acked once a replica has them, too.
    pub(crate) durable: bool,
}

/// A primary and its replicas.
struct Shard {
    primary: String,
    replicas: Vec<String>,
}

/// The servers.
pub(crate) struct Set {
    shape: Shape,
    redis: RedisSet,
    shards: Vec<Shard>,
    /// The slot of each room, and the shard that has it; of sentinels all the same.
    rooms: BTreeMap<String, (u16, usize)>,
}

impl Set {
    /// Starts them.
    pub(crate) fn start(shape: Shape) -> Self {
        // A primary that nobody copies takes no writes: an old one that is cut off, for one.
        let lines: &[&str] = if shape.durable { &["min-replicas-to-write 1"] } else { &[] };
        let mut redis = block_in_place(|| RedisSet::start_with(shape.form, shape.version, lines));
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let shard = |primary: &str, replicas| Shard { primary: primary.to_owned(), replicas: named(replicas) };
        let shards = match shape.form {
            Form::Standalone => vec![shard("a", &[])],
            Form::Sentinel => vec![shard("a", &["b", "c"])],
            Form::Cluster => {
                for server in ["a", "b", "c", "d", "e", "f"] {
                    redis.tell(&format!("cli {server} config set cluster-node-timeout {PATIENCE_MS}"));
                }
                vec![shard("a", &["d"]), shard("b", &["e"]), shard("c", &["f"])]
            }
        };
        let mut set = Self { shape, redis, shards, rooms: BTreeMap::new() };
        set.hold(&[], false);
        set
    }

    /// What a node needs to reach it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = self.redis.flags();
        if self.shape.durable {
            flags.extend(["--durability", "replica", "--durability-replicas", "1"].map(str::to_owned));
        }
        flags
    }

    /// These are the rooms; finds out where they are.
    pub(crate) fn find(&mut self, rooms: &[String]) {
        for room in rooms {
            let mut place = (0, 0);
            if self.shape.form == Form::Cluster {
                let slot: u16 = self.ask("a", &format!("cluster keyslot '{}'", key(room)))[0].parse().expect("a slot");
                // As `tests/redis/serve` gives them out.
                place = (slot, [5_462, 10_923].iter().filter(|first| slot >= **first).count());
            }
            self.rooms.insert(room.clone(), place);
        }
    }

    /// Where the logs of all rooms are, as their primaries have it.
    pub(crate) fn heads(&mut self) -> Heads {
        self.with_rooms()
            .into_iter()
            .flat_map(|shard| self.heads_at(shard, &self.shards[shard].primary.clone()))
            .collect()
    }

    /// The shards that have rooms: where there are few rooms, one may have none.
    fn with_rooms(&self) -> Vec<usize> {
        self.rooms.values().map(|(_, shard)| *shard).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Where the logs of a shard's rooms are, as one of its servers has it.
    fn heads_at(&mut self, shard: usize, server: &str) -> Heads {
        let rooms: Vec<&String> = self.rooms.iter().filter(|(_, (_, at))| *at == shard).map(|(room, _)| room).collect();
        let keys = rooms.iter().map(|room| key(room)).collect::<Vec<_>>().join(" ");
        let told = block_in_place(|| self.redis.tell(&format!("read {server} {keys}")));
        assert_eq!(told.len(), 2 * rooms.len(), "{server} has {told:?} of {rooms:?}");
        let heads = told.chunks(2).map(|head| Head { epoch: head[0].clone(), top: head[1].parse().unwrap_or(0) });
        rooms.into_iter().cloned().zip(heads).collect()
    }

    /// Moves the slot of some room to another shard, with all that is in it; answers how many rooms that are.
    pub(crate) fn move_slot(&mut self, choice: u64) -> u64 {
        let mut dice = Dice::new(choice);
        let slots: Vec<(u16, usize)> = self.rooms.values().copied().collect();
        let (slot, from) = dice.shuffled(&slots)[0];
        let others: Vec<usize> = (0..self.shards.len()).filter(|shard| *shard != from).collect();
        let to = dice.shuffled(&others)[0];
        let order = format!("move {slot} {} {}", self.shards[from].primary, self.shards[to].primary);
        let told = block_in_place(|| self.redis.tell(&order));
        assert!(!told.iter().any(|line| line.contains("ERR")), "{order}: {told:?}");
        let moved = self.rooms.values_mut().filter(|place| place.0 == slot);
        moved.map(|place| place.1 = to).count() as u64
    }

    /// Kills some primary that has rooms; if told, it was without replicas for a while before. One of them takes over, and
    /// the old one comes back as theirs. Answers what the new one had when it began, and how many connections it hit.
    pub(crate) async fn kill_primary(&mut self, choice: u64, behind_for: Option<Duration>) -> (Outage, u64) {
        let shard = Dice::new(choice).shuffled(&self.with_rooms())[0];
        let Shard { primary, replicas } = &self.shards[shard];
        let (primary, replicas) = (primary.clone(), replicas.clone());
        // By now a busy machine might have had another one promoted.
        assert_eq!(self.role(&primary), "master", "{primary} was the primary");
        if let Some(time) = behind_for {
            // Where an ack takes one of two, the other is left: what was acked is with it, and must be found there.
            let cut = if self.shape.durable { &replicas[..1] } else { &replicas[..] };
            for replica in cut {
                self.ask(replica, "config set masterauth wrong");
            }
            self.ask(&primary, "client kill type replica");
            for replica in cut {
                self.until_says(replica, "info replication", "master_link_status:down").await;
            }
            tokio::time::sleep(time).await;
        }
        // Nodes that still look for it, as after the fault before, would feel nothing.
        let end = Instant::now() + DEADLINE;
        while self.of_chat(&primary) == 0 {
            assert!(Instant::now() < end, "no node connects to {primary}");
            tokio::time::sleep(INTERVAL).await;
        }
        self.hold(&replicas, true);
        let of_chat = self.of_chat(&primary);
        let down = now();
        block_in_place(|| self.redis.tell(&format!("kill {primary}")));
        let up = now();
        let mut copies = BTreeMap::new();
        for replica in &replicas {
            // Then it has taken in all that it got.
            self.until_says(replica, "info replication", "master_link_status:down").await;
            copies.insert(replica.clone(), self.heads_at(shard, replica));
            self.ask(replica, "config set masterauth admin");
        }
        for replica in &replicas {
            assert_eq!(self.role(replica), "slave", "{replica} was looked at before it could be promoted");
        }
        self.hold(&replicas, false);
        let promoted = self.promoted(&replicas).await;
        let heads = copies.remove(&promoted).expect("it is one of them");
        block_in_place(|| self.redis.tell(&format!("start {primary}")));
        let mut others: Vec<String> = replicas.into_iter().filter(|replica| *replica != promoted).collect();
        others.push(primary);
        for other in &others {
            self.until_says(other, "info replication", "role:slave").await;
            self.until_says(other, "info replication", "master_link_status:up").await;
        }
        self.goes_on(shard, &promoted, &heads).await;
        self.shards[shard] = Shard { primary: promoted, replicas: others };
        (Outage { down, up, heads }, of_chat as u64)
    }

    /// How many connections of nodes a server has.
    fn of_chat(&mut self, server: &str) -> usize {
        self.ask(server, "client list").iter().filter(|client| client.contains("user=chat")).count()
    }

    /// Keeps a replica from being promoted for as long as one likes, however slow this machine is.
    fn hold(&mut self, replicas: &[String], holds: bool) {
        match self.shape.form {
            Form::Standalone => {}
            Form::Sentinel => self.patience(if holds { HELD_MS } else { PATIENCE_MS }),
            Form::Cluster => {
                for replica in replicas {
                    let word = if holds { "yes" } else { "no" };
                    self.ask(replica, &format!("config set cluster-replica-no-failover {word}"));
                }
            }
        }
    }

    /// How long sentinels let a primary be silent.
    fn patience(&mut self, ms: u32) {
        for sentinel in SENTINELS {
            self.ask(sentinel, &format!("sentinel set chat down-after-milliseconds {ms}"));
        }
    }

    /// Waits until one of these is a primary, and known to be.
    async fn promoted(&mut self, replicas: &[String]) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            for replica in replicas {
                if self.role(replica) == "master" && self.is_known(replica) {
                    return replica.clone();
                }
            }
            assert!(Instant::now() < end, "none of {replicas:?} is promoted");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until people have said something in one of the shard's rooms, so that each loss is told before the next.
    async fn goes_on(&mut self, shard: usize, primary: &str, before: &Heads) {
        let end = Instant::now() + DEADLINE;
        let grew = |heads: Heads| heads.iter().any(|(room, head)| head.top > before[room].top);
        while !grew(self.heads_at(shard, primary)) {
            assert!(Instant::now() < end, "nothing is said any more over {primary}");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn is_known(&mut self, primary: &str) -> bool {
        let port = self.redis.port(primary).to_string();
        self.shape.form != Form::Sentinel
            || SENTINELS.iter().all(|sentinel| {
                self.ask(sentinel, "sentinel get-master-addr-by-name chat").get(1).is_some_and(|at| *at == port)
            })
    }

    fn role(&mut self, server: &str) -> String {
        self.ask(server, "role").into_iter().next().unwrap_or_default()
    }

    async fn until_says(&mut self, server: &str, command: &str, wanted: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.ask(server, command).iter().any(|line| line == wanted) {
            assert!(Instant::now() < end, "{server} does not come to say {wanted}");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn ask(&mut self, server: &str, command: &str) -> Vec<String> {
        block_in_place(|| self.redis.tell(&format!("cli {server} {command}")))
    }
}

/// Where a room's log says where it is.
fn key(room: &str) -> String {
    format!("chat:{{room:{room}}}:f")
}
