//! What a node and rendezvous say to each other: frames on one bidirectional QUIC stream that the node opens.
//!
//! A frame is a type (one byte), a length (four bytes, big endian) and a postcard body, so that an older side skips
//! what it does not know. Types are the variants of [`Request`] and [`Event`], counted from 0 in the order below:
//! new ones go to the end, and so do new fields of old ones, which an older side leaves unread.

mod condition;
pub(crate) mod frame;
mod introduction;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use swarm::{PeerHint, Substreams};
use ticket::PeerId;

pub use condition::{
    Condition, MAX_PREVIEW, MAX_PROGRAMMES, MAX_SECTION, MAX_SOURCES, MAX_TEXT, Order, Programme,
    Schedule, SourceCondition, SourceState, shortened,
};
pub use frame::{Frame, FrameError, read, write};
pub use introduction::{Candidate, CandidateKind, Introduction, MAX_CANDIDATES};

use crate::nat::Reach;
use crate::nat::reflect::Reflector;

/// The version of this protocol.
pub const VERSION: u16 = 1;
/// QUIC's error code with which rendezvous lets go of a viewer that it now sees at another address: it says hello again.
/// An older viewer does so as after any loss.
pub const ELSEWHERE: u32 = 1;
/// The longest frame, bytes.
pub const MAX_FRAME: usize = 256 * 1024;

/// A swarm's id ([`segment::SwarmId`]) as it travels.
pub type Swarm = [u8; 16];

/// A channel of the line-up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// The id that tickets and addresses use.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Position in the line-up, from 1.
    pub number: u32,
    /// The logo's address, if there is one.
    pub logo: Option<String>,
    /// Whether a headend is publishing it now.
    pub live: bool,
    /// Its renditions' names and bit rates (bits per second), best first.
    pub renditions: Vec<(String, u64)>,
}

/// What is needed to take part in a rendition's swarm. Nothing in it is secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// The channel's id.
    pub channel: String,
    /// The rendition's name.
    pub rendition: String,
    /// The channel's public key.
    pub key: [u8; 32],
    /// Sub-streams.
    pub n: u8,
    /// K of the full layer.
    pub k: u8,
    /// K of the essential layer, if there is one.
    pub essential_k: Option<u8>,
    /// Segment duration (T), milliseconds.
    pub segment_ms: u16,
    /// Playout delay (D), milliseconds.
    pub delay_ms: u32,
    /// Media bit rate, bits per second, about.
    pub bitrate: u64,
}

/// The content key of one epoch, as it travels (encrypted, between two that have proved who they are).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochKey {
    /// The epoch.
    pub epoch: u32,
    /// The secret.
    pub key: [u8; 32],
}

/// Never shows the secret.
impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKey({})", self.epoch)
    }
}

/// What a headend announces of one rendition of a channel, and again with each new epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// The channel's name for people.
    pub name: String,
    /// How to take part.
    pub parameters: Parameters,
    /// Segments that one content key serves.
    pub epoch_segments: u64,
    /// Content keys: the epoch now and the next.
    pub keys: Vec<EpochKey>,
}

/// How a node fares in one swarm; sent every few seconds and when it changes much.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SwarmReport {
    /// Which.
    pub swarm: Swarm,
    /// Sub-streams that flow in or are made here.
    pub have: Substreams,
    /// How many more sub-streams it would push.
    pub free: u16,
    /// How many it pushes.
    pub pushed: u16,
    /// Capture to arrival, milliseconds.
    pub lag_ms: u32,
    /// Start time, milliseconds; 0 if it has not started.
    pub startup_ms: u32,
    /// Stalls since it joined.
    pub stalls: u32,
    /// Milliseconds stalled since it joined.
    pub stall_ms: u64,
    /// Media bytes in since it joined: from headends, repeaters, viewers.
    pub bytes_in: [u64; 3],
    /// Media bytes out since it joined: to headends, repeaters, viewers.
    pub bytes_out: [u64; 3],
}

/// Causes of stalls as [`Quality::stalls`] counts them: names for people and metrics.
pub const CAUSES: [&str; 6] =
    ["parent_left", "uplink_full", "nat", "source_gap", "downlink", "decoder"];
/// How near senders are, as [`Quality::near_in`] counts them.
pub const DISTANCES: [&str; 4] = ["subset", "as", "country", "far"];

/// How a viewer fares in one swarm, beyond its [`SwarmReport`]; sent less often. All since it joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quality {
    /// Which.
    pub swarm: Swarm,
    /// Stalls by cause, in the order of [`CAUSES`].
    pub stalls: [u32; 6],
    /// Segments played.
    pub played: u64,
    /// Of those, segments that needed a parity shard.
    pub rebuilt: u64,
    /// Segments not played.
    pub lost: u64,
    /// Bytes of shards that came twice.
    pub duplicate: u64,
    /// Media bytes in by how near the sender is, in the order of [`DISTANCES`].
    pub near_in: [u64; 4],
}

