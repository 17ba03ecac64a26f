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

#[derive(Debug)]
pub(super) struct Entry {
    hint: PeerHint,
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

    /// Hears of a peer. The one heard of longest ago makes room.
    pub(super) fn hear(&mut self, hint: PeerHint, now: Time) {
        if hint.addrs.is_empty() || self.banned.contains_key(&hint.peer) {
            return;
        }
        let heard = now - Duration::from_secs(hint.age_s.into());
        if let Some(entry) = self.peers.get_mut(&hint.peer) {
            if heard >= entry.heard {
                entry.heard = heard;
                entry.hint = hint;
            }
            return;
        }
        if self.peers.len() >= Config::MAX_KNOWN {
            let oldest = self
                .peers
                .iter()
                .filter(|(_, entry)| !entry.dialling)
                .min_by_key(|(_, entry)| (entry.heard, entry.hint.role != Role::Viewer))
                .map(|(&peer, entry)| (peer, entry.heard));
            match oldest {
                Some((peer, before)) if before <= heard => self.peers.remove(&peer),
                _ => return,
            };
        }
        self.peers.insert(hint.peer, Entry { hint, heard, dialled: None, dialling: false });
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

    /// Up to `most` peers that were heard of within a minute, nearest to `location` first, without `asker`.
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
            .filter(|entry| entry.hint.peer != asker && now.since(entry.heard) < FRESH)
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
