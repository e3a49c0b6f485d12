//! From nothing to a connection, or to the reason why there is none.

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Client, Node};

/// A WebSocket.
pub(crate) type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The handshake was answered with this status and `Retry-After`.
    Http(u16, Option<String>),
    /// CONNECT was answered with an error.
    Connect(Value),
    /// The transport ended before an answer, or there was nobody to talk to.
    Transport(#[allow(dead_code, reason = "shown when a test fails")] String),
}

impl Refusal {
    /// The code word of a CONNECT_ERROR.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Connect(error) => error["message"].as_str().unwrap_or("(no message)"),
            other => panic!("no CONNECT_ERROR but {other:?}"),
        }
    }
}

/// How to connect.
pub(crate) struct Connect {
    auth: Option<String>,
    headers: Vec<(http::HeaderName, String)>,
}

impl Connect {
    /// With this `auth`.
    pub(crate) fn with(auth: &Value) -> Self {
        Self::raw(&auth.to_string())
    }

    /// As a new guest.
    pub(crate) fn guest(name: &str) -> Self {
        Self::with(&json!({"name": name}))
    }

    /// With this text in the place of `auth`.
    pub(crate) fn raw(auth: &str) -> Self {
        Self { auth: Some(auth.to_owned()), headers: Vec::new() }
    }

    /// Without `auth`.
    pub(crate) fn bare() -> Self {
        Self { auth: None, headers: Vec::new() }
    }

    /// As a page of this origin.
    pub(crate) fn origin(self, origin: &str) -> Self {
        self.header(http::header::ORIGIN, origin)
    }

    /// With this header of the handshake; `Host` takes the place of the address.
    pub(crate) fn header(mut self, name: http::HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Connects, which must succeed.
    pub(crate) async fn to(self, node: &Node) -> Client {
        match self.try_to(node).await {
            Ok(client) => client,
            Err(refusal) => panic!("{} refused the connection: {refusal:?}", node.id()),
        }
    }

    /// Connects, or says why not.
    pub(crate) async fn try_to(self, node: &Node) -> Result<Client, Refusal> {
        let stream = self.handshake(node).await?;
        Client::begin(stream, self.auth.as_deref().unwrap_or_default()).await
    }

    /// Whether the handshake passes; says no more than that.
    pub(crate) async fn passes(self, node: &Node) -> Option<()> {
        self.handshake(node).await.ok().map(drop)
    }

    async fn handshake(&self, node: &Node) -> Result<Stream, Refusal> {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", node.authority());
        let mut request = url.into_client_request().expect("a URL");
        for (name, value) in &self.headers {
            let value = http::HeaderValue::from_str(value).expect("the value of a header");
            request.headers_mut().insert(name, value);
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(stream),
            Err(tungstenite::Error::Http(response)) => {
                let retry = response.headers().get(http::header::RETRY_AFTER);
                let retry = retry.map(|value| value.to_str().expect("ASCII").to_owned());
                Err(Refusal::Http(response.status().as_u16(), retry))
            }
            Err(error) => Err(Refusal::Transport(error.to_string())),
        }
    }
}
