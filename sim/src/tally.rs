//! What is counted while it runs.

use std::time::Duration;

use swarm::{Message, Stats};

use crate::histogram::Histogram;
use crate::moves::Moves;
use crate::population::Manner;

/// Kinds of causes that an engine names.
pub(crate) const CAUSES: [(swarm::Cause, &str); 6] = [
    (swarm::Cause::ParentLeft, "parent_left"),
    (swarm::Cause::UplinkFull, "uplink_full"),
    (swarm::Cause::Nat, "nat"),
    (swarm::Cause::SourceGap, "source_gap"),
    (swarm::Cause::Downlink, "downlink"),
    (swarm::Cause::Decoder, "decoder"),
];

/// Kinds of messages, by place.
pub(crate) const KINDS: [&str; 20] = [
    "hello",
    "search",
    "offer",
    "subscribe",
    "grant",
    "unsubscribe",
    "shed",
    "have",
    "gone",
    "request",
    "unavailable",
    "start",
    "starting",
    "quality",
    "probe",
    "probe_reply",
    "peers",
    "bye",
    "reach",
    "other",
];

/// The place of a message's kind.
pub(crate) fn kind(message: &Message) -> usize {
    match message {
        Message::Hello(_) => 0,
        Message::Search { .. } => 1,
        Message::Offer(_) => 2,
        Message::Subscribe { .. } => 3,
        Message::Grant(_) => 4,
        Message::Unsubscribe { .. } => 5,
        Message::Shed { .. } => 6,
        Message::Have { .. } => 7,
        Message::Gone { .. } => 8,
        Message::Request { .. } => 9,
        Message::Unavailable { .. } => 10,
        Message::Start { .. } => 11,
        Message::Starting { .. } => 12,
        Message::Quality { .. } => 13,
        Message::Probe { .. } => 14,
        Message::ProbeReply { .. } => 15,
        Message::Peers(_) => 16,
        Message::Bye => 17,
        Message::Reach(_) => 18,
        #[allow(unreachable_patterns)]
        _ => 19,
    }
}

/// Counted by each region; the sum does not depend on how many there are.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Events handled, shards delivered, messages delivered.
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) messages: [u64; KINDS.len()],
    /// Capture to the K-th shard, microseconds.
    pub(crate) lag: Histogram,
    /// Hops of the K-th shard's segment: the most of its shards.
    pub(crate) depth: Histogram,
    /// Playout against the common moment, microseconds, something added.
    pub(crate) playout: Histogram,
    /// Newest segment captured to the one playing.
    pub(crate) behind_edge: Histogram,
    /// How long a sub-stream that moved did not flow, beyond the normal spacing, microseconds.
    pub(crate) failover: Histogram,
    pub(crate) moves: Moves,
    /// Bytes between viewers: in a subset, in a system, in a country, further.
    pub(crate) near: [u64; 4],
    /// Media bytes that entered each system for its viewers.
    pub(crate) entering: Vec<u64>,
    /// Shards that failed their proof, and how long after a victim's first from the same peer.
    pub(crate) bad: u64,
    pub(crate) bad_after: Histogram,
    /// Viewers that went, or were there to the end.
    pub(crate) viewers: Vec<Record>,
    /// Servers, likewise.
    pub(crate) servers: Vec<Record>,
    /// Since the last sample.
    pub(crate) lately: Lately,
}

/// What is counted between two samples.
#[derive(Clone, Default)]
pub(crate) struct Lately {
    pub(crate) joins: u64,
    pub(crate) starts: Histogram,
    pub(crate) lag: Histogram,
    /// Bytes to viewers, from headend, repeaters, viewers.
    pub(crate) bytes: [u64; 3],
    /// Bytes between viewers, and those of them within one system.
    pub(crate) between: [u64; 2],
}

/// Where the time of a start goes: microseconds after joining when each happened first, 0 if it did not.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Steps {
    /// Rendezvous had answered.
    pub(crate) told: u64,
    /// A server was met, and a viewer.
    pub(crate) server: u64,
    pub(crate) viewer: u64,
    /// A shard had come.
    pub(crate) shard: u64,
}

impl Steps {
    /// Notes a step, the first time.
    pub(crate) fn note(step: &mut u64, since: u64) {
        if *step == 0 {
            *step = since;
        }
    }
}

/// What became of one node's stay.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) node: u32,
    pub(crate) manner: Manner,
    pub(crate) system: u32,
    pub(crate) joined: u64,
    pub(crate) stayed: u64,
    /// Joining to having data up to the playout point, microseconds.
    pub(crate) startup: Option<u64>,
    /// Microseconds of media that were played whole after that, and of one segment.
    pub(crate) played: u64,
    pub(crate) segment: u64,
    /// Microseconds that were stalled in its first ten seconds; none if it did not stay so long.
    pub(crate) early: Option<u64>,
    pub(crate) steps: Steps,
    pub(crate) stats: Stats,
    pub(crate) lends: u64,
}

impl Record {
    /// Microseconds in which it should have played.
    pub(crate) fn watched(&self) -> u64 {
        self.stayed.saturating_sub(self.startup.unwrap_or(0))
    }

    /// Microseconds in which it could not: what the engine counted, or what is missing, whichever is more. (A freeze
    /// that has no end yet is not counted by the engine.) Who never starts is stalled from the tenth second on.
    pub(crate) fn stalled(&self) -> u64 {
        let Some(_) = self.startup else { return self.stayed.saturating_sub(10_000_000) };
        // One may be due at either end.
        let missing = self.watched().saturating_sub(self.played + 2 * self.segment);
        micros(self.stats.stalled).max(missing).min(self.watched())
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

impl Tally {
    pub(crate) fn new(systems: u32) -> Self {
        Self { entering: vec![0; systems as usize], ..Self::default() }
    }

    pub(crate) fn merge(&mut self, other: Tally) {
        self.events += other.events;
        self.deliveries += other.deliveries;
        for (here, there) in self.messages.iter_mut().zip(other.messages) {
            *here += there;
        }
        self.bad += other.bad;
        self.moves.merge(other.moves);
        let pairs = [
            (&mut self.lag, &other.lag),
            (&mut self.depth, &other.depth),
            (&mut self.playout, &other.playout),
            (&mut self.behind_edge, &other.behind_edge),
            (&mut self.bad_after, &other.bad_after),
            (&mut self.failover, &other.failover),
        ];
        pairs.into_iter().for_each(|(here, there)| here.merge(there));
        for (here, there) in self.near.iter_mut().zip(other.near) {
            *here += there;
        }
        for (here, there) in self.entering.iter_mut().zip(other.entering) {
            *here += there;
        }
        self.viewers.extend(other.viewers);
        self.servers.extend(other.servers);
        self.lately.merge(&other.lately);
    }
}

impl Lately {
    pub(crate) fn merge(&mut self, other: &Lately) {
        self.joins += other.joins;
        self.starts.merge(&other.starts);
        self.lag.merge(&other.lag);
        for (here, there) in self.bytes.iter_mut().zip(other.bytes) {
            *here += there;
        }
        for (here, there) in self.between.iter_mut().zip(other.between) {
            *here += there;
        }
    }
}
