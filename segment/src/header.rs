//! What a segment says of itself; every shard carries it.

use crate::Layer;

/// The hash that stands for a segment's shards and all that follows from its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Root(pub [u8; 16]);

/// One layer of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LayerHeader {
    /// Which layer.
    pub layer: Layer,
    /// Shards needed to rebuild it, 1 to 32.
    pub k: u8,
    /// Sealed length, bytes.
    pub len: u32,
}

/// A segment's header. All but `capture` is covered by `root`; the signature covers both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Media time in units of the rendition's segment duration since 1970; grows by one from one
    /// segment to the next.
    pub number: u64,
    /// When its first picture or sample was captured, microseconds since 1970 on the headend's clock.
    pub capture: u64,
    /// Media duration, milliseconds.
    pub duration_ms: u16,
    /// The content key it is sealed under.
    pub epoch: u32,
    /// Whether it begins at a random access point.
    pub random_access: bool,
    /// Shards of the code word, 1 to 64.
    pub n: u8,
    /// The essential layer, if the rendition has one.
    pub essential: Option<LayerHeader>,
    /// The full layer.
    pub full: LayerHeader,
    /// Covers all of the above but `capture`, and every shard.
    pub root: Root,
}

impl Header {
    /// The layers, essential first.
    pub fn layers(&self) -> impl Iterator<Item = LayerHeader> {
        self.essential.into_iter().chain([self.full])
    }

    /// How many shards rebuild everything: the larger K.
    pub fn k(&self) -> u8 {
        self.layers().map(|layer| layer.k).max().unwrap_or(1)
    }

    /// How many shards rebuild sound and tables: the smaller K.
    pub fn essential_k(&self) -> u8 {
        self.layers().map(|layer| layer.k).min().unwrap_or(1)
    }

    /// Media bytes of one shard with every layer: the sum of the pieces, without header and proof.
    pub fn shard_media_len(&self) -> usize {
        self.layers().map(|layer| (layer.len as usize).div_ceil(layer.k as usize)).sum()
    }
}
