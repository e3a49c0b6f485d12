//! A small, strict Socket.IO client: it says exactly what a test tells it to, and checks what it hears.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::connect::{Connect, Refusal, Stream};
use super::inbox::Inbox;
use super::{DEADLINE, Node};

/// Every word that an error's `code` may be.
const CODES: [&str; 10] = [
    "bad_request",
    "unauthenticated",
    "forbidden",
    "not_found",
    "conflict",
    "rate_limited",
    "too_large",
    "unavailable",
    "draining",
    "unsupported",
];

struct Shared {
    inbox: Mutex<Inbox>,
    changed: watch::Sender<u64>,
}

/// One connection.
pub(crate) struct Client {
    /// The payload of the first event.
    pub(crate) session: Value,
    shared: Arc<Shared>,
    outgoing: mpsc::UnboundedSender<Message>,
    worker: JoinHandle<()>,
    next_ack: AtomicU64,
}

/// An ack that has not come yet.
pub(crate) struct Pending<'a> {
    client: &'a Client,
    id: u64,
    what: String,
}

impl Pending<'_> {
    /// The answer.
    pub(crate) async fn answer(self) -> Value {
        let Self { client, id, what } = self;
        client.wait(&format!("the ack of {what}"), |inbox| inbox.take_ack(id)).await
    }

    /// The answer, or nothing if the connection ends without one.
    pub(crate) async fn answer_if_any(self) -> Option<Value> {
        let Self { client, id, what } = self;
        client
            .wait_quietly(&format!("the ack of {what}"), |inbox| {
                let answer = inbox.take_ack(id);
                (answer.is_some() || inbox.closed.is_some()).then_some(answer)
            })
            .await
    }
}

impl Client {
    /// A new guest on a node.
    pub(crate) async fn guest(node: &Node, name: &str) -> Self {
        Connect::guest(name).to(node).await
    }

    /// The same user once more: another socket of the session, on any node.
    pub(crate) async fn again(&self, node: &Node) -> Self {
        Connect::with(&json!({"resume": self.resume()})).to(node).await
    }

    /// The same user once more, who knows where she was.
    pub(crate) async fn recover(&self, node: &Node, positions: &Value) -> Self {
        let auth = json!({"resume": self.resume(), "positions": positions});
        Connect::with(&auth).to(node).await
    }

    /// Says CONNECT with this `auth`, and waits for the session or the refusal.
    pub(crate) async fn begin(stream: Stream, auth: &str) -> Result<Self, Refusal> {
        let mut client = Self::over(stream);
        client.raw(&format!("40{auth}"));
        let answer = client
            .wait_quietly("the answer to CONNECT", |inbox| {
                if let Some(answer) = inbox.connected.clone() {
                    return Some(answer.map_err(Refusal::Connect));
                }
                let reason = inbox.closed.clone()?;
                Some(Err(Refusal::Transport(reason)))
            })
            .await;
        answer?;
        client.session = client.hear("session", |_| true).await;
        let first = client.inbox().first_event().map(str::to_owned);
        assert_eq!(first.as_deref(), Some("session"), "the first event");
        Ok(client)
    }

    fn over(stream: Stream) -> Self {
        let shared = Arc::new(Shared { inbox: Mutex::new(Inbox::default()), changed: watch::channel(0).0 });
        let (outgoing, queue) = mpsc::unbounded_channel();
        let worker = tokio::spawn(work(stream, queue, Arc::clone(&shared), outgoing.clone()));
        Self { session: Value::Null, shared, outgoing, worker, next_ack: AtomicU64::new(0) }
    }

    /// The user's id.
    pub(crate) fn id(&self) -> &str {
        self.session["user"]["id"].as_str().expect("user.id")
    }

    /// The token that continues this session.
    pub(crate) fn resume(&self) -> &str {
        self.session["resume"].as_str().expect("session.resume")
    }

