//! Very many people at once, each as light as it can be: a WebSocket, what it heard of one room, and the patience of a
//! stock client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

use super::chat::FORWARDED;
use crate::history::schedule::Dice;

/// How long a stock client waits before it connects anew, at first and at most.
const DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How long it waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// What a connection keeps to read into: there are thousands, and by itself each would keep 128 KiB.
const READ_BUFFER: usize = 2 * 1024;

/// Who a member is, and where it goes.
pub(crate) struct Plan {
    /// The proxy before the nodes.
    pub(crate) at: SocketAddr,
    /// What the proxy believes to be the member's address.
    pub(crate) address: String,
    pub(crate) room: String,
    /// The token of a session that is in the room.
    pub(crate) resume: String,
    /// Of the chance in its delays.
    pub(crate) seed: u64,
}

/// A message of the room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Said {
    pub(crate) offset: u64,
    pub(crate) text: String,
}

/// What a member went through.
#[derive(Default)]
pub(crate) struct Account {
    /// Where it is in the room, once it is.
    position: Option<Position>,
    /// All messages that it heard, as they came.
    pub(crate) heard: Vec<Said>,
    /// When it tried to connect.
    pub(crate) tries: Vec<Instant>,
    /// When it had its session and its room, and from which node.
    pub(crate) arrivals: Vec<(Instant, String)>,
    /// Whether it has them now.
    pub(crate) is_there: bool,
    /// What broke the promise.
    pub(crate) violations: Vec<String>,
}

#[derive(Deserialize)]
struct Position {
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
struct Entry {
    room: String,
    epoch: String,
    #[serde(flatten)]
    said: Said,
}

/// One of a herd; it goes when dropped.
pub(crate) struct Member {
    account: Arc<Mutex<Account>>,
    task: JoinHandle<()>,
}

impl Member {
    /// Connects, and does so anew whenever the connection ends.
    pub(crate) fn start(plan: Plan) -> Self {
        let account = Arc::<Mutex<Account>>::default();
        let task = tokio::spawn(live(plan, Arc::clone(&account)));
        Self { account, task }
    }

    /// What it went through so far.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Account {
    /// The last offset of the room that it heard.
    pub(crate) fn offset(&self) -> u64 {
        self.position.as_ref().map_or(0, |position| position.offset)
    }

    fn auth(&self, plan: &Plan) -> Value {
        let mut auth = json!({"resume": plan.resume});
        if let Some(Position { epoch, offset }) = &self.position {
            auth["positions"] = json!({(&plan.room): {"epoch": epoch, "offset": offset}});
        }
        auth
    }

    /// Takes one packet; answers what to say to it.
    fn packet(&mut self, text: &str, plan: &Plan) -> Option<String> {
        if text == "2" {
            return Some("3".to_owned());
        }
        if text.starts_with('0') {
            return Some(format!("40{}", self.auth(plan)));
        }
        if let Some(entry) = payload(text, "message:new") {
            self.entry(serde_json::from_str(entry).expect("a message"), plan);
        } else if let Some(session) = payload(text, "session") {
            self.session(&serde_json::from_str(session).expect("JSON"), plan);
        } else if text.starts_with("44") || payload(text, "gap").is_some() {
            self.violations.push(text.to_owned());
        }
        None
    }

    fn session(&mut self, session: &Value, plan: &Plan) {
        let rooms = session["rooms"].as_array().expect("session.rooms");
        let room = rooms.iter().find(|room| room["room"] == plan.room);
        let Some(room) = room.filter(|_| session["recovered"] == true) else {
            self.violations.push(format!("was not resumed: {session}"));
            return;
        };
        let position: Position = serde_json::from_value(room["position"].clone()).expect("a position");
        if self.position.is_some() && self.offset() != position.offset {
            self.violations.push(format!("goes on at {} where {} was heard", position.offset, self.offset()));
        }
        self.position = Some(position);
        self.is_there = true;
        self.arrivals.push((Instant::now(), session["node"].as_str().expect("session.node").to_owned()));
    }

    fn entry(&mut self, entry: Entry, plan: &Plan) {
        let Entry { room, epoch, said } = entry;
        if room != plan.room {
            return;
        }
        if said.offset != self.offset() + 1 {
            self.violations.push(format!("heard {said:?} after {}", self.offset()));
        }
        self.position = Some(Position { epoch, offset: said.offset });
        self.heard.push(said);
    }
}

/// What comes with an event of this name, if the packet is one.
fn payload<'a>(text: &'a str, event: &str) -> Option<&'a str> {
    text.strip_prefix("42[\"")?.strip_prefix(event)?.strip_prefix("\",")?.strip_suffix(']')
}

async fn live(plan: Plan, account: Arc<Mutex<Account>>) {
    let mut dice = Dice::new(plan.seed);
    let mut delay = DELAY;
    loop {
        account.lock().unwrap().tries.push(Instant::now());
        if let Ok(Some(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, open(&plan)).await {
            delay = DELAY;
            listen(stream, &plan, &account).await;
            account.lock().unwrap().is_there = false;
        }
        // As far off as half the delay, either way.
        let share = u32::try_from(dice.next() % 1_001).expect("a thousand at most");
        tokio::time::sleep((delay * (500 + share) / 1_000).min(LONGEST_DELAY)).await;
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

async fn open(plan: &Plan) -> Option<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(plan.at).await.ok()?;
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", plan.at);
    let mut request = url.into_client_request().expect("a URL");
    request.headers_mut().insert(FORWARDED, HeaderValue::from_str(&plan.address).expect("an address"));
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.ok().map(|(stream, _)| stream)
}

/// Until the connection ends, whatever it ends of.
async fn listen(mut stream: WebSocketStream<TcpStream>, plan: &Plan, account: &Mutex<Account>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let answer = account.lock().unwrap().packet(text.as_str(), plan);
        if let Some(answer) = answer
            && stream.send(Message::text(answer)).await.is_err()
        {
            return;
        }
    }
}
