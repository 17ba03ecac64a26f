//! Peers heard of, whether connected or not.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ticket::{Location, Nearness, PeerId, Role, ShortId};

use super::ids::Ids;
use crate::output::Offence;
use crate::{Config, PeerHint, Time};

/// How long a peer that could not be reached is left alone.
const RETRY: Duration = Duration::from_secs(20);
/// The same for a node that gets nothing from anybody: the fault was at this end.
const RETRY_SOON: Duration = Duration::from_secs(3);
/// Peers older than this are not passed on.
const FRESH: Duration = Duration::from_secs(60);
/// The most banned peers remembered.
const MAX_BANNED: usize = 1000;

/// How long it is kept how a partner behaved, and of how many.
const PARTED: Duration = Duration::from_secs(120);
const MAX_PARTED: usize = 200;

/// Hearsay does not change what is known first hand, unless that is older than this.
const STALE: Duration = Duration::from_secs(120);
/// The most peers known by one partner's word alone: it cannot fill the table.
const MAX_HEARSAY: usize = 32;

#[derive(Debug)]
pub(super) struct Entry {
    peer: PeerId,
    role: Role,
    /// How near it is to this node: reckoned once.
    nearness: Nearness,
    location: Location,
    /// Its name in paths, if it is a server.
    server: Option<ShortId>,
    addrs: Box<[SocketAddr]>,
    /// By whose word alone; `None`: rendezvous named it or it was met.
    by: Option<ShortId>,
    heard: Time,
    /// When it was last dialled, and whether an answer is awaited.
    dialled: Option<Time>,
    dialling: bool,
    /// Whether it was a good parent in an earlier session.
    good: bool,
}

/// What a partner may be blamed for, and what it may still ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    pub(super) demerits: u32,
    pub(super) allowance: u32,
    pub(super) excess: u32,
    pub(super) at: Time,
}

/// A peer that may be dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Dialable {
    /// Nothing is known of it from an earlier session.
    new: bool,
    pub(super) nearness: Nearness,
    /// Heard of so long ago, in steps of 16 s.
    age: u64,
    pub(super) peer: PeerId,
    pub(super) role: Role,
}

fn server(hint: &PeerHint) -> Option<ShortId> {
    (hint.role != Role::Viewer).then(|| hint.peer.short())
}

/// In the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Known {
    here: Location,
    peers: Vec<Entry>,
    ids: Ids,
    banned: BTreeMap<PeerId, (Offence, Time)>,
    parted: BTreeMap<PeerId, Conduct>,
}

