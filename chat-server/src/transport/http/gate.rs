//! Who gets to the handshake: pages of allowed origins, while the node takes sockets.
//!
//! What passes by itself is refused with 503 before a connection is made: proxies try the next
//! node, and stock clients try again. CORS does not cover WebSockets, so origins are checked here
//! for both transports.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::domain::address::Stranger;
use crate::lifecycle::{Lifecycle, NodeState};
use crate::observability::metrics::{HandshakeRefusal, Metrics};
use crate::observability::throttle::{Throttle, shown};
use crate::store::Health;
use crate::transport::http::forwarded::Proxies;
use crate::transport::socketio::connection::Connection;
use crate::transport::socketio::engine_error::EngineError;
use crate::transport::socketio::{Clients, Strangers};

const RETRY_AFTER: Duration = Duration::from_secs(2);
/// A year. Subdomains may be others' services.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Decides about handshakes.
#[derive(Clone)]
pub struct Gate {
    /// Whether the node takes sockets.
    pub lifecycle: Arc<Lifecycle>,
    /// Whether there is somewhere to put what they say.
    pub health: Arc<dyn Health>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whose pages may connect.
    pub origins: Arc<Origins>,
    /// Who is believed to say whose request it is.
    pub proxies: Proxies,
    /// How often strangers may make handshakes.
    pub strangers: Strangers,
    /// The sockets of the node.
    pub clients: Clients,
    /// How many may be; 0 is no limit.
    pub max_connections: usize,
}

impl Gate {
    /// Why a request does not pass, and how soon to try again. Notes whose it is if it begins a session.
    fn refusal(&self, request: &mut Request) -> Option<(HandshakeRefusal, Duration)> {
        let address = address(request);
        if !self.origins.allow(request.headers(), address) {
            self.origins.log_refusal(request.headers(), address);
            return Some((HandshakeRefusal::Origin, RETRY_AFTER));
        }
        if has_session(request) || request.method() == Method::OPTIONS {
            return None;
        }
        if let Some(refusal) = self.busy() {
            return Some((refusal, RETRY_AFTER));
        }
        let stranger =
            address.map_or_else(Stranger::default, |address| self.proxies.stranger(address, request.headers()));
        request.extensions_mut().insert(stranger);
        if let Err(wait) = self.strangers.handshake(stranger) {
            return Some((HandshakeRefusal::Address, wait.max(RETRY_AFTER)));
        }
        (!self.clients.reserve(self.max_connections)).then_some((HandshakeRefusal::Full, RETRY_AFTER))
    }

    /// Why the node takes no new sockets now.
    fn busy(&self) -> Option<HandshakeRefusal> {
        let state = self.lifecycle.state();
        if state == NodeState::Draining {
            Some(HandshakeRefusal::Draining)
        } else if state == NodeState::Cordoned {
            Some(HandshakeRefusal::Cordoned)
        } else if !self.lifecycle.has_started() || !self.lifecycle.is_bus_healthy() || !self.health.is_available() {
            Some(HandshakeRefusal::Unavailable)
        } else if self.max_connections > 0 && self.clients.count() >= self.max_connections {
            Some(HandshakeRefusal::Full)
        } else {
            None
        }
    }
}

fn has_session(request: &Request) -> bool {
    request.uri().query().unwrap_or_default().split('&').any(|pair| pair.starts_with("sid="))
}

/// Lets a request of Socket.IO pass, or refuses it.
pub async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Some((refusal, wait)) = gate.refusal(&mut request) else {
        let polls = has_session(&request);
        let response = next.run(request).await;
        // A proxy that holds clients to nodes by their address sends a client that this node did not
        // take here all the same, with each poll. It gets to where it was taken in the same way as
        // with its handshake.
        if polls && response.status() == StatusCode::BAD_REQUEST && gate.busy().is_some() {
            return unavailable("this session may be with another node: try there\n".to_owned(), RETRY_AFTER);
        }
        return response;
    };
    gate.metrics.handshake_refused(refusal);
    let word = refusal.as_str();
    match refusal {
        HandshakeRefusal::Origin => EngineError::Forbidden.into_response(),
        HandshakeRefusal::Unavailable
        | HandshakeRefusal::Cordoned
        | HandshakeRefusal::Draining
        | HandshakeRefusal::Full => {
            let trouble = gate.health.trouble().filter(|_| refusal == HandshakeRefusal::Unavailable);
            let why = trouble.map_or(String::new(), |trouble| format!(" ({})", trouble.as_str()));
            unavailable(format!("{word}{why}: try again\n"), wait)
        }
        HandshakeRefusal::Address => {
            unavailable(format!("{word}: too many connections from your address; try again\n"), wait)
        }
    }
}

/// Has browsers that came by TLS, as a trusted proxy tells, come by TLS only from then on.
pub async fn strict_transport(State(origins): State<Arc<Origins>>, request: Request, next: Next) -> Response {
    let secure = origins.told_scheme(request.headers(), address(&request)) == Some("https");
    let mut response = next.run(request).await;
    if secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    response
}

/// The peer of the connection.
fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<Connection>>().map(|ConnectInfo(connection)| connection.address().ip())
}

fn unavailable(text: String, wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1000).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], text).into_response()
}

/// Whose pages may connect.
pub struct Origins {
    allowed: Vec<String>,
    proxies: Proxies,
    refused: Throttle,
}

impl Origins {
    /// Pages of `allowed`, and those that this server's own address served. What is said of the
    /// scheme is believed only from `proxies`.
    #[must_use]
    pub fn new(allowed: Vec<String>, proxies: Proxies) -> Self {
        Self { allowed, proxies, refused: Throttle::default() }
    }

