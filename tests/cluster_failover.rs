//! A primary of Redis dies, and a replica takes over: nothing is lost where that is promised; where it is not, what was
//! lost is told, and who said it says it again.

use std::time::Duration;

use serde_json::json;

use crate::harness::client::nonce;
use crate::harness::redis_set::{Form, Version};
use crate::harness::{Bus, Client, Plan, is_full, run_within, until};
use crate::history::judge::Counts;
use crate::history::run::{self, run};
use crate::history::schedule::Kind;
use crate::history::stage::{Limits, Over, Shape};

/// The full size is asked for by this variable.
const FULL: &str = "FAILOVER_FULL";

/// People who come and go, over nodes that die, while this is done to Redis as the seed has it. A failover takes some
/// twelve seconds, until the old primary is back as a replica.
fn judged(seed: u64, shape: Shape, of_redis: &[Kind], full: Duration) -> (Counts, usize) {
    let mut kinds = of_redis.to_vec();
    kinds.extend([Kind::NodeKilled, Kind::LinkCut, Kind::PeopleLeave]);
    let plan = run::Plan {
        seed,
        length: if is_full(FULL) { full } else { Duration::from_secs(12) },
        nodes: 3,
        people: 48,
        rooms: 11,
        every: Duration::from_millis(1_500),
        kinds,
        over: Over::Set(shape),
        offers_again: true,
        behind_nginx: false,
        limits: Limits::Lifted,
        timed: false,
        injected: None,
    };
    let (send, counts) = std::sync::mpsc::channel();
    run_within(Duration::from_secs(600), async move {
        let outcome = run(&plan).await;
        let judged = (outcome.verdict.counts.clone(), outcome.verdict.times.outages.len());
        outcome.must_be_clean();
        send.send(judged).expect("somebody waits");
    });
    let (counts, failovers) = counts.recv().expect("what was counted");
    assert!(failovers >= if is_full(FULL) { 5 } else { 2 }, "{failovers} failovers");
    (counts, failovers)
}

fn shape(form: Form, durable: bool) -> Shape {
    Shape { form, version: Version::Machine, durable }
}

#[test]
fn what_most_copies_have_is_not_lost_when_sentinels_promote_one() {
    let kinds = [Kind::PrimaryKilled, Kind::PrimaryLost];
    let (counts, _) = judged(2, shape(Form::Sentinel, true), &kinds, Duration::from_secs(30));
    assert_eq!(counts.lost_by_store, 0);
}

#[test]
fn what_sentinels_lose_is_told_and_said_again() {
    let (counts, _) = judged(1, shape(Form::Sentinel, false), &[Kind::PrimaryLost], Duration::from_secs(25));
    assert!(counts.lost_by_store > 0 && counts.healed > 0, "{counts:?}");
}

#[test]
fn what_a_shard_loses_is_told_and_said_again_and_what_moves_is_not_lost() {
    let kinds = [Kind::SlotMoved, Kind::PrimaryKilled, Kind::PrimaryLost];
    let (counts, _) = judged(1, shape(Form::Cluster, false), &kinds, Duration::from_secs(30));
    assert!(counts.lost_by_store > 0 && counts.healed > 0, "{counts:?}");
}

scenario! {
    async fn a_fork_is_told_and_what_was_above_it_can_be_sent_again() {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let kept = ann.say("lobby", "kept").await["position"].clone();
        bob.hear_text("lobby", "kept").await;
        let saved = tempfile::TempDir::new().expect("a folder for what redis has");
        cluster.redis().save_files(saved.path());
        let send = json!({"room": "lobby", "nonce": nonce(), "text": "lost"});
        let lost = ann.ok("message:send", send.clone()).await["position"].clone();
        for client in [&ann, &bob] {
            client.hear_text("lobby", "lost").await;
        }
        let position = ann.position("lobby");
        ann.close().await;
        cluster.redis().kill();
        cluster.redis().restore_files(saved.path());
        cluster.restart_redis().await;

        let gap = bob.hear("gap", |gap| gap["room"] == "lobby").await;
        assert_eq!((&gap["from"], &gap["to"]), (&lost["offset"], &kept["offset"]), "{gap}");
        let back = until("Ann is back", async || {
            let back = ann.recover(cluster.node(1), &json!({"lobby": position})).await;
            (back.session["recovered"] == false).then_some(back)
        })
        .await;
        let room = back.session_room("lobby").expect("the lobby").clone();
        assert_eq!((&room["forkedAt"], &room["position"]["epoch"]), (&kept["offset"], &gap["epoch"]), "{room}");

        let again = back.ok("message:send", send.clone()).await;
        assert_eq!(again["position"], json!({"epoch": gap["epoch"], "offset": lost["offset"]}));
        assert_eq!(bob.hear_text("lobby", "lost").await["id"], again["id"], "in the new life it is another entry");
        assert_eq!(back.ok("message:send", send).await, again, "and in that it is there once");
        let third = back.again(cluster.node(0)).await;
        assert!(third.session_room("lobby").expect("the lobby").get("forkedAt").is_none(), "nothing of it is lost");
    }
}
