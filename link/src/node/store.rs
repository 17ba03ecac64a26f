//! The shards that a node holds of one swarm.

use std::collections::BTreeMap;

use bytes::Bytes;
use segment::{Assembly, Layer, LayerSet, Proven, Shard};
use swarm::ShardRef;

/// Segments by number, one root each.
pub(crate) struct Store {
    segments: BTreeMap<u64, Assembly>,
    /// Segments before this one are not kept.
    floor: u64,
    /// The most segments.
    most: usize,
}

impl Store {
    pub(crate) fn new(most: usize) -> Self {
        Self { segments: BTreeMap::new(), floor: 0, most }
    }

    /// Keeps a shard, unless it is too old or of a root that loses.
    pub(crate) fn insert(&mut self, shard: Proven) {
        let header = *shard.shard().header();
        if header.number < self.floor {
            return;
        }
        match self.segments.get_mut(&header.number) {
            None => {
                self.segments.insert(header.number, Assembly::new(shard));
            }
            Some(assembly) if assembly.header().root == header.root => {
                assembly.add(shard);
            }
            Some(assembly) if assembly.header().root.winner(header.root) == header.root => {
                *assembly = Assembly::new(shard);
            }
            Some(_) => {}
        }
        if self.segments.len() > self.most
            && let Some((lowest, _)) = self.segments.pop_first()
        {
            self.floor = self.floor.max(lowest + 1);
        }
    }

    /// A shard that is held or can be made, with no other layers than these.
    pub(crate) fn shard(&mut self, shard: ShardRef, layers: LayerSet) -> Option<Shard> {
        self.segments.get_mut(&shard.number)?.shard(shard.index)?.restrict(layers)
    }

    /// A layer's sealed bytes, if it can be rebuilt.
    pub(crate) fn sealed(&mut self, number: u64, layer: Layer) -> Option<Bytes> {
        self.segments.get_mut(&number)?.sealed(layer)
    }

    pub(crate) fn header(&self, number: u64) -> Option<segment::Header> {
        self.segments.get(&number).map(|assembly| *assembly.header())
    }

    pub(crate) fn forget(&mut self, before: u64) {
        self.floor = self.floor.max(before);
        self.segments = self.segments.split_off(&self.floor);
    }
}
