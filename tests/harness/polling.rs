//! Long-polling by hand: a test decides when it polls, and sees what one answer holds.

use std::collections::HashMap;
use std::sync::Mutex;

use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::Node;
use super::connect::Stream;

/// What stands between two packets of one payload.
const SEPARATOR: char = '\u{1e}';

/// One session over plain HTTP.
pub(crate) struct Polling {
    /// The first `Set-Cookie` of the way there.
    pub(crate) set_cookie: Option<String>,
    /// What every request but the first says of cookies: the same, as a browser does.
    pub(crate) cookie: Option<String>,
    url: String,
    http: reqwest::Client,
    acks: Mutex<HashMap<u64, Value>>,
}

impl Polling {
    /// Opens a session and connects as a guest.
    pub(crate) async fn guest(node: &Node, name: &str) -> Self {
        Self::guest_by(reqwest::Client::new(), node, name).await
    }

    /// The same with a client that may say more.
    pub(crate) async fn guest_by(http: reqwest::Client, node: &Node, name: &str) -> Self {
        Self::begin(http, node, &json!({"name": name})).await
    }

    /// Opens a session and connects with this `auth`.
    pub(crate) async fn with(node: &Node, auth: &Value) -> Self {
        Self::begin(reqwest::Client::new(), node, auth).await
    }

    async fn begin(http: reqwest::Client, node: &Node, auth: &Value) -> Self {
        let base = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
        let answer = http.get(&base).send().await.expect("the handshake");
        assert_eq!(answer.status(), 200, "the handshake");
        let cookies: Vec<_> = answer.headers().get_all(http::header::SET_COOKIE).iter().collect();
        assert!(cookies.len() <= 1, "{cookies:?}");
        let set_cookie = cookies.first().map(|cookie| cookie.to_str().expect("ASCII").to_owned());
        let cookie = set_cookie.as_deref().map(|set| set.split(';').next().unwrap_or_default().to_owned());
        let text = answer.text().await.expect("the handshake's text");
        let open: Value =
            serde_json::from_str(text.strip_prefix('0').expect("an OPEN packet")).expect("the OPEN packet");
        let sid = open["sid"].as_str().expect("a sid");
        let polling = Self { set_cookie, cookie, url: format!("{base}&sid={sid}"), http, acks: Mutex::default() };
        polling.post(&format!("40{auth}")).await;
        polling
    }

    /// The session's id at the transport.
    pub(crate) fn sid(&self) -> &str {
        self.url.rsplit_once("&sid=").expect("a sid").1
    }

    /// A WebSocket to upgrade the session to, of which only the handshake was made.
    pub(crate) async fn websocket(&self, node: &Node) -> Stream {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={}", node.authority(), self.sid());
        connect_async(url).await.expect("a WebSocket").0
    }

    /// Goes on as a WebSocket.
    pub(crate) async fn upgrade(&self, node: &Node) -> Stream {
        let mut stream = self.websocket(node).await;
        probe(&mut stream).await;
        stream.send(Message::text("5")).await.expect("to send");
        stream
    }

    fn request(&self, method: Method) -> reqwest::RequestBuilder {
        let request = self.http.request(method, &self.url);
        match &self.cookie {
            Some(cookie) => request.header(http::header::COOKIE, cookie),
            None => request,
        }
    }

    /// Sends one payload.
    pub(crate) async fn post(&self, payload: &str) {
        let answer = self.request(Method::POST).body(payload.to_owned()).send().await.expect("a POST");
        assert_eq!(answer.status(), 200, "a POST");
    }

    /// Sends one payload; the status of the answer, if there is one.
    pub(crate) async fn try_post(&self, payload: &str) -> Option<u16> {
        let answer = self.request(Method::POST).body(payload.to_owned()).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Waits for one payload: its packets.
    pub(crate) async fn poll(&self) -> Vec<String> {
        self.try_poll().await.unwrap_or_else(|status| panic!("a poll was answered {status}"))
    }

    /// Waits for one payload: its packets, or the status that refuses the poll.
    pub(crate) async fn try_poll(&self) -> Result<Vec<String>, u16> {
        let answer = self.request(Method::GET).send().await.expect("a poll");
        if answer.status() != 200 {
            return Err(answer.status().as_u16());
        }
        let text = answer.text().await.expect("the poll's text");
        Ok(text.split(SEPARATOR).map(str::to_owned).collect())
    }

    /// Polls until a poll is refused; all the events up to then, and the status.
    pub(crate) async fn poll_to_the_end(&self) -> (Vec<(String, Value)>, u16) {
        let mut events = Vec::new();
        loop {
            let packets = match self.try_poll().await {
                Ok(packets) => packets,
                Err(status) => return (events, status),
            };
            for packet in packets {
                events.extend(self.take(&packet).await);
            }
        }
    }

    /// Takes one packet; the event that it is, if it is one. An answer to a ping may come too late.
    async fn take(&self, packet: &str) -> Option<(String, Value)> {
        if packet == "2" {
            self.try_post("3").await;
            return None;
        }
        if let Some(body) = packet.strip_prefix("43") {
            let digits = body.len() - body.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (answer,): (Value,) = serde_json::from_str(&body[digits..]).expect("an ack");
            self.acks.lock().unwrap().insert(body[..digits].parse().expect("an ack id"), answer);
            return None;
        }
        packet.strip_prefix("42").map(|body| serde_json::from_str(body).expect("an event"))
    }

    /// Polls until the event came; answers all the events up to then, and the packets of the fullest answer.
    pub(crate) async fn poll_until(&self, mut last: impl FnMut(&str, &Value) -> bool) -> (Vec<(String, Value)>, usize) {
        self.poll_while(|event| event.is_none_or(|(name, payload)| !last(name, payload))).await
    }

    /// Polls until the ack came.
    pub(crate) async fn poll_ack(&self, id: u64) -> Value {
        self.poll_while(|_| !self.acks.lock().unwrap().contains_key(&id)).await;
        self.acks.lock().unwrap().remove(&id).expect("the ack")
    }

    /// Polls for as long as all events of an answer say so, and then its end (`None`).
    async fn poll_while(&self, mut go_on: impl FnMut(Option<(&str, &Value)>) -> bool) -> (Vec<(String, Value)>, usize) {
        let mut events = Vec::new();
        let mut fullest = 0;
        while go_on(None) {
            let packets = self.poll().await;
            fullest = fullest.max(packets.len());
            let mut done = false;
            for packet in packets {
                if let Some((name, payload)) = self.take(&packet).await {
                    done |= !go_on(Some((&name, &payload)));
                    events.push((name, payload));
                }
            }
            if done {
                break;
            }
        }
        (events, fullest)
    }
}

/// The first half of an upgrade: the probe of a WebSocket, which is answered.
pub(crate) async fn probe(stream: &mut Stream) {
    stream.send(Message::text("2probe")).await.expect("to send");
    assert_eq!(next(stream).await, "3probe");
}

/// The next packet of a WebSocket.
pub(crate) async fn next(stream: &mut Stream) -> String {
    stream.next().await.expect("a frame").expect("a frame").into_text().expect("a text").to_string()
}
