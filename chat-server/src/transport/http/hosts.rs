//! By which names this server may be asked. A name that a stranger made lead here (DNS rebinding) would make the stranger's
//! page one of this server's own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::observability::throttle::{Throttle, shown};

/// By which names this server may be asked.
pub struct Hosts {
    served: Served,
    refused: Throttle,
}

enum Served {
    /// By any.
    Any,
    /// By the machine's own: `localhost`, and loopback addresses, which nobody can make lead elsewhere.
    Loopback,
    /// By these, in lower case.
    Listed(Vec<String>),
}

impl Hosts {
    /// Those of `allowed`, where `*` is any. Where the list is empty: any, or on a loopback address only those of the
    /// machine itself.
    #[must_use]
    pub fn new(allowed: &[String], listen: SocketAddr) -> Self {
        let served = match allowed {
            [] if listen.ip().is_loopback() => Served::Loopback,
            [] => Served::Any,
            some if some.iter().any(|host| host == "*") => Served::Any,
            some => Served::Listed(some.to_vec()),
        };
        Self { served, refused: Throttle::default() }
    }

    fn allow(&self, host: Option<&str>) -> bool {
        let host = host.map(without_port);
        match &self.served {
            Served::Any => true,
            Served::Loopback => host.is_some_and(is_loopback),
            Served::Listed(listed) => {
                host.is_some_and(|host| listed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)))
            }
        }
    }

    /// Logs what was compared when a host was refused, at most once a minute.
    fn log_refusal(&self, host: Option<&HeaderValue>) {
        let Some(suppressed) = self.refused.pass() else { return };
        let allowed = match &self.served {
            Served::Any => "*".to_owned(),
            Served::Loopback => "localhost and loopback addresses, as --listen is one".to_owned(),
            Served::Listed(listed) => listed.join(","),
        };
        let host = host.map(shown).unwrap_or_default();
        tracing::warn!(host, allowed, suppressed, "a request was refused: its Host is none of --allowed-hosts");
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host without a port: `host`, `host:80`, `[::1]`, `[::1]:80`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// A host as `--allowed-hosts` takes it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<String, String> {
    let host = text.trim().to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    let is_name =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Ok(format!("[{address}]")),
        _ if host == "*" || !host.is_empty() && is_name(&host) => Ok(host),
        _ if host.contains('*') => {
            Err("`*` stands alone, for all hosts, and not for a part of one: list each".to_owned())
        }
        _ if !host.is_ascii() => {
            Err("clients send a host in Punycode: write xn--… in place of other characters".to_owned())
        }
        _ => Err("a host is a name or an address without a scheme and a port, such as chat.example.com".to_owned()),
    }
}

/// Answers 421 to a request for a host that is not this server's.
pub async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    if hosts.allow(host.or_else(|| request.uri().host())) {
        return next.run(request).await;
    }
    hosts.log_refusal(request.headers().get(header::HOST));
    (StatusCode::MISDIRECTED_REQUEST, "not a host of this server: see --allowed-hosts\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(allowed: &[&str], listen: &str) -> Hosts {
        let allowed: Vec<String> = allowed.iter().map(|host| parse(host).unwrap()).collect();
        Hosts::new(&allowed, listen.parse().unwrap())
    }

    #[test]
    fn a_listed_host_is_served_on_any_port_and_another_is_not() {
        let hosts = hosts(&["Chat.example.com", "::1"], "0.0.0.0:3000");
        for host in ["chat.example.com", "CHAT.example.com:8443", "[::1]:3000", "[::1]"] {
            assert!(hosts.allow(Some(host)), "{host}");
        }
        for host in
            ["evil.example", "chat.example.com.evil.example", "chat.example.com:x", "", "::1", ":80", "127.0.0.1"]
        {
            assert!(!hosts.allow(Some(host)), "{host}");
        }
        assert!(!hosts.allow(None));
    }

    #[test]
    fn without_a_list_only_a_loopback_port_asks_for_the_host() {
        for listen in ["127.0.0.1:3000", "[::1]:3000"] {
            let hosts = hosts(&[], listen);
            for host in ["localhost:3000", "127.0.0.1:80", "127.77.0.2", "[::1]:3000"] {
                assert!(hosts.allow(Some(host)), "{host}");
            }
            for host in ["rebound.example:3000", "127.0.0.1.rebound.example", "10.0.0.1", ""] {
                assert!(!hosts.allow(Some(host)), "{host}");
            }
        }
        assert!(hosts(&[], "0.0.0.0:3000").allow(Some("chat.example.com")));
        assert!(hosts(&["*"], "127.0.0.1:3000").allow(Some("rebound.example")));
    }

    #[test]
    fn a_host_has_no_scheme_and_no_port() {
        for bad in [
            "",
            "https://chat.example.com",
            "chat.example.com:443",
            "a b",
            "[::1",
            "chat/",
            "*.example.com",
            "bücher.example",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
