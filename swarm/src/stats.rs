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

/// Counters since the engine began, and what is true now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Time from the engine's beginning to the moment when the first segment could be played.
    pub startup: Option<Duration>,
    /// Runs of segments that could not be played whole in time.
    pub stalls: u64,
    /// Media time in them.
    pub stalled: Duration,
    /// Stalls by cause.
    pub stall_causes: BTreeMap<Cause, u64>,
    /// Capture to playout, now.
    pub lag: Duration,
    /// Newest known segment's capture time minus that of the one playing.
    pub behind_edge: Duration,
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
    /// Sub-streams moved to another parent.
    pub failovers: u64,
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
