//! What is sent in every benchmark of sending: one channel to many receivers.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Data shards of a segment, which is what each receiver takes.
pub(crate) const K: usize = 8;
/// Duration of a segment.
pub(crate) const SEGMENT: Duration = Duration::from_millis(250);
/// UDP payload of a packet, bytes.
pub(crate) const PACKET: usize = 1_200;

/// One channel, many receivers.
#[derive(Clone, Copy, Debug, Args, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Receivers.
    #[arg(long, default_value_t = 100)]
    pub(crate) children: usize,
    /// Bit rate of the channel, Mbit/s.
    #[arg(long, default_value_t = 4)]
    pub(crate) mbit: u32,
    /// How long each measurement takes, seconds.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl Load {
    /// Bytes of one shard.
    pub(crate) fn shard(&self) -> usize {
        self.mbit as usize * 1_000_000 / 8 * SEGMENT.as_millis() as usize / 1000 / K
    }
}
