//! Type, length, body.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Event, MAX_FRAME, Request};

/// Bytes before a frame's body.
const HEAD: usize = 5;

/// A frame that cannot be read or written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended or broke.
    #[error("stream ended")]
    Ended,
    /// Longer than [`MAX_FRAME`].
    #[error("frame of {0} bytes is too long")]
    TooLong(usize),
    /// A known type with a malformed body.
    #[error("frame of type {0} is malformed")]
    Malformed(u8),
}

/// What travels in frames.
pub trait Frame: Sized {
    /// Type and body.
    fn encode(&self) -> Vec<u8>;
    /// From type and body; `None` if the type is not known here.
    ///
    /// # Errors
    /// If the type is known and the body malformed.
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError>;
}

/// Postcard writes a variant's number as one byte before its fields: that byte is the frame's type.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("these types have no maps or lengths that postcard refuses")
}

pub(crate) fn decode<T: DeserializeOwned>(
    kinds: u8,
    kind: u8,
    body: &[u8],
) -> Result<Option<T>, FrameError> {
    if kind >= kinds {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(1 + body.len());
    bytes.push(kind);
    bytes.extend_from_slice(body);
    postcard::from_bytes(&bytes).map(Some).map_err(|_| FrameError::Malformed(kind))
}

impl Frame for Request {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError> {
        decode(15, kind, body)
    }
}

impl Frame for Event {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError> {
        decode(18, kind, body)
    }
}

/// Puts the length between type and body.
pub(crate) fn framed(frame: &impl Frame) -> Result<Vec<u8>, FrameError> {
    let mut bytes = frame.encode();
    let len = bytes.len().saturating_sub(1);
    if len > MAX_FRAME {
        return Err(FrameError::TooLong(len));
    }
    bytes.splice(1..1, (len as u32).to_be_bytes());
    Ok(bytes)
}

/// Reads the next frame that is known here. If the future is dropped halfway, the stream is of no
/// more use.
///
/// # Errors
/// If the stream ends or what comes is no frame.
pub async fn read<F: Frame>(stream: &mut quinn::RecvStream) -> Result<F, FrameError> {
    read_within(stream, MAX_FRAME).await
}

/// As [`read`], with another limit.
pub(crate) async fn read_within<F: Frame>(
    stream: &mut quinn::RecvStream,
    longest: usize,
) -> Result<F, FrameError> {
    loop {
        let mut head = [0; HEAD];
        stream.read_exact(&mut head).await.map_err(|_| FrameError::Ended)?;
        let [kind, len @ ..] = head;
        let len = u32::from_be_bytes(len) as usize;
        if len > longest {
            return Err(FrameError::TooLong(len));
        }
        let mut body = Vec::new();
        // What was promised is reserved only as it comes.
        while body.len() < len {
            let at = body.len();
            body.resize(len.min(at + 16 * 1024), 0);
            stream.read_exact(&mut body[at..]).await.map_err(|_| FrameError::Ended)?;
        }
        if let Some(frame) = F::decode(kind, &body)? {
            return Ok(frame);
        }
    }
}

/// Writes a frame. If the future is dropped halfway, the stream is of no more use.
///
/// # Errors
/// If the stream is closed, or the frame too long.
pub async fn write<F: Frame>(stream: &mut quinn::SendStream, frame: &F) -> Result<(), FrameError> {
    stream.write_all(&framed(frame)?).await.map_err(|_| FrameError::Ended)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nat::Reach;
    use crate::protocol::{ChannelInfo, Order, Programme, Quality, Schedule, SwarmReport};

    fn again<F: Frame>(frame: &F) -> Option<F> {
        let bytes = frame.encode();
        F::decode(bytes[0], &bytes[1..]).unwrap()
    }

    /// The types that are on the wire: they never change.
    #[test]
    fn types_are_numbered_for_good() {
        let kind = |request: Request| request.encode()[0];
        assert_eq!(kind(Request::Renew { ticket: None }), 1);
        assert_eq!(kind(Request::Leave { swarm: [0; 16] }), 3);
        assert_eq!(kind(Request::Clock { sent: 1 }), 7);
        assert_eq!(kind(Request::Reach(Reach::default())), 9);
        assert_eq!(kind(Request::Conditions(Vec::new())), 10);
        let kind = |event: Event| event.encode()[0];
        assert_eq!(kind(Event::Ticket { ticket: String::new() }), 2);
        assert_eq!(kind(Event::Revoked(Vec::new())), 9);
        assert_eq!(kind(Event::Lost { swarm: [0; 16], peers: Vec::new() }), 11);
        assert_eq!(kind(Event::Neighbours { swarm: [0; 16], peers: Vec::new() }), 14);
        assert_eq!(kind(Event::Look { channel: String::new() }), 15);
    }

    #[test]
    fn the_last_types_are_known_and_the_next_are_not() {
        let programme = Programme { start: 1, end: 2, title: "News".into(), about: String::new() };
        let schedule = Schedule { channel: "one".into(), programmes: vec![programme] };
        let request = Request::OnAir(schedule.clone());
        assert_eq!((request.encode()[0], again(&request)), (12, Some(request)));
        let event = Event::OnAir(vec![schedule]);
        assert_eq!((event.encode()[0], again(&event)), (16, Some(event)));
        let request = Request::Done { number: 7, problem: None };
        assert_eq!((request.encode()[0], again(&request)), (13, Some(request)));
        let last = Request::Quality(vec![Quality { played: 7, ..Quality::default() }]);
        assert_eq!(last.encode()[0], 14);
        assert_eq!(again(&last), Some(last));
        assert_eq!(Request::decode(15, &[1, 2, 3]), Ok(None));
        let last = Event::Order(Order { number: 7, channel: "one".into(), section: None });
        assert_eq!(last.encode()[0], 17);
        assert_eq!(again(&last), Some(last));
        assert_eq!(Event::decode(18, &[]), Ok(None));
    }

    #[test]
    fn frames_come_back() {
        let report = SwarmReport { swarm: [1; 16], lag_ms: 7, ..SwarmReport::default() };
        let request = Request::Report(vec![report]);
        assert_eq!(again(&request), Some(request));
        let info = ChannelInfo {
            id: "one".into(),
            name: "One".into(),
            number: 1,
            logo: None,
            live: true,
            renditions: vec![("main".into(), 4_000_000)],
        };
        let event = Event::LineUp(vec![info]);
        assert_eq!(again(&event), Some(event));
    }

    #[test]
    fn new_fields_at_the_end_are_left_unread() {
        let mut bytes = Request::Clock { sent: 7 }.encode();
        bytes.extend([1, 2, 3]);
        assert_eq!(Request::decode(bytes[0], &bytes[1..]), Ok(Some(Request::Clock { sent: 7 })));
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_written() {
        let long = Request::Renew { ticket: Some("x".repeat(MAX_FRAME)) };
        assert!(matches!(framed(&long), Err(FrameError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn no_body_panics(kind in 0u8..20, body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Request::decode(kind, &body);
            let _ = Event::decode(kind, &body);
        }
    }
}
