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
    /// No layer was given.
    #[error("no layer to open")]
    Nothing,
}
