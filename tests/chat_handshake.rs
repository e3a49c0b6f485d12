//! The small print of the handshake: what stock clients and browsers read of it beside a session.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::harness::{Bus, Client, Cluster, Plan};

fn address(cluster: &Cluster, query: &str) -> String {
    format!("{}/socket.io/?{query}", cluster.node(0).url())
}

/// The status, the kind and the body of an answer.
async fn ask(cluster: &Cluster, method: &str, query: &str) -> (u16, String, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let answer = reqwest::Client::new().request(method, address(cluster, query)).send().await.expect("an answer");
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("ASCII").to_owned());
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    (status, kind.unwrap_or_default(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

scenario! {
    /// As `engine.io` of Node answers them: clients of other languages read the number.
    async fn errors_of_the_handshake_have_the_numbers_of_the_reference_implementation() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let sid = "0123456789abcdef";
        for (method, query, code, message) in [
            ("GET", "EIO=4".to_owned(), 0, "Transport unknown"),
            ("GET", "EIO=4&transport=flashsocket".to_owned(), 0, "Transport unknown"),
            ("GET", "EIO=4&transport=webtransport".to_owned(), 0, "Transport unknown"),
            ("GET", String::new(), 0, "Transport unknown"),
            ("GET", format!("EIO=4&transport=polling&sid={sid}"), 1, "Session ID unknown"),
            ("POST", format!("EIO=4&transport=polling&sid={sid}"), 1, "Session ID unknown"),
            ("GET", "EIO=4&transport=polling&sid=x".to_owned(), 1, "Session ID unknown"),
            ("POST", "EIO=4&transport=polling".to_owned(), 2, "Bad handshake method"),
            ("PUT", "EIO=4&transport=polling".to_owned(), 2, "Bad handshake method"),
            ("GET", "EIO=4&transport=websocket".to_owned(), 3, "Bad request"),
            ("GET", "EIO=3&transport=polling".to_owned(), 5, "Unsupported protocol version"),
            ("GET", "EIO=5&transport=polling".to_owned(), 5, "Unsupported protocol version"),
            ("GET", "transport=polling".to_owned(), 5, "Unsupported protocol version"),
        ] {
            let (status, kind, body) = ask(&cluster, method, &query).await;
            assert_eq!(body, json!({"code": code, "message": message}), "{method} {query}");
            assert_eq!((status, kind.as_str()), (400, "application/json"), "{method} {query}");
        }
    }
}

scenario! {
    async fn a_page_that_may_not_connect_is_told_in_the_words_of_the_reference_implementation() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        let request = reqwest::Client::new().get(address(&cluster, "EIO=4&transport=polling"));
        let answer = request.header("origin", "https://evil.example").send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 403);
        assert_eq!(answer.text().await.expect("a text"), r#"{"code":4,"message":"Forbidden"}"#);
    }
}

scenario! {
    /// A handshake of another version keeps no place.
    async fn what_is_no_handshake_takes_nobodys_place() {
        let cluster = Plan::on(Bus::Embedded).flag("--max-connections", "1").start().await;
        for query in ["EIO=3&transport=polling", "EIO=4&transport=websocket", "EIO=4"] {
            assert_eq!(ask(&cluster, "GET", query).await.0, 400, "{query}");
        }
        Client::guest(cluster.node(0), "Ann").await.fence("lobby", &[]).await;
    }
}

/// The headers that an answer to a preflight allows.
async fn preflight(cluster: &Cluster, origin: &str, asked: &str) -> Option<String> {
    let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, address(cluster, "EIO=4&transport=polling"));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    let answer = request.header("access-control-request-headers", asked).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    if header("access-control-allow-origin").as_deref() != Some(origin) {
        return None;
    }
    assert_eq!(header("access-control-allow-credentials").as_deref(), Some("true"));
    assert!(header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    header("access-control-allow-headers")
}

scenario! {
    /// The client's option `extraHeaders`.
    async fn a_page_that_may_connect_may_send_headers_of_its_own() {
        let cluster = Plan::on(Bus::Embedded).flag("--allowed-origins", "https://app.example").start().await;
        for asked in ["authorization", "content-type", "authorization,x-tenant"] {
            let allowed = preflight(&cluster, "https://app.example", asked).await;
            assert_eq!(allowed.as_deref(), Some(asked));
        }
        assert_eq!(preflight(&cluster, "https://evil.example", "authorization").await, None);
    }
}

/// The subprotocol that the answer to a WebSocket's handshake names.
async fn subprotocol(cluster: &Cluster, offered: &[&str]) -> Option<String> {
    let address = address(cluster, "EIO=4&transport=websocket").replace("http://", "ws://");
    let mut request = address.into_client_request().expect("an address");
    for line in offered {
        request.headers_mut().append("sec-websocket-protocol", HeaderValue::from_str(line).expect("a header"));
    }
    // On a bare connection: a client that reads the answer would refuse one that names none.
    let stream = TcpStream::connect(cluster.node(0).authority()).await.expect("a connection");
    let (_, answer) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
    answer.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("ASCII").to_owned())
}

scenario! {
    /// A browser ends a connection whose server names none of those that it offered.
    async fn the_first_subprotocol_that_a_client_offers_is_named() {
        let cluster = Plan::on(Bus::Embedded).start().await;
        assert_eq!(subprotocol(&cluster, &["chat.v1"]).await.as_deref(), Some("chat.v1"));
        assert_eq!(subprotocol(&cluster, &["chat.v1, x"]).await.as_deref(), Some("chat.v1"));
        assert_eq!(subprotocol(&cluster, &["x", "chat.v1"]).await.as_deref(), Some("x"));
        assert_eq!(subprotocol(&cluster, &[]).await, None);
    }
}
