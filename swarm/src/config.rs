//! What an engine is told once.

use std::time::Duration;

use ticket::{Location, PeerId, Role};

/// Whom a node feeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Serve {
    /// Whoever has a ticket.
    #[default]
    All,
    /// Repeaters (and headends) only.
    Repeaters,
    /// Nobody: the viewer has switched sharing off.
    Nobody,
}

/// An engine's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub me: PeerId,
    /// What it does in the swarm.
    pub role: Role,
    /// Where it is.
    pub location: Location,
    /// Sub-streams of the rendition, 1 to 64.
    pub n: u8,
    /// How many rebuild everything, 1 to 32.
    pub k: u8,
    /// How many rebuild sound and tables, 1 to `k`.
    pub essential_k: u8,
    /// Nominal duration of a segment (T).
    pub segment: Duration,
    /// Capture to playout (D), the same for all viewers of the channel.
    pub playout_delay: Duration,
    /// What the node may send in this swarm, bits per second of media; `None`: no limit known (repeaters,
    /// headends).
    pub uplink: Option<u64>,
    /// The most sub-streams that are pushed at one time, over all children; `None`: as uplink allows.
    pub max_pushed: Option<u32>,
    /// Whom it feeds.
    pub serve: Serve,
    /// The most spare sub-streams beyond `k`, 0 to 2.
    pub max_spares: u8,
    /// The most partners connected at one time.
    pub max_partners: u16,
    /// How long segments are kept after capture: `playout_delay` and some more for others.
    pub keep: Duration,
}

impl Config {
    /// At most this many known peers are kept.
    pub const MAX_KNOWN: usize = 200;
    /// Standby partners that are kept probed.
    pub const STANDBY: usize = 3;
}
