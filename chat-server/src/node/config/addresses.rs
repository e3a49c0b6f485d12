//! Values of options that are compared with what browsers and proxies send. One that can match nothing is refused, with
//! what to write in its place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What an origin is, in words.
const ORIGIN: &str = "an origin is https:// or http://, a host and perhaps a port, such as https://chat.example.com";

/// Parses an origin as browsers send it: a scheme, a host, and a port that is not the scheme's own. Case does not matter.
///
/// # Errors
/// What to write instead.
pub(super) fn parse_origin(text: &str) -> Result<String, String> {
    let text = text.trim().to_lowercase();
    if text == "*" {
        return Ok(text);
    }
    if text == "null" {
        return Err("`null` is sent by any page that has no origin, a stranger's too: it can't be allowed".to_owned());
    }
    let Some((scheme @ ("http" | "https"), rest)) = text.split_once("://") else { return Err(ORIGIN.to_owned()) };
    if rest.contains('*') {
        return Err("`*` stands alone, for all origins, and not for a part of one: list each origin".to_owned());
    }
    if !rest.is_ascii() {
        return Err("browsers send the host in Punycode: write xn--… in place of other characters".to_owned());
    }
    if let Some(end) = rest.find(['/', '?', '#']).filter(|end| *end > 0) {
        return Err(format!("browsers send nothing after the host and the port: write {scheme}://{}", &rest[..end]));
    }
    let (host, port) = split_port(rest);
    let host = canonical_host(host)?;
    let Some(port) = port else { return Ok(format!("{scheme}://{host}")) };
    let own = if scheme == "https" { 443 } else { 80 };
    match port.parse::<u16>() {
        Ok(port) if port == own => {
            Err(format!("browsers leave out {own}, the port of {scheme}: write {scheme}://{host}"))
        }
        Ok(number) if number > 0 && number.to_string() == port => Ok(format!("{scheme}://{host}:{port}")),
        _ => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

/// Splits `HOST[:PORT]`.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A host as browsers write it.
fn canonical_host(host: &str) -> Result<String, String> {
    let other = |written: String| if written == host { Ok(written) } else { Err(format!("browsers write {written}")) };
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return other(format!("[{}]", address.parse::<Ipv6Addr>().map_err(|_| ORIGIN.to_owned())?));
    }
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    match last.bytes().next() {
        Some(_) if !is_name => Err(ORIGIN.to_owned()),
        // Browsers take a host that ends in a number for an address.
        Some(first) if first.is_ascii_digit() && last.bytes().all(|byte| byte.is_ascii_digit()) => {
            other(host.parse::<Ipv4Addr>().map_err(|_| ORIGIN.to_owned())?.to_string())
        }
        Some(_) => Ok(host.to_owned()),
        None => Err(ORIGIN.to_owned()),
    }
}

/// Parses a network of proxies, or one address.
///
/// # Errors
/// What to write instead.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| "not a network such as 10.0.0.0/8, nor an address".to_owned())?,
    };
    if network.trunc() != network {
        let (meant, alone) = (network.trunc(), network.addr());
        return Err(format!("{network} begins within its network: write {meant} for all of it, or {alone} alone"));
    }
    match network {
        // The address of a peer is compared as IPv4, however it came in.
        IpNet::V6(mapped) if mapped.prefix_len() >= 96 && mapped.addr().to_ipv4_mapped().is_some() => {
            Err("write IPv4 networks as such: 10.0.0.0/8, not ::ffff:10.0.0.0/104".to_owned())
        }
        network => Ok(network),
    }
}

/// Refuses a list that has `*`, which allows all, and something beside it.
///
/// # Errors
/// What to write instead.
pub(super) fn check_wildcard(option: &str, list: &[String]) -> Result<(), String> {
    if list.len() > 1 && list.iter().any(|entry| entry == "*") {
        return Err(format!("{option}: `*` allows all, whatever stands beside it: leave out `*` or the rest"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_as_browsers_send_it() {
        for (text, origin) in [
            ("https://A.example", "https://a.example"),
            (" HTTP://a.example:8080 ", "http://a.example:8080"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://localhost", "http://localhost"),
            ("http://192.0.2.1:3000", "http://192.0.2.1:3000"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://chat_1.example.", "https://chat_1.example."),
            ("*", "*"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(origin), "{text}");
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_what_to_write() {
        for (text, hint) in [
            ("https://a.example/", "write https://a.example"),
            ("https://a.example/chat", "write https://a.example"),
            ("https://a.example:8443?x", "write https://a.example:8443"),
            ("https://a.example:443", "write https://a.example"),
            ("http://a.example:80", "write http://a.example"),
            ("https://[2001:db8::1]:443", "write https://[2001:db8::1]"),
            ("https://[2001:db8:0::1]", "browsers write [2001:db8::1]"),
            ("https://a.example:08443", "from 1 to 65535"),
            ("https://a.example:0", "from 1 to 65535"),
            ("https://a.example:", "from 1 to 65535"),
            ("https://a.example:70000", "from 1 to 65535"),
            ("https://*.example.com", "list each origin"),
            ("https://bücher.example", "xn--"),
            ("null", "stranger"),
            ("a.example", "https://"),
            ("a.example:3000", "https://"),
            ("//a.example", "https://"),
            ("ftp://a.example", "https://"),
            ("wss://a.example", "https://"),
            ("https://user@a.example", "https://"),
            ("https://", "https://"),
            ("https:///", "https://"),
            ("https://:443", "https://"),
            ("https://127.1", "https://"),
            ("https://a b", "https://"),
            ("", "https://"),
        ] {
            let why = parse_origin(text).expect_err(text);
            assert!(why.contains(hint), "{text}: {why}");
        }
    }

    #[test]
    fn a_network_of_proxies_is_one_and_is_compared_with() {
        for (text, network) in [("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("fd00::/8", "fd00::/8")] {
            assert_eq!(parse_network(text).map(|network| network.to_string()).as_deref(), Ok(network));
        }
        for (text, hint) in [
            ("nginx", "10.0.0.0/8"),
            ("10.0.0.0/33", "10.0.0.0/8"),
            ("10.0.0", "10.0.0.0/8"),
            ("10.0.0.0-10.0.0.9", "10.0.0.0/8"),
            ("", "10.0.0.0/8"),
            ("10.1.2.3/8", "write 10.0.0.0/8 for all of it, or 10.1.2.3 alone"),
            ("fd00::1/8", "write fd00::/8"),
            ("::ffff:10.0.0.0/104", "as such"),
            ("::ffff:10.0.0.1", "as such"),
        ] {
            let why = parse_network(text).expect_err(text);
            assert!(why.contains(hint), "{text}: {why}");
        }
    }
}
