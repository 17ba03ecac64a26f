//! A viewer's figures, as it writes them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The fields of a viewer's statistics file. All times are milliseconds, all sizes bytes.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Figures {
    /// The rendition that is played; empty until then.
    #[serde(default)]
    pub rendition: String,
    /// From the command to the first playable segment; nothing until then.
    pub startup_ms: Option<f64>,
    /// Runs of segments that could not be played in time.
    pub stalls: u64,
    /// Their sum.
    pub stall_ms: f64,
    /// How many stalls had which cause.
    pub stall_causes: BTreeMap<String, u64>,
    /// Capture to playout.
    pub lag_ms: f64,
    /// How far the newest segment is ahead of the one playing.
    pub behind_edge_ms: f64,
    /// Segments by what became of them.
    pub segments: Segments,
    /// Media in, by the role of the sender.
    pub bytes_in: Bytes,
    /// Media out.
    pub bytes_out: u64,
    /// Messages, both ways.
    pub control_bytes: u64,
    /// Everything on the socket.
    pub wire_bytes: Wire,
    /// Shards that failed their proof.
    pub rejected_shards: u64,
    /// Sub-streams moved to another parent.
    pub failovers: u64,
    /// The longest gap by that.
    pub failover_ms_max: f64,
    /// Where each sub-stream comes from now.
    pub substreams: Vec<Parent>,
    /// Standby peers.
    pub standby: u64,
}

/// Counts of segments.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Segments {
    /// Played.
    pub played: u64,
    /// Not played.
    pub lost: u64,
    /// Played with the help of a parity shard.
    pub rebuilt: u64,
    /// Played with sound alone: the picture stood still.
    #[serde(default)]
    pub sound_only: u64,
}

/// Bytes by the role of the other side.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Bytes {
    /// Headend.
    pub headend: u64,
    /// Repeaters.
    pub repeater: u64,
    /// Other viewers.
    pub viewer: u64,
}

impl Bytes {
    /// From everybody.
    pub fn sum(&self) -> u64 {
        self.headend + self.repeater + self.viewer
    }
}

/// Bytes on the socket, transport headers included.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Wire {
    /// Received.
    pub r#in: u64,
    /// Sent.
    pub out: u64,
}

/// Who feeds a sub-stream.
#[derive(Clone, Debug, Deserialize)]
pub struct Parent {
    /// The sub-stream.
    pub index: u64,
    /// The parent's peer id.
    pub parent: String,
    /// What it is.
    pub role: String,
    /// Its subset.
    pub subset: Option<u32>,
    /// Its AS.
    pub asn: Option<u32>,
    /// Its country.
    pub country: Option<String>,
}
