//! Messages to bytes and back: one byte of type, the body's length as a varint (LEB128), the body in postcard.

use postcard::ser_flavors::Size;

use crate::{Availability, Message, Offer, PeerHint};

/// Bytes that are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// Malformed or out of bounds.
    #[error("message of type {0} is malformed")]
    Malformed(u8),
    /// Longer than a message may be.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
}

/// The types that this version knows: 0 up to this, without it.
const TYPES: u8 = 19;
/// Ancestors in one path.
const MAX_PATH: usize = 16;
/// Peers in an offer.
const MAX_OFFER_PEERS: usize = 8;
/// Peers in [`Message::Peers`].
const MAX_PEERS: usize = 16;
/// Addresses of one peer.
const MAX_ADDRS: usize = 4;
/// Seconds that a hint may be old.
const MAX_AGE_S: u8 = 60;
/// Shards in one request.
const MAX_SHARDS: usize = 64;

impl Message {
    /// The longest message, bytes of body.
    pub const MAX_LEN: usize = 16 * 1024;

    /// Type, length (both in the body's framing: one byte, then a varint) and body.
    pub fn encode(&self) -> Vec<u8> {
        // Postcard writes the variant first, in one byte for fewer than 128 of them: the type.
        let plain = postcard::to_stdvec(self).unwrap_or_default();
        let body = plain.get(1..).unwrap_or_default();
        let mut framed = Vec::with_capacity(plain.len() + 3);
        framed.extend(plain.first());
        let mut rest = body.len();
        while rest >= 0x80 {
            framed.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        framed.push(rest as u8);
        framed.extend_from_slice(body);
        framed
    }

    /// How many bytes [`Message::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        let plain = postcard::serialize_with_flavor(self, Size::default()).unwrap_or(1);
        let length = match plain - 1 {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            _ => 3,
        };
        plain + length
    }

    /// Reads one message from the start of `bytes`: the message (`None` if its type is not known here) and how many
    /// bytes it took; or nothing if it is not all there yet.
    ///
    /// # Errors
    /// If a known type is malformed or a length is out of bounds: the sender is not a sound peer.
    #[allow(clippy::type_complexity)]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Option<Self>, usize)>, DecodeError> {
        let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((len, prefix)) = length(kind, rest)? else { return Ok(None) };
        if len > Self::MAX_LEN {
            return Err(DecodeError::TooLong(len));
        }
        let Some(body) = rest.get(prefix..prefix + len) else { return Ok(None) };
        let taken = 1 + prefix + len;
        if kind >= TYPES {
            return Ok(Some((None, taken)));
        }
        let mut plain = Vec::with_capacity(1 + len);
        plain.push(kind);
        plain.extend_from_slice(body);
        match postcard::take_from_bytes::<Self>(&plain) {
            Ok((message, [])) if message.in_bounds() => Ok(Some((Some(message), taken))),
            _ => Err(DecodeError::Malformed(kind)),
        }
    }

    /// Whether every list and number is within what the type's documentation allows.
    fn in_bounds(&self) -> bool {
        match self {
            Self::Hello(offer) | Self::Offer(offer) => {
                let Offer { available, peers, .. } = offer;
                ascending(available) && hints(peers, MAX_OFFER_PEERS)
            }
            Self::Have { available, .. } => ascending(available),
            Self::Request { shards, .. } | Self::Unavailable { shards } => {
                shards.len() <= MAX_SHARDS && shards.iter().all(|shard| shard.index < 64)
            }
            Self::Start { k, .. } => (1..=32).contains(k),
            Self::Starting { range: Some((first, last)) } => first <= last,
            Self::Quality { index, lost, .. } => *index < 64 && *lost <= 16,
            Self::Peers(peers) => hints(peers, MAX_PEERS),
            Self::Grant(grant) => grant.granted.and(grant.refused).is_empty(),
            _ => true,
        }
    }
}

/// The varint after the type: its value and how many bytes it took; `None` if it is not all there.
fn length(kind: u8, bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(3).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    if bytes.len() < 3 { Ok(None) } else { Err(DecodeError::Malformed(kind)) }
}

/// Each sub-stream once, least first, with paths that are short enough.
fn ascending(available: &[Availability]) -> bool {
    available.windows(2).all(|pair| pair[0].index < pair[1].index)
        && available.iter().all(|entry| entry.index < 64 && entry.path.len() <= MAX_PATH)
}

