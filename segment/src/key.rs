//! The keys of a channel.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use crate::SwarmId;

/// A channel's public key (Ed25519): its identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(pub [u8; 32]);

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ChannelKey({:02x}{:02x}{:02x}{:02x})",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

/// The key that a rendition's segments of one epoch are sealed under.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey {
    /// The epoch.
    pub epoch: u32,
    /// The secret.
    pub key: [u8; 32],
}

/// Never shows the secret.
impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey(epoch {})", self.epoch)
    }
}

/// A channel's secret, shared by twin headends: signing key and content keys follow from it.
#[derive(Clone)]
pub struct ChannelSecret([u8; 32]);

/// Never shows the secret.
impl fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSecret")
    }
}

impl ChannelSecret {
    /// The secret made of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret of `channel` that follows from one which an operator may use for several channels:
    /// each gets keys of its own.
    pub fn of_channel(shared: [u8; 32], channel: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("braidcast 2026 channel secret");
        hasher.update(&shared);
        hasher.update(channel.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The key that signs segments.
    pub(crate) fn signing_pair(&self) -> Ed25519KeyPair {
        let seed = blake3::derive_key("braidcast 2026 channel signing key", &self.0);
        Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes always make a key")
    }

    /// The public key that checks segments.
    pub fn channel_key(&self) -> ChannelKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.signing_pair().public_key().as_ref());
        ChannelKey(key)
    }

    /// The content key of a rendition and epoch.
    pub fn content_key(&self, swarm: &SwarmId, epoch: u32) -> ContentKey {
        let mut hasher = blake3::Hasher::new_derive_key("braidcast 2026 content key");
        hasher.update(&self.0).update(&swarm.0).update(&epoch.to_le_bytes());
        ContentKey { epoch, key: *hasher.finalize().as_bytes() }
    }
}
