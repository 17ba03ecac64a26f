//! One node on the virtual network.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use segment::{Header, LayerSet};
use swarm::{Arrival, Config, Engine, Parting, ShardRef, Substreams, Time, Urgency};
use ticket::PeerId;

/// A segment that was given out to be played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Played {
    pub(crate) number: u64,
    /// What of it; none: it was missed.
    pub(crate) layers: Option<LayerSet>,
    /// When it was due, and when it was given out: virtual microseconds.
    pub(crate) due: u64,
    pub(crate) at: u64,
}

/// A shard in the uplink's queue.
pub(crate) struct Queued {
    pub(crate) to: PeerId,
    pub(crate) shard: ShardRef,
    pub(crate) layers: LayerSet,
    pub(crate) deadline: Time,
    pub(crate) urgency: Urgency,
    pub(crate) at: u64,
}

pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) alive: bool,
    /// Others can connect to it.
    pub(crate) reachable: bool,
    /// Sends nothing any more, though it is connected.
    pub(crate) mute: bool,
    /// Answers as if it did, but sends no shards.
    pub(crate) withholds: bool,
    /// Which home it is in: what is sent within one takes no uplink.
    pub(crate) home: Option<u32>,
    /// Every shard that it sends fails its proof.
    pub(crate) lies: bool,
    /// Real uplink, bits per second.
    pub(crate) uplink: Option<u64>,
    /// When the uplink has sent what it is sending.
    pub(crate) uplink_free: u64,
    pub(crate) queue: BTreeMap<(Urgency, u64), Queued>,
    pub(crate) links: Vec<usize>,
    pub(crate) played: Vec<Played>,
    pub(crate) partings: Vec<(PeerId, Parting, u64)>,
    pub(crate) last_message: BTreeMap<usize, u64>,
    pub(crate) wake: Option<u64>,
    held: BTreeMap<u64, Substreams>,
    origin: u64,
}

impl Node {
    pub(crate) fn new(config: Config, seed: u64, now: Time, origin: u64) -> Self {
        Self {
            engine: Engine::new(config.clone(), seed, now),
            config,
            alive: true,
            reachable: true,
            mute: false,
            withholds: false,
            home: None,
            lies: false,
            uplink: None,
            uplink_free: 0,
            queue: BTreeMap::new(),
            links: Vec::new(),
            played: Vec::new(),
            partings: Vec::new(),
            last_message: BTreeMap::new(),
            wake: None,
            held: BTreeMap::new(),
            origin,
        }
    }

    /// Virtual time on the node's clock.
    pub(crate) fn local(&self, now: u64) -> Time {
        Time(now + self.origin)
    }

    /// A moment on the node's clock as virtual time.
    pub(crate) fn global(&self, at: Time) -> u64 {
        at.0.saturating_sub(self.origin)
    }

    pub(crate) fn addr(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, (index >> 8) as u8, index as u8], 4000))
    }

    pub(crate) fn store(&mut self, arrival: &Arrival) {
        self.held.entry(arrival.header.number).or_default().insert(arrival.index);
    }

    pub(crate) fn store_all(&mut self, header: &Header) {
        self.held.insert(header.number, Substreams::first(header.n));
    }

    pub(crate) fn forget(&mut self, before: u64) {
        self.held.retain(|&number, _| number >= before);
    }

    /// Whether the node has a shard or can make it.
    pub(crate) fn holds(&self, header: &Header, index: u8) -> bool {
        let held = self.held.get(&header.number).copied().unwrap_or_default();
        held.contains(index) || held.len() >= header.k()
    }

    /// How long a shard takes to leave, microseconds.
    pub(crate) fn transmission(&self, bytes: u32) -> u64 {
        self.uplink.map_or(0, |rate| u64::from(bytes) * 8_000_000 / rate.max(1))
    }

    /// Segments that were missed or given out without the picture, and when.
    pub(crate) fn bad(&self) -> Vec<(u64, u64)> {
        let whole = |played: &Played| played.layers.is_some_and(|layers| layers.full);
        let bad = self.played.iter().filter(|played| !whole(played));
        bad.map(|played| (played.number, played.at)).collect()
    }

    /// Whether numbers were given out one by one, in order.
    pub(crate) fn in_order(&self) -> bool {
        self.played.windows(2).all(|pair| pair[1].number == pair[0].number + 1)
    }
}
