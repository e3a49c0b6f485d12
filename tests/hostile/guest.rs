//! A stranger's connections, from an address of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// How long a stranger waits for anything.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is told to who gets no answer.
pub(super) const CLOSED: &str = "closed";

/// A connection from an address to another.
pub(super) async fn dial(from: Ipv4Addr, to: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).expect("an address of the loopback network");
    timeout(PATIENCE, socket.connect(to)).await.ok()?.ok()
}

/// Says something, and reads to the end; the status of the answer, if there is one.
pub(super) async fn status(from: Ipv4Addr, to: SocketAddr, request: &str) -> String {
    let Some(mut stream) = dial(from, to).await else { return CLOSED.to_owned() };
    let mut answer = Vec::new();
    let conversation = async {
        // It may be closed before all is said, and after it has answered.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    let _ = timeout(PATIENCE, conversation).await;
    status_of(&answer)
}

/// The status at the begin of an answer.
pub(super) fn status_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.unwrap_or(CLOSED).to_owned()
}

/// A socket with a session.
pub(super) struct Guest {
    socket: WebSocketStream<TcpStream>,
    asked: u64,
    /// The event `session`.
    pub(super) session: Value,
}

impl Guest {
    /// Connects, or what it is told instead.
    pub(super) async fn connect(from: Ipv4Addr, to: SocketAddr, auth: &Value) -> Result<Self, String> {
        let connected = timeout(PATIENCE, Self::begin(from, to, auth)).await;
        connected.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    async fn begin(from: Ipv4Addr, to: SocketAddr, auth: &Value) -> Result<Self, String> {
        let closed = || CLOSED.to_owned();
        let stream = dial(from, to).await.ok_or_else(closed)?;
        let url = format!("ws://{to}/socket.io/?EIO=4&transport=websocket");
        let socket = match tokio_tungstenite::client_async(url, stream).await {
            Ok((socket, _)) => socket,
            Err(tungstenite::Error::Http(answer)) => return Err(answer.status().as_str().to_owned()),
            Err(_) => return Err(closed()),
        };
        let mut guest = Self { socket, asked: 0, session: Value::Null };
        guest.say(format!("40{auth}")).await.ok_or_else(closed)?;
        loop {
            let text = guest.hear().await.ok_or_else(closed)?;
            if let Some(error) = text.strip_prefix("44") {
                let error: Value = serde_json::from_str(error).expect("a CONNECT_ERROR");
                return Err(error["message"].as_str().expect("its code").to_owned());
            }
            if let Some(session) = text.strip_prefix("42[\"session\",") {
                let session = session.strip_suffix(']').expect("an event");
                guest.session = serde_json::from_str(session).expect("a session");
                return Ok(guest);
            }
        }
    }

    /// What continues its session.
    pub(super) fn resume(&self) -> Value {
        json!({"resume": self.session["resume"]})
    }

    async fn say(&mut self, packet: String) -> Option<()> {
        self.socket.send(Message::text(packet)).await.ok()
    }

    async fn hear(&mut self) -> Option<String> {
        loop {
            let Message::Text(text) = self.socket.next().await?.ok()? else { continue };
            if text.as_str() == "2" {
                self.say("3".to_owned()).await?;
                continue;
            }
            return Some(text.as_str().to_owned());
        }
    }

    /// Asks without waiting for the answer.
    pub(super) async fn ask(&mut self, event: &str, payload: &Value) -> Option<u64> {
        self.asked += 1;
        self.say(format!("42{}{}", self.asked, json!([event, payload]))).await?;
        Some(self.asked)
    }

    /// The next answer, whatever it answers.
    pub(super) async fn answer(&mut self) -> Option<Value> {
        let next = async {
            loop {
                let text = self.hear().await?;
                let Some(rest) = text.strip_prefix("43") else { continue };
                let (answer,): (Value,) =
                    serde_json::from_str(rest.trim_start_matches(|c: char| c.is_ascii_digit())).ok()?;
                return Some(answer);
            }
        };
        timeout(PATIENCE, next).await.ok()?
    }

    /// Asks, and waits for the answer.
    pub(super) async fn request(&mut self, event: &str, payload: Value) -> Option<Value> {
        self.ask(event, &payload).await?;
        self.answer().await
    }
}

/// What an answer tells: `ok`, or the code and the limit.
pub(super) fn told(answer: Option<&Value>) -> String {
    let Some(answer) = answer else { return CLOSED.to_owned() };
    if answer["ok"] == true {
        return super::tally::OK.to_owned();
    }
    let error = &answer["error"];
    let words = [&error["code"], &error["limit"]].map(|word| word.as_str().unwrap_or_default());
    words.join(" ").trim_end().to_owned()
}
