//! Peers heard of, whether connected or not.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::{Location, PeerId, Role};

use crate::output::Offence;
use crate::{Config, PeerHint, Time};

/// How long a peer that could not be reached is left alone.
const RETRY: Duration = Duration::from_secs(20);
/// Peers older than this are not passed on.
const FRESH: Duration = Duration::from_secs(60);
/// The most banned peers remembered.
const MAX_BANNED: usize = 1000;

/// Hearsay does not change what is known first hand, unless that is older than this.
const STALE: Duration = Duration::from_secs(120);
/// The most peers known by one partner's word alone: it cannot fill the table.
const MAX_HEARSAY: usize = 32;

#[derive(Debug)]
pub(super) struct Entry {
    hint: PeerHint,
    /// By whose word alone; `None`: rendezvous named it or it was met.
    by: Option<PeerId>,
    heard: Time,
    /// When it was last dialled, and whether an answer is awaited.
    dialled: Option<Time>,
    dialling: bool,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    peers: BTreeMap<PeerId, Entry>,
    banned: BTreeMap<PeerId, (Offence, Time)>,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Hears of a peer: by the word of a partner, or (`None`) from rendezvous or by meeting it. A partner's
    /// word adds peers, but changes neither address nor role of those known first hand: one liar must not
    /// lead a whole swarm astray, nor aim it at a stranger.
    pub(super) fn hear(&mut self, mut hint: PeerHint, by: Option<PeerId>, now: Time) {
        hint.addrs.retain(|addr| {
            addr.port() != 0 && !addr.ip().is_unspecified() && !addr.ip().is_multicast()
        });
        if hint.addrs.is_empty() || self.banned.contains_key(&hint.peer) {
            return;
        }
        let heard = now - Duration::from_secs(hint.age_s.into());
        if let Some(entry) = self.peers.get_mut(&hint.peer) {
            let first_hand = entry.by.is_none() && now.since(entry.heard) < STALE;
            if heard >= entry.heard && (by.is_none() || !first_hand) {
                *entry = Entry { hint, by, heard, ..*entry };
            } else if by.is_none() {
                entry.by = None;
            }
            return;
        }
        let told = |entry: &&Entry| by.is_some() && entry.by == by;
        if self.peers.values().filter(told).count() >= MAX_HEARSAY {
            return;
        }
        if self.peers.len() >= Config::MAX_KNOWN && !self.make_room(by.is_some(), heard) {
            return;
        }
        self.peers.insert(hint.peer, Entry { hint, by, heard, dialled: None, dialling: false });
    }

    /// Hearsay goes first, then what was heard of longest ago; hearsay never displaces what is known first
    /// hand.
    fn make_room(&mut self, for_hearsay: bool, heard: Time) -> bool {
        let first = self
            .peers
            .iter()
            .filter(|(_, entry)| !entry.dialling)
            .min_by_key(|(_, entry)| {
                (entry.by.is_none(), entry.heard, entry.hint.role != Role::Viewer)
            })
            .map(|(&peer, entry)| (peer, entry.by.is_none(), entry.heard));
        match first {
            Some((peer, first_hand, before))
                if !(first_hand && (for_hearsay || before > heard)) =>
            {
                self.peers.remove(&peer).is_some()
            }
            _ => false,
        }
    }

    /// A partner is alive.
    pub(super) fn alive(&mut self, peer: PeerId, now: Time) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.heard = now;
        }
    }

    pub(super) fn dialled(&mut self, peer: PeerId, now: Time) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.dialled = Some(now);
            entry.dialling = true;
        }
    }

    /// Dialling ended; `failed`: nobody was reached, so it is not passed on either.
    pub(super) fn answered(&mut self, peer: PeerId, failed: bool, now: Time) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.dialling = false;
            if failed {
                entry.heard = entry.heard.min(now - FRESH);
            } else {
                entry.dialled = None;
            }
        }
    }

    pub(super) fn dialling(&self) -> usize {
        self.peers.values().filter(|entry| entry.dialling).count()
    }

    pub(super) fn ban(&mut self, peer: PeerId, offence: Offence, now: Time) {
        self.peers.remove(&peer);
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

    /// Peers that may be dialled.
    pub(super) fn to_dial(&self, now: Time) -> impl Iterator<Item = &PeerHint> {
        let may = move |entry: &&Entry| {
            !entry.dialling && entry.dialled.is_none_or(|at| now.since(at) >= RETRY)
        };
        self.peers.values().filter(may).map(|entry| &entry.hint)
    }

    /// Up to `most` peers that are known first hand and were heard of within a minute, nearest to `location` first, without `asker`.
    pub(super) fn fresh(
        &self,
        location: &Location,
        asker: PeerId,
        most: usize,
        now: Time,
    ) -> Vec<PeerHint> {
        let mut fresh: Vec<_> = self
            .peers
            .values()
            .filter(|entry| {
                entry.by.is_none() && entry.hint.peer != asker && now.since(entry.heard) < FRESH
            })
            .collect();
        fresh.sort_by_key(|entry| {
            let nearness = location.nearness(&entry.hint.location);
            (nearness, now.since(entry.heard).as_secs(), entry.hint.peer)
        });
        let hint = |entry: &Entry| PeerHint {
            age_s: now.since(entry.heard).as_secs().min(60) as u8,
            ..entry.hint.clone()
        };
        fresh.into_iter().take(most).map(hint).collect()
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
        let liar = Some(PeerId([66; 32]));
        known.hear(hint(1, Role::Repeater, 1000), None, now);
        known.hear(hint(1, Role::Viewer, 6666), liar, now + Duration::from_secs(1));
        known.hear(hint(2, Role::Viewer, 6666), liar, now);
        let named: Vec<_> = known.to_dial(now).cloned().collect();
        assert_eq!(named, [hint(1, Role::Repeater, 1000), hint(2, Role::Viewer, 6666)]);
        // What was only heard is not passed on.
        let fresh = known.fresh(&Location::default(), PeerId([9; 32]), 16, now);
        assert_eq!(fresh, [hint(1, Role::Repeater, 1000)]);
        // Rendezvous may change it, and meeting a peer makes hearsay first hand.
        known.hear(hint(1, Role::Repeater, 2000), None, now);
        known.hear(hint(2, Role::Viewer, 3000), None, now);
        let fresh = known.fresh(&Location::default(), PeerId([9; 32]), 16, now);
        assert_eq!(fresh, [hint(1, Role::Repeater, 2000), hint(2, Role::Viewer, 3000)]);
    }

    #[test]
    fn a_partner_cannot_fill_the_table() {
        let (mut known, now) = (Known::default(), Time(1_000_000_000));
        for id in 0..=255 {
            known.hear(hint(id, Role::Viewer, 1), Some(PeerId([7; 32])), now);
        }
        assert_eq!(known.len(), MAX_HEARSAY);
        for id in 0..=255 {
            known.hear(hint(id, Role::Viewer, 1), None, now);
        }
        assert_eq!(known.len(), Config::MAX_KNOWN);
        known.hear(
            PeerHint { peer: PeerId([7; 32]), ..hint(0, Role::Viewer, 1) },
            Some(PeerId([8; 32])),
            now,
        );
        assert_eq!(known.fresh(&Location::default(), PeerId([9; 32]), 255, now).len(), 200);
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
