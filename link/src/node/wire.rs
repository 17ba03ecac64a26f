//! What peers say to each other beside shards: frames on one bidirectional stream that the dialler
//! opens. `docs/wire.md` describes them.

use bytes::Bytes;
use segment::SwarmId;
use serde::{Deserialize, Serialize};

use crate::protocol::frame;
use crate::protocol::{Frame, FrameError};

/// The version of the protocol between peers.
pub(crate) const VERSION: u16 = 1;
/// The longest frame, bytes: the longest message, or the longest ticket, and some more.
pub(crate) const MAX_FRAME: usize = 32 * 1024;
/// The first byte of a unidirectional stream that carries a shard.
pub(crate) const SHARD: u8 = 0;
/// The longest shard that is taken, bytes: 250 ms of 64 Mbit/s in one piece.
pub(crate) const MAX_SHARD: usize = 4 << 20;

/// What stands before a shard of this swarm on its stream.
pub(crate) fn shard_head(swarm: SwarmId) -> Bytes {
    [&[SHARD][..], &swarm.0].concat().into()
}

/// Why a connection is closed: QUIC's application error codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Close {
    /// Not needed any more.
    Idle = 1,
    /// The ticket does not pass.
    Refused = 2,
    /// Two connections between the same two; the other one stays.
    Superseded = 3,
    /// The peer misbehaved.
    Misbehaved = 4,
    /// The peer broke the protocol, or is too slow for it.
    Protocol = 5,
    /// No room for more connections.
    Full = 6,
}

impl Close {
    pub(crate) fn code(self) -> quinn::VarInt {
        quinn::VarInt::from_u32(self as u32)
    }
}

/// Why a peer is not met in a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Absence {
    /// The node does not take part in it.
    NotJoined,
    /// The asker's ticket does not grant the channel.
    NotGranted,
}

/// A frame between peers. Types are counted from 0; new ones go to the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum PeerFrame {
    /// First frame of both sides.
    Hello { version: u16, ticket: String },
    /// A renewed ticket.
    Ticket { ticket: String },
    /// I am in this swarm; are you?
    Enter { swarm: [u8; 16] },
    /// Yes.
    Entered { swarm: [u8; 16] },
    /// No, or not for you.
    NotHere { swarm: [u8; 16], absence: Absence },
    /// I am no longer your partner in this swarm.
    Leave { swarm: [u8; 16] },
    /// A message of a swarm's engine.
    Message { swarm: [u8; 16], message: Vec<u8> },
    /// Nobody is to be told where I am. Said before the first `Enter`.
    Unlisted,
    /// Not yet: you have entered too often. Ask again after so long, milliseconds.
    Later { swarm: [u8; 16], wait_ms: u16 },
}

const KINDS: u8 = 9;
const MESSAGE: u8 = 6;

impl PeerFrame {
    pub(crate) fn message(swarm: SwarmId, message: &swarm::Message) -> Self {
        Self::Message { swarm: swarm.0, message: message.encode() }
    }
}

impl Frame for PeerFrame {
    /// Postcard, but for messages: their bytes follow the swarm's id as they are.
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Message { swarm, message } => [&[MESSAGE][..], swarm, message].concat(),
            other => frame::encode(other),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError> {
        if kind != MESSAGE {
            return frame::decode(KINDS, kind, body);
        }
        let (swarm, message) = body.split_first_chunk().ok_or(FrameError::Malformed(kind))?;
        Ok(Some(Self::Message { swarm: *swarm, message: message.to_vec() }))
    }
}

/// Reads a frame and, if it is one, expects that it reads the same once more.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_peer_frame(kind: u8, body: &[u8]) {
    if let Ok(Some(frame)) = PeerFrame::decode(kind, body) {
        let bytes = frame.encode();
        assert_eq!(PeerFrame::decode(bytes[0], &bytes[1..]), Ok(Some(frame)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back() {
        let swarm = [9; 16];
        let frames = [
            PeerFrame::Hello { version: VERSION, ticket: "a.b.c".into() },
            PeerFrame::Ticket { ticket: "a.b.c".into() },
            PeerFrame::Enter { swarm },
            PeerFrame::Entered { swarm },
            PeerFrame::NotHere { swarm, absence: Absence::NotGranted },
            PeerFrame::Leave { swarm },
            PeerFrame::Message { swarm, message: vec![1, 2, 3] },
            PeerFrame::Unlisted,
            PeerFrame::Later { swarm, wait_ms: 700 },
        ];
        for (kind, frame) in (0..).zip(&frames) {
            let bytes = frame.encode();
            assert_eq!(bytes[0], kind);
            assert_eq!(PeerFrame::decode(kind, &bytes[1..]), Ok(Some(frame.clone())));
        }
        assert_eq!(PeerFrame::decode(KINDS, &[1]), Ok(None));
    }

    proptest! {
        #[test]
        fn no_body_panics(kind in 0u8..12, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PeerFrame::decode(kind, &body);
        }
    }
}
