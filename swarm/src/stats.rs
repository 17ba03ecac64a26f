//! What an engine has counted.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::{Location, PeerId, Role};

use crate::Cause;

/// Bytes by the role of the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ByRole {
    /// From or to the headend.
    pub headend: u64,
    /// From or to repeaters.
    pub repeater: u64,
    /// From or to viewers.
    pub viewer: u64,
}

/// A sub-stream that flows in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParentStats {
    /// The sub-stream.
    pub index: u8,
    /// Who pushes it.
    pub parent: PeerId,
    /// What that peer does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
}

/// Why sub-streams that flowed came to be taken from another parent, or given up: how many of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moves {
    /// The parent left, or the connection is gone.
    pub left: u64,
    /// The parent had no answer, or nothing came from it.
    pub silent: u64,
    /// It was short of uplink.
    pub shed: u64,
    /// It had lost the sub-stream itself, or it would have come through this node.
    pub lost: u64,
    /// There was a better parent.
    pub better: u64,
}

/// Why a sub-stream does not flow from a parent any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Loss {
    /// The parent left, or the connection is gone.
    Left,
    /// The parent had no answer, or nothing came from it.
    Silent,
    /// The parent does not push it: it has no room.
    Shed,
    /// The parent does not have it (any more), or has it through this node.
    Gone,
}

/// A sub-stream that was lost and flows again, and where the time went: `noticed`, `chosen`, `answered` and `flowed` follow each
/// other from the last shard of the old parent to the first of the new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failover {
    /// Why it was lost.
    pub why: Loss,
    /// For how long nothing came, beyond the normal spacing of shards.
    pub gap: Duration,
    /// From the last shard until it was known to be lost.
    pub noticed: Duration,
    /// Until the parent was asked that feeds it now.
    pub chosen: Duration,
    /// Until that granted it.
    pub answered: Duration,
    /// Until its first shard came.
    pub flowed: Duration,
    /// Other parents that refused meanwhile.
    pub refused: u8,
    /// And those that did not answer in time, or were lost before they brought anything.
    pub unanswered: u8,
}

/// Counters since the engine began, and what is true now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Time from the engine's beginning to the moment when the first segment could be played.
    pub startup: Option<Duration>,
    /// Runs of segments that could not be played whole in time, one that has not ended yet included.
    pub stalls: u64,
    /// Media time in them so far.
    pub stalled: Duration,
    /// Stalls by cause, which is known once it is over.
    pub stall_causes: BTreeMap<Cause, u64>,
    /// Capture to playout, now.
    pub lag: Duration,
    /// Capture to arrival here, for the newest segment.
    pub arrival: Duration,
    /// Newest known segment's capture time minus that of the one playing.
    pub behind_edge: Duration,
    /// Segments that are to be played yet and are late: they began to come longer ago than they last and are not whole, or
    /// should have begun to.
    pub overdue: u32,
    /// Up to which segment all that is to be played yet is whole.
    pub whole_to: Option<u64>,
    /// How many segments that are: what is in hand if nothing more comes.
    pub in_hand: u32,
    /// Segments played (whole or essential only).
    pub played: u64,
    /// Segments not played.
    pub lost: u64,
    /// Segments played that needed at least one parity shard.
    pub rebuilt: u64,
    /// Media bytes in, by the sender's role.
    pub bytes_in: ByRole,
    /// Media bytes out, by the receiver's role.
    pub bytes_out: ByRole,
    /// Media bytes in by how near the sender is: same subset, same AS, same country, elsewhere or not known.
    pub near_in: [u64; 4],
    /// Of those from and to viewers, what stayed in this home.
    pub home_in: u64,
    /// The same, out.
    pub home_out: u64,
    /// Bytes of shards that were already held.
    pub duplicate_bytes: u64,
    /// Bytes of messages, both ways.
    pub control_bytes: u64,
    /// Shards that failed their proof.
    pub rejected_shards: u64,
    /// Numbers seen with two roots.
    pub conflicts: u64,
    /// Sub-streams moved to another parent because they were lost.
    pub failovers: u64,
    /// Why sub-streams moved or were lost.
    pub moves: Moves,
    /// The longest gap of a moved sub-stream beyond the normal spacing of shards.
    pub failover_max: Duration,
    /// Sub-streams that flow in now.
    pub substreams: Vec<ParentStats>,
    /// Sub-streams pushed to children now.
    pub pushed: u32,
    /// Standby partners probed within the last 5 s.
    pub standby: u32,
    /// Partners connected.
    pub partners: u32,
    /// Peers known.
    pub known: u32,
    /// The most sub-streams of this node that come through one and the same viewer, however far up.
    pub exposure: u32,
}
