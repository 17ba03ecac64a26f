//! Viewers by the address that they are seen at, to find those of one home.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ticket::PeerId;

/// The address of IPv4, the network of IPv6: [`link::nat::same_home`].
fn home(seen: IpAddr) -> [u8; 8] {
    let mut home = [0; 8];
    match seen.to_canonical() {
        IpAddr::V4(ip) => home[4..].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => home.copy_from_slice(&ip.octets()[..8]),
    }
    home
}

/// Viewers by home.
#[derive(Default)]
pub(super) struct Homes(BTreeMap<[u8; 8], BTreeSet<PeerId>>);

impl Homes {
    pub(super) fn insert(&mut self, seen: IpAddr, peer: PeerId) {
        self.0.entry(home(seen)).or_default().insert(peer);
    }

    pub(super) fn remove(&mut self, seen: IpAddr, peer: &PeerId) {
        if let Some(peers) = self.0.get_mut(&home(seen)) {
            peers.remove(peer);
            if peers.is_empty() {
                self.0.remove(&home(seen));
            }
        }
    }

    pub(super) fn of(&self, seen: IpAddr) -> impl Iterator<Item = &PeerId> {
        self.0.get(&home(seen)).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_home_are_found_and_nobody_is_kept_who_left() {
        let mut homes = Homes::default();
        let seen = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];
        for (number, ip) in (0..).zip(seen) {
            homes.insert(ip.parse().unwrap(), PeerId([number; 32]));
        }
        let of = |homes: &Homes, ip: &str| homes.of(ip.parse().unwrap()).count();
        assert_eq!(of(&homes, "192.0.2.1"), 2);
        assert_eq!(of(&homes, "::ffff:192.0.2.2"), 1);
        assert_eq!(of(&homes, "2001:db8::9"), 2);
        assert_eq!(of(&homes, "2001:db8:1::9"), 0);
        for (number, ip) in (0..).zip(seen) {
            homes.remove(ip.parse().unwrap(), &PeerId([number; 32]));
        }
        assert!(homes.0.is_empty());
    }
}
