//! A lean client for very many: it hears one room, keeps count of its offsets, pages what a `gap` stands for, and can
//! stop reading its TCP socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{Node, until};

/// Entries in a page: some 100 KB of them, of the sizes that tests send.
const PAGE: u64 = 10;
const LOGGED: [&str; 3] = [r#"42["message:new","#, r#"42["member:joined","#, r#"42["member:left","#];

/// What all readers of a test share.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) room: String,
    /// Texts begin with the microseconds from here to when they were sent.
    pub(crate) since: Instant,
}

/// One client, over as many connections as it takes.
pub(crate) struct Reader {
    reading: Reading,
    receive_buffer: Option<u32>,
    ledger: Arc<Mutex<Ledger>>,
    awake: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What it heard.
#[derive(Default)]
pub(crate) struct Ledger {
    resume: String,
    epoch: String,
    joined: bool,
    /// The last offset that was delivered or that a gap stood for.
    last: u64,
    /// What gaps stood for and was not paged yet, from and to.
    missing: VecDeque<(u64, u64)>,
    next_ack: u64,
    /// How many gaps came.
    pub(crate) gaps: usize,
    /// How many entries were paged.
    pub(crate) paged: u64,
    /// From the sending to the delivery, in milliseconds, of what was not paged.
    pub(crate) latencies: Vec<f64>,
    /// What broke the promise.
    pub(crate) violations: Vec<String>,
    /// Why the connection ended.
    pub(crate) closed: Option<String>,
}

impl Reader {
    /// A new guest who joins the room; `receive_buffer` is what its kernel keeps, if not as much as it likes.
    pub(crate) async fn join(node: &Node, name: &str, reading: &Reading, receive_buffer: Option<u32>) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let (awake, sleep) = watch::channel(true);
        let stream = open(node, receive_buffer).await;
        let task = tokio::spawn(read(stream, json!({"name": name}), reading.clone(), ledger.clone(), sleep));
        let reader = Self { reading: reading.clone(), receive_buffer, ledger, awake, task };
        until("a reader is in the room", async || reader.ledger().joined.then_some(())).await;
        reader
    }

    /// Comes back to a node with what it knows.
    pub(crate) async fn come_back(&mut self, node: &Node) {
        let auth = {
            let mut ledger = self.ledger();
            ledger.closed = None;
            ledger.last = ledger.complete();
            ledger.missing.clear();
            let position = json!({"epoch": ledger.epoch, "offset": ledger.last});
            json!({"resume": ledger.resume, "positions": {(&self.reading.room): position}})
        };
        let stream = open(node, self.receive_buffer).await;
        self.task = tokio::spawn(read(stream, auth, self.reading.clone(), self.ledger.clone(), self.awake.subscribe()));
    }

    /// Stops reading the socket, or goes on.
    pub(crate) fn set_awake(&self, awake: bool) {
        self.awake.send_replace(awake);
    }

    /// What it heard so far.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ledger {
    /// Up to where nothing is missing.
    pub(crate) fn complete(&self) -> u64 {
        self.missing.front().map_or(self.last, |(from, _)| from - 1)
    }

    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Takes one packet; answers what to say to it.
    fn packet(&mut self, text: &str, reading: &Reading) -> Option<String> {
        if text == "2" {
            return Some("3".to_owned());
        }
        if LOGGED.iter().any(|start| text.starts_with(start)) {
            self.logged(text, reading);
            return None;
        }
        let payload = || -> Value { serde_json::from_str(&text[text.find('[').expect("an array")..]).expect("JSON") };
        if text.starts_with(r#"42["session","#) {
            return self.session(&payload()[1], reading);
        }
        if text.starts_with(r#"42["gap","#) {
            return self.gap(&payload()[1], reading);
        }
        if text.starts_with("43") {
            return self.ack(&payload()[0], reading);
        }
        None
    }

    fn request(&mut self, event: &str, payload: &Value) -> String {
        self.next_ack += 1;
        format!("42{}{}", self.next_ack, json!([event, payload]))
    }

    fn session(&mut self, session: &Value, reading: &Reading) -> Option<String> {
        self.resume = session["resume"].as_str().expect("session.resume").to_owned();
        if !self.joined {
            return Some(self.request("room:join", &json!({"room": reading.room, "limit": 1})));
        }
        if session["recovered"] != true {
            self.wrong(format!("was not recovered: {session}"));
        }
        None
    }

