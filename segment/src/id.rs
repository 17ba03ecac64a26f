//! The name of a rendition and of the swarm that exchanges it.

use std::fmt;

use crate::ChannelKey;

/// Names one rendition of one channel: the first 16 bytes of the BLAKE3 hash of the channel's public
/// key and the rendition's name. Signatures cover it, so shards of one swarm never pass in another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwarmId(pub [u8; 16]);

impl SwarmId {
    /// The swarm of `rendition` of the channel that signs with `key`.
    pub fn new(key: &ChannelKey, rendition: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("braidcast 2026 swarm id");
        hasher.update(&key.0);
        hasher.update(rendition.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

/// The first eight digits.
impl fmt::Debug for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
