//! What a segment says of itself; every shard carries it.

use crate::{Layer, LayerSet, tree};

/// The format of shards that this crate writes, and the only one it reads.
pub(crate) const VERSION: u8 = 1;
/// Flag: the segment begins at a random access point.
pub(crate) const RANDOM_ACCESS: u8 = 1;
/// Flag: the segment has an essential layer.
pub(crate) const LAYERED: u8 = 2;

/// The hash that stands for a segment's shards and all that follows from its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Root(pub [u8; 16]);

impl Root {
    /// Which of two segments under one number is taken, everywhere: that of the smaller root. Twin
    /// headends that were fed different bytes, or a headend that started again, make such pairs; both
    /// are the channel's own, and only a rule that needs nothing but the roots lets all nodes
    /// choose alike. Whoever meets two roots counts it.
    pub fn winner(self, other: Self) -> Self {
        self.min(other)
    }
}

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

impl LayerHeader {
    /// Bytes of one piece: the K-th part of the sealed length, rounded up.
    pub fn piece_len(&self) -> usize {
        (self.len as usize).div_ceil(usize::from(self.k.max(1)))
    }
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

    /// The layers it has.
    pub fn layer_set(&self) -> LayerSet {
        LayerSet { essential: self.essential.is_some(), full: true }
    }

    /// What it says of `layer`, if it has that.
    pub fn layer(&self, layer: Layer) -> Option<LayerHeader> {
        match layer {
            Layer::Essential => self.essential,
            Layer::Full => Some(self.full),
        }
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
        self.layers().map(|layer| layer.piece_len()).sum()
    }

    /// The fields that follow from the content, as they stand at the start of a shard.
    pub(crate) fn content(&self) -> Vec<u8> {
        let flags = u8::from(self.random_access) * RANDOM_ACCESS
            + u8::from(self.essential.is_some()) * LAYERED;
        let mut out = Vec::with_capacity(self.content_len());
        out.extend([VERSION, flags, self.n]);
        out.extend(self.number.to_le_bytes());
        out.extend(self.epoch.to_le_bytes());
        out.extend(self.duration_ms.to_le_bytes());
        for layer in self.layers() {
            out.push(layer.k);
            out.extend(layer.len.to_le_bytes());
        }
        out
    }

    /// How long [`content`](Self::content) is.
    pub(crate) fn content_len(&self) -> usize {
        17 + 5 * self.layers().count()
    }

    /// The root over the content's fields and the layers' roots.
    pub(crate) fn root_of(&self, essential: Option<&tree::Hash>, full: &tree::Hash) -> Root {
        let essential = essential.map_or(&[][..], |root| &root[..]);
        Root(tree::hash("braidcast 2026 segment root", &[&self.content(), essential, full]))
    }
}
