//! Whom an address stands for.

use std::net::IpAddr;

/// Whoever is counted as one stranger: an IPv4 address, or the 64 bits of an IPv6 address that name a network, as whoever
/// has one address of it has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBlock(u64);

impl AddressBlock {
    /// The 48 bits of an IPv6 address that a provider assigns to one customer, who has 65,536 networks with them; `None`
    /// for an IPv4 address.
    #[must_use]
    pub fn customer(self) -> Option<Self> {
        (self.0 >> 32 != 0).then_some(Self(self.0 & !0xffff))
    }
}

/// Who begins something here, as far as addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// A household, an office or a school.
    Network(AddressBlock),
    /// Perhaps everybody: an address of a private network, which may be that of a proxy that nobody named.
    Shared(AddressBlock),
}

impl Default for Stranger {
    /// One whose address is not known.
    fn default() -> Self {
        Self::Shared(AddressBlock(0))
    }
}

impl From<IpAddr> for AddressBlock {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 address that is routed begins with 32 zero bits.
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self([a, b, c, d].iter().fold(0, |bits, part| bits << 16 | u64::from(*part)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: &str) -> AddressBlock {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_network_of_ipv6_is_one_stranger_and_an_address_of_ipv4() {
        assert_eq!(block("2001:db8:1:2::1"), block("2001:db8:1:2:ffff::9"));
        assert_ne!(block("2001:db8:1:2::1"), block("2001:db8:1:3::1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("192.0.2.1"), block("::ffff:192.0.2.1"));
    }

    #[test]
    fn all_networks_of_a_48_are_one_customer() {
        let customer = |address| block(address).customer();
        assert!(customer("2001:db8:1:2::1").is_some());
        assert_eq!(customer("2001:db8:1:2::1"), customer("2001:db8:1:ffff::1"));
        assert_ne!(customer("2001:db8:1:2::1"), customer("2001:db8:2:2::1"));
        assert_eq!((customer("192.0.2.1"), customer("::ffff:192.0.2.1")), (None, None));
    }
}
