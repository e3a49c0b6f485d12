//! A store that answers and refuses: newcomers are told to try again, those who are in read on, and everybody who asks is
//! told why.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::nonce;
use crate::harness::redis_set::{Form, RedisSet, Version};
use crate::harness::{Bus, Client, Cluster, Connect, Plan, Refusal, until};

/// Within this newcomers have an answer.
const ANSWERED: Duration = Duration::from_secs(3);
/// Within this after its end all is well.
const WELL: Duration = Duration::from_secs(5);

/// How `/readyz` names the causes.
const TOLD: [&str; 6] = ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "NOPERM", "BUSY"];
/// What is said until the store refuses, and while it does.
const MEANWHILE: &str = "meanwhile";

/// Who talked before the trouble, and what was acked since.
struct Scene {
    cluster: Cluster,
    ann: Client,
    bob: Client,
    acked: Vec<String>,
}

impl Scene {
    async fn start() -> Self {
        let cluster = Plan::on(Bus::Redis).nodes(3).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(1), "Bob").await;
        let mut scene = Self { cluster, ann, bob, acked: Vec::new() };
        scene.say("before").await;
        scene
    }

    async fn redis(&mut self, command: &[&str]) {
        self.cluster.redis().ask(command).await;
    }

    async fn say(&mut self, text: &str) {
        self.ann.say("lobby", text).await;
        self.bob.hear_text("lobby", text).await;
        self.acked.push(text.to_owned());
    }

    /// Holds what is promised while the store refuses for this cause. `reads`: it refuses writes only.
    async fn in_trouble(&self, cause: &str, words: &str, reads: bool) {
        let begun = Instant::now();
        let error = until("a send is refused", async || {
            let during = json!({"room": "lobby", "nonce": nonce(), "text": MEANWHILE});
            let answer = self.ann.request("message:send", during).await;
            (answer["ok"] == false).then(|| answer["error"].clone())
        })
        .await;
        assert_eq!((&error["code"], &error["store"]), (&json!("unavailable"), &json!(cause)), "{error}");
        assert_eq!(error["temporary"], true, "{error}");
        for number in 0..self.cluster.len() {
            let node = self.cluster.node(number);
            until(&format!("{} says why", node.id()), async || {
                let ready = reqwest::get(node.admin_url("/readyz")).await.expect("an answer");
                assert_eq!(ready.status(), 200, "it must not take all nodes out");
                let text = ready.text().await.expect("a text");
                (text.starts_with("ok, but") && text.contains(words)).then_some(())
            })
            .await;
            assert_eq!(node.metric(&format!("chat_store_trouble{{cause=\"{cause}\"}}")).await, 1.0);
            assert_eq!(node.metric("chat_broker_up").await, 0.0);
        }
        assert!(begun.elapsed() < ANSWERED * 2, "it was told after {:?}", begun.elapsed());
        for number in 0..self.cluster.len() {
            let node = self.cluster.node(number);
            let begun = Instant::now();
            match Connect::guest("New").try_to(node).await {
                Err(Refusal::Http(503, Some(_)) | Refusal::Transport(_)) => {}
                other => panic!("a newcomer to {}: {:?}", node.id(), other.map(|client| client.session.clone())),
            }
            assert!(begun.elapsed() < ANSWERED, "an answer after {:?}", begun.elapsed());
            let url = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
            let answer = reqwest::get(url).await.expect("an answer");
            assert_eq!(answer.status(), 503);
            let text = answer.text().await.expect("a text");
            assert!(text.contains(&format!("({cause})")), "{text}");
        }
        if reads {
            for who in [&self.ann, &self.bob] {
                let page = who.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
                assert_eq!(texts(&page), self.acked);
            }
        }
        assert!(self.ann.is_open() && self.bob.is_open(), "who is in stays");
    }

    /// The trouble is over: all is well, and what was acked is there.
    async fn over_now(&mut self, text: &str) {
        let begun = Instant::now();
        let payload = json!({"room": "lobby", "nonce": nonce(), "text": text});
        until("a send is stored", async || {
            let answer = self.ann.request("message:send", payload.clone()).await;
            (answer["ok"] == true).then_some(())
        })
        .await;
        self.acked.push(text.to_owned());
        self.bob.hear_text("lobby", text).await;
        for number in 0..self.cluster.len() {
            let node = self.cluster.node(number);
            let new =
                until(&format!("{} takes a guest", node.id()), async || Connect::guest("New").try_to(node).await.ok())
                    .await;
            new.close().await;
            until(&format!("{} is well", node.id()), async || {
                let ready = reqwest::get(node.admin_url("/readyz")).await.expect("an answer");
                let text = ready.text().await.expect("a text");
                (node.metric("chat_broker_up").await == 1.0 && !TOLD.iter().any(|words| text.contains(words)))
                    .then_some(())
            })
            .await;
        }
        assert!(begun.elapsed() < WELL, "all was well after {:?}", begun.elapsed());
        let page = self.bob.ok("history:get", json!({"room": "lobby", "limit": 100})).await;
        assert_eq!(texts(&page), self.acked, "nothing that was acked is lost");
    }
}

