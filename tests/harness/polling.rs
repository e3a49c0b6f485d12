//! Long-polling by hand: a test decides when it polls, and sees what one answer holds.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Node;

/// What stands between two packets of one payload.
const SEPARATOR: char = '\u{1e}';

/// One session over plain HTTP.
pub(crate) struct Polling {
    url: String,
    http: reqwest::Client,
    acks: Mutex<HashMap<u64, Value>>,
}

impl Polling {
    /// Opens a session and connects as a guest.
    pub(crate) async fn guest(node: &Node, name: &str) -> Self {
        let base = format!("{}/socket.io/?EIO=4&transport=polling", node.url());
        let http = reqwest::Client::new();
        let answer = http.get(&base).send().await.expect("the handshake");
        assert_eq!(answer.status(), 200, "the handshake");
        let text = answer.text().await.expect("the handshake's text");
        let open: Value =
            serde_json::from_str(text.strip_prefix('0').expect("an OPEN packet")).expect("the OPEN packet");
        let sid = open["sid"].as_str().expect("a sid");
        let polling = Self { url: format!("{base}&sid={sid}"), http, acks: Mutex::default() };
        polling.post(&format!("40{}", json!({"name": name}))).await;
        polling
    }

    /// Sends one payload.
    pub(crate) async fn post(&self, payload: &str) {
        let request = self.http.post(&self.url).body(payload.to_owned());
        let answer = request.send().await.expect("a POST");
        assert_eq!(answer.status(), 200, "a POST");
    }

    /// Sends one payload; the status of the answer, if there is one.
    pub(crate) async fn try_post(&self, payload: &str) -> Option<u16> {
        let answer = self.http.post(&self.url).body(payload.to_owned()).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Waits for one payload: its packets.
    pub(crate) async fn poll(&self) -> Vec<String> {
        let answer = self.http.get(&self.url).send().await.expect("a poll");
        assert_eq!(answer.status(), 200, "a poll");
        let text = answer.text().await.expect("the poll's text");
        text.split(SEPARATOR).map(str::to_owned).collect()
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
                if packet == "2" {
                    self.post("3").await;
                } else if let Some(body) = packet.strip_prefix("43") {
                    let digits = body.len() - body.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                    let (answer,): (Value,) = serde_json::from_str(&body[digits..]).expect("an ack");
                    self.acks.lock().unwrap().insert(body[..digits].parse().expect("an ack id"), answer);
                } else if let Some(body) = packet.strip_prefix("42") {
                    let (name, payload): (String, Value) = serde_json::from_str(body).expect("an event");
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
