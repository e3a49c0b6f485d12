//! Settings that can't work are refused at the start, with what to write instead; and what turns out later is told.

use std::process::{Command, Stdio};

use crate::harness::cluster::binary;
use crate::harness::{Bus, Cluster, Plan, until};

/// Starts a node with this option, and answers what it said when it ended.
async fn refusal(option: &str, value: &str) -> String {
    let child = Command::new(binary("chat-server"))
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", option, value])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a node");
    let child = std::sync::Mutex::new(child);
    let what = format!("{option} {value} ends the node");
    let ended = until(&what, || async { child.lock().unwrap().try_wait().expect("its status") });
    let status = tokio::time::timeout(std::time::Duration::from_secs(20), ended).await;
    let mut child = child.into_inner().unwrap();
    let Ok(status) = status else {
        child.kill().expect("to stop the node");
        panic!("a node serves with {option} {value}");
    };
    assert!(!status.success(), "{option} {value}: {status}");
    String::from_utf8(child.wait_with_output().expect("what it said").stderr).expect("text")
}

scenario! {
    async fn a_setting_that_can_match_nothing_ends_the_node_with_what_to_write() {
        for (option, value, hint) in [
            ("--allowed-origins", "https://app.example.com:443", "write https://app.example.com"),
            ("--allowed-origins", "http://app.example.com:80", "write http://app.example.com"),
            ("--allowed-origins", "https://app.example.com/", "write https://app.example.com"),
            ("--allowed-origins", "https://a.example,https://b.example/chat", "write https://b.example"),
            ("--allowed-origins", "app.example.com", "https://chat.example.com"),
            ("--allowed-origins", "https://*.example.com", "list each origin"),
            ("--allowed-origins", "https://bücher.example", "xn--"),
            ("--allowed-origins", "null", "stranger"),
            ("--allowed-origins", "*,https://a.example", "leave out"),
            ("--allowed-hosts", "https://chat.example.com", "without a scheme"),
            ("--allowed-hosts", "*.example.com", "list each"),
            ("--trusted-proxies", "nginx", "10.0.0.0/8"),
            ("--trusted-proxies", "10.1.2.3/8", "write 10.0.0.0/8"),
            ("--trusted-proxies", "::ffff:10.0.0.1", "as such"),
            ("--session-keys", "tooshort", "at least 32"),
            ("--redis-url", "http://redis", "redis://"),
            ("--redis-url", "redis://redis/chat", "a number from 0 to 255"),
            ("--otlp-endpoint", "http://collector:4317/v1/traces", "http://otel-collector:4317"),
            ("--otlp-endpoint", "http://collector:99999", "from 1 to 65535"),
        ] {
            let said = refusal(option, value).await;
            println!("{}", said.trim());
            assert!(said.contains(option) && said.contains(hint), "{option} {value}: {said}");
        }
    }
}

async fn status(cluster: &Cluster, headers: &[(&str, &str)]) -> u16 {
    let url = format!("{}/socket.io/?EIO=4&transport=polling", cluster.node(0).url());
    let request =
        headers.iter().fold(reqwest::Client::new().get(url), |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer").status().as_u16()
}

/// The lines of a node's log that have a word.
fn lines(cluster: &Cluster, word: &str) -> Vec<String> {
    cluster.node(0).last_words(500).lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

scenario! {
    async fn a_refused_origin_is_in_the_log_once_a_minute_with_what_was_compared() {
        let cluster = Plan::on(Bus::Embedded).flag("--allowed-origins", "https://app.example").start().await;
        let own = cluster.node(0).authority();
        for origin in ["https://chat.example", "https://chat.example", "https://other.example"] {
            let headers = [("origin", origin), ("x-forwarded-host", "chat.example")];
            assert_eq!(status(&cluster, &headers).await, 403, "{origin}");
        }
        let told = lines(&cluster, "--allowed-origins");
        assert_eq!(told.len(), 1, "{told:?}");
        for word in ["https://chat.example", &own, "https://app.example", r#""forwardedHost":"chat.example""#] {
            assert!(told[0].contains(word), "{word} in {}", told[0]);
        }
    }
}

scenario! {
    /// A browser does not go on after it, so that nothing else would tell.
    async fn a_refused_preflight_is_in_the_log() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let url = format!("{}/socket.io/?EIO=4&transport=polling", cluster.node(0).url());
        let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, url);
        let request = request.header("origin", "https://chat.example").header("access-control-request-method", "GET");
        request.send().await.expect("an answer");
        let told = lines(&cluster, "--allowed-origins");
        assert!(told.len() == 1 && told[0].contains("https://chat.example"), "{told:?}");
    }
}

scenario! {
    async fn a_refused_host_is_in_the_log_once_a_minute_with_what_was_compared() {
        let cluster = Plan::on(Bus::Embedded).flag("--allowed-hosts", "chat.example").start().await;
        for host in ["rebound.example", "rebound.example", "chat.example.evil.example"] {
            assert_eq!(status(&cluster, &[("host", host)]).await, 421, "{host}");
        }
        let told = lines(&cluster, "--allowed-hosts");
        assert_eq!(told.len(), 1, "{told:?}");
        for word in [r#""host":"rebound.example""#, r#""allowed":"chat.example""#] {
            assert!(told[0].contains(word), "{word} in {}", told[0]);
        }
    }
}

async fn readiness(cluster: &Cluster) -> String {
    let answer = reqwest::get(cluster.node(0).admin_url("/readyz")).await.expect("an answer");
    answer.text().await.expect("a text")
}

scenario! {
    async fn readiness_warns_of_a_redis_that_comes_to_evict_for_as_long_as_it_does() {
        const WARNING: &str = "ok, but Redis throws messages away when it is full (maxmemory-policy allkeys-lru)";
        let mut cluster = Plan::on(Bus::Redis).nodes(1).start().await;
        let redis = cluster.redis().asked();
        redis.ask(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
        until("the node warns", || async { readiness(&cluster).await.starts_with(WARNING).then_some(()) }).await;
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        until("the warning ends", || async { (!readiness(&cluster).await.contains("throws")).then_some(()) }).await;
        assert_eq!(lines(&cluster, "throws messages away").len(), 1, "it is logged once");
    }
}
