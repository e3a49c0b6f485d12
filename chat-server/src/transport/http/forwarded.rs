//! Who sent a request: the peer, or what a proxy that is trusted says of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::domain::address::Stranger;
use crate::domain::limits::MANY_STRANGERS;
use crate::observability::throttle::Throttle;

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those of these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether an address is that of a proxy that is believed.
    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The stranger that sent a request: the first address, from the peer on and then from the right through
    /// `X-Forwarded-For`, that is no trusted proxy's. If that can't be told, it is the peer, which others may share: all are
    /// proxies; or none is named, and the peer is of a private network, so that it may be a proxy that stands for all clients.
    #[must_use]
    pub fn stranger(&self, peer: IpAddr, headers: &HeaderMap) -> Stranger {
        let peer = peer.to_canonical();
        if self.0.is_empty() && is_local(peer) {
            if headers.contains_key("x-forwarded-for") {
                advise(peer);
            }
            return Stranger::Shared(peer.into());
        }
        if !self.trust(peer) {
            return Stranger::Network(peer.into());
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let texts = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        let addresses = texts.map(|text| address_of(text.trim()));
        // What is not an address says nothing, and neither does what is left of it.
        let first = addresses.map_while(|address| address).find(|address| !self.trust(*address));
        first.map_or(Stranger::Shared(peer.into()), |address| Stranger::Network(address.into()))
    }
}

/// An address, alone or with a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let alone = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = alone.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}

/// Whether an address is of this machine or a private network.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Says, once a minute at most, that limits by address need to know the proxy.
fn advise(peer: IpAddr) {
    static ADVISED: LazyLock<Throttle> = LazyLock::new(Throttle::default);
    if let Some(suppressed) = ADVISED.pass() {
        tracing::warn!(
            %peer,
            suppressed,
            "clients come through a proxy that --trusted-proxies does not name: their limits by address are those of {MANY_STRANGERS} addresses, for all of them together"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(trusted: &[&str], peer: &str, forwarded: &[&str]) -> Stranger {
        let proxies = Proxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies.stranger(peer.parse().unwrap(), &headers)
    }

    fn network(address: &str) -> Stranger {
        Stranger::Network(address.parse::<IpAddr>().unwrap().into())
    }

    fn shared(address: &str) -> Stranger {
        Stranger::Shared(address.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn only_a_trusted_proxy_tells_the_address() {
        let trusted = ["10.0.0.0/8", "2001:db8::/64"];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("::ffff:192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("2001:db8::5", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7,10.9.9.9", "10.1.1.1"], "198.51.100.7"),
            ("10.0.0.1", &["nonsense, 198.51.100.7:5000"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8:5::1]:5000"], "2001:db8:5::9"),
            ("10.0.0.1", &["[2001:db8:5::1]"], "2001:db8:5::9"),
            ("192.168.1.1", &["198.51.100.7"], "192.168.1.1"),
        ] {
            assert_eq!(stranger(&trusted, peer, forwarded), network(expected), "{peer} {forwarded:?}");
        }
        for forwarded in [&[][..], &["10.2.2.2"], &["198.51.100.7, unknown"], &["é"]] {
            assert_eq!(stranger(&trusted, "10.0.0.1", forwarded), shared("10.0.0.1"), "{forwarded:?}");
        }
    }

    #[test]
    fn a_proxy_that_nobody_named_is_not_taken_for_a_client() {
        for peer in
            ["127.0.0.1", "10.0.0.1", "172.20.0.3", "192.168.1.1", "100.64.0.1", "169.254.1.1", "::1", "fd00::1"]
        {
            assert_eq!(stranger(&[], peer, &["198.51.100.7"]), shared(peer), "{peer}");
        }
        for peer in ["192.0.2.1", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(stranger(&[], peer, &["198.51.100.7"]), network(peer), "{peer}");
        }
    }
}
