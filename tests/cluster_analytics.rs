//! What goes on in the chat, for those who run it.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::browser::play;
use crate::harness::{Bus, Client, Cluster, Node, Plan, run, until};

const TOKEN: &str = "a token of the admin port";
const PATH: &str = "/api/v1/analytics";

/// Nodes whose admin port knows the token; the file has to stay.
async fn start(bus: Bus) -> (Cluster, NamedTempFile) {
    let mut file = NamedTempFile::new().expect("a file");
    writeln!(file, "{TOKEN}").expect("to write the token");
    let path = file.path().to_str().expect("a path").to_owned();
    (Plan::on(bus).flag("--admin-token-file", &path).start().await, file)
}

async fn ask(node: &Node, path: &str, token: Option<&str>) -> (u16, String) {
    let request = reqwest::Client::new().get(node.admin_url(path));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

fn sum(report: &Value, list: &str, field: &str) -> u64 {
    report[list].as_array().expect("a list").iter().map(|one| one[field].as_u64().expect("a number")).sum()
}

fn most(report: &Value, list: &str, field: &str) -> u64 {
    let all = report[list].as_array().expect("a list").iter();
    all.map(|one| one[field].as_u64().expect("a number")).max().unwrap_or_default()
}

on_both! {
    async fn what_people_do_is_told_in_numbers_and_without_names(bus) {
        let (cluster, _file) = start(bus).await;
        let last = cluster.len() - 1;
        let ann = Client::guest(cluster.node(0), "AnnTheVeryUnusual").await;
        let bob = Client::guest(cluster.node(last), "Bob").await;
        let room = ann.create("PeculiarRoom", "public").await;
        for text in ["one", "two", "three"] {
            ann.say(&room, text).await;
        }
        bob.say("lobby", "four").await;
        // A node tells every ten seconds.
        let report = until("all of it is told", || async {
            let (status, text) = ask(cluster.node(last), PATH, Some(TOKEN)).await;
            assert_eq!(status, 200, "{text}");
            let report: Value = serde_json::from_str(&text).expect("JSON");
            (sum(&report, "hours", "messages") == 4 && most(&report, "hours", "peakConnections") == 2).then_some(report)
        })
        .await;
        assert_eq!(report["hours"].as_array().map(Vec::len), Some(48), "{report}");
        assert_eq!(report["days"].as_array().map(Vec::len), Some(14), "{report}");
        assert_eq!(most(&report, "hours", "rooms"), 2);
        assert_eq!(most(&report, "days", "activeUsers"), 2);
        assert_eq!(most(&report, "days", "activeUsersWeek"), 2);
        let text = report.to_string();
        for word in ["AnnTheVeryUnusual", "PeculiarRoom", ann.id(), &room] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

scenario! {
    async fn the_numbers_are_for_who_has_the_token_and_asks_for_what_there_is() {
        let (cluster, _file) = start(Bus::Embedded).await;
        let node = cluster.node(0);
        assert_eq!(ask(node, PATH, None).await.0, 401);
        assert_eq!(ask(node, PATH, Some("another")).await.0, 401);
        for bad in ["hours=0", "hours=337", "days=36", "days=x", "weeks=1"] {
            let (status, text) = ask(node, &format!("{PATH}?{bad}"), Some(TOKEN)).await;
            assert_eq!(status, 400, "{bad}");
            assert!(text.contains("hours is from 1 to 336, days from 1 to 35"), "{text}");
        }
        assert_eq!(ask(node, &format!("{PATH}?hours=336&days=35"), Some(TOKEN)).await.0, 200);
        let (status, page) = ask(node, "/analytics", None).await;
        assert!(status == 200 && page.contains("<title>ChatCluster analytics</title>"), "{page}");
        for path in ["/analytics", "/analytics.html", "//analytics.html", PATH] {
            let answer = reqwest::get(format!("{}{path}", node.url())).await.expect("an answer");
            assert_eq!(answer.status(), 404, "{path} is not for people who chat");
        }
    }
}

/// The views are in `browser/analytics.mjs`.
#[test]
fn the_page_shows_it_to_everyone() {
    run(async {
        let (mut cluster, _file) = start(Bus::Redis).await;
        // Two days as a node would have told of them.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let (hour, day) = (now / 3600, now / 86_400);
        for back in 1..48_u64 {
            let busy = (hour - back) % 24;
            let (messages, peak) = (busy * (24 - busy) * 7, busy * 20 + 30);
            let key = format!("chat:{{activity}}:h:{}", hour - back);
            let (messages, peak) = (messages.to_string(), peak.to_string());
            cluster.redis().ask(&["HSET", &key, "messages", &messages, "peak", &peak]).await;
            let rooms: Vec<String> = (0..=busy).map(|room| format!("r{room}")).collect();
            let key = format!("chat:{{activity}}:r:{}", hour - back);
            let command: Vec<&str> = ["PFADD", &key].into_iter().chain(rooms.iter().map(String::as_str)).collect();
            cluster.redis().ask(&command).await;
        }
        for back in 1..20_u64 {
            let users: Vec<String> =
                (back * 10..back * 10 + 60 + back % 7 * 9).map(|user| format!("u{user}")).collect();
            let key = format!("chat:{{activity}}:d:{}", day - back);
            let command: Vec<&str> = ["PFADD", &key].into_iter().chain(users.iter().map(String::as_str)).collect();
            cluster.redis().ask(&command).await;
        }
        play("analytics.mjs", &[&cluster.node(0).admin_url(""), TOKEN], async |what, _| panic!("@{what}?")).await;
    });
}
