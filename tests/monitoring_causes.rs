//! Alerts by their causes: what they warn of is made for real, and the alert that fires is told with the time that it took.
//! Windows and `for` are some seconds here instead of some minutes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::{NamedTempFile, TempDir};

use crate::harness::prometheus::Prometheus;
use crate::harness::reader::{Reader, Reading};
use crate::harness::{Bus, Client, Cluster, Plan, run, until};
use crate::monitoring_rules;

const TOKEN: &str = "a token of the admin port";

/// The rules of the nodes, with their times shortened; in a folder that has to stay.
fn shortened(folder: &Path) -> PathBuf {
    const WINDOWS: [(&str, &str); 8] = [
        ("[5m]", "[5s]"),
        ("[10m]", "[10s]"),
        ("[15m]", "[20s]"),
        ("[30m]", "[10s]"),
        ("[1h]", "[10s]"),
        ("[6h]", "[10s]"),
        ("[3d]", "[10s]"),
        ("    for: ", "    for: 1s # "),
    ];
    let rules = fs::read_to_string(monitoring_rules::rules("chat.rules.yaml")).expect("the rules");
    let rules = WINDOWS.iter().fold(rules, |rules, (long, short)| rules.replace(long, short));
    let file = folder.join("chat.rules.yaml");
    fs::write(&file, rules).expect("the rules");
    file
}

/// A Prometheus that reads all nodes of a cluster.
struct Watch {
    prometheus: Prometheus,
    _rules: TempDir,
}

impl Watch {
    async fn over(cluster: &Cluster) -> Self {
        let rules = TempDir::new().expect("a folder");
        let mut prometheus = Prometheus::start(&[shortened(rules.path())]).await;
        for number in 0..cluster.len() {
            let address = cluster.node(number).admin_url("").replace("http://", "");
            let pod = format!("node-{number}");
            prometheus.read(&address, &[("namespace", "here"), ("chatcluster", "chat"), ("pod", &pod)]);
        }
        let watch = Self { prometheus, _rules: rules };
        until("all nodes are read twice", || async {
            let read = watch.prometheus.ask("count_over_time(up[1m]) >= 2 and up == 1").await.ok()?;
            (read == cluster.len()).then_some(())
        })
        .await;
        let quiet = watch.prometheus.alerts().await;
        assert!(quiet.is_empty(), "nothing is wrong yet: {quiet:?}");
        watch
    }

    /// Waits until an alert fires, of this node where it is one of a node.
    async fn fires(&self, alert: &str, pod: Option<&str>, cause: &str, since: Instant) {
        let what = format!("{alert} fires: {cause}");
        until(&what, || async {
            let alerts = self.prometheus.alerts().await;
            let fires = alerts.iter().any(|fired| {
                fired.state == "firing"
                    && fired.labels["alertname"] == alert
                    && pod.is_none_or(|pod| fired.labels["pod"] == pod)
            });
            fires.then_some(())
        })
        .await;
        println!("{cause}: {alert} fires after {:.1} s", since.elapsed().as_secs_f64());
    }

    /// Waits until no alert fires or is about to.
    async fn silent(&self, since: Instant) {
        until("no alert is left", || async { self.prometheus.alerts().await.is_empty().then_some(()) }).await;
        println!("  and none after {:.1} s", since.elapsed().as_secs_f64());
    }
}

