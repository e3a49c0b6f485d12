//! What a message asks of the shards of a Redis Cluster does not grow with the nodes of the chat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::redis_set::{Form, RedisSet, Version};
use crate::harness::{Client, Plan, run};

/// So many nodes, and then so many of them. `[5, 4, 3, 2, 1]` takes 40 seconds.
const NODES: [usize; 3] = [5, 3, 1];
/// Messages that are counted at a time.
const MESSAGES: usize = 400;
/// For how long it is looked at what goes on anyway: half of the time after which nodes look after the ends of logs.
const IDLE: Duration = Duration::from_millis(2_500);
/// The primaries.
const SHARDS: [&str; 3] = ["a", "b", "c"];
/// What replicas ask for, and this test.
const NOT_OF_NODES: [&str; 4] = ["info", "replconf", "psync", "cluster|keyslot"];

/// Commands that each primary carried out so far, those within scripts counted.
fn commands(redis: &mut RedisSet) -> [f64; 3] {
    SHARDS.map(|shard| {
        let said = redis.tell(&format!("cli {shard} info commandstats"));
        let calls = said.iter().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse::<f64>().ok()?;
            Some((name, calls)).filter(|(name, _)| !NOT_OF_NODES.contains(name))
        });
        calls.collect::<BTreeMap<_, _>>().values().sum()
    })
}

/// Commands a second of each primary while this goes on, and how long that took.
async fn during(redis: &mut RedisSet, what: impl Future<Output = ()>) -> ([f64; 3], f64) {
    let (before, begun) = (commands(redis), Instant::now());
    what.await;
    let seconds = begun.elapsed().as_secs_f64();
    let after = commands(redis);
    ([0, 1, 2].map(|shard| (after[shard] - before[shard]) / seconds), seconds)
}

/// Commands of each primary for a message, without what goes on anyway.
async fn of_a_message(redis: &mut RedisSet, idle: [f64; 3], sender: &Client, room: &str) -> [f64; 3] {
    let talk = async {
        for number in 0..MESSAGES {
            sender.say(room, &number.to_string()).await;
        }
    };
    let (rates, seconds) = during(redis, talk).await;
    [0, 1, 2].map(|shard| (rates[shard] - idle[shard]) * seconds / MESSAGES as f64)
}

#[test]
fn a_message_asks_one_shard_only_and_as_much_of_it_however_many_nodes_there_are() {
    run(async {
        let mut redis = RedisSet::start(Form::Cluster, Version::Machine);
        let mut cluster = Plan::over(&redis).nodes(NODES[0]).start().await;
        let mut members = Vec::new();
        for number in 0..NODES[0] {
            members.push(Client::guest(cluster.node(number), &format!("Member {number}")).await);
        }
        let together = members[0].create("On one node", "public").await;
        let spread = members[0].create("On all nodes", "public").await;
        let neighbour = Client::guest(cluster.node(0), "Neighbour").await;
        neighbour.ok("room:join", json!({"room": together})).await;
        for member in &members[1..] {
            member.ok("room:join", json!({"room": spread})).await;
        }
        let mut found = Vec::new();
        println!("| nodes | members | of the room's shard | of each other | of all, idle, a second and node |");
        println!("|---|---|---|---|---|");
        for nodes in NODES {
            while members.len() > nodes {
                members.pop().expect("a member").close().await;
                cluster.node(members.len()).terminate();
                assert!(cluster.node_mut(members.len()).ended().await.success());
            }
            let (idle, _) = during(&mut redis, tokio::time::sleep(IDLE)).await;
            for (layout, room) in [("on one node", &together), ("on all", &spread)] {
                let slot: usize =
                    redis.tell(&format!("cli a cluster keyslot 'chat:{{room:{room}}}'"))[0].parse().expect("a slot");
                let home = [5_462, 10_923].iter().filter(|first| slot >= **first).count();
                let each = of_a_message(&mut redis, idle, &members[0], room).await;
                let others = [(home + 1) % 3, (home + 2) % 3].map(|shard| each[shard]);
                let at_rest = idle.iter().sum::<f64>() / nodes as f64;
                println!("| {nodes} | {layout} | {:.1} | {:.1} | {at_rest:.0} |", each[home], others[0].max(others[1]));
                found.push((layout, nodes, each[home], others));
            }
        }
        for layout in ["on one node", "on all"] {
            let of = found.iter().filter(|(of, ..)| *of == layout);
            let (_, _, alone, _) = *of.clone().next_back().expect("one node");
            for (_, nodes, home, others) in of {
                // What goes on anyway comes in beats, of which one more or less may fall into a second.
                assert!((home - alone).abs() < 0.5, "{layout}: {alone} with one node, {home} with {nodes}");
                assert!(others.iter().all(|other| *other < 0.5), "{layout}, {nodes} nodes: {others:?} of other shards");
            }
        }
    });
}
