//! Which pages may connect: over polling and over WebSocket alike, since browsers let any page open a WebSocket. And by
//! which names the server may be asked, so that no name that was made to lead here makes another page its own.

use crate::harness::{Bus, Cluster, Connect, Plan, Refusal};

const REFUSED: u16 = 403;

async fn polling_status(cluster: &Cluster, origin: Option<&str>) -> u16 {
    let url = format!("{}/socket.io/?EIO=4&transport=polling", cluster.node(0).url());
    let mut request = reqwest::Client::new().get(url);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.send().await.expect("an answer").status().as_u16()
}

async fn web_socket_status(cluster: &Cluster, origin: Option<&str>) -> u16 {
    let mut connect = Connect::guest("Ann");
    if let Some(origin) = origin {
        connect = connect.origin(origin);
    }
    match connect.try_to(cluster.node(0)).await {
        Ok(_) => 200,
        Err(Refusal::Http(status, _)) => status,
        Err(other) => panic!("{origin:?}: {other:?}"),
    }
}

async fn expect(cluster: &Cluster, origin: Option<&str>, status: u16) {
    assert_eq!(polling_status(cluster, origin).await, status, "polling from {origin:?}");
    assert_eq!(web_socket_status(cluster, origin).await, status, "WebSocket from {origin:?}");
}

scenario! {
    async fn a_page_of_an_allowed_origin_connects_and_another_is_refused() {
        let plan = Plan::on(Bus::Embedded).flag("--allowed-origins", "http://chat.example,https://other.example:8443");
        let cluster = plan.start().await;
        expect(&cluster, Some("http://chat.example"), 200).await;
        expect(&cluster, Some("https://other.example:8443"), 200).await;
        for origin in [
            "https://chat.example",
            "http://chat.example.evil.example",
            "http://chat.example:8080",
            "https://other.example",
            "http://evil.example",
            "null",
        ] {
            expect(&cluster, Some(origin), REFUSED).await;
        }
        // What is no browser sends no origin.
        expect(&cluster, None, 200).await;
    }
}

scenario! {
    async fn without_a_list_only_the_nodes_own_page_connects() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let own = cluster.node(0).url();
        expect(&cluster, Some(&own), 200).await;
        expect(&cluster, None, 200).await;
        expect(&cluster, Some("http://evil.example"), REFUSED).await;
        expect(&cluster, Some("http://127.0.0.1"), REFUSED).await;
        expect(&cluster, Some("null"), REFUSED).await;
    }
}

scenario! {
    async fn browsers_that_came_by_tls_are_told_to_come_by_it_only() {
        let told = async |cluster: &Cluster, path: &str, scheme: &str| {
            let request = reqwest::Client::new().get(format!("{}{path}", cluster.node(0).url()));
            let answer = request.header("x-forwarded-proto", scheme).send().await.expect("an answer");
            answer.headers().get("strict-transport-security").map(|value| value.to_str().expect("ASCII").to_owned())
        };
        let cluster = Plan::on(Bus::Embedded).flag("--trusted-proxies", "127.0.0.0/8").start().await;
        for path in ["/", "/no-such-page"] {
            assert_eq!(told(&cluster, path, "https").await.as_deref(), Some("max-age=31536000"), "{path}");
            assert_eq!(told(&cluster, path, "http").await, None, "{path}");
        }
        // Anybody else could write that header.
        let cluster = Plan::on(Bus::Embedded).start().await;
        assert_eq!(told(&cluster, "/", "https").await, None);
    }
}

async fn is_served(cluster: &Cluster, path: &str, host: &str) -> bool {
    let request = reqwest::Client::new().get(format!("{}{path}", cluster.node(0).url())).header("host", host);
    request.send().await.expect("an answer").status().as_u16() != 421
}

scenario! {
    async fn a_name_that_was_made_to_lead_here_is_misdirected() {
        let alone = Plan::on(Bus::Embedded).start().await;
        let named = Plan::on(Bus::Embedded).flag("--allowed-hosts", "Chat.example,[::1]").start().await;
        for path in ["/", "/socket.io/?EIO=4&transport=polling"] {
            for (host, on_loopback, on_list) in [
                ("localhost:3000", true, false),
                ("127.0.0.1", true, false),
                ("[::1]:80", true, true),
                ("chat.example", false, true),
                ("CHAT.example:8443", false, true),
                ("chat.example.evil.example", false, false),
                ("rebound.example:3000", false, false),
            ] {
                assert_eq!(is_served(&alone, path, host).await, on_loopback, "{path} of {host} on loopback");
                assert_eq!(is_served(&named, path, host).await, on_list, "{path} of {host} by the list");
            }
        }
    }
}