    /// A room as the session told it.
    pub(crate) fn session_room(&self, room: &str) -> Option<&Value> {
        let rooms = self.session["rooms"].as_array().expect("session.rooms");
        rooms.iter().find(|entry| entry["room"] == room)
    }

    /// Sends text as one frame.
    pub(crate) fn raw(&self, packet: &str) {
        // A connection that has ended says so to who waits for its answer.
        let _ = self.outgoing.send(Message::text(packet));
    }

    /// Sends bytes as one frame.
    pub(crate) fn raw_bytes(&self, bytes: &'static [u8]) {
        let _ = self.outgoing.send(Message::Binary(Bytes::from_static(bytes)));
    }

    /// Sends a packet made with a new ack id.
    pub(crate) fn raw_request(&self, packet: impl FnOnce(u64) -> String) -> Pending<'_> {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let packet = packet(id);
        self.raw(&packet);
        Pending { client: self, id, what: packet.chars().take(200).collect() }
    }

    /// Sends a request without waiting for its ack.
    pub(crate) fn ask(&self, event: &str, payload: &Value) -> Pending<'_> {
        let enters = matches!(event, "room:join" | "room:accept" | "room:create" | "dm:open");
        self.raw_request(|id| {
            if enters {
                self.inbox().will_enter(id);
            }
            format!("42{id}{}", json!([event, payload]))
        })
    }

    /// Sends a request and waits for its ack.
    pub(crate) async fn request(&self, event: &str, payload: Value) -> Value {
        let answer = self.ask(event, &payload).answer().await;
        check_answer(event, &answer);
        answer
    }

    /// A request that must be granted.
    pub(crate) async fn ok(&self, event: &str, payload: Value) -> Value {
        let answer = self.request(event, payload.clone()).await;
        assert_eq!(answer["ok"], true, "{event} {payload} was answered {answer}");
        answer
    }

    /// A request that must be refused, with this code; answers the error.
    pub(crate) async fn refused(&self, event: &str, payload: Value, code: &str) -> Value {
        let answer = self.request(event, payload.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{event} {payload} was answered {answer}");
        answer["error"].clone()
    }

    /// Says something, which must be granted.
    pub(crate) async fn say(&self, room: &str, text: &str) -> Value {
        let payload = json!({"room": room, "nonce": nonce(), "text": text});
        self.ok("message:send", payload).await
    }

    /// Says several things without waiting in between; the acks, in the order of the texts.
    pub(crate) async fn say_all(&self, room: &str, texts: impl IntoIterator<Item = String>) -> Vec<Value> {
        let asked: Vec<Pending<'_>> = texts
            .into_iter()
            .map(|text| self.ask("message:send", &json!({"room": room, "nonce": nonce(), "text": text})))
            .collect();
        let mut acks = Vec::new();
        for pending in asked {
            let ack = pending.answer().await;
            assert_eq!(ack["ok"], true, "message:send was answered {ack}");
            acks.push(ack);
        }
        acks
    }

    /// Makes a room; its id.
    pub(crate) async fn create(&self, name: &str, kind: &str) -> String {
        let ack = self.ok("room:create", json!({"name": name, "kind": kind})).await;
        ack["room"].as_str().expect("the room's id").to_owned()
    }

    /// Waits for an event and takes it.
    pub(crate) async fn hear(&self, name: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let mut from = 0;
        self.wait(name, |inbox| inbox.take(&mut from, name, &matches)).await
    }

    /// Waits for a text in a room.
    pub(crate) async fn hear_text(&self, room: &str, text: &str) -> Value {
        let mut from = 0;
        let matches = |message: &Value| message["room"] == room && message["text"] == text;
        self.wait(&format!("the text {text:?} in {room}"), |inbox| inbox.take(&mut from, "message:new", &matches)).await
    }

    /// Waits until so many events of that name have come.
    pub(crate) async fn hear_many(&self, name: &str, count: usize) {
        self.wait(&format!("{count} times {name}"), |inbox| (inbox.count(name) >= count).then_some(())).await;
    }

    /// Waits until so many acks have come.
    pub(crate) async fn all_acked(&self, count: usize) {
        self.wait(&format!("{count} acks"), |inbox| (inbox.acks_seen() >= count).then_some(())).await;
    }

    /// All events of a name so far.
    pub(crate) fn heard(&self, name: &str) -> Vec<Value> {
        self.inbox().all(name)
    }

    /// All events so far, a line each.
    pub(crate) fn transcript(&self) -> String {
        self.inbox().transcript()
    }

    /// All events of a name so far, of each what `T` has of it.
    pub(crate) fn heard_as<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        self.inbox().all_as(name)
    }

    /// Waits until this connection has come to an offset of a room.
    pub(crate) async fn reach(&self, room: &str, offset: u64) {
        self.wait(&format!("offset {offset} of {room}"), |inbox| {
            inbox.position(room).is_some_and(|(_, reached)| reached >= offset).then_some(())
        })
        .await;
    }

    /// All events of a name in a room so far.
    pub(crate) fn heard_in(&self, name: &str, room: &str) -> Vec<Value> {
        let mut events = self.heard(name);
        events.retain(|event| event["room"] == room);
        events
    }

    /// The offset and the epoch up to which this connection has heard a room.
    pub(crate) fn position(&self, room: &str) -> Value {
        let (epoch, offset) =
            self.inbox().position(room).unwrap_or_else(|| panic!("this connection has no position in {room}"));
        json!({"epoch": epoch, "offset": offset})
    }

    /// Says something in a room that all of `others` are in, and waits until they and this one have heard it: what
    /// was on its way to them before has come then.
    pub(crate) async fn fence(&self, room: &str, others: &[&Client]) {
        let text = format!("fence {}", nonce());
        self.say(room, &text).await;
        self.hear_text(room, &text).await;
        for other in others {
            other.hear_text(room, &text).await;
        }
    }

    /// Leaves as a page does that is closed: DISCONNECT, then the transport; waits for its end.
    pub(crate) async fn close(&self) {
        self.raw("41");
        let _ = self.outgoing.send(Message::Close(None));
        self.ended().await;
    }

    /// Is gone without a word; nothing is heard after this.
    pub(crate) async fn vanish(&self) {
        self.worker.abort();
        while !self.worker.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&self) {
        self.wait_quietly("the end of the connection", |inbox| inbox.closed.as_ref().map(|_| ())).await;
    }

    /// Whether the connection stands.
    pub(crate) fn is_open(&self) -> bool {
        self.inbox().closed.is_none()
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.shared.inbox.lock().unwrap()
    }

    /// Waits for something, and fails when the connection ends first.
    async fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut Inbox) -> Option<T>) -> T {
        let outcome = self
            .wait_quietly(what, |inbox| {
                if let Some(found) = look(inbox) {
                    return Some(Ok(found));
                }
                inbox.closed.is_some().then(|| Err(inbox.story()))
            })
            .await;
        outcome.unwrap_or_else(|story| panic!("waited for {what}, but {story}"))
    }

    async fn wait_quietly<T>(&self, what: &str, mut look: impl FnMut(&mut Inbox) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            changed.borrow_and_update();
            let found = {
                let mut inbox = self.inbox();
                let found = look(&mut inbox);
                check_promise(&inbox);
                found
            };
            if let Some(found) = found {
                return found;
            }
            if tokio::time::timeout_at(end, changed.changed()).await.is_err() {
                let story = self.inbox().story();
                panic!("waited {DEADLINE:?} in vain for {what}; {story}");
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.abort();
        if !std::thread::panicking() {
            check_promise(&self.shared.inbox.lock().unwrap());
        }
    }
}

