//! What the operator is shown of the map. No addresses.

use serde::Serialize;
use ticket::{Location, PeerId, Role};

/// A figure for each role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct ByRole {
    /// Headends.
    pub headend: u64,
    /// Repeaters.
    pub repeater: u64,
    /// Viewers.
    pub viewer: u64,
}

impl From<[u64; 3]> for ByRole {
    fn from([headend, repeater, viewer]: [u64; 3]) -> Self {
        Self { headend, repeater, viewer }
    }
}

impl ByRole {
    /// The viewers' share of the sum; `None` if there is nothing to share.
    pub fn offload(&self) -> Option<f64> {
        let all = self.headend.saturating_add(self.repeater).saturating_add(self.viewer);
        (all > 0).then(|| self.viewer as f64 / all as f64)
    }
}

/// A swarm at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The channel's id.
    pub channel: String,
    /// The rendition.
    pub rendition: String,
    /// Whether a headend publishes it.
    pub live: bool,
    /// The channel's public key, base64url.
    pub key: String,
    /// Sub-streams.
    pub n: u8,
    /// K of the full layer.
    pub k: u8,
    /// K of the essential layer.
    pub essential_k: Option<u8>,
    /// T, milliseconds.
    pub segment_ms: u16,
    /// D, milliseconds.
    pub delay_ms: u32,
    /// Bits per second.
    pub bitrate: u64,
    /// The newest epoch whose content key is held here; the key itself is never shown.
    pub epoch: Option<u32>,
    /// For how long the content keys that are held here reach at least, seconds.
    pub keys_left_s: u64,
    /// Nodes that take part.
    pub nodes: ByRole,
    /// Nodes of these that are connected to this rendezvous.
    pub here: ByRole,
    /// Nodes of these that were heard of within the last 15 s.
    pub heard: ByRole,
    /// Sub-streams that they would push beyond what they push.
    pub free: ByRole,
    /// Media bytes that viewers have received, by role of the sender.
    pub received: ByRole,
    /// The viewers' share of these lately, 0 to 1.
    pub offload: Option<f64>,
    /// Capture to arrival at viewers, median, milliseconds.
    pub lag_ms: Option<u32>,
    /// Start time of viewers, median, milliseconds.
    pub startup_ms: Option<u32>,
    /// Stalls of the viewers that take part now.
    pub stalls: u64,
    /// Milliseconds that these stalled.
    pub stall_ms: u64,
}

/// A node's part in a swarm.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct Member {
    /// Who.
    #[schema(value_type = String)]
    pub peer: PeerId,
    /// What it does.
    #[schema(value_type = String, example = "repeater")]
    pub role: Role,
    /// Where it is: subset, AS number, country.
    #[schema(value_type = Object)]
    pub location: Location,
    /// Program and version.
    pub software: String,
    /// Seconds since it joined.
    pub joined_s: u64,
    /// Seconds since it was heard of.
    pub age_s: u64,
    /// Whether it publishes the swarm.
    pub publishes: bool,
    /// Whether it has reported; what follows is zero until then.
    pub reported: bool,
    /// The sub-streams that it has.
    pub have: Vec<u8>,
    /// Sub-streams that it would push beyond what it pushes.
    pub free: u16,
    /// Sub-streams that it pushes.
    pub pushed: u16,
    /// Capture to arrival, milliseconds.
    pub lag_ms: u32,
    /// Start time, milliseconds.
    pub startup_ms: u32,
    /// Stalls.
    pub stalls: u32,
    /// Milliseconds stalled.
    pub stall_ms: u64,
    /// Media bytes in, by role of the sender.
    pub bytes_in: ByRole,
    /// Media bytes out, by role of the receiver.
    pub bytes_out: ByRole,
}

/// The median; `None` of nothing.
pub(super) fn median(mut values: Vec<u32>) -> Option<u32> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable(middle).1)
}
