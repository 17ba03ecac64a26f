//! Whether a shard is the channel's own.

use crate::{ChannelKey, ProofError, Shard, SwarmId};

/// A shard that was checked against the channel's key.
#[derive(Clone, Debug)]
pub struct Proven(Shard);

impl Proven {
    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.0
    }
}

/// Checks shards of one swarm. Remembers which roots carry a good signature, for as many segments
/// as may be in flight, so that most checks are hashes only.
pub struct Verifier {
    _swarm: SwarmId,
    _key: ChannelKey,
}

impl Verifier {
    /// A verifier for `swarm`, whose channel signs with `key`.
    pub fn new(swarm: SwarmId, key: ChannelKey) -> Self {
        Self { _swarm: swarm, _key: key }
    }

    /// Proves a shard.
    ///
    /// # Errors
    /// If it is not the channel's: a byte was changed, or it belongs to another swarm.
    pub fn check(&mut self, shard: Shard) -> Result<Proven, ProofError> {
        let _ = shard;
        todo!()
    }
}
