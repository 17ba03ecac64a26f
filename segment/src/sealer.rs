//! The way out: transport-stream bytes to shards.

use bytes::Bytes;

use crate::{ChannelSecret, Coding, SealError, Shard, SwarmId};

/// One segment as the headend cut it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Whole MPEG-TS packets of 188 bytes.
    pub ts: Bytes,
    /// As in [`Header`](crate::Header).
    pub number: u64,
    /// Microseconds since 1970.
    pub capture: u64,
    /// Milliseconds.
    pub duration_ms: u16,
    /// Whether it begins at a random access point.
    pub random_access: bool,
}

/// Seals, codes and signs the segments of one rendition.
pub struct Sealer {
    _secret: ChannelSecret,
    _swarm: SwarmId,
    _coding: Coding,
    _epoch_segments: u64,
}

impl Sealer {
    /// A sealer. `epoch_segments`: how many segments one content key serves; the epoch of a segment
    /// is its number divided by this.
    pub fn new(secret: ChannelSecret, rendition: &str, coding: Coding, epoch_segments: u64) -> Self {
        let swarm = SwarmId::new(&secret.channel_key(), rendition);
        Self { _secret: secret, _swarm: swarm, _coding: coding, _epoch_segments: epoch_segments }
    }

    /// The N shards of a segment, in order of index. The same cut and secret make the same bytes.
    ///
    /// # Errors
    /// If the cut is too long or not whole packets.
    pub fn seal(&mut self, cut: &Cut) -> Result<Vec<Shard>, SealError> {
        let _ = cut;
        todo!()
    }
}
