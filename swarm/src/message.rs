//! What peers of a swarm say to each other, shards excepted.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use ticket::{Location, PeerId, Role, ShortId};

use crate::Substreams;

/// Shard `index` of segment `number`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ShardRef {
    /// The segment.
    pub number: u64,
    /// The sub-stream.
    pub index: u8,
}

/// What a peer holds and can pass on of one sub-stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Availability {
    /// The sub-stream.
    pub index: u8,
    /// The newest segment whose shard it holds or can regenerate.
    pub newest: u64,
    /// The ancestors it came through, nearest the source first, at most 16. A regenerated sub-stream carries the
    /// union of its inputs' ancestors.
    pub path: Vec<ShortId>,
    /// Hops from the source; a regenerated sub-stream ranks above all of its inputs.
    pub rank: u8,
}

/// The answer to a search.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// What could be subscribed to, of what was wanted.
    pub available: Vec<Availability>,
    /// How many more sub-streams it would push to the asker.
    pub free: u16,
    /// Milliseconds from capture to arrival here, newest segment.
    pub lag_ms: u32,
    /// Further peers to ask, at most 8.
    pub peers: Vec<PeerHint>,
}

/// The answer to a subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Pushed from now on.
    pub granted: Substreams,
    /// Not pushed.
    pub refused: Substreams,
    /// Why, if any were refused.
    pub reason: Option<Refusal>,
}

/// Why something is not given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// No uplink to spare.
    Full,
    /// It is not held here.
    NotHeld,
    /// The asker is among its ancestors.
    Loop,
    /// It does not serve this kind of peer.
    NotServed,
}

/// Why a parent stops pushing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Shed {
    /// Uplink is overloaded: the newest children go first.
    Overload,
    /// The sub-stream does not arrive here any more.
    Lost,
    /// The node is leaving.
    Leaving,
}

/// How a viewer can be reached by other viewers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Reach {
    /// Not known (yet).
    #[default]
    Unknown,
    /// By everybody: there is no NAT, or one with a port that is forwarded.
    Open,
    /// By those who are not hard to reach themselves.
    Behind,
    /// By those only who are open: behind a symmetric NAT.
    Hard,
}

/// A peer that somebody has heard of within the last minute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerHint {
    /// Who.
    pub peer: PeerId,
    /// What it does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
    /// Where it can be reached, best first, at most 4.
    pub addrs: Vec<SocketAddr>,
    /// Seconds since it was last heard of, at most 60.
    pub age_s: u8,
}

/// One message. On the wire: type, length, body, so that an older node skips what it does not know. The order of the
/// variants is their type on the wire: new ones go to the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// First message on both sides of a partnership: what can be had here.
    Hello(Offer),
    /// Receiver-based search: who can push these sub-streams?
    Search {
        /// What is wanted.
        wanted: Substreams,
    },
    /// Answer to `Search`.
    Offer(Offer),
    /// Push these sub-streams, from this segment on.
    Subscribe {
        /// Which.
        substreams: Substreams,
        /// First segment wanted.
        from: u64,
    },
    /// Answer to `Subscribe`.
    Grant(Grant),
    /// Stop pushing these.
    Unsubscribe {
        /// Which.
        substreams: Substreams,
    },
    /// The parent stops pushing these.
    Shed {
        /// Which.
        substreams: Substreams,
        /// Why.
        reason: Shed,
    },
    /// Availability that changed: to children at once when paths change, to partners now and then.
    Have {
        /// What changed.
        available: Vec<Availability>,
        /// How many more sub-streams it would push.
        free: u16,
    },
    /// The sub-streams that cannot be had here any more.
    Gone {
        /// Which.
        substreams: Substreams,
    },
    /// Pull: send these shards, if they can be there in time.
    Request {
        /// Which, most urgent first, at most 64.
        shards: Vec<ShardRef>,
        /// Milliseconds from now after which they are of no use.
        within_ms: u16,
    },
    /// Answer to `Request` for what will not be sent.
    Unavailable {
        /// Which.
        shards: Vec<ShardRef>,
    },
    /// First picture: send `k` shards of each segment from the latest random access point whose capture is at or
    /// before this moment, to the newest.
    Start {
        /// Microseconds since 1970, platform's clock: the capture time that the asker will be playing.
        playout: u64,
        /// How many different shards of each segment.
        k: u8,
    },
    /// Answer to `Start`: these segments follow. `None`: no random access point held.
    Starting {
        /// First and last segment of the burst.
        range: Option<(u64, u64)>,
    },
    /// A sub-stream from you is late or has holes. Sent only when quality is bad.
    Quality {
        /// The sub-stream.
        index: u8,
        /// Milliseconds behind the best of the other parents.
        late_ms: u16,
        /// Shards that did not come, of the last 16.
        lost: u8,
    },
    /// Are you there? Sent to standby partners.
    Probe {
        /// Echoed.
        token: u32,
    },
    /// Answer to `Probe`.
    ProbeReply {
        /// The probe's.
        token: u32,
        /// How many more sub-streams it would push.
        free: u16,
        /// As in `Offer`.
        lag_ms: u32,
    },
    /// Peers heard of within the last 60 s, at most 16.
    Peers(Vec<PeerHint>),
    /// The sender leaves the swarm.
    Bye,
    /// How the sender, a viewer, can be reached by others.
    Reach(Reach),
}
