//! The last step of the way back: sealed layers to transport-stream bytes.

use bytes::Bytes;

use crate::{ContentKey, Header, Layer, OpenError, SwarmId, packet, seal, split};

/// What a segment gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Whole MPEG-TS packets, in the order of the source.
    pub ts: Bytes,
    /// Whether it is all of the segment; otherwise tables, sound and clock only. Packets of the
    /// picture that carry the clock come without their payload then. It may be empty.
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
    if key.epoch != header.epoch {
        return Err(OpenError::Epoch { needed: header.epoch, given: key.epoch });
    }
    let content = |layer, sealed: Option<&[u8]>| {
        sealed.map(|sealed| seal::open(swarm, header, layer, key, sealed)).transpose()
    };
    let full = content(Layer::Full, full)?;
    let (ts, whole) = if header.essential.is_some() {
        let essential = content(Layer::Essential, essential)?.ok_or(OpenError::Nothing)?;
        match full {
            Some(full) => (split::join(&essential, &full), true),
            None => (split::alone(&essential), false),
        }
    } else {
        (Some(full.ok_or(OpenError::Nothing)?), true)
    };
    let ts = ts.ok_or(OpenError::Content)?;
    if !packet::whole(&ts) && (whole || !ts.is_empty()) {
        return Err(OpenError::Content);
    }
    Ok(Opened { ts: ts.into(), whole })
}