/// From a node to rendezvous.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// First frame.
    Hello {
        /// [`VERSION`].
        version: u16,
        /// The user ticket.
        ticket: String,
        /// Addresses that others should use for this node; empty: the one that rendezvous sees.
        advertise: Vec<SocketAddr>,
        /// Program and version, for the operator.
        software: String,
    },
    /// A fresh channel ticket, please; with a fresh user ticket if there is one.
    Renew {
        /// The user ticket.
        ticket: Option<String>,
    },
    /// Take part in a rendition. Answered by `Channel` or `NoChannel`.
    Join {
        /// The channel's id.
        channel: String,
        /// The rendition; `None`: the best.
        rendition: Option<String>,
    },
    /// No longer in this swarm.
    Leave {
        /// Which.
        swarm: Swarm,
    },
    /// Peers for a swarm that was joined. Answered by `Peers`.
    FindPeers {
        /// Which.
        swarm: Swarm,
    },
    /// Headends only: this rendition is published here.
    Publish(Publication),
    /// How things are.
    Report(Vec<SwarmReport>),
    /// What time is it? Answered by `Clock`.
    Clock {
        /// The node's own clock; echoed.
        sent: u64,
    },
    /// Tell a viewer of the same swarm where this one can be met; see [`Introduction`].
    Introduce {
        /// Whom.
        peer: PeerId,
        /// What.
        introduction: Introduction,
    },
    /// How far this node can be reached, as far as it has found out; again whenever it finds out more.
    Reach(Reach),
    /// Headends only: how the channels made here fare.
    Conditions(Vec<Condition>),
    /// Headends only: what a channel shows now; after `Look`.
    Preview {
        /// The channel's id.
        channel: String,
        /// A small JPEG picture, at most [`MAX_PREVIEW`] bytes.
        jpeg: Vec<u8>,
    },
    /// Headends only: what the source of a channel says is on, now and next.
    OnAir(Schedule),
    /// Headends only: what became of an [`Order`].
    Done {
        /// Its number.
        number: u64,
        /// Why it was not done, for people; at most [`MAX_TEXT`].
        problem: Option<String>,
    },
    /// Viewers only: more of how things are.
    Quality(Vec<Quality>),
}

/// Why rendezvous refuses something. The text beside it is for people.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The user ticket does not pass: expired, forged, another device's, another platform's.
    Ticket,
    /// The session, account or node was revoked.
    Revoked,
    /// The channel is not in the package.
    NotEntitled,
    /// There is no such channel or rendition, or no headend publishes it.
    NoSuchChannel,
    /// The node's role does not allow this.
    Role,
    /// Too many nodes, swarms or requests.
    Limit,
    /// A protocol version that is not known.
    Version,
}

/// From rendezvous to a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Answer to `Hello`.
    Welcome {
        /// The channel ticket.
        ticket: String,
        /// The address the node is seen at.
        observed: SocketAddr,
        /// The published key set, JSON.
        key_set: String,
        /// What it may watch, carry or publish.
        line_up: Vec<ChannelInfo>,
        /// Microseconds since 1970.
        time: u64,
    },
    /// `Hello` or `Renew` is refused; the connection closes.
    Refused {
        /// Why.
        refusal: Refusal,
        /// For people.
        reason: String,
    },
    /// Answer to `Renew`.
    Ticket {
        /// The channel ticket.
        ticket: String,
    },
    /// Answer to `Join`.
    Channel {
        /// How to take part.
        parameters: Parameters,
        /// Content keys (viewers only): the epoch now and the next.
        keys: Vec<EpochKey>,
        /// Up to 30 peers, nearest first.
        peers: Vec<PeerHint>,
    },
    /// Answer to `Join` that refuses.
    NoChannel {
        /// The channel's id.
        channel: String,
        /// Why.
        refusal: Refusal,
        /// For people.
        reason: String,
    },
    /// Answer to `FindPeers`.
    Peers {
        /// Which swarm.
        swarm: Swarm,
        /// Up to 30, nearest first.
        peers: Vec<PeerHint>,
    },
    /// New content keys of a swarm that was joined (viewers only), in good time.
    Keys {
        /// Which swarm.
        swarm: Swarm,
        /// The epoch now and the next.
        keys: Vec<EpochKey>,
    },
    /// The line-up changed.
    LineUp(Vec<ChannelInfo>),
    /// The key set changed.
    KeySet(String),
    /// These sessions (`jti`) are revoked: drop who bears their tickets.
    Revoked(Vec<String>),
    /// Answer to `Clock`: microseconds since 1970.
    Clock {
        /// Echoed.
        sent: u64,
        /// When the request came.
        received: u64,
    },
    /// Peers that this node reported or that vanished from a swarm; do not try them.
    Lost {
        /// Which swarm.
        swarm: Swarm,
        /// Who.
        peers: Vec<PeerId>,
    },
    /// A viewer of the same swarm says where it can be met.
    Introduced {
        /// Who.
        peer: PeerId,
        /// What it says.
        introduction: Introduction,
    },
    /// After `Welcome`: rendezvous introduces viewers, and these tell them at what address they are seen.
    Reflectors(Vec<Reflector>),
    /// With the peers of a swarm: viewers that are seen at the same address as this one, so perhaps of the same home.
    Neighbours {
        /// Which swarm.
        swarm: Swarm,
        /// Who.
        peers: Vec<PeerHint>,
    },
    /// The operator wants to see what a channel shows (headends only). Answered by `Preview`.
    Look {
        /// The channel's id.
        channel: String,
    },
    /// What the sources of some channels say is on (viewers only): after `Welcome`, and when it changes.
    OnAir(Vec<Schedule>),
    /// The operator wants something (headends only). Answered by `Done`.
    Order(Order),
}
