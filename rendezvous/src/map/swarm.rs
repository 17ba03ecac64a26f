//! One swarm: its publication, its members, and how they fare.

use std::collections::{BTreeMap, BTreeSet};

use link::protocol::{EpochKey, Publication, SwarmReport};
use rand::Rng;
use swarm::Time;
use ticket::{Location, PeerId, Role};

use super::sample::Places;
use super::{Progress, publication};
use crate::rank::Capacity;

/// How many are drawn from each circle around an asker, of those with something to spare.
const DRAW: usize = 40;
/// How many of those without: they fill a list, and can exchange.
const DRAW_FULL: usize = 12;
/// The share of recent bytes is halved this often.
const HALVE: std::time::Duration = std::time::Duration::from_secs(10);
/// More media than this between two reports is a mistake or a lie, bytes.
const MOST_BYTES: u64 = 4 << 30;

/// A node's part in a swarm.
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) location: Location,
    pub(super) since: Time,
    pub(super) report: Option<SwarmReport>,
}

impl Part {
    pub(super) fn capacity(&self) -> Capacity {
        match &self.report {
            None => Capacity::Unknown,
            Some(report) if report.free == 0 => Capacity::Full,
            Some(report) => Capacity::Free(report.free),
        }
    }
}

pub(super) struct Swarm {
    pub(super) publication: Publication,
    pub(super) publishers: BTreeSet<PeerId>,
    /// Secret. By epoch.
    pub(super) keys: BTreeMap<u32, [u8; 32]>,
    /// Until when they reach at least.
    pub(super) keys_until: Time,
    pub(super) on_air: bool,
    /// Since when there is no publisher.
    pub(super) orphaned: Option<Time>,
    pub(super) parts: BTreeMap<PeerId, Part>,
    headends: BTreeSet<PeerId>,
    repeaters: Places,
    /// Viewers who have something to spare, or have not told.
    open: Places,
    full: Places,
    /// Media bytes that viewers received: from headends, repeaters, viewers.
    pub(super) received: [u64; 3],
    /// The same, weighted to the last half minute or so.
    pub(super) recent: [u64; 3],
    halved: Time,
}

impl Swarm {
    pub(super) fn new(now: Time, publication: Publication) -> Self {
        Self {
            publication,
            publishers: BTreeSet::new(),
            keys: BTreeMap::new(),
            keys_until: now,
            on_air: false,
            orphaned: None,
            parts: BTreeMap::new(),
            headends: BTreeSet::new(),
            repeaters: Places::default(),
            open: Places::default(),
            full: Places::default(),
            received: [0; 3],
            recent: [0; 3],
            halved: now,
        }
    }

    pub(super) fn keys(&self) -> Vec<EpochKey> {
        self.keys.iter().map(|(&epoch, &key)| EpochKey { epoch, key }).collect()
    }

    /// A publication that was checked. Gives whether keys are new.
    pub(super) fn publish(&mut self, now: Time, peer: PeerId, publication: Publication) -> bool {
        if self.publishers.is_empty() {
            self.keys.clear();
        }
        let first = self.keys.is_empty();
        let news = publication::take_keys(&mut self.keys, &publication.keys);
        if news {
            // New keys come as an epoch begins, with that of the next; the first ones at any time.
            let segment =
                std::time::Duration::from_millis(publication.parameters.segment_ms.into());
            let segments = u32::try_from(publication.epoch_segments).unwrap_or(u32::MAX);
            let epoch = segment.saturating_mul(segments);
            self.keys_until = now + if first { epoch } else { epoch.saturating_mul(2) };
        }
        self.publication = publication;
        // What is kept once is enough.
        self.publication.keys.clear();
        self.publishers.insert(peer);
        self.on_air = true;
        self.orphaned = None;
        news
    }

    pub(super) fn enter(&mut self, now: Time, peer: PeerId, role: Role, location: Location) {
        if self.parts.contains_key(&peer) {
            return;
        }
        match role {
            Role::Headend => {
                self.headends.insert(peer);
            }
            Role::Repeater => self.repeaters.insert(peer, &location),
            Role::Viewer => self.open.insert(peer, &location),
            Role::Rendezvous => return,
        }
        self.parts.insert(peer, Part { role, location, since: now, report: None });
    }

    pub(super) fn leave(&mut self, now: Time, peer: PeerId) {
        let Some(part) = self.parts.remove(&peer) else { return };
        self.headends.remove(&peer);
        self.repeaters.remove(&peer, &part.location);
        self.open.remove(&peer, &part.location);
        self.full.remove(&peer, &part.location);
        if self.publishers.remove(&peer) && self.publishers.is_empty() {
            self.orphaned = Some(now);
        }
    }

    pub(super) fn report(&mut self, peer: PeerId, report: SwarmReport) -> Option<Progress> {
        let part = self.parts.get_mut(&peer)?;
        let mut progress = Progress::default();
        // The first report after a join here may count from an earlier one: a base, not progress.
        if let Some(last) = &part.report {
            for (i, out) in progress.received.iter_mut().enumerate() {
                *out = report.bytes_in[i].saturating_sub(last.bytes_in[i]).min(MOST_BYTES);
            }
            progress.stalls = report.stalls.saturating_sub(last.stalls).min(1000);
        }
        part.report = Some(report);
        if part.role == Role::Viewer {
            let (to, from) = match part.capacity() {
                Capacity::Full => (&mut self.full, &mut self.open),
                Capacity::Free(_) | Capacity::Unknown => (&mut self.open, &mut self.full),
            };
            from.remove(&peer, &part.location);
            to.insert(peer, &part.location);
            for i in 0..3 {
                self.received[i] = self.received[i].saturating_add(progress.received[i]);
                self.recent[i] = self.recent[i].saturating_add(progress.received[i]);
            }
        }
        Some(progress)
    }

    /// Some who could be offered to a node at `location`, at a cost that does not grow with the
    /// swarm; some may come more than once.
    pub(super) fn pool<R: Rng + ?Sized>(&self, location: &Location, rng: &mut R) -> Vec<PeerId> {
        let mut pool: Vec<PeerId> = self.headends.iter().copied().take(DRAW).collect();
        self.repeaters.draw(location, DRAW, rng, &mut pool);
        self.open.draw(location, DRAW, rng, &mut pool);
        self.full.draw(location, DRAW_FULL, rng, &mut pool);
        pool
    }

    pub(super) fn count(&self, role: Role) -> usize {
        match role {
            Role::Headend => self.headends.len(),
            Role::Repeater => self.repeaters.len(),
            Role::Viewer => self.open.len() + self.full.len(),
            Role::Rendezvous => 0,
        }
    }

    pub(super) fn tick(&mut self, now: Time) {
        while now.since(self.halved) >= HALVE {
            self.halved = self.halved + HALVE;
            self.recent.iter_mut().for_each(|bytes| *bytes /= 2);
            if self.recent == [0; 3] {
                self.halved = now;
            }
        }
    }
}