#[test]
fn a_killed_redis_fires_node_and_user_alerts() {
    run(async {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let ann = Client::guest(cluster.node(0), "Ann").await;
        ann.say("lobby", "before").await;
        let watch = Watch::over(&cluster).await;
        let since = Instant::now();
        cluster.redis().kill();
        let refused = async {
            loop {
                let payload = json!({"room": "lobby", "nonce": crate::harness::client::nonce(), "text": "x"});
                ann.request("message:send", payload).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let told = async {
            watch.fires("ChatBrokerDown", Some("node-0"), "Redis is killed", since).await;
            watch.fires("ChatBrokerDown", Some("node-1"), "Redis is killed", since).await;
            watch.fires("ChatSendsFailFast", None, "Redis is killed, and somebody talks", since).await;
        };
        tokio::select! { () = refused => {} () = told => {} }
        let back = Instant::now();
        cluster.redis().start().await;
        until("a message is stored again", || async {
            let payload = json!({"room": "lobby", "nonce": crate::harness::client::nonce(), "text": "after"});
            (ann.request("message:send", payload).await["ok"] == true).then_some(())
        })
        .await;
        watch.silent(back).await;
    });
}

#[test]
fn a_wedged_subscriber_fires_an_alert() {
    run(async {
        let cluster = Plan::on(Bus::Redis).with_bus_proxy().start().await;
        let _ann = Client::guest(cluster.node(0), "Ann").await;
        let watch = Watch::over(&cluster).await;
        let since = Instant::now();
        cluster.bus_proxy().wedge_all();
        watch.fires("ChatNodeDeaf", Some("node-0"), "nothing comes to the node's bus", since).await;
        let back = Instant::now();
        cluster.bus_proxy().release();
        watch.silent(back).await;
    });
}

#[test]
fn a_crash_looping_node_fires_an_alert() {
    run(async {
        let mut cluster = Plan::on(Bus::Redis).start().await;
        let watch = Watch::over(&cluster).await;
        let since = Instant::now();
        cluster.node_mut(1).kill();
        watch.fires("ChatNodeDown", Some("node-1"), "a node is killed", since).await;
        let since = Instant::now();
        for _ in 0..4 {
            cluster.node_mut(1).restart().await;
            // Seen by Prometheus, which counts what it has seen.
            let up = "up{pod=\"node-1\"} == 1 and on (pod) time() - process_start_time_seconds < 30";
            until("it is read", || async { (watch.prometheus.ask(up).await.ok()? > 0).then_some(()) }).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
            cluster.node_mut(1).kill();
        }
        cluster.node_mut(1).restart().await;
        watch.fires("ChatNodeCrashLooping", Some("node-1"), "it is killed each time that it is up", since).await;
    });
}

#[test]
fn a_stuck_drain_fires_an_alert() {
    run(async {
        let mut file = NamedTempFile::new().expect("a file");
        writeln!(file, "{TOKEN}").expect("to write the token");
        let path = file.path().to_str().expect("a path").to_owned();
        let plan = Plan::on(Bus::Redis).flag("--admin-token-file", &path);
        // As slow as can be: one a second, and so many that it lasts.
        let cluster =
            plan.flag("--drain-connections-per-second", "1").flag("--drain-timeout-seconds", "60").start().await;
        let mut people = Vec::new();
        for number in 0..30 {
            people.push(Client::guest(cluster.node(0), &format!("Person {number}")).await);
        }
        let watch = Watch::over(&cluster).await;
        let since = Instant::now();
        let drain = reqwest::Client::new().post(cluster.node(0).admin_url("/drain")).bearer_auth(TOKEN);
        assert_eq!(drain.send().await.expect("an answer").status(), 202);
        watch.fires("ChatDrainStuck", Some("node-0"), "a node drains, and has sockets", since).await;
        // The alert may come before the first of them went.
        let says_how_far = async {
            while cluster.node(0).metric("chat_handovers_pending").await >= 30.0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), says_how_far).await.expect("it says how far it came");
    });
}

#[test]
fn slow_sockets_fire_an_alert() {
    run(async {
        let cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let node = cluster.node(0);
        let host = Client::guest(node, "Host").await;
        let room = host.create("slow", "public").await;
        let reading = Reading { room: room.clone(), since: Instant::now() };
        let mut readers = Vec::new();
        for number in 0..3 {
            let reader = Reader::join(node, &format!("Reader {number}"), &reading, Some(4096)).await;
            reader.set_awake(false);
            readers.push(reader);
        }
        let watch = Watch::over(&cluster).await;
        let since = Instant::now();
        // More than the kernel and the node keep for them: then they wake up, and are told of a gap.
        let text = "x".repeat(15_000);
        for _ in 0..10 {
            // No more at a time than may wait for one who talks.
            host.say_all(&room, (0..40).map(|_| format!("0 {text}"))).await;
        }
        for reader in &readers {
            reader.set_awake(true);
        }
        watch.fires("ChatSlowSockets", None, "three of four sockets read nothing for a while", since).await;
    });
}
