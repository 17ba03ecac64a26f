//! What can go wrong with a segment.

/// A code that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodingError {
    /// N out of range.
    #[error("n is {0}, not between 1 and 64")]
    N(u8),
    /// K out of range.
    #[error("k is {k}, not between 1 and {most}")]
    K {
        /// What was given.
        k: u8,
        /// The most it could be.
        most: u8,
    },
}

/// Bytes that are not a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the header promises.
    #[error("shard is cut short")]
    Truncated,
    /// More bytes than the header promises.
    #[error("shard has bytes after its end")]
    Trailing,
    /// A format version that is not known.
    #[error("shard has format version {0}, not known here")]
    Version(u8),
    /// A field out of range.
    #[error("shard has a bad field: {0}")]
    Field(&'static str),
}

/// A layer that cannot be rebuilt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RebuildError {
    /// The segment has no such layer.
    #[error("segment has no such layer")]
    Absent,
    /// Too few shards of it.
    #[error("{held} shards of the {k} needed")]
    TooFew {
        /// Those held.
        held: u8,
        /// Those needed.
        k: u8,
    },
    /// The channel signed pieces that do not belong to one code word: what one rebuilds would depend
    /// on which shards came first. No shards will mend it; worth counting.
    #[error("signed pieces are not of one code word")]
    Inconsistent,
}

/// Text that is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// Not a swarm id.
    #[error("swarm id is not 32 hexadecimal digits")]
    SwarmId,
    /// Not a channel key.
    #[error("channel key is not 43 characters of base64url")]
    ChannelKey,
}

/// A shard that proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// Not signed by the channel's key (flipped bytes, another channel, another number).
    #[error("shard is not signed by the channel")]
    Signature,
}

/// A segment that cannot be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// Too long.
    #[error("segment of {0} bytes is longer than a layer may be")]
    TooLong(usize),
    /// Not whole transport-stream packets.
    #[error("segment is not whole transport-stream packets")]
    NotTransportStream,
}

/// A sealed layer that does not open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The key is for another epoch.
    #[error("segment is sealed under epoch {needed}, key is for {given}")]
    Epoch {
        /// The segment's.
        needed: u32,
        /// The key's.
        given: u32,
    },
    /// The seal is broken: wrong key or altered bytes.
    #[error("seal is broken or the key is wrong")]
    Seal,
    /// What was sealed is not a layer.
    #[error("sealed content is malformed")]
    Content,
    /// No layer was given, or the full one of two without the essential one.
    #[error("no layer to open")]
    Nothing,
}
