//! What an engine wants done.

use std::net::SocketAddr;

use segment::LayerSet;
use ticket::{PeerId, Role};

use crate::{Message, ShardRef, Substreams, Time};

/// Why a partner is given up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Parting {
    /// No longer needed.
    Unneeded,
    /// It fell silent.
    Silent,
    /// It misbehaved.
    Misbehaved(Offence),
    /// This node leaves.
    Leaving,
}

/// What a peer did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Offence {
    /// Sent a shard that failed its proof.
    BadShard,
    /// Sent a proven shard far outside the window (a replay).
    Replay,
    /// Claimed what it does not have.
    FalseAvailability,
    /// Granted and did not push.
    BrokenPromise,
    /// Asked or told more than allowed.
    Flood,
    /// Broke the protocol.
    Protocol,
}

/// How a shard is queued.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// Pulled or burst, needed soon: before pushes.
    Repair,
    /// Pushed.
    Push,
    /// A start's burst, in order of deadline.
    Start,
}

/// Why a segment could not be played whole, for the viewer's and the operator's statistics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// A parent left or fell silent, and its sub-streams did not flow again in time.
    ParentLeft,
    /// Shards came too late: parents or the path to them were overloaded.
    UplinkFull,
    /// Not enough parents could be connected to.
    Nat,
    /// The source made no such segment, or no partner has it.
    SourceGap,
    /// The node's own downlink did not keep up.
    Downlink,
    /// The player could not decode it (told by the player, not by the engine).
    Decoder,
}

/// One output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Connect to a peer; answered by `Connected` or `NotConnected`.
    Connect {
        /// Who.
        peer: PeerId,
        /// What it is said to do.
        role: Role,
        /// Where, best first.
        addrs: Vec<SocketAddr>,
    },
    /// This swarm does not need the connection any more.
    Disconnect {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: Parting,
    },
    /// Send a message.
    Send {
        /// To whom.
        to: PeerId,
        /// What.
        message: Message,
    },
    /// Send a shard that is held or can be regenerated.
    SendShard {
        /// To whom.
        to: PeerId,
        /// Which.
        shard: ShardRef,
        /// Which of its layers.
        layers: LayerSet,
        /// After this moment it is of no use and is not sent.
        deadline: Time,
        /// How it is queued.
        urgency: Urgency,
    },
    /// Take pushes of these sub-streams out of the queue.
    Cancel {
        /// Whose queue.
        to: PeerId,
        /// Which.
        substreams: Substreams,
    },
    /// Viewer only: play this segment now. Outputs come in order of number, one for each segment from the first
    /// played on, as `Play` or `Miss`.
    Play {
        /// The segment.
        number: u64,
        /// The layers that can be rebuilt.
        layers: LayerSet,
        /// When it is due on the node's clock; in the past while a start catches up.
        due: Time,
    },
    /// Viewer only: not even the essential layer of this segment came in time.
    Miss {
        /// The segment.
        number: u64,
        /// Why.
        cause: Cause,
    },
    /// Segments before this one are not needed any more.
    Forget {
        /// The first that is kept.
        before: u64,
    },
    /// More peers are needed from rendezvous.
    FindPeers,
}
