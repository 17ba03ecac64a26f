//! The last step of the way back: sealed layers to transport-stream bytes.

use bytes::Bytes;

use crate::{ContentKey, Header, OpenError, SwarmId};

/// What a segment gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Whole MPEG-TS packets, in the order of the source.
    pub ts: Bytes,
    /// Whether it is all of the segment; otherwise tables, sound and clock only.
    pub whole: bool,
}

/// Opens a segment from its sealed layers (as [`Assembly::sealed`](crate::Assembly::sealed) gives
/// them). Without the full layer it gives the essential one alone.
///
/// # Errors
/// If the key is of another epoch or wrong, or no layer was given.
pub fn open(
    swarm: &SwarmId,
    header: &Header,
    essential: Option<&[u8]>,
    full: Option<&[u8]>,
    key: &ContentKey,
) -> Result<Opened, OpenError> {
    let _ = (swarm, header, essential, full, key);
    todo!()
}
