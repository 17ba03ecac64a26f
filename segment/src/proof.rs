//! Whether a shard is the channel's own.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

use crate::shard::Signature;
use crate::{Assembly, ChannelKey, Header, ProofError, Root, Shard, SwarmId};

/// How many good signatures a verifier remembers: a minute of segments of 250 ms.
const REMEMBERED: usize = 256;

/// A shard that was checked against the channel's key.
#[derive(Clone, Debug)]
pub struct Proven(Shard);

impl Proven {
    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.0
    }

    /// The shard.
    pub fn into_shard(self) -> Shard {
        self.0
    }

    /// A shard that [`Assembly`] put together of proven ones.
    pub(crate) fn of(_: &Assembly, shard: Shard) -> Self {
        Self(shard)
    }
}

/// What the signature of a segment covers.
pub(crate) fn message(swarm: &SwarmId, header: &Header) -> Vec<u8> {
    let mut message = b"braidcast 2026 segment".to_vec();
    message.extend(swarm.0);
    message.extend(header.root.0);
    message.extend(header.capture.to_le_bytes());
    message
}

/// Checks shards of one swarm. Remembers which roots carry a good signature, for as many segments
/// as may be in flight (256, the lowest numbers are forgotten first), so that most checks are hashes
/// only. What is remembered is all that a signature covers and the signature itself: nothing that is
/// not signed gets in or matches.
pub struct Verifier {
    swarm: SwarmId,
    /// `None` if the key is no point of the curve: then nothing is proven by it.
    key: Option<ParsedPublicKey>,
    good: BTreeSet<(u64, Root, u64, Signature)>,
    signatures: u64,
}

impl Verifier {
    /// A verifier for `swarm`, whose channel signs with `key`. The key must come from who may name it:
    /// of a few odd ones (points of small order, such as 32 zeros) anybody can make signatures.
    pub fn new(swarm: SwarmId, key: ChannelKey) -> Self {
        let key = ParsedPublicKey::new(&ED25519, key.0).ok();
        Self { swarm, key, good: BTreeSet::new(), signatures: 0 }
    }

    /// Proves a shard.
    ///
    /// # Errors
    /// If it is not the channel's: a byte was changed, or it belongs to another swarm.
    pub fn check(&mut self, shard: Shard) -> Result<Proven, ProofError> {
        let header = shard.header();
        let entry = (header.number, header.root, header.capture, *shard.signature());
        if !self.good.contains(&entry) {
            self.signatures += 1;
            let message = message(&self.swarm, header);
            self.key
                .as_ref()
                .and_then(|key| key.verify_sig(&message, shard.signature()).ok())
                .ok_or(ProofError::Signature)?;
            self.good.insert(entry);
            if self.good.len() > REMEMBERED {
                self.good.pop_first();
            }
        }
        Ok(Proven(shard))
    }

    /// How many signatures were computed so far: one per segment if all is well.
    pub fn signatures(&self) -> u64 {
        self.signatures
    }
}
