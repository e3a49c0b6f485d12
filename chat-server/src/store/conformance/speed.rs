//! Rough numbers, for people: `cargo test -p chat-server --release speed -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts nothing"]
async fn commits_per_second_and_their_cost() {
    let trimmed = Retention { max_entries: 1_000, max_age_ms: 86_400_000 };
    for (name, append_only, retention, with_nonce) in [
        ("plain", "no", Retention::default(), false),
        ("nonce", "no", Retention::default(), true),
        ("nonce, trimmed", "no", trimmed, true),
        ("nonce, append-only file", "yes", Retention::default(), true),
        ("nonce, trimmed, append-only file", "yes", trimmed, true),
    ] {
        let server = Server::start();
        server.ask(&format!("CONFIG SET appendonly {append_only}"));
        let (node, topic) = (server.node_with(retention).await, room("a"));
        let cpu = || server.info("cpu", "used_cpu_user") + server.info("cpu", "used_cpu_sys");
        let memory = || server.info("memory", "used_memory");
        let (writers, each) = (64_u32, 500_u32);
        node.append(&topic, message("u", "")).await;
        let (cpu_before, memory_before, begun) = (cpu(), memory(), Instant::now());
        let tasks = (0..writers).map(|writer| {
            let (store, topic) = (node.store.clone(), topic.clone());
            tokio::spawn(async move {
                for i in 0..each {
                    let text = format!("\"text\":\"{:050}\"", i);
                    let commit = if with_nonce {
                        nonced(&format!("u{writer:016}"), &text, &format!("nonce-{writer:04}-{i:010}"))
                    } else {
                        message(&format!("u{writer:016}"), &text)
                    };
                    store.commit(&topic, commit).await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let count = f64::from(writers * each);
        println!(
            "{name}: {:.0} commits/s, {:.1} µs of Redis each, {:.0} bytes each",
            count / begun.elapsed().as_secs_f64(),
            (cpu() - cpu_before) * 1e6 / count,
            (memory() - memory_before) / count,
        );
    }
}
