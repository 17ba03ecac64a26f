//! What is known of connected peers.

use ticket::{Nearness, PeerId, Role, ShortId};

use super::ids::Ids;
use crate::{Availability, PeerInfo, Reach, Substreams, Time};

/// A partner's place in the table: what the rest of the engine calls it by. It stands for one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Pid(u16);

/// From so many on, room for partners is doubled.
const MANY: usize = 256;

/// All partners, in the order of their places.
#[derive(Debug, Default)]
pub(super) struct Partners {
    slots: Vec<Option<Partner>>,
    free: Vec<Pid>,
    /// Ids in order, and whose they are.
    ids: Ids<Pid>,
}

impl Partners {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn find(&self, id: &PeerId) -> Option<Pid> {
        let mut same = self.ids.with(self.ids.places(id));
        same.find(|&pid| self.get(pid).is_some_and(|partner| partner.id == *id))
    }

    pub(super) fn get(&self, pid: Pid) -> Option<&Partner> {
        self.slots.get(usize::from(pid.0))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, pid: Pid) -> Option<&mut Partner> {
        self.slots.get_mut(usize::from(pid.0))?.as_mut()
    }

    /// Takes a partner in; `None` if there are more than can be counted or it is one already.
    pub(super) fn insert(&mut self, partner: Partner) -> Option<Pid> {
        if self.find(&partner.id).is_some() {
            return None;
        }
        let pid = match self.free.pop() {
            Some(pid) => pid,
            None => {
                let pid = Pid(u16::try_from(self.slots.len()).ok()?);
                if self.slots.len() == self.slots.capacity() && self.slots.len() < MANY {
                    // Not doubled: there are very many of these.
                    self.slots.reserve_exact(8);
                }
                self.slots.push(None);
                pid
            }
        };
        let place = self.ids.places(&partner.id).start;
        self.ids.insert(place, &partner.id, pid);
        self.slots[usize::from(pid.0)] = Some(partner);
        Some(pid)
    }

    pub(super) fn remove(&mut self, pid: Pid) -> Option<Partner> {
        let partner = self.slots.get_mut(usize::from(pid.0))?.take()?;
        if let Some(place) = self.ids.position(pid) {
            self.ids.remove(place);
        }
        self.free.push(pid);
        Some(partner)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Pid, &Partner)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(place, slot)| Some((Pid(place as u16), slot.as_ref()?)))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Partner> {
        self.slots.iter().flatten()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Partner> {
        self.slots.iter_mut().flatten()
    }

    /// The places that are taken, for loops that change the table.
    pub(super) fn pids(&self) -> Vec<Pid> {
        self.iter().map(|(pid, _)| pid).collect()
    }
}

/// Of which of the latest 64 segments something is true.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    newest: u64,
    bits: u64,
}

impl Recent {
    pub(super) fn insert(&mut self, number: u64) {
        if number > self.newest {
            let shift = (number - self.newest).min(64) as u32;
            self.bits = self.bits.checked_shl(shift).unwrap_or(0);
            self.newest = number;
        }
        self.bits |= 1u64.checked_shl((self.newest - number).min(64) as u32).unwrap_or(0);
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let back = self.newest.checked_sub(number).filter(|&back| back < 64);
        back.is_some_and(|back| self.bits & (1 << back) != 0)
    }
}

/// A connected peer.
#[derive(Debug)]
pub(super) struct Partner {
    pub(super) id: PeerId,
    pub(super) info: PeerInfo,
    pub(super) short: ShortId,
    pub(super) nearness: Nearness,
    pub(super) since: Time,
    /// Whether its hello has come.
    pub(super) met: bool,
    /// What it offers, by sub-stream, least first.
    offers: Vec<Availability>,
    /// Which sub-streams those are.
    pub(super) offered: Substreams,
    /// When its newest numbers were told, and the newest of them.
    pub(super) told: Time,
    newest: u64,
    /// How many more sub-streams it would push, as last told, less what was asked since.
    pub(super) free: u16,
    pub(super) lag_ms: u32,
    /// When anything last came from it.
    pub(super) heard: Time,
    /// When it last answered a question: a probe, a search, a subscription.
    pub(super) answered: Option<Time>,
    /// The probe without an answer yet.
    pub(super) probe: Option<(u32, Time)>,
    /// When it was last searched.
    pub(super) searched: Option<Time>,
    /// Not asked for sub-streams before this.
    pub(super) back_off: Time,
    /// A question had no answer, and nothing has come from it since: it is not asked for sub-streams, for each time it would
    /// send all that was missed.
    pub(super) silent: bool,
    /// Subscriptions that it refused since the last that it granted.
    pub(super) refusals: u8,
    /// Demerits; they fade with time.
    pub(super) demerits: u32,
    /// What it may still ask for now: shards to pull or to be burst.
    pub(super) allowance: u32,
    pub(super) allowance_at: Time,
    /// Questions beyond that.
    pub(super) excess: u32,
    /// What it was told last, and when: the sub-streams, a sum over their ranks, how much is free.
    pub(super) told_it: Substreams,
    pub(super) told_ranks: u32,
    pub(super) told_free: u8,
    pub(super) told_at: Time,
    /// When quality was last complained of.
    pub(super) complained: Option<Time>,
    /// Shards asked of it that are on their way.
    pub(super) outstanding: u16,
    /// Segments of which it refused a shard, and of which a shard that was asked for came late.
    pub(super) refused: Recent,
    pub(super) refused_at: Time,
    pub(super) late: Recent,
    /// Sub-streams that are asked of it or flow from it.
    pub(super) feeds: Substreams,
    /// Sub-streams that are pushed to it.
    pub(super) takes: Substreams,
    /// How other viewers can reach it, as it says.
    pub(super) reach: Reach,
    /// Whether it was asked for the first picture.
    pub(super) start_tried: bool,
    /// A viewer that no other can connect to or may be told of: servers alone feed it.
    pub(super) servers_only: bool,
}

