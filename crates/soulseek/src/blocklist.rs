//! Users and addresses that are to be left alone or kept away. What follows for those on a list is
//! decided where they are met: [`crate::listen`], [`crate::connect`], [`crate::peers`],
//! [`crate::upload`] and [`crate::search`].

use std::collections::HashSet;
use std::net::IpAddr;

/// Names, addresses and ranges of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocklist {
    names: HashSet<String>,
    ranges: Vec<Range>,
}

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    base: IpAddr,
    bits: u32,
}

/// An entry that begins as a range of addresses and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is not a range of addresses, such as 192.0.2.0/24")]
pub struct BlocklistError {
    /// The entry.
    pub entry: String,
}

impl Blocklist {
    /// Reads entries: an address (`192.0.2.7`), a range (`192.0.2.0/24`, `2001:db8::/32`), or else
    /// a user's name, exactly as the server spells it.
    pub fn parse<T: AsRef<str>>(
        entries: impl IntoIterator<Item = T>,
    ) -> Result<Blocklist, BlocklistError> {
        let mut list = Blocklist::default();
        for entry in entries {
            let entry = entry.as_ref();
            let (address, bits) = entry
                .split_once('/')
                .map_or((entry, None), |(address, bits)| (address, Some(bits)));
            let Ok(base) = address.parse::<IpAddr>() else {
                list.names.insert(entry.to_owned());
                continue;
            };
            let most = if base.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok());
            match bits.filter(|bits| *bits <= most) {
                Some(bits) => list.ranges.push(Range { base, bits }),
                None => return Err(BlocklistError { entry: entry.to_owned() }),
            }
        }
        Ok(list)
    }

    pub(crate) fn has_user(&self, user: &str) -> bool {
        self.names.contains(user)
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        // A socket for both families shows an IPv4 address in IPv6's clothes.
        let address = address.to_canonical();
        self.ranges.iter().any(|range| range.holds(address))
    }
}

impl Range {
    fn holds(self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ranges_are_told_apart() {
        let list = Blocklist::parse([
            "mallory",
            "10/8 club",
            "192.0.2.7",
            "198.51.100.0/24",
            "2001:db8::/32",
            "0.0.0.0/1",
        ])
        .unwrap();
        assert!(list.has_user("mallory") && list.has_user("10/8 club"));
        assert!(!list.has_user("Mallory") && !list.has_user("192.0.2.7"));
        let has = |address: &str| list.has_address(address.parse().unwrap());
        for inside in
            ["192.0.2.7", "198.51.100.255", "::ffff:198.51.100.1", "2001:db8:1::", "127.0.0.1"]
        {
            assert!(has(inside), "{inside}");
        }
        for outside in ["192.0.2.8", "198.51.101.0", "2001:db9::", "128.0.0.1", "::1"] {
            assert!(!has(outside), "{outside}");
        }
    }

    #[test]
    fn everything_can_be_on_a_list_and_half_a_range_cannot() {
        let all = Blocklist::parse(["0.0.0.0/0", "::/0"]).unwrap();
        assert!(all.has_address(IpAddr::from([203, 0, 113, 9])));
        assert!(all.has_address("2001:db8::1".parse().unwrap()));
        for entry in ["192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "::/129", "192.0.2.0/24/8"] {
            let refused = Blocklist::parse(["ada", entry]).unwrap_err();
            assert_eq!(refused.entry, entry);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_entry_panics(entry: String, address: IpAddr) {
            if let Ok(list) = Blocklist::parse([&entry]) {
                let _ = list.has_address(address);
            }
        }
    }
}
