//! One segment of a rendition to N shards and back: layers, seal, erasure code, proof, signature.
//!
//! The way out is [`Sealer::seal`]: transport-stream bytes of one segment in, N [`Shard`]s out.
//! The way back is [`Shard::decode`], [`Verifier::check`], [`Assembly`], [`open`].
//! Everything is deterministic. Sockets, clocks and peers are unknown here.

mod assembly;
mod coding;
mod erasure;
mod error;
mod header;
mod id;
mod key;
mod layer;
mod open;
mod packet;
mod proof;
mod seal;
mod sealer;
mod shard;
mod split;
mod tables;
mod text;
mod tree;

pub use assembly::Assembly;
pub use coding::Coding;
pub use error::{
    CodingError, DecodeError, OpenError, ProofError, RebuildError, SealError, TextError,
};
pub use header::{Header, LayerHeader, Root};
pub use id::SwarmId;
pub use key::{ChannelKey, ChannelSecret, ContentKey};
pub use layer::{Layer, LayerSet};
pub use open::{Opened, open};
pub use proof::{Proven, Verifier};
pub use sealer::{Cut, Sealer};
pub use shard::Shard;

/// Parsers that are not public, for the fuzz targets.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// The packets of two layers' contents.
    pub fn join(essential: &[u8], full: &[u8]) -> Option<Vec<u8>> {
        crate::split::join(essential, full)
    }

    /// The packets of the essential layer's content.
    pub fn alone(essential: &[u8]) -> Option<Vec<u8>> {
        crate::split::alone(essential)
    }
}

/// The most sub-streams a rendition may have.
pub const MAX_N: u8 = 64;
/// The most shards that may be needed to rebuild a layer.
pub const MAX_K: u8 = 32;
/// The largest sealed layer, bytes: 16 MiB, a second of 128 Mbit/s.
pub const MAX_LAYER: usize = 16 << 20;
