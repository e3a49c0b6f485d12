//! Concurrent messages to many topics, which are batched into one call of Redis.

use futures_util::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_messages_to_many_rooms_share_calls() {
    let server = Server::start();
    let node = server.node().await;
    let topics: Vec<_> = (0..30).map(|i| room(&format!("r{i}"))).collect();
    let append = async |round: u64| {
        let each = topics.iter().map(|topic| node.append(topic, nonced("u", "1", &format!("n{round}"))));
        join_all(each).await.into_iter().map(|(offset, _)| offset).collect::<Vec<_>>()
    };
    append(0).await;
    let before = server.info("stats", "total_commands_processed");
    for round in 1..=10 {
        assert_eq!(append(round).await, [round + 1; 30]);
    }
    let each = (server.info("stats", "total_commands_processed") - before) / 300.0;
    // Of eight two are the same for all of a call, and one is the call.
    assert!(each < 6.5, "{each}");
    for topic in &topics {
        assert_eq!(offsets(&node.all(topic).await), (1..=11).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_one_room_affects_no_other() {
    let server = Server::start();
    let node = server.node().await;
    let topics: Vec<_> = (0..10).map(|i| room(&format!("r{i}"))).collect();
    for topic in &topics {
        node.append(topic, nonced("u", "1", "n0")).await;
    }
    assert_eq!(server.ask("DEL chat:{room:r4}:l"), ":1");
    assert_eq!(server.ask("SET chat:{room:r4}:l x"), "+OK");
    for round in 1..=5 {
        let commits = topics.iter().map(|topic| node.store.commit(topic, nonced("u", "1", &format!("n{round}"))));
        for (i, done) in join_all(commits).await.into_iter().enumerate() {
            match done {
                Ok(Committed::Done { entry: Some((position, _)) }) => {
                    assert_eq!((i != 4, position.offset), (true, round + 1))
                }
                other => assert!(i == 4 && other.is_err(), "{i}: {other:?}"),
            }
        }
    }
}
