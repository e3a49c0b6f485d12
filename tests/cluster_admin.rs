//! The admin port, which no client ever sees.

use crate::harness::{Bus, Client, Cluster, Plan, until};

async fn get(url: &str) -> (u16, String, String) {
    let answer = reqwest::get(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("ASCII").to_owned());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.expect("text"))
}

async fn metrics(cluster: &Cluster) -> String {
    get(&cluster.node(0).admin_url("/metrics")).await.2
}

on_both! {
    async fn a_node_says_that_it_lives_and_is_ready(bus) {
        let cluster = Plan::on(bus).start().await;
        for number in 0..cluster.len() {
            for path in ["/livez", "/readyz"] {
                let (status, _, text) = get(&cluster.node(number).admin_url(path)).await;
                assert_eq!(status, 200, "{path}: {text}");
            }
        }
    }
}

on_both! {
    /// Metrics by Prometheus' rules, with labels from closed sets: never a room, a user or a name.
    async fn metrics_tell_what_happened_and_not_to_whom(bus) {
        let cluster = Plan::on(bus).nodes(1).start().await;
        let ann = Client::guest(cluster.node(0), "AnnTheVeryUnusual").await;
        let room = ann.create("PeculiarRoom", "public").await;
        ann.say(&room, "UncommonText").await;
        let (status, kind, text) = get(&cluster.node(0).admin_url("/metrics")).await;
        assert_eq!(status, 200);
        assert!(kind.starts_with("text/plain"), "{kind}");
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert!(names.iter().any(|name| name.starts_with("chat_")), "{names:?}");
        for name in names {
            assert!(name.starts_with("chat_") || name.starts_with("process_"), "{name}");
        }
        for word in ["AnnTheVeryUnusual", "PeculiarRoom", "UncommonText", ann.id(), &room] {
            assert!(!text.contains(word), "{word} in the metrics");
        }
    }
}

scenario! {
    async fn open_connections_are_counted() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let connections = async || -> u32 {
            let text = metrics(&cluster).await;
            let value = text.lines().find_map(|line| line.strip_prefix("chat_connections "));
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no chat_connections among\n{text}"))
        };
        let ann = Client::guest(cluster.node(0), "Ann").await;
        let bob = Client::guest(cluster.node(0), "Bob").await;
        until("two connections are counted", async || (connections().await == 2).then_some(())).await;
        bob.close().await;
        until("one connection is counted", async || (connections().await == 1).then_some(())).await;
        ann.fence("lobby", &[]).await;
    }
}

scenario! {
    async fn the_public_port_has_nothing_of_it() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        for path in ["/livez", "/readyz", "/metrics", "/cordon", "/uncordon", "/drain", "/debug/pprof"] {
            let (status, ..) = get(&format!("{}{path}", cluster.node(0).url())).await;
            assert_eq!(status, 404, "{path}");
        }
        let (status, ..) = get(&cluster.node(0).admin_url("/socket.io/?EIO=4&transport=polling")).await;
        assert_eq!(status, 404, "and the admin port takes no clients");
    }
}
