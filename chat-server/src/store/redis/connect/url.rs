//! Parses the URL of Redis.
//!
//! `SCHEME://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE]`: the scheme selects the topology and TLS.
//! An error message never holds a part of the URL, which may be a password.

use percent_encoding::percent_decode_str;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// How Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One server, or a name that always leads to the primary.
    Standalone,
    /// A primary and its replicas. The hosts are sentinels, which know the primary.
    Sentinel,
    /// A Redis Cluster: shards with slots. The hosts are any of its servers.
    Cluster,
}

/// A parsed URL. Holds a password: never logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) topology: Topology,
    pub(crate) tls: bool,
    /// Names or IP addresses, and ports: at least one; exactly one with [`Topology::Standalone`].
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u8,
}

impl Address {
    /// Parses a URL.
    ///
    /// # Errors
    /// What has to be changed.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or(SCHEMES)?;
        let (topology, tls) = match scheme {
            "redis" => (Topology::Standalone, false),
            "rediss" => (Topology::Standalone, true),
            "redis-sentinel" => (Topology::Sentinel, false),
            "rediss-sentinel" => (Topology::Sentinel, true),
            "redis-cluster" => (Topology::Cluster, false),
            "rediss-cluster" => (Topology::Cluster, true),
            _ => return Err(SCHEMES),
        };
        if rest.contains(['?', '#']) {
            return Err("nothing may follow the database: what a query could say has an option of its own");
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let port = if topology == Topology::Sentinel { SENTINEL_PORT } else { PORT };
        let hosts: Vec<_> = hosts.split(',').map(|host| read_host(host, port)).collect::<Result<_, _>>()?;
        if topology == Topology::Standalone && hosts.len() > 1 {
            return Err("redis:// and rediss:// take one host; several are for redis-sentinel:// or redis-cluster://");
        }
        let database = match database {
            "" => 0,
            number => number.parse().map_err(|_| "the database after the host must be a number from 0 to 255")?,
        };
        if topology == Topology::Cluster && database > 0 {
            return Err(
                "a Redis Cluster has database 0 only: leave it out, and keep chats apart by --redis-key-prefix",
            );
        }
        Ok(Self { topology, tls, hosts, username: decode(username)?, password: decode(password)?, database })
    }
}

const SCHEMES: &str =
    "it must begin with redis://, redis-sentinel:// or redis-cluster://, with rediss instead of redis for TLS";

/// `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
fn read_host(text: &str, default: u16) -> Result<(String, u16), &'static str> {
    const UNREADABLE: &str = "a host is a name or an address, an IPv6 address in brackets, and perhaps : and a port";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UNREADABLE)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UNREADABLE)?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("a port must be a number from 1 to 65535")?,
        None if port.is_empty() => default,
        None => return Err(UNREADABLE),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err(UNREADABLE);
    }
    Ok((host.to_owned(), port))
}

fn decode(text: &str) -> Result<Option<String>, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "the user or the password is no UTF-8 once %XX is read")?;
    Ok((!decoded.is_empty()).then(|| decoded.into_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // A test that fails by panicking says enough.
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<(String, u16)> {
        Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).hosts
    }

    fn host(name: &str, port: u16) -> (String, u16) {
        (name.to_owned(), port)
    }

    #[test]
    fn the_scheme_selects_topology_and_tls() {
        for (url, topology, tls) in [
            ("redis://h", Topology::Standalone, false),
            ("rediss://h", Topology::Standalone, true),
            ("redis-sentinel://h", Topology::Sentinel, false),
            ("rediss-sentinel://h", Topology::Sentinel, true),
            ("redis-cluster://h", Topology::Cluster, false),
            ("rediss-cluster://h/0", Topology::Cluster, true),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.topology, address.tls, address.database), (topology, tls, 0), "{url}");
        }
    }

    #[test]
    fn a_host_without_a_port_gets_the_default_port() {
        assert_eq!(hosts("redis://redis.example"), [host("redis.example", 6379)]);
        assert_eq!(hosts("rediss://[::1]:7000/3"), [host("::1", 7000)]);
        assert_eq!(hosts("redis-sentinel://a,b:1,[::1]"), [host("a", 26_379), host("b", 1), host("::1", 26_379)]);
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let address = Address::parse("redis://us%40er:p%3A%2Fw@rd@h/15").unwrap();
        assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("us@er"), Some("p:/w@rd")));
        assert_eq!((address.hosts, address.database), (vec![host("h", 6379)], 15));
        let address = Address::parse("redis://:secret@h").unwrap();
        assert_eq!((address.username, address.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_quoted() {
        for url in [
            "",
            "secret",
            "http://:secret@h",
            "redis://:secret@",
            "redis://:secret@a,b",
            "redis://:secret@h/x",
            "redis://:secret@h/256",
            "redis://:secret@h:99999",
            "redis://:secret@h:0",
            "redis://:secret@h?node=b",
            "redis://:secret@h h",
            "redis://:secret@[::1",
            "redis://:secret@[secret]",
            "redis://:%ff@h",
            "redis-sentinel://:secret@a,,b",
            "redis-cluster://:secret@a,b/1",
        ] {
            let error = Address::parse(url).err().unwrap_or_else(|| panic!("{url} is taken"));
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(url in "(redis|rediss-sentinel|redis-cluster)://[a-z0-9:@,/%\\[\\]]{0,40}|\\PC*") {
            let _ = Address::parse(&url);
        }
    }
}
