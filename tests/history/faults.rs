//! Carries out what the schedule says, and notes what it hit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::account::Millis;
use super::crowd::Crowd;
use super::now;
use super::proxy::{Mode, Proxy};
use super::schedule::{Dice, Fault, Kind, Lane};
use super::stage::{Heads, Stage, heads};
use crate::harness::until;

/// How late a delayed link is.
const LATE: Duration = Duration::from_millis(150);
/// One of so many people reads slowly, sleeps or leaves at a time.
const SHARE: usize = 6;

/// What [`Kind::SharedKeysLost`] deletes. What says who people are is not among it: who comes back before that is put back
/// would be somebody else.
const SHARED_KEYS: [&str; 7] = [
    "chat:{directory}:f",
    "chat:{directory}:x",
    "chat:{presence}:nodes",
    "chat:{presence}:online",
    "chat:{presence}:cards",
    "chat:{presence}:users",
    "chat:{presence}:at",
];

/// A fault that was carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Happened {
    pub(crate) kind: Kind,
    pub(crate) begun: Millis,
    pub(crate) ended: Millis,
    /// Which node it was, if it was one.
    pub(crate) node: Option<usize>,
    /// How many sockets, connections or commands it hit.
    pub(crate) hits: u64,
}

/// A time at which there was no Redis, for some rooms at least, and what it had of these afterwards, before anybody wrote
/// to it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) down: Millis,
    pub(crate) up: Millis,
    pub(crate) heads: Heads,
}

/// All that was carried out.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) happened: Vec<Happened>,
    pub(crate) outages: Vec<Outage>,
}

/// Carries out all faults from now on; returns when the last has ended.
pub(crate) async fn carry_out(faults: &[Fault], stage: &Arc<Stage>, crowd: &Arc<Crowd>, people: u32) -> Carried {
    let start = Instant::now();
    let lanes = [Lane::Nodes, Lane::Redis, Lane::Links, Lane::People].map(|lane| {
        let faults: Vec<Fault> = faults.iter().filter(|fault| fault.kind.lane() == lane).cloned().collect();
        let (stage, crowd) = (stage.clone(), crowd.clone());
        tokio::spawn(async move {
            let mut carried = Carried::default();
            for fault in faults {
                tokio::time::sleep_until(start + fault.at).await;
                one(&fault, &stage, &crowd, people, &mut carried).await;
            }
            carried
        })
    });
    let mut all = Carried::default();
    // All at once: a lane that fails leaves others waiting for what it can't mend any more.
    for Carried { happened, outages } in try_join_all(lanes).await.expect("a lane of faults") {
        all.happened.extend(happened);
        all.outages.extend(outages);
    }
    all.happened.sort_by_key(|happened| happened.begun);
    all
}

async fn one(fault: &Fault, stage: &Stage, crowd: &Crowd, people: u32, carried: &mut Carried) {
    let place = somewhere(fault.choice, stage).await;
    let begun = now();
    let mut node = None;
    let hits = match fault.kind.lane() {
        Lane::Nodes => {
            node = Some(place);
            at_node(fault, place, stage).await
        }
        Lane::Links => {
            node = Some(place);
            at_link(fault, &stage.links[place]).await
        }
        Lane::Redis => match fault.kind {
            Kind::RedisRestarted | Kind::RedisLost => {
                let (outage, hits) = restart_redis(fault, stage).await;
                carried.outages.push(outage);
                hits
            }
            Kind::PrimaryKilled | Kind::PrimaryLost => {
                let behind_for = (fault.kind == Kind::PrimaryLost).then_some(fault.lasts);
                let (outage, hits) = stage.store.set().lock().await.kill_primary(fault.choice, behind_for).await;
                carried.outages.push(outage);
                hits
            }
            Kind::SharedKeysLost => {
                let deleted = stage.store.one().lock().await.ask(&[&["DEL"], &SHARED_KEYS[..]].concat()).await;
                deleted[0].parse().expect("a number of keys")
            }
            Kind::RedisRefuses => refuse(fault, stage).await,
            Kind::SlotMoved => stage.store.set().lock().await.move_slot(fault.choice),
            Kind::PubsubKilled => {
                let answer = stage.store.one().lock().await.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
                answer[0].parse().expect("a number of clients")
            }
            _ => {
                node = Some(place);
                at_link(fault, &stage.buses[place]).await
            }
        },
        Lane::People => {
            let verb = if fault.kind == Kind::PeopleLeave { "leave" } else { "sleep" };
            let numbers: Vec<u32> = (0..people).collect();
            let some = &Dice::new(fault.choice).shuffled(&numbers)[..(numbers.len() / SHARE).max(1)];
            let hits = crowd.some(verb, some, fault.lasts.as_millis()).await;
            tokio::time::sleep(fault.lasts).await;
            hits
        }
    };
    let ended = now();
    println!(
        "{:>7} ms {:?} {}: hit {hits}",
        ended - begun,
        fault.kind,
        node.map_or(String::new(), |n| format!("{n} "))
    );
    carried.happened.push(Happened { kind: fault.kind, begun, ended, node, hits });
}

