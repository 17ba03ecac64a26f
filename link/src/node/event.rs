//! What the tasks of connections tell the driver.

use segment::{Shard, SwarmId};
use swarm::{ConnectError, Delivery, ShardRef, Urgency};
use ticket::PeerId;

use super::budget::Hold;
use super::hello::Met;
use super::wire::PeerFrame;

/// One event. `id` names the connection.
pub(crate) enum Event {
    /// A connection whose both ends have shown good tickets.
    Met(Box<Met>),
    /// A peer that was dialled cannot be had.
    NotMet { peer: PeerId, error: ConnectError },
    /// A peer or its ticket was refused.
    Refused,
    /// A control frame came.
    Frame { id: u64, frame: PeerFrame },
    /// A shard came, not proven yet.
    Shard { id: u64, swarm: SwarmId, shard: Box<Shard>, hold: Hold },
    /// Something came that is no shard.
    Garbage { id: u64, swarm: SwarmId },
    /// What became of shards that were queued: those of one burst together.
    Delivered { id: u64, shards: Vec<Delivered> },
    /// The connection is gone, for this reason.
    Closed { id: u64, broke_protocol: bool },
}

/// What became of one shard.
pub(crate) struct Delivered {
    pub(crate) swarm: SwarmId,
    pub(crate) shard: ShardRef,
    pub(crate) urgency: Urgency,
    pub(crate) delivery: Delivery,
}