/// What was said, but for what was tried while the store refused.
fn texts(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().expect("messages").iter();
    let texts = messages.map(|message| message["text"].as_str().expect("a text").to_owned());
    texts.filter(|text| text != MEANWHILE).collect()
}

scenario! {
    /// It was made a replica of a server that is not there, and is made a primary again, twice.
    async fn a_redis_that_is_read_only_is_told() {
        let mut scene = Scene::start().await;
        for round in ["once", "twice"] {
            scene.redis(&["REPLICAOF", "127.0.0.1", "1"]).await;
            scene.in_trouble("read_only", "READONLY", true).await;
            scene.redis(&["REPLICAOF", "NO", "ONE"]).await;
            scene.over_now(round).await;
        }
    }
}

scenario! {
    async fn a_redis_that_is_out_of_memory_is_told() {
        let mut scene = Scene::start().await;
        scene.redis(&["CONFIG", "SET", "maxmemory", "200kb"]).await;
        scene.in_trouble("out_of_memory", "OOM", true).await;
        scene.redis(&["CONFIG", "SET", "maxmemory", "0"]).await;
        scene.over_now("after").await;
    }
}

scenario! {
    /// A folder stands where its file should be.
    async fn a_redis_that_cannot_save_is_told() {
        let mut scene = Scene::start().await;
        let file = scene.cluster.redis().dir().join("dump.rdb");
        std::fs::create_dir(&file).expect("a folder in the place of the file");
        scene.redis(&["CONFIG", "SET", "save", "3600 1"]).await;
        scene.redis(&["BGSAVE"]).await;
        scene.in_trouble("disk_failed", "MISCONF", true).await;
        std::fs::remove_dir(&file).expect("to remove the folder");
        let redis = scene.cluster.redis().asked();
        until("redis saves", async || {
            let info = redis.ask(&["INFO", "persistence"]).await.concat();
            if info.contains("rdb_bgsave_in_progress:0") && !info.contains("rdb_last_bgsave_status:ok") {
                redis.ask(&["BGSAVE"]).await;
            }
            info.contains("rdb_last_bgsave_status:ok").then_some(())
        })
        .await;
        scene.over_now("after").await;
    }
}

scenario! {
    async fn a_redis_with_too_few_replicas_is_told() {
        let mut scene = Scene::start().await;
        scene.redis(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
        scene.in_trouble("too_few_replicas", "NOREPLICAS", true).await;
        scene.redis(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
        scene.over_now("after").await;
    }
}

scenario! {
    /// Other commands are allowed still, those of the probe among them.
    async fn a_redis_that_denies_one_command_is_told() {
        let mut scene = Scene::start().await;
        for command in ["xadd", "hset"] {
            scene.redis(&["ACL", "SETUSER", "default", &format!("-{command}")]).await;
            scene.in_trouble("no_permission", "NOPERM", true).await;
            scene.redis(&["ACL", "SETUSER", "default", &format!("+{command}")]).await;
            scene.over_now(command).await;
        }
    }
}

scenario! {
    async fn a_redis_that_runs_a_script_for_ever_is_told() {
        let mut scene = Scene::start().await;
        scene.redis(&["CONFIG", "SET", "lua-time-limit", "100"]).await;
        let redis = scene.cluster.redis().asked();
        let busy = tokio::spawn(async move { redis.ask(&["EVAL", "while true do end", "0"]).await });
        scene.in_trouble("busy", "BUSY", false).await;
        scene.redis(&["SCRIPT", "KILL"]).await;
        assert!(busy.await.is_err(), "the script was killed");
        scene.over_now("after").await;
    }
}

scenario! {
    /// The slot of the lobby.
    async fn a_slot_of_a_redis_cluster_that_nobody_serves_is_told() {
        const SHARDS: [&str; 3] = ["a", "b", "c"];
        let mut redis = RedisSet::start(Form::Cluster, Version::Machine);
        let cluster = Plan::over(&redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.say("lobby", "before").await;
        let slot: usize = redis.tell("cli a cluster keyslot '{room:lobby}'")[0].parse().expect("a slot");
        let home = SHARDS[[5_462, 10_923].iter().filter(|first| slot >= **first).count()];
        for shard in SHARDS {
            redis.tell(&format!("cli {shard} cluster delslots {slot}"));
        }
        let send = |text| ann.request("message:send", json!({"room": "lobby", "nonce": nonce(), "text": text}));
        let error = until("a send is refused", async || {
            Some(send(MEANWHILE).await["error"].clone()).filter(Value::is_object)
        })
        .await;
        assert_eq!((&error["code"], &error["store"]), (&json!("unavailable"), &json!("cluster_down")), "{error}");
        let ready = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
        let text = ready.text().await.expect("a text");
        assert!(text.starts_with("ok, but") && text.contains("CLUSTERDOWN"), "{text}");
        redis.tell(&format!("cli {home} cluster addslots {slot}"));
        let begun = Instant::now();
        until("a send is stored", async || (send("after").await["ok"] == true).then_some(())).await;
        let series = r#"chat_store_trouble{cause="cluster_down"}"#;
        until("the node is well", async || (cluster.node(0).metric(series).await == 0.0).then_some(())).await;
        assert!(begun.elapsed() < WELL, "all was well after {:?}", begun.elapsed());
    }
}
