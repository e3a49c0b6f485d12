//! Validates origins and networks: the schema's patterns accept some with which a node does not start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::validated::SpecError;
use crate::api::reason::Reason;

fn invalid(message: String) -> SpecError {
    SpecError { reason: Reason::InvalidValue, message }
}

/// Checks the networks of trusted proxies.
///
/// # Errors
/// What to write instead of the first one that is none.
pub(super) fn check_networks(networks: &[String]) -> Result<(), SpecError> {
    networks.iter().try_for_each(|network| {
        check_network(network).map_err(|why| invalid(format!("spec.exposure.trustedProxies: {network} {why}")))
    })
}

fn check_network(text: &str) -> Result<(), String> {
    const NONE: &str = "is neither a network such as 10.0.0.0/8 nor an address";
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| NONE.to_owned())?;
    let (bits, longest) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let length: u32 = length.map_or(Ok(longest), str::parse).map_err(|_| NONE.to_owned())?;
    if length > longest {
        return Err(NONE.to_owned());
    }
    let within = bits & u128::MAX.checked_shr(length).unwrap_or(0);
    if within != 0 {
        let start = match address {
            IpAddr::V4(address) => {
                Ipv4Addr::from_bits(address.to_bits() & !u32::MAX.checked_shr(length).unwrap_or(0)).into()
            }
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from_bits(bits ^ within)),
        };
        return Err(format!("begins within its network: write {start}/{length} for all of it, or {address} alone"));
    }
    match address {
        IpAddr::V6(mapped) if length >= 96 && mapped.to_ipv4_mapped().is_some() => {
            Err("is an IPv4 network: write it as such".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks the allowed origins.
///
/// # Errors
/// What is wrong with the first one that no browser sends.
pub(super) fn check_origins(origins: &[String]) -> Result<(), SpecError> {
    origins.iter().try_for_each(|origin| {
        check_origin(origin).map_err(|why| invalid(format!("spec.auth.allowedOrigins: {origin}: {why}")))
    })
}

fn check_origin(origin: &str) -> Result<(), String> {
    let Some((_, authority)) = origin.split_once("://") else { return Ok(()) };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err("a port is a number from 1 to 65535".to_owned());
    }
    let written = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().map(|address| format!("[{address}]")).ok(),
        // Browsers take a host that ends in a number for an address.
        None if host.trim_end_matches('.').rsplit('.').next().is_some_and(is_number) => {
            host.parse::<Ipv4Addr>().map(|address| address.to_string()).ok()
        }
        None => return Ok(()),
    };
    match written {
        Some(written) if written.eq_ignore_ascii_case(host) => Ok(()),
        Some(written) => Err(format!("browsers write {written}")),
        None => Err("its host is neither a name nor an address".to_owned()),
    }
}

fn is_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_none_is_refused_with_what_to_write() {
        for taken in ["10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "fd00::/8", "::1", "192.0.2.8/29", "::/0"] {
            assert_eq!(check_network(taken), Ok(()), "{taken}");
        }
        for (refused, hint) in [
            ("10.0.0.0/33", "neither a network"),
            ("10.0.0/8", "neither a network"),
            ("fd00::/129", "neither a network"),
            ("10.1.2.3/8", "write 10.0.0.0/8 for all of it, or 10.1.2.3 alone"),
            ("192.0.2.9/29", "write 192.0.2.8/29"),
            ("10.0.0.1/0", "write 0.0.0.0/0"),
            ("fd00::1/8", "write fd00::/8"),
            ("::ffff:10.0.0.0/104", "as such"),
        ] {
            let why = check_network(refused).unwrap_err();
            assert!(why.contains(hint), "{refused}: {why}");
        }
    }

    #[test]
    fn an_origin_whose_host_or_port_is_none_is_refused() {
        for taken in ["*", "https://a.example:8443", "http://192.0.2.1", "http://[::1]:3000", "https://A.example"] {
            assert_eq!(check_origin(taken), Ok(()), "{taken}");
        }
        for refused in
            ["https://a.example:70000", "http://127.1", "http://[::g]", "http://[0:0::1]", "http://1.2.3.400"]
        {
            assert!(check_origin(refused).is_err(), "{refused}");
        }
    }
}