    fn ack(&mut self, answer: &Value, reading: &Reading) -> Option<String> {
        if answer["ok"] != true {
            self.wrong(format!("was refused: {answer}"));
            return None;
        }
        if !self.joined {
            self.joined = true;
            answer["position"]["epoch"].as_str().expect("an epoch").clone_into(&mut self.epoch);
            self.last = answer["position"]["offset"].as_u64().expect("an offset");
            return None;
        }
        for entry in answer["events"].as_array().into_iter().flatten() {
            let offset = entry["offset"].as_u64();
            let Some((from, to)) = self.missing.front_mut() else { break };
            if offset != Some(*from) {
                let expected = *from;
                self.wrong(format!("a page holds {offset:?} where {expected} follows"));
                return None;
            }
            self.paged += 1;
            *from += 1;
            if *from > *to {
                self.missing.pop_front();
            }
        }
        if answer["recovered"] == false {
            self.wrong(format!("a gap can't be paged: {answer}"));
            return None;
        }
        self.page(reading)
    }

    fn gap(&mut self, gap: &Value, reading: &Reading) -> Option<String> {
        self.gaps += 1;
        let (from, to) = (gap["from"].as_u64().expect("from"), gap["to"].as_u64().expect("to"));
        if from != self.last + 1 || to < from {
            let last = self.last;
            self.wrong(format!("a gap after {last}: {gap}"));
        }
        self.last = to;
        self.missing.push_back((from, to));
        // The ack of a page asks for the next one, whatever gap it belongs to.
        if self.missing.len() == 1 { self.page(reading) } else { None }
    }

    fn page(&mut self, reading: &Reading) -> Option<String> {
        let &(from, to) = self.missing.front()?;
        let limit = PAGE.min(to + 1 - from);
        let payload = json!({"room": reading.room, "epoch": self.epoch, "after": from - 1, "limit": limit});
        Some(self.request("log:get", &payload))
    }

    fn logged(&mut self, text: &str, reading: &Reading) {
        if !self.joined {
            return;
        }
        let offset = number_after(text, r#""offset":"#).expect("an offset");
        if offset != self.last + 1 {
            let last = self.last;
            self.wrong(format!("heard {offset} after {last}"));
        }
        self.last = offset;
        if let Some(sent) = number_after(text, r#""text":""#) {
            let now = u64::try_from(reading.since.elapsed().as_micros()).expect("a short test");
            #[allow(clippy::cast_precision_loss, reason = "some seconds")]
            self.latencies.push(now.saturating_sub(sent) as f64 / 1000.0);
        }
    }
}

/// The number that follows a text; faster than to read all of it as JSON.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let rest = &text[text.find(label)? + label.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

async fn open(node: &Node, receive_buffer: Option<u32>) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).expect("a small buffer");
    }
    let stream = socket.connect(node.authority().parse().expect("an address")).await.expect("a connection");
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
    let request = url.into_client_request().expect("a URL");
    tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket").0
}

async fn read(
    mut stream: WebSocketStream<TcpStream>,
    auth: Value,
    reading: Reading,
    ledger: Arc<Mutex<Ledger>>,
    mut awake: watch::Receiver<bool>,
) {
    let mut connected = stream.send(Message::text(format!("40{auth}"))).await;
    let reason = loop {
        if let Err(error) = connected {
            break error.to_string();
        }
        // An error means that the test is over.
        let _ = awake.wait_for(|awake| *awake).await;
        let incoming = tokio::select! {
            biased;
            Ok(()) = awake.changed() => continue,
            incoming = stream.next() => incoming,
        };
        match incoming {
            Some(Ok(Message::Text(text))) => {
                let answer = ledger.lock().unwrap().packet(text.as_str(), &reading);
                if let Some(answer) = answer {
                    connected = stream.send(Message::text(answer)).await;
                }
            }
            Some(Ok(Message::Close(frame))) => break format!("closed by the server: {frame:?}"),
            Some(Ok(_)) => {}
            Some(Err(error)) => break error.to_string(),
            None => break "the stream ended".to_owned(),
        }
    };
    ledger.lock().unwrap().closed = Some(reason);
}
