//! What the shell tells an engine.

use std::time::Duration;

use segment::{Header, LayerSet};
use ticket::{Location, PeerId, Role};

use crate::output::Urgency;
use crate::{Message, PeerHint, ShardRef};

/// What a connected peer's checked ticket says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerInfo {
    /// What it does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
    /// Round trip as the transport measured it so far.
    pub rtt: Duration,
    /// Where it can be reached by others, for peer exchange; empty if it cannot be, or does not want to: a viewer of
    /// which no address is known goes before others at servers.
    pub addrs: Vec<std::net::SocketAddr>,
    /// Whether both are viewers of one home and the connection stays in it: what goes over it costs no uplink, and one of
    /// them is to take the stream from outside for both.
    pub household: bool,
}

/// A shard that came in and was proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The segment.
    pub header: Header,
    /// Which shard.
    pub index: u8,
    /// The layers it carries.
    pub layers: LayerSet,
    /// Its length as it travelled, bytes.
    pub bytes: u32,
}

/// Where a viewer begins to play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin {
    /// The first segment.
    pub number: u64,
    /// Whether it is to be found out if the line carries this swarm at all: sub-streams are asked for one after the other.
    pub gently: bool,
}

/// What became of a shard that the engine had sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Handed to the transport (and left the node's queue) after waiting this long.
    Sent(Duration),
    /// Not sent: it was past its deadline or the receiver's queue was full.
    Dropped,
}

/// Why a connection did not come about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConnectError {
    /// No answer.
    Unreachable,
    /// It refused us, or its ticket did not pass.
    Refused,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A peer with a good ticket is connected and in this swarm.
    Connected {
        /// Who.
        peer: PeerId,
        /// What is known of it.
        info: PeerInfo,
    },
    /// A connection that the engine asked for did not come about.
    NotConnected {
        /// Who.
        peer: PeerId,
        /// Why.
        error: ConnectError,
    },
    /// A connection is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A message came.
    Message {
        /// From whom.
        from: PeerId,
        /// What.
        message: Message,
    },
    /// A proven shard came.
    Shard {
        /// From whom.
        from: PeerId,
        /// What.
        arrival: Arrival,
    },
    /// A shard came that failed its proof, or bytes that are no shard. The engine drops the peer.
    BadShard {
        /// From whom.
        from: PeerId,
    },
    /// Headend only: a segment was sealed; all of its shards are held.
    Published {
        /// The segment.
        header: Header,
        /// Wire length of one of its shards, bytes.
        shard_bytes: u32,
    },
    /// What became of a shard that was to be sent.
    Delivery {
        /// To whom.
        to: PeerId,
        /// Which.
        shard: ShardRef,
        /// As what it was sent.
        urgency: Urgency,
        /// What.
        delivery: Delivery,
    },
    /// Peers that rendezvous named, nearest first.
    Candidates {
        /// Who.
        peers: Vec<PeerHint>,
    },
    /// Peers that were good in an earlier session ([`crate::Engine::good_peers`]), at most 32 are taken: they are tried
    /// first, and are named to nobody before they have been met.
    Remembered {
        /// Who.
        peers: Vec<PeerHint>,
    },
    /// The platform's clock: microseconds since 1970 minus the node's monotonic microseconds.
    Clock {
        /// The offset.
        offset: i64,
    },
    /// The uplink that the swarm may use changed, bits per second; `None`: no limit known.
    Uplink {
        /// The rate.
        rate: Option<u64>,
    },
    /// The most sub-streams that may be pushed at one time changed; children above it are let go.
    MaxPushed(Option<u32>),
    /// How other viewers can reach this one; told to those that are partners.
    Reach(crate::Reach),
    /// Whom the node feeds changed.
    Serve(crate::Serve),
    /// A viewer that has just joined gives out segments from this one on: what is before is played from elsewhere.
    BeginAt(crate::Begin),
    /// A viewer leaves its partners and receives nothing more; what has come is still given out when it is due.
    Rest,
    /// The node leaves the swarm: tell partners.
    Leave,
    /// Time has passed; at or after `next_timeout`.
    Timeout,
}