impl Known {
    /// Nearness is to `here`.
    pub(super) fn new(here: Location) -> Self {
        Self { here, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    fn place(&self, peer: &PeerId) -> Result<usize, usize> {
        let places = self.ids.places(peer);
        for place in places.clone() {
            match self.peers[place].peer.cmp(peer) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(place),
                Ordering::Greater => return Err(place),
            }
        }
        Err(places.end)
    }

    fn entry(&mut self, peer: &PeerId) -> Option<&mut Entry> {
        let place = self.place(peer).ok()?;
        self.peers.get_mut(place)
    }

    /// Hears of a peer: by the word of a partner, or (`None`) from rendezvous or by meeting it. A partner's
    /// word adds peers, but changes neither address nor role of those known first hand: one liar must not
    /// lead a whole swarm astray, nor aim it at a stranger.
    pub(super) fn hear(&mut self, mut hint: PeerHint, by: Option<ShortId>, now: Time) {
        hint.addrs.retain(|addr| {
            addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast()
        });
        if hint.addrs.is_empty() || self.banned.contains_key(&hint.peer) {
            return;
        }
        let heard = now - Duration::from_secs(hint.age_s.into());
        let here = self.here;
        if let Some(entry) = self.entry(&hint.peer) {
            let first_hand = entry.by.is_none() && now.since(entry.heard) < STALE;
            if heard >= entry.heard && (by.is_none() || !first_hand) {
                entry.role = hint.role;
                entry.server = server(&hint);
                if entry.location != hint.location {
                    entry.location = hint.location;
                    entry.nearness = here.nearness(&hint.location);
                }
                if *entry.addrs != *hint.addrs {
                    entry.addrs = hint.addrs.into_boxed_slice();
                }
                entry.by = by;
                entry.heard = heard;
            } else if by.is_none() {
                entry.by = None;
            }
            return;
        }
        let told = |entry: &&Entry| by.is_some() && entry.by == by;
        if self.peers.iter().filter(told).count() >= MAX_HEARSAY {
            return;
        }
        if self.peers.len() >= Config::MAX_KNOWN && !self.make_room(by.is_some(), heard) {
            return;
        }
        let Err(place) = self.place(&hint.peer) else { return };
        let entry = Entry {
            peer: hint.peer,
            role: hint.role,
            nearness: here.nearness(&hint.location),
            location: hint.location,
            server: server(&hint),
            addrs: hint.addrs.into_boxed_slice(),
            by,
            heard,
            dialled: None,
            dialling: false,
            good: false,
        };
        if self.peers.len() == self.peers.capacity() {
            // Not doubled: most of the memory of an engine is here.
            self.peers.reserve_exact(16);
        }
        self.ids.insert(place, &entry.peer, ());
        self.peers.insert(place, entry);
    }

    fn remove(&mut self, place: usize) {
        self.ids.remove(place);
        self.peers.remove(place);
    }

    /// Hearsay goes first, then what was heard of longest ago; hearsay never displaces what is known first
    /// hand.
    fn make_room(&mut self, for_hearsay: bool, heard: Time) -> bool {
        let idle = self.peers.iter().enumerate().filter(|(_, entry)| !entry.dialling);
        let first = idle
            .min_by_key(|(_, entry)| (entry.by.is_none(), entry.heard, entry.role != Role::Viewer))
            .map(|(place, entry)| (place, entry.by.is_none(), entry.heard));
        match first {
            Some((place, first_hand, before))
                if !(first_hand && (for_hearsay || before > heard)) =>
            {
                self.remove(place);
                true
            }
            _ => false,
        }
    }

    /// What the known servers are called in paths.
    pub(super) fn servers(&self) -> impl Iterator<Item = ShortId> {
        self.peers.iter().filter_map(|entry| entry.server)
    }

    /// A partner is alive.
    pub(super) fn alive(&mut self, peer: &PeerId, now: Time) {
        if let Some(entry) = self.entry(peer) {
            entry.heard = now;
        }
    }

    /// Notes that a peer is dialled; its addresses.
    pub(super) fn dialled(&mut self, peer: &PeerId, now: Time) -> Option<Vec<SocketAddr>> {
        let entry = self.entry(peer)?;
        entry.dialled = Some(now);
        entry.dialling = true;
        Some(entry.addrs.to_vec())
    }

    /// Dialling ended; `failed`: nobody was reached, so it is not passed on either.
    pub(super) fn answered(&mut self, peer: &PeerId, failed: bool, now: Time) {
        if let Some(entry) = self.entry(peer) {
            entry.dialling = false;
            if failed {
                entry.heard = entry.heard.min(now - FRESH);
            } else {
                entry.dialled = None;
            }
        }
    }

    /// A partner has gone, or had no room: it is left alone for a while, as who cannot be reached.
    pub(super) fn parted(&mut self, peer: &PeerId, now: Time) {
        if let Some(entry) = self.entry(peer) {
            entry.dialling = false;
            entry.dialled = (entry.role == Role::Viewer).then_some(now);
        }
    }

    pub(super) fn dialling(&self) -> usize {
        self.peers.iter().filter(|entry| entry.dialling).count()
    }

    pub(super) fn ban(&mut self, peer: PeerId, offence: Offence, now: Time) {
        if let Ok(place) = self.place(&peer) {
            self.remove(place);
        }
        if self.banned.len() >= MAX_BANNED
            && let Some(oldest) =
                self.banned.iter().min_by_key(|(_, (_, at))| *at).map(|(&id, _)| id)
        {
            self.banned.remove(&oldest);
        }
        self.banned.insert(peer, (offence, now));
    }

    pub(super) fn banned(&self, peer: &PeerId) -> Option<Offence> {
        self.banned.get(peer).map(|&(offence, _)| offence)
    }

    /// Keeps how a partner behaved when it parts, so that coming again wipes nothing out.
    pub(super) fn part(&mut self, peer: PeerId, conduct: Conduct) {
        if self.parted.len() >= MAX_PARTED
            && let Some(oldest) =
                self.parted.iter().min_by_key(|(_, old)| old.at).map(|(&id, _)| id)
        {
            self.parted.remove(&oldest);
        }
        self.parted.insert(peer, conduct);
    }

    /// How a peer behaved when it was a partner last, if that is not long ago.
    pub(super) fn conduct(&mut self, peer: &PeerId, now: Time) -> Option<Conduct> {
        self.parted.remove(peer).filter(|conduct| now.since(conduct.at) < PARTED)
    }

    /// Peers that were good once, in an earlier session: they are tried first.
    pub(super) fn remember(&mut self, hint: PeerHint, now: Time) {
        let peer = hint.peer;
        // It is not passed on before it has been met.
        self.hear(hint, None, now - FRESH);
        if let Some(entry) = self.entry(&peer) {
            entry.good = true;
        }
    }

    /// What is known of one peer, as a hint.
    pub(super) fn hint(&self, peer: &PeerId, now: Time) -> Option<PeerHint> {
        let entry = self.peers.get(self.place(peer).ok()?)?;
        Some(PeerHint {
            peer: entry.peer,
            role: entry.role,
            location: entry.location,
            addrs: entry.addrs.to_vec(),
            age_s: now.since(entry.heard).as_secs().min(60) as u8,
        })
    }

    /// Peers that may be dialled; `starving`: those that could not be reached are tried again soon.
    pub(super) fn to_dial(&self, now: Time, starving: bool) -> impl Iterator<Item = Dialable> {
        let retry = if starving { RETRY_SOON } else { RETRY };
        let may = move |entry: &&Entry| {
            !entry.dialling && entry.dialled.is_none_or(|at| now.since(at) >= retry)
        };
        self.peers.iter().filter(may).map(move |entry| Dialable {
            new: !entry.good,
            nearness: entry.nearness,
            age: now.since(entry.heard).as_secs() / 16,
            peer: entry.peer,
            role: entry.role,
        })
    }

    /// Up to `most` peers that are known first hand and were heard of within a minute, nearest to `location` first, without `asker`.
    pub(super) fn fresh(
        &self,
        location: &Location,
        asker: &PeerId,
        most: usize,
        now: Time,
    ) -> Vec<PeerHint> {
        let known = self.peers.iter().enumerate().filter(|(_, entry)| {
            entry.by.is_none() && entry.peer != *asker && now.since(entry.heard) < FRESH
        });
        let mut fresh: Vec<_> = known
            .map(|(place, entry)| {
                let age = now.since(entry.heard).as_secs();
                (location.nearness(&entry.location), age, place)
            })
            .collect();
        if fresh.len() > most {
            fresh.select_nth_unstable(most);
            fresh.truncate(most);
        }
        fresh.sort_unstable();
        let hint = |(_, age, place): (Nearness, u64, usize)| {
            let entry = &self.peers[place];
            PeerHint {
                peer: entry.peer,
                role: entry.role,
                location: entry.location,
                addrs: entry.addrs.to_vec(),
                age_s: age.min(60) as u8,
            }
        };
        fresh.into_iter().map(hint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(id: u8, role: Role, port: u16) -> PeerHint {
        PeerHint {
            peer: PeerId([id; 32]),
            role,
            location: Location::default(),
            addrs: vec![([127, 0, 0, 1], port).into()],
            age_s: 0,
        }
    }

    #[test]
    fn a_partners_word_changes_nothing_that_is_known_first_hand() {
        let (mut known, now) = (Known::default(), Time(1_000_000_000));
        let liar = Some(ShortId(66));
        known.hear(hint(1, Role::Repeater, 1000), None, now);
        known.hear(hint(1, Role::Viewer, 6666), liar, now + Duration::from_secs(1));
        known.hear(hint(2, Role::Viewer, 6666), liar, now);
        let named: Vec<_> = known.to_dial(now, false).map(|dial| (dial.peer, dial.role)).collect();
        let expected = [(PeerId([1; 32]), Role::Repeater), (PeerId([2; 32]), Role::Viewer)];
        assert_eq!(named, expected);
        let addrs = known.dialled(&PeerId([1; 32]), now).unwrap();
        assert_eq!(addrs, hint(1, Role::Repeater, 1000).addrs);
        known.answered(&PeerId([1; 32]), false, now);
        // What was only heard is not passed on.
        let fresh = known.fresh(&Location::default(), &PeerId([9; 32]), 16, now);
        assert_eq!(fresh, [hint(1, Role::Repeater, 1000)]);
        // Rendezvous may change it, and meeting a peer makes hearsay first hand.
        known.hear(hint(1, Role::Repeater, 2000), None, now);
        known.hear(hint(2, Role::Viewer, 3000), None, now);
        let fresh = known.fresh(&Location::default(), &PeerId([9; 32]), 16, now);
        assert_eq!(fresh, [hint(1, Role::Repeater, 2000), hint(2, Role::Viewer, 3000)]);
    }

    #[test]
    fn a_partner_cannot_fill_the_table() {
        let (mut known, now) = (Known::default(), Time(1_000_000_000));
        for id in 0..=255 {
            known.hear(hint(id, Role::Viewer, 1), Some(ShortId(7)), now);
        }
        assert_eq!(known.len(), MAX_HEARSAY);
        for id in 0..=255 {
            known.hear(hint(id, Role::Viewer, 1), None, now);
        }
        assert_eq!(known.len(), Config::MAX_KNOWN);
        known.hear(
            PeerHint { peer: PeerId([7; 32]), ..hint(0, Role::Viewer, 1) },
            Some(ShortId(8)),
            now,
        );
        assert_eq!(known.fresh(&Location::default(), &PeerId([9; 32]), 255, now).len(), 200);
    }

    /// Whoever looks for long enough finds ids that begin alike.
    #[test]
    fn peers_whose_ids_begin_alike_are_told_apart() {
        let (mut known, now) = (Known::default(), Time(1_000_000_000));
        let alike = |last: u8| {
            let mut id = [7; 32];
            id[31] = last;
            PeerHint { peer: PeerId(id), ..hint(0, Role::Viewer, 1000 + u16::from(last)) }
        };
        for last in [5, 1, 9, 3, 5] {
            known.hear(alike(last), None, now);
        }
        known.hear(hint(6, Role::Viewer, 1), None, now);
        known.hear(hint(8, Role::Viewer, 1), None, now);
        assert_eq!(known.len(), 6);
        for last in [1, 3, 5, 9] {
            assert_eq!(known.hint(&alike(last).peer, now), Some(alike(last)));
        }
        known.ban(alike(3).peer, Offence::Protocol, now);
        let left: Vec<_> = known.to_dial(now, false).map(|dial| dial.peer).collect();
        let [six, eight] = [6, 8].map(|id| PeerId([id; 32]));
        assert_eq!(left, [six, alike(1).peer, alike(5).peer, alike(9).peer, eight], "in order");
    }

    #[test]
    fn addresses_that_nobody_has_are_not_kept() {
        let (mut known, now) = (Known::default(), Time(1_000_000_000));
        for addr in ["0.0.0.0:1", "224.0.0.1:1", "127.0.0.1:0", "[::]:1"] {
            let addrs = vec![addr.parse().unwrap()];
            known.hear(PeerHint { addrs, ..hint(1, Role::Viewer, 1) }, None, now);
        }
        assert_eq!(known.len(), 0);
    }
}
