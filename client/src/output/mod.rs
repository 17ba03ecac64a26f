//! Where pieces go: files, readers over HTTP, the window of HLS. Every queue is bounded.

pub mod file;
pub mod hls;
mod hub;
mod queue;

pub use hub::{Hub, Reader};
pub use queue::{Full, Queue};

use std::time::{Duration, Instant};

use bytes::Bytes;

/// One segment as it is played: opened, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The segment's number.
    pub number: u64,
    /// Whole MPEG-TS packets; may be empty if `whole` is not set.
    pub ts: Bytes,
    /// When it was captured, microseconds since 1970 on the headend's clock.
    pub captured: u64,
    /// When it is to be shown, the same moment for all viewers; in the past while a start catches up.
    pub due: Option<Instant>,
    /// Media duration.
    pub duration: Duration,
    /// Whether a decoder can begin here: the segment is whole and begins at a random access point.
    pub random_access: bool,
    /// Whether it is all of the segment; otherwise tables and sound alone.
    pub whole: bool,
    /// Whether segments before it are missing.
    pub gap: bool,
    /// Whether another stream may begin here: another rendition, with other tables and another size of picture, or an encoder
    /// that was started anew.
    pub switched: bool,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A piece of a quarter of a second whose packets of PID 256 count on with `number`, four to a piece.
    pub(crate) fn piece(number: u64) -> Piece {
        let packet = |i: u64| {
            let mut packet = vec![0x47, 1, 0, 0x10 | ((number * 4 + i) & 15) as u8];
            packet.resize(crate::ts::PACKET, number as u8);
            packet
        };
        Piece {
            number,
            ts: (0..4).flat_map(packet).collect::<Vec<u8>>().into(),
            captured: number * 250_000,
            due: None,
            duration: Duration::from_millis(250),
            random_access: number.is_multiple_of(4),
            whole: true,
            gap: false,
            switched: false,
        }
    }
}