fn hints(peers: &[PeerHint], most: usize) -> bool {
    peers.len() <= most
        && peers.iter().all(|hint| hint.addrs.len() <= MAX_ADDRS && hint.age_s <= MAX_AGE_S)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use ticket::{Location, PeerId, Role, ShortId};

    use super::*;
    use crate::{Grant, Refusal, ShardRef, Shed, Substreams};

    fn hint() -> impl Strategy<Value = PeerHint> {
        (
            any::<[u8; 32]>(),
            any::<Option<u32>>(),
            vec(any::<std::net::SocketAddr>(), 0..=4),
            0..=60u8,
        )
            .prop_map(|(id, asn, addrs, age_s)| PeerHint {
                peer: PeerId(id),
                role: Role::Viewer,
                location: Location { subset: None, asn, country: "CH".parse().ok() },
                addrs: addrs.into_iter().map(plain).collect(),
                age_s,
            })
    }

    /// Flow labels and scopes of IPv6 do not travel.
    fn plain(addr: std::net::SocketAddr) -> std::net::SocketAddr {
        std::net::SocketAddr::new(addr.ip(), addr.port())
    }

    fn available() -> impl Strategy<Value = Vec<Availability>> {
        vec((any::<u64>(), vec(any::<u32>(), 0..=16), any::<u8>()), 0..=16).prop_map(|entries| {
            let entry =
                |(index, (newest, path, rank)): (usize, (u64, Vec<u32>, u8))| Availability {
                    index: index as u8 * 3,
                    newest,
                    path: path.into_iter().map(ShortId).collect(),
                    rank,
                };
            entries.into_iter().enumerate().map(entry).collect()
        })
    }

    fn offer() -> impl Strategy<Value = Offer> {
        (available(), any::<u16>(), any::<u32>(), vec(hint(), 0..=8))
            .prop_map(|(available, free, lag_ms, peers)| Offer { available, free, lag_ms, peers })
    }

    fn shards() -> impl Strategy<Value = Vec<ShardRef>> {
        vec((any::<u64>(), 0..64u8).prop_map(|(number, index)| ShardRef { number, index }), 0..=64)
    }

    fn message() -> impl Strategy<Value = Message> {
        let set = || any::<u64>().prop_map(Substreams);
        prop_oneof![
            offer().prop_map(Message::Hello),
            set().prop_map(|wanted| Message::Search { wanted }),
            offer().prop_map(Message::Offer),
            (set(), any::<u64>())
                .prop_map(|(substreams, from)| Message::Subscribe { substreams, from }),
            (set(), set()).prop_map(|(granted, refused)| Message::Grant(Grant {
                granted,
                refused: refused.without(granted),
                reason: Some(Refusal::Loop),
            })),
            set().prop_map(|substreams| Message::Unsubscribe { substreams }),
            set().prop_map(|substreams| Message::Shed { substreams, reason: Shed::Lost }),
            (available(), any::<u16>())
                .prop_map(|(available, free)| Message::Have { available, free }),
            set().prop_map(|substreams| Message::Gone { substreams }),
            (shards(), any::<u16>())
                .prop_map(|(shards, within_ms)| Message::Request { shards, within_ms }),
            shards().prop_map(|shards| Message::Unavailable { shards }),
            (any::<u64>(), 1..=32u8).prop_map(|(playout, k)| Message::Start { playout, k }),
            (any::<u64>(), any::<u64>())
                .prop_map(|(a, b)| Message::Starting { range: Some((a.min(b), a.max(b))) }),
            (0..64u8, any::<u16>(), 0..=16u8).prop_map(|(index, late_ms, lost)| Message::Quality {
                index,
                late_ms,
                lost
            }),
            any::<u32>().prop_map(|token| Message::Probe { token }),
            (any::<u32>(), any::<u16>(), any::<u32>())
                .prop_map(|(token, free, lag_ms)| Message::ProbeReply { token, free, lag_ms }),
            vec(hint(), 0..=16).prop_map(Message::Peers),
            Just(Message::Bye),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message(), tail in vec(any::<u8>(), 0..4)) {
            let mut bytes = message.encode();
            let len = bytes.len();
            prop_assert_eq!(len, message.encoded_len());
            prop_assert!(bytes[0] < TYPES);
            bytes.extend(tail);
            prop_assert_eq!(Message::decode(&bytes), Ok(Some((Some(message), len))));
            for short in 0..len {
                prop_assert_eq!(Message::decode(&bytes[..short]), Ok(None));
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..300)) {
            if let Ok(Some((_, taken))) = Message::decode(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }

    #[test]
    fn layout_is_pinned() {
        assert_eq!(Message::Bye.encode(), [17, 0]);
        assert_eq!(Message::Search { wanted: Substreams(0x81) }.encode(), [1, 2, 0x81, 1]);
        assert_eq!(Message::Start { playout: 5, k: 8 }.encode(), [11, 2, 5, 8]);
        assert_eq!(Message::Gone { substreams: Substreams(1) }.encode(), [8, 1, 1]);
    }

    #[test]
    fn unknown_types_are_skipped() {
        assert_eq!(Message::decode(&[TYPES, 2, 9, 9, 17, 0]), Ok(Some((None, 4))));
        assert_eq!(Message::decode(&[255, 0]), Ok(Some((None, 2))));
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(Message::decode(&[255, 0xff, 0xff, 0x03]), Err(DecodeError::TooLong(0xffff)));
        assert_eq!(Message::decode(&[17, 0x80, 0x80, 0x80]), Err(DecodeError::Malformed(17)));
        assert_eq!(Message::decode(&[17, 1, 0]), Err(DecodeError::Malformed(17)), "a longer body");
        assert_eq!(Message::decode(&[11, 2, 5, 33]), Err(DecodeError::Malformed(11)), "k of 33");
        let shards = vec![ShardRef { number: 1, index: 1 }; 65];
        let long = Message::Unavailable { shards }.encode();
        assert_eq!(Message::decode(&long), Err(DecodeError::Malformed(10)));
        let twice = vec![Availability { index: 1, newest: 1, path: vec![], rank: 1 }; 2];
        let long = Message::Have { available: twice, free: 1 }.encode();
        assert_eq!(Message::decode(&long), Err(DecodeError::Malformed(7)));
    }
}
