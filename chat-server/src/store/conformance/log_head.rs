//! The head of a log in Redis saves commits some work. It may be outdated, or hold nothing, and nothing goes wrong.

use super::*;

const FIELDS: &str = "chat:{room:a}:f";
const LOG: &str = "chat:{room:a}:l";
const NONCES: &str = "chat:{room:a}:n";

fn number(answer: &str) -> i64 {
    answer.strip_prefix(':').unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_costs_redis_eight_commands() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 86_400_000, max_entries: 1_000 }).await;
    let topic = room("a");
    node.store.commit(&topic, setting(&[("x", Some("1"))])).await.unwrap();
    let append = async |i: u32| {
        let expect = pairs(&[("x", Some("1")), ("y", None)]);
        node.append(&topic, Commit { expect, ..nonced("u", "1", &format!("n{i}")) }).await;
    };
    append(0).await;
    let (count, before) = (500, server.info("stats", "total_commands_processed"));
    for i in 1..=count {
        append(i).await;
    }
    let each = (server.info("stats", "total_commands_processed") - before) / f64::from(count);
    // One of them is the script itself, and now and then one asks whether Redis is there.
    assert!((8.0..8.1).contains(&each), "{each}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_trimmed_even_if_its_head_is_outdated() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 0, max_entries: 3 }).await;
    let topic = room("a");
    for i in 1..=5 {
        node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
    }
    // As one that says nothing of it, and one that says what was so before: where the log begins, until when it lives,
    // and whether there are nonces.
    for (i, change) in ["{[5]=0,[6]=0,[7]=-1,[8]=0}", "{[5]=1,[6]=1}"].into_iter().enumerate() {
        assert_eq!(server.change_head(FIELDS, change), ":0");
        node.append(&topic, nonced("u", "", &format!("m{i}"))).await;
        let top = i as u64 + 6;
        assert_eq!(offsets(&node.all(&topic).await), [top - 2, top - 1, top], "{change}");
        assert_eq!(
            (server.ask(&format!("XLEN {LOG}")), server.ask(&format!("HLEN {NONCES}"))),
            (":3".into(), ":3".into())
        );
    }
    // A log that went, and began again further on.
    assert_eq!(server.ask(&format!("DEL {LOG}")), ":1");
    for top in 8..=11 {
        node.append(&topic, message("u", "")).await;
        assert_eq!(offsets(&node.all(&topic).await), (8.max(top - 2)..=top).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonces_that_are_created_again_expire_with_the_topic() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 0, max_entries: 1 }).await;
    let topic = room("a");
    node.store.commit(&topic, Commit { ttl_ms: Some(60_000), ..Commit::default() }).await.unwrap();
    for round in 0..3 {
        node.append(&topic, nonced("u", "", &format!("n{round}"))).await;
        assert!((1..=60_000).contains(&number(&server.ask(&format!("PTTL {NONCES}")))), "round {round}");
        node.append(&topic, message("u", "")).await;
        assert_eq!(server.ask(&format!("EXISTS {NONCES}")), ":0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_expires_shortly_after_its_last_entry() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 20, max_entries: 0 }).await;
    let (topic, mut ends) = (room("a"), Vec::new());
    for i in 0..300 {
        let (_, at) = node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
        let until = number(&server.ask(&format!("PEXPIRETIME {LOG}")));
        assert_eq!(number(&server.ask(&format!("PEXPIRETIME {NONCES}"))), until);
        let longer = until - i64::try_from(at).unwrap();
        assert!((1_020..=1_040).contains(&longer), "{longer} ms after the entry {i}");
        ends.push(until);
    }
    ends.dedup();
    assert!((2..150).contains(&ends.len()), "{} renewals for 300 entries", ends.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_maximum_age_was_removed_does_not_expire() {
    let server = Server::start();
    let topic = room("a");
    let before = server.node_with(Retention { max_age_ms: 60_000, max_entries: 0 }).await;
    before.append(&topic, nonced("u", "", "n1")).await;
    let now = server.node().await;
    now.append(&topic, nonced("u", "", "n2")).await;
    for key in [LOG, NONCES] {
        assert_eq!(server.ask(&format!("PTTL {key}")), ":-1", "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_do_not_go_back_after_a_clock_that_was_ahead() {
    let server = Server::start();
    let node = server.node_with(Retention { max_age_ms: 60_000, max_entries: 0 }).await;
    let topic = room("a");
    let (_, right) = node.append(&topic, nonced("u", "", "n1")).await;
    let ahead = right + 30_000;
    assert_eq!(server.change_head(FIELDS, &format!("{{[2]={ahead}}}")), ":0");
    for i in 2..=4 {
        let (offset, at) = node.append(&topic, nonced("u", "", &format!("n{i}"))).await;
        assert_eq!((offset, at), (i, ahead));
    }
    assert_eq!(offsets(&node.all(&topic).await), [1, 2, 3, 4], "nothing is taken too early");
    // The clock has passed it.
    assert_eq!(server.change_head(FIELDS, &format!("{{[2]={}}}", right - 30_000)), ":0");
    let (_, at) = node.append(&topic, message("u", "")).await;
    assert!((right..ahead).contains(&at), "{at}");
}
