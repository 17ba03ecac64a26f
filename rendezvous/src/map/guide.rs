//! The line-up: which channels there are, under which numbers and names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use swarm::Time;

use super::Connection;

/// A channel that nobody published for so long leaves the line-up, unless it is configured.
const FORGET: Duration = Duration::from_secs(24 * 3600);

/// What the operator has fixed of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The channel's id.
    pub id: String,
    /// Its place in the line-up, from 1; `None`: the first that is free.
    pub number: Option<u32>,
    /// Its name for people; `None`: the headend's.
    pub name: Option<String>,
    /// The logo's address.
    pub logo: Option<String>,
}

/// A channel's place in the line-up, to outlast a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The channel's id.
    pub id: String,
    /// Its place.
    pub number: u32,
    /// Since when it has it, as connections are numbered.
    pub since: Connection,
    /// Its name for people.
    pub name: String,
}

/// A channel of the guide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) logo: Option<String>,
    fixed_name: bool,
    /// Since when it has its number, as connections are numbered; 0: the operator fixed it.
    since: Connection,
    /// When it was last published; `None`: it stays.
    seen: Option<Time>,
}

pub(super) struct Guide {
    entries: BTreeMap<String, Entry>,
    numbers: BTreeSet<u32>,
}

impl Guide {
    pub(super) fn new(listings: &[Listing]) -> Self {
        let numbers = listings.iter().filter_map(|listing| listing.number).collect();
        let mut guide = Self { entries: BTreeMap::new(), numbers };
        for listing in listings {
            let number = listing.number.unwrap_or_else(|| guide.free_number());
            let entry = Entry {
                number,
                name: listing.name.clone().unwrap_or_else(|| listing.id.clone()),
                logo: listing.logo.clone(),
                fixed_name: listing.name.is_some(),
                since: 0,
                seen: None,
            };
            guide.entries.insert(listing.id.clone(), entry);
        }
        guide
    }

    /// The least number that is not taken; it is taken then.
    fn free_number(&mut self) -> u32 {
        let mut number = 1;
        while !self.numbers.insert(number) {
            number += 1;
        }
        number
    }

    pub(super) fn contains(&self, channel: &str) -> bool {
        self.entries.contains_key(channel)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, channel: &str) -> Option<&Entry> {
        self.entries.get(channel)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// A channel is published under this name. Its number stays while it is in the guide. Gives
    /// whether anything changed.
    pub(super) fn published(
        &mut self,
        now: Time,
        since: Connection,
        channel: &str,
        name: &str,
    ) -> bool {
        if let Some(entry) = self.entries.get_mut(channel) {
            if entry.seen.is_some() {
                entry.seen = Some(now);
            }
            if entry.fixed_name || entry.name == name || name.is_empty() {
                return false;
            }
            entry.name = name.to_owned();
            return true;
        }
        let name = if name.is_empty() { channel } else { name }.to_owned();
        let number = self.free_number();
        let entry = Entry { number, name, logo: None, fixed_name: false, since, seen: Some(now) };
        self.entries.insert(channel.to_owned(), entry);
        true
    }

    /// What a restart should not change: channels that the operator has not fixed.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let kept = |(id, entry): (&String, &Entry)| {
            let Entry { number, since, name, seen, .. } = entry;
            seen.map(|_| Kept {
                id: id.clone(),
                number: *number,
                since: *since,
                name: name.clone(),
            })
        };
        self.entries.iter().filter_map(kept).collect()
    }

    /// Channels of before a restart: off air, where they were. What the operator has fixed since
    /// then goes before.
    pub(super) fn restore(&mut self, now: Time, kept: Vec<Kept>) {
        for Kept { id, number, since, name } in kept {
            if !self.entries.contains_key(&id) && self.numbers.insert(number) {
                let entry =
                    Entry { number, name, logo: None, fixed_name: false, since, seen: Some(now) };
                self.entries.insert(id, entry);
            }
        }
    }

    /// A channel's number, and since when it has it.
    pub(super) fn claim(&self, channel: &str) -> Option<(u32, Connection)> {
        self.entries.get(channel).map(|entry| (entry.number, entry.since))
    }

    /// Another server has given the channel this number since then. Of two claims the earlier counts,
    /// for a channel and for a number, so that all servers come to the same line-up. Gives whether
    /// anything changed.
    pub(super) fn settle(&mut self, channel: &str, claim: (u32, Connection)) -> bool {
        let Some(entry) = self.entries.get(channel) else { return false };
        let (number, since) = claim;
        if entry.number == number || since > entry.since {
            return false;
        }
        let holder = self.entries.iter().find(|(_, other)| other.number == number);
        let holder = holder.map(|(id, entry)| (id.clone(), entry.since));
        if holder.as_ref().is_some_and(|(id, held)| (*held, id.as_str()) <= (since, channel)) {
            return false;
        }
        self.numbers.remove(&entry.number);
        if holder.is_none() && !self.numbers.insert(number) {
            // The operator keeps it for a channel that is not there.
            self.numbers.insert(entry.number);
            return false;
        }
        let moved = holder.map(|(id, _)| (id, self.free_number()));
        if let Some(moved) = moved
            && let Some(entry) = self.entries.get_mut(&moved.0)
        {
            entry.number = moved.1;
        }
        if let Some(entry) = self.entries.get_mut(channel) {
            (entry.number, entry.since) = (number, since);
        }
        true
    }

    /// Lets go of channels that were not seen for long; `on_air` ones are seen now. Gives whether
    /// any went.
    pub(super) fn tick(&mut self, now: Time, on_air: impl Fn(&str) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|channel, entry| {
            let Some(seen) = &mut entry.seen else { return true };
            if on_air(channel) {
                *seen = now;
            }
            let kept = now.since(*seen) < FORGET;
            if !kept {
                self.numbers.remove(&entry.number);
            }
            kept
        });
        self.entries.len() != before
    }
}