    fn allow(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
        // Browsers always say where a page is from; what says nothing is no page.
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_lowercase();
        self.allowed.iter().any(|allowed| allowed == "*" || *allowed == origin) || self.is_own(&origin, headers, peer)
    }

    /// Logs what was compared when an origin was refused, at most once a minute.
    fn log_refusal(&self, headers: &HeaderMap, peer: Option<IpAddr>) {
        let Some(suppressed) = self.refused.pass() else { return };
        let said = |name: &str| headers.get(name).map(shown).unwrap_or_default();
        tracing::warn!(
            origin = said("origin"),
            host = said("host"),
            forwardedHost = said("x-forwarded-host"),
            scheme = self.told_scheme(headers, peer).unwrap_or("not told"),
            allowed = self.allowed.join(","),
            suppressed,
            "a page was refused: its origin is neither the Host of the request nor in --allowed-origins",
        );
    }

    /// The scheme that the client used, where a trusted proxy tells it. Of a WebSocket, Traefik tells `ws` or `wss`.
    fn told_scheme(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<&'static str> {
        let trusted = peer.is_some_and(|peer| self.proxies.trust(peer));
        let told = headers.get("x-forwarded-proto").filter(|_| trusted)?.to_str().ok()?;
        // Of several proxies, the client's own is the first.
        match told.split(',').next()?.trim().to_ascii_lowercase().as_str() {
            "https" | "wss" => Some("https"),
            "http" | "ws" => Some("http"),
            _ => None,
        }
    }

    /// Same host and port; and no page of http, where a trusted proxy tells that this is https. The other way round,
    /// another proxy in front of that one may have ended TLS.
    fn is_own(&self, origin: &str, headers: &HeaderMap, peer: Option<IpAddr>) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_lowercase();
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let told = self.told_scheme(headers, peer);
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let bare = |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_owned();
        !host.is_empty() && bare(authority) == bare(&host) && (scheme == "https" || told != Some("https"))
    }
}

/// What lets a browser read answers for pages of other, allowed origins.
pub fn cors(origins: Arc<Origins>) -> CorsLayer {
    let allow = move |origin: &HeaderValue, request: &Parts| {
        let mut headers = request.headers.clone();
        headers.insert(header::ORIGIN, origin.clone());
        let allowed = origins.allow(&headers, None);
        // Of a preflight nobody else hears.
        if !allowed && request.method == Method::OPTIONS {
            origins.log_refusal(&headers, None);
        }
        allowed
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allow))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        // Those that the client was told to send with its requests: its page is trusted with more than that.
        .allow_headers(AllowHeaders::mirror_request())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(allowed: &[&str], headers: &[(&'static str, &str)]) -> bool {
        let origins = Origins::new(
            allowed.iter().map(|&o| o.to_owned()).collect(),
            Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]),
        );
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        origins.allow(&map, Some([10, 1, 1, 1].into()))
    }

    #[test]
    fn without_a_list_only_ones_own_page_connects() {
        assert!(allowed(&[], &[("origin", "http://chat:3000"), ("host", "chat:3000")]));
        assert!(allowed(&[], &[("origin", "https://chat"), ("host", "chat:443")]));
        assert!(!allowed(&[], &[("origin", "http://evil"), ("host", "chat:3000")]));
        assert!(!allowed(&[], &[("origin", "null"), ("host", "chat:3000")]));
        assert!(allowed(&[], &[("host", "chat:3000")]), "no page, no origin");
    }

    #[test]
    fn listed_origins_connect_and_only_they() {
        assert!(allowed(&["https://a.example"], &[("origin", "https://A.example"), ("host", "chat")]));
        assert!(!allowed(&["https://a.example"], &[("origin", "http://a.example"), ("host", "chat")]));
        assert!(!allowed(&["https://a.example"], &[("origin", "https://a.example.evil"), ("host", "chat")]));
        assert!(allowed(&["*"], &[("origin", "https://any"), ("host", "chat")]));
    }

    #[test]
    fn a_trusted_proxy_tells_the_scheme() {
        let https = [("origin", "https://chat"), ("host", "chat"), ("x-forwarded-proto", "https")];
        let http = [("origin", "http://chat"), ("host", "chat"), ("x-forwarded-proto", "https")];
        assert!(allowed(&[], &https));
        assert!(!allowed(&[], &http));
        let ended_before = [("origin", "https://chat"), ("host", "chat"), ("x-forwarded-proto", "http")];
        assert!(allowed(&[], &ended_before));
        let websocket = [("origin", "https://chat"), ("host", "chat"), ("x-forwarded-proto", "wss")];
        assert!(allowed(&[], &websocket));
        let origins = Origins::new(Vec::new(), Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]));
        let told = |text: &'static str, peer: Option<[u8; 4]>| {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("x-forwarded-proto"),
                HeaderValue::from_static(text),
            )]);
            origins.told_scheme(&headers, peer.map(IpAddr::from))
        };
        let proxy = Some([10, 1, 1, 1]);
        assert_eq!((told("HTTPS", proxy), told("wss", proxy)), (Some("https"), Some("https")));
        assert_eq!((told("http", proxy), told("ws", proxy)), (Some("http"), Some("http")));
        assert_eq!((told("https, http", proxy), told("gopher", proxy)), (Some("https"), None));
        assert_eq!((told("https", Some([11, 1, 1, 1])), told("https", None)), (None, None));
    }
}
