//! `ip("…")`: an address, a range of addresses or a network.

use std::net::IpAddr;

/// The addresses from `first` to `last`, both included and of the same family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded::loki) struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

impl IpRange {
    /// Parses `10.0.0.1`, `10.0.0.1-10.0.0.9` or `10.0.0.0/8`, also with IPv6.
    pub(super) fn parse(text: &str) -> Option<IpRange> {
        if let Some((address, length)) = text.split_once('/') {
            return network(address.trim().parse().ok()?, length.trim().parse().ok()?);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = IpRange {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
        };
        let is_valid = range.first.is_ipv4() == range.last.is_ipv4() && range.first <= range.last;
        is_valid.then_some(range)
    }

    /// Returns whether the text contains an address of the range.
    pub(in crate::embedded::loki) fn is_in(&self, text: &str) -> bool {
        let is_ipv4 = self.first.is_ipv4();
        let is_part = |c: char| match is_ipv4 {
            true => c.is_ascii_digit() || c == '.',
            false => c.is_ascii_hexdigit() || matches!(c, ':' | '.'),
        };
        let parts = text.split(|c| !is_part(c)).filter(|part| !part.is_empty());
        let mut addresses = parts.filter_map(|part| {
            let plain = || part.trim_end_matches('.').parse().ok();
            // The port of `10.0.0.1:80` is apart already; an IPv6 address at the end of a sentence has a colon or dot.
            plain().or_else(|| part.trim_end_matches([':', '.']).parse().ok())
        });
        addresses.any(|address: IpAddr| {
            address.is_ipv4() == is_ipv4 && (self.first..=self.last).contains(&address)
        })
    }
}

fn network(address: IpAddr, length: u32) -> Option<IpRange> {
    let (first, last) = match address {
        IpAddr::V4(address) if length <= 32 => {
            let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.to_bits();
            (
                IpAddr::V4((bits & !hosts).into()),
                IpAddr::V4((bits | hosts).into()),
            )
        }
        IpAddr::V6(address) if length <= 128 => {
            let hosts = u128::MAX.checked_shr(length).unwrap_or(0);
            let bits = address.to_bits();
            (
                IpAddr::V6((bits & !hosts).into()),
                IpAddr::V6((bits | hosts).into()),
            )
        }
        _ => return None,
    };
    Some(IpRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_texts() {
        for (pattern, text, is_in) in [
            ("10.0.0.1", "from 10.0.0.1:80 to", true),
            ("10.0.0.1", "from 10.0.0.11 to", false),
            ("10.0.0.0/8", "peer=10.20.30.40.", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("192.168.4.5-192.168.4.20", "192.168.4.20", true),
            ("192.168.4.5-192.168.4.20", "192.168.4.21", false),
            ("2001:db8::/32", "[2001:db8::68]:443", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "no address: 10", false),
        ] {
            let range = IpRange::parse(pattern).unwrap();
            assert_eq!(range.is_in(text), is_in, "{pattern} in {text}");
        }
        for bad in [
            "",
            "x",
            "10.0.0.1/33",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-::1",
            "10.0.0",
        ] {
            assert_eq!(IpRange::parse(bad), None, "{bad}");
        }
    }
}