/// Redis refuses writes for some time, in one of two ways.
async fn refuse(fault: &Fault, stage: &Stage) -> u64 {
    let [name, refuses, takes] =
        if fault.choice.is_multiple_of(2) { ["min-replicas-to-write", "1", "0"] } else { ["maxmemory", "200kb", "0"] };
    let redis = stage.store.one().lock().await;
    redis.ask(&["CONFIG", "SET", name, refuses]).await;
    tokio::time::sleep(fault.lasts).await;
    redis.ask(&["CONFIG", "SET", name, takes]).await;
    stage.buses.iter().map(Proxy::open).sum::<usize>() as u64
}

/// A node that somebody is on: another would feel nothing.
async fn somewhere(choice: u64, stage: &Stage) -> usize {
    until("somebody is connected", || async {
        let places: Vec<usize> = (0..stage.links.len()).filter(|place| stage.links[*place].open() > 0).collect();
        let place = choice.checked_rem(places.len() as u64)?;
        Some(places[usize::try_from(place).expect("few nodes")])
    })
    .await
}

async fn at_node(fault: &Fault, place: usize, stage: &Stage) -> u64 {
    let mut node = stage.nodes[place].lock().await;
    let hits = stage.links[place].open() as u64;
    match fault.kind {
        Kind::NodeFrozen => {
            node.pause();
            tokio::time::sleep(fault.lasts).await;
            node.go_on();
        }
        Kind::NodeKilled => {
            node.kill();
            tokio::time::sleep(fault.lasts).await;
            node.restart().await;
        }
        _ => {
            node.terminate();
            let status = node.ended().await;
            assert!(status.success(), "{} ends with {status}", node.id());
            node.restart().await;
        }
    }
    hits
}

async fn at_link(fault: &Fault, link: &Proxy) -> u64 {
    link.set(match fault.kind {
        Kind::LinkCut | Kind::BusCut => Mode::Cut,
        Kind::LinkStalled | Kind::BusStalled => Mode::Stall,
        _ => Mode::Delay(LATE),
    });
    tokio::time::sleep(fault.lasts).await;
    link.set(Mode::Pass)
}

/// Nodes reach it again only when it was looked at, or what they write would hide what it lost.
async fn restart_redis(fault: &Fault, stage: &Stage) -> (Outage, u64) {
    let mut redis = stage.store.one().lock().await;
    let connections = stage.buses.iter().map(Proxy::open).sum::<usize>() as u64;
    let saved = tempfile::TempDir::new_in(stage.dir()).expect("a folder for what redis has");
    let loses = fault.kind == Kind::RedisLost;
    if loses {
        redis.save_files(saved.path());
        tokio::time::sleep(fault.lasts).await;
    }
    let before = heads(&stage.rooms, &redis.asked()).await;
    let down = now();
    for bus in &stage.buses {
        bus.set(Mode::Cut);
    }
    if loses {
        redis.kill();
        redis.restore_files(saved.path());
    } else {
        redis.stop().await;
        tokio::time::sleep(fault.lasts).await;
    }
    redis.start().await;
    let heads = heads(&stage.rooms, &redis.asked()).await;
    let up = now();
    for bus in &stage.buses {
        bus.set(Mode::Pass);
    }
    let lost = before.iter().map(|(room, head)| head.top.saturating_sub(heads[room].top)).sum::<u64>();
    (Outage { down, up, heads }, if loses { lost } else { connections })
}
