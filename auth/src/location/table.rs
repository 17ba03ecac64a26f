//! The operator's prefix table: the longest prefix that holds an address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ticket::Location;

use crate::store::Prefix;

/// One map per length of prefix, the longest first: as many steps as there are lengths in use.
#[derive(Debug, Default)]
pub(super) struct Table {
    v4: Vec<(u8, HashMap<u32, Location>)>,
    v6: Vec<(u8, HashMap<u128, Location>)>,
}

impl Table {
    pub(super) fn new(prefixes: &[Prefix]) -> Self {
        let mut v4: BTreeMap<u8, HashMap<u32, Location>> = BTreeMap::new();
        let mut v6: BTreeMap<u8, HashMap<u128, Location>> = BTreeMap::new();
        for Prefix { prefix, location } in prefixes {
            let length = prefix.prefix_len();
            match prefix.network() {
                IpAddr::V4(network) => {
                    v4.entry(length).or_default().insert(network.to_bits(), *location);
                }
                IpAddr::V6(network) => {
                    v6.entry(length).or_default().insert(network.to_bits(), *location);
                }
            }
        }
        Self { v4: v4.into_iter().rev().collect(), v6: v6.into_iter().rev().collect() }
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<Location> {
        match address {
            IpAddr::V4(address) => self.v4.iter().find_map(|(length, prefixes)| {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                prefixes.get(&(address.to_bits() & mask)).copied()
            }),
            IpAddr::V6(address) => self.v6.iter().find_map(|(length, prefixes)| {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                prefixes.get(&(address.to_bits() & mask)).copied()
            }),
        }
    }
}