fn check_promise(inbox: &Inbox) {
    let violations = inbox.violations();
    assert!(
        violations.is_empty(),
        "the order of a room's log was broken:\n  {}\n{}",
        violations.join("\n  "),
        inbox.story()
    );
}

fn check_answer(event: &str, answer: &Value) {
    if answer["ok"] == true {
        return;
    }
    let error = &answer["error"];
    let code = error["code"].as_str().unwrap_or_default();
    assert!(
        answer["ok"] == false
            && CODES.contains(&code)
            && error["message"].is_string()
            && error["temporary"].is_boolean(),
        "{event} was answered {answer}, which is no answer of the protocol"
    );
    assert!(
        code != "rate_limited" || error["retryAfterMs"].is_u64(),
        "{event} was answered {answer} without retryAfterMs"
    );
}

/// A nonce that nobody has used.
pub(crate) fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends and receives side by side: a client that stops reading while it has much to say, as no real one does, would
/// wait for a server that waits for it.
async fn work(
    stream: Stream,
    mut queue: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    answers: mpsc::UnboundedSender<Message>,
) {
    let begun = Instant::now();
    let (mut sink, mut source) = stream.split();
    let sending = async {
        while let Some(message) = queue.recv().await {
            if let Err(error) = sink.send(message).await {
                return format!("could not send: {error}");
            }
        }
        "dropped".to_owned()
    };
    let receiving = async {
        while let Some(incoming) = source.next().await {
            match incoming {
                Ok(Message::Text(text)) => {
                    if let Some(reason) = packet(&shared, &answers, text.as_str()) {
                        return reason;
                    }
                    shared.changed.send_modify(|count| *count += 1);
                }
                Ok(Message::Close(frame)) => return format!("closed by the server: {frame:?}"),
                Ok(_) => {}
                Err(error) => return format!("could not receive: {error}"),
            }
        }
        "the stream ended".to_owned()
    };
    let reason = tokio::select! {
        reason = sending => reason,
        reason = receiving => reason,
    };
    shared.inbox.lock().unwrap().closed = Some(format!("{reason}, after {:?}", begun.elapsed()));
    shared.changed.send_modify(|count| *count += 1);
    // The other side may be gone already.
    let _ = sink.close().await;
}

