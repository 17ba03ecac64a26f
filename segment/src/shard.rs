//! A shard as it travels.

use bytes::Bytes;

use crate::{DecodeError, Header, LayerSet};

/// Piece i of a segment's code word, with what proves it. Decoded but not proven: only
/// [`Verifier::check`](crate::Verifier::check) makes it fit to be stored or forwarded.
#[derive(Clone, Debug)]
pub struct Shard {
    header: Header,
    index: u8,
    layers: LayerSet,
    wire: Bytes,
}

impl Shard {
    /// Reads a shard. `wire` is kept, not copied.
    ///
    /// # Errors
    /// If the bytes are not exactly one shard. Lengths are checked before anything is reserved.
    pub fn decode(wire: Bytes) -> Result<Self, DecodeError> {
        let _ = wire;
        todo!()
    }

    /// The segment's header, as the shard states it.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Which shard of the code word, from 0: the sub-stream it belongs to.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The layers whose pieces it carries.
    pub fn layers(&self) -> LayerSet {
        self.layers
    }

    /// The bytes that travel.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }
}
