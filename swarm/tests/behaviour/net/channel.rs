//! The channel that the virtual headend makes.

use std::time::Duration;

use segment::{Header, Layer, LayerHeader, Root};

/// Its shape.
pub(crate) struct Channel {
    pub(crate) n: u8,
    pub(crate) k: u8,
    pub(crate) essential_k: u8,
    pub(crate) segment: Duration,
    /// Capture to playout.
    pub(crate) delay: Duration,
    /// Media, bits per second.
    pub(crate) rate: u64,
    /// Segments from one random access point to the next.
    pub(crate) access_every: u64,
    /// Virtual microseconds in which the source makes nothing.
    pub(crate) gap: Option<(u64, u64)>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            n: 12,
            k: 8,
            essential_k: 4,
            segment: Duration::from_millis(250),
            delay: Duration::from_secs(2),
            rate: 4_000_000,
            access_every: 4,
            gap: None,
        }
    }
}

impl Channel {
    /// Bytes of media in one segment.
    fn segment_bytes(&self) -> u64 {
        self.rate * self.segment.as_micros() as u64 / 8_000_000
    }

    pub(crate) fn shard_bytes(&self) -> u32 {
        (self.segment_bytes() / u64::from(self.k)) as u32 + 300
    }

    pub(crate) fn header(&self, capture: u64) -> Header {
        let number = capture / self.segment.as_micros() as u64;
        let sound = self.segment_bytes() as u32 / 20;
        Header {
            number,
            capture,
            duration_ms: self.segment.as_millis() as u16,
            epoch: 1,
            random_access: number.is_multiple_of(self.access_every),
            n: self.n,
            essential: Some(LayerHeader {
                layer: Layer::Essential,
                k: self.essential_k,
                len: sound,
            }),
            full: LayerHeader {
                layer: Layer::Full,
                k: self.k,
                len: self.segment_bytes() as u32 - sound,
            },
            root: Root([number as u8; 16]),
        }
    }
}