/// Takes one Engine.IO packet; answers why the connection is over, if it is.
fn packet(shared: &Shared, answers: &mpsc::UnboundedSender<Message>, text: &str) -> Option<String> {
    let mut inbox = shared.inbox.lock().unwrap();
    let rest = text.get(1..).unwrap_or_default();
    match text.as_bytes().first() {
        Some(b'0') => None,
        Some(b'1') => Some("the server closed the transport".to_owned()),
        Some(b'2') => {
            let _ = answers.send(Message::text("3"));
            None
        }
        Some(b'4') => message(&mut inbox, rest),
        _ => Some(format!("the server sent a packet that is none: {text:?}")),
    }
}

/// Takes one Socket.IO packet.
fn message(inbox: &mut Inbox, text: &str) -> Option<String> {
    let body = text.get(1..).unwrap_or_default();
    match text.as_bytes().first() {
        Some(b'0') => inbox.connected = Some(Ok(parse(body))),
        Some(b'1') => return Some("the server sent DISCONNECT".to_owned()),
        Some(b'2') => match serde_json::from_str::<(&RawValue, &RawValue)>(body) {
            Ok((name, payload)) => {
                let name: String = serde_json::from_str(name.get()).expect("the name of an event");
                inbox.event(&name, payload);
            }
            Err(error) => return Some(format!("not an event with one payload ({error}): {body}")),
        },
        Some(b'3') => {
            let digits = body.len() - body.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let id = body[..digits].parse().expect("an ack id");
            match serde_json::from_str::<(&RawValue,)>(&body[digits..]) {
                Ok((answer,)) => inbox.ack(id, answer),
                Err(error) => return Some(format!("not an ack with one answer ({error}): {body}")),
            }
        }
        Some(b'4') => inbox.connected = Some(Err(parse(body))),
        _ => return Some(format!("the server sent a message that is none: {text:?}")),
    }
    None
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("not JSON ({error}): {body:?}"))
}