impl Partner {
    pub(super) fn new(id: PeerId, info: PeerInfo, nearness: Nearness, now: Time) -> Self {
        Self {
            id,
            short: id.short(),
            servers_only: info.role == Role::Viewer && info.addrs.is_empty(),
            // Addresses are with the known peers.
            info: PeerInfo { addrs: Vec::new(), ..info },
            nearness,
            since: now,
            met: false,
            offers: Vec::new(),
            offered: Substreams::NONE,
            told: now,
            newest: 0,
            free: 0,
            lag_ms: 0,
            heard: now,
            answered: None,
            probe: None,
            searched: None,
            back_off: now,
            silent: false,
            refusals: 0,
            demerits: 0,
            allowance: 256,
            allowance_at: now,
            excess: 0,
            told_it: Substreams::NONE,
            told_ranks: 0,
            told_free: 0,
            told_at: now,
            complained: None,
            outstanding: 0,
            refused: Recent::default(),
            refused_at: now,
            late: Recent::default(),
            feeds: Substreams::NONE,
            takes: Substreams::NONE,
            reach: Reach::Unknown,
            start_tried: false,
        }
    }

    /// It has not answered: it is not asked again before then, nor before something comes from it.
    pub(super) fn no_answer(&mut self, until: Time) {
        self.back_off = until;
        self.silent = true;
    }

    /// Something came from it.
    pub(super) fn hear(&mut self, now: Time) {
        self.heard = now;
        self.silent = false;
    }

    pub(super) fn is_viewer(&self) -> bool {
        self.info.role == Role::Viewer
    }

    /// Whether it is a viewer of this viewer's home.
    pub(super) fn at_home(&self) -> bool {
        self.info.household
    }

    /// What it offers of one sub-stream.
    pub(super) fn offer(&self, index: u8) -> Option<&Availability> {
        if !self.offered.contains(index) {
            return None;
        }
        self.offers.iter().find(|offer| offer.index == index)
    }

    pub(super) fn offers(&self) -> &[Availability] {
        &self.offers
    }

    /// Notes what it has of some sub-streams; those whose path or rank is not what it was.
    pub(super) fn note(&mut self, available: Vec<Availability>) -> Substreams {
        let mut changed = Substreams::NONE;
        if self.offers.is_empty() {
            changed = available.iter().map(|entry| entry.index).collect();
            self.offers = available;
            self.offers.sort_by_key(|entry| entry.index);
            self.offers.dedup_by_key(|entry| entry.index);
        } else {
            for entry in available {
                match self.offers.binary_search_by_key(&entry.index, |offer| offer.index) {
                    Ok(place) => {
                        let old = &mut self.offers[place];
                        if old.path != entry.path || old.rank != entry.rank {
                            changed.insert(entry.index);
                        }
                        *old = entry;
                    }
                    Err(place) => {
                        changed.insert(entry.index);
                        self.offers.insert(place, entry);
                    }
                }
            }
        }
        self.offered = self.offers.iter().map(|offer| offer.index).collect();
        self.newest = self.offers.iter().map(|offer| offer.newest).max().unwrap_or(0);
        changed
    }

    /// It sent a shard of this segment, so it holds something of it.
    pub(super) fn has(&mut self, number: u64, now: Time) {
        if number > self.newest {
            self.newest = number;
            self.told = now;
        }
    }

    /// It does not offer these any more.
    pub(super) fn withdraw(&mut self, substreams: Substreams) {
        if !self.offered.and(substreams).is_empty() {
            self.offers.retain(|offer| !substreams.contains(offer.index));
            self.offered = self.offered.without(substreams);
        }
    }

    /// The newest segment that it holds something of, as told.
    pub(super) fn newest(&self) -> Option<u64> {
        (!self.offers.is_empty()).then_some(self.newest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn partners_are_found_by_their_whole_id() {
        let partner = |last: u8| {
            let mut id = [7; 32];
            id[31] = last;
            let info = PeerInfo {
                role: Role::Viewer,
                location: ticket::Location::default(),
                rtt: Duration::ZERO,
                addrs: vec![],
                household: false,
            };
            Partner::new(PeerId(id), info, Nearness::Far, Time(0))
        };
        let mut partners = Partners::default();
        let a = partners.insert(partner(1)).unwrap();
        let b = partners.insert(partner(2)).unwrap();
        assert_eq!(partners.insert(partner(1)), None);
        assert_eq!(partners.find(&partner(1).id), Some(a));
        assert_eq!(partners.find(&partner(2).id), Some(b));
        assert_eq!(partners.find(&partner(3).id), None);
        assert_eq!(partners.remove(a).map(|gone| gone.id), Some(partner(1).id));
        assert_eq!(partners.find(&partner(1).id), None);
        // Its place is given to the next.
        assert_eq!(partners.insert(partner(3)), Some(a));
        assert_eq!((partners.len(), partners.pids()), (2, vec![a, b]));
    }

    #[test]
    fn sixty_four_segments_are_remembered() {
        let mut recent = Recent::default();
        recent.insert(1000);
        recent.insert(990);
        recent.insert(1010);
        assert!(recent.contains(1000) && recent.contains(990) && recent.contains(1010));
        assert!(!recent.contains(999) && !recent.contains(1011) && !recent.contains(0));
        recent.insert(1054);
        assert!(!recent.contains(990) && recent.contains(1000));
        recent.insert(5);
        assert!(!recent.contains(5));
        recent.insert(u64::MAX);
        assert!(recent.contains(u64::MAX) && !recent.contains(1054));
    }
}
