//! The shards of one segment (one root) as they come together.

use bytes::Bytes;

use crate::{Header, Layer, Proven, Shard};

/// Collects proven shards of one root; rebuilds layers, regenerates shards.
pub struct Assembly {
    header: Header,
}

impl Assembly {
    /// Starts with a first shard.
    pub fn new(first: Proven) -> Self {
        Self { header: *first.shard().header() }
    }

    /// The segment's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Adds a shard. `false` if it is of another root or brings nothing new.
    pub fn add(&mut self, shard: Proven) -> bool {
        let _ = shard;
        todo!()
    }

    /// Bit i is set if shard i is held with every layer.
    pub fn held(&self) -> u64 {
        todo!()
    }

    /// Whether `layer` can be rebuilt.
    pub fn can_rebuild(&self, layer: Layer) -> bool {
        let _ = layer;
        todo!()
    }

    /// The sealed bytes of `layer`, or `None` if there are fewer than K shards of it. The first call
    /// may decode; the result is kept.
    pub fn sealed(&mut self, layer: Layer) -> Option<Bytes> {
        let _ = layer;
        todo!()
    }

    /// Shard `index`, byte for byte as the headend made it: held, or regenerated if every layer can
    /// be rebuilt.
    pub fn shard(&mut self, index: u8) -> Option<Shard> {
        let _ = index;
        todo!()
    }
}
