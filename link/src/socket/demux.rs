//! What a datagram on the node's port is, by its first byte (RFC 9443).

use quinn::udp::RecvMeta;

/// What QUIC, STUN and others look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// 0 to 3.
    Stun,
    /// 64 to 255: the fixed bit is set, or the header is long. Holds as long as nobody sends with
    /// that bit greased (RFC 9287), see `transport`.
    Quic,
    /// DTLS, RTP, TURN channels: nothing that is spoken here.
    Other,
}

/// A first byte that is neither: what has been dealt with already.
pub(super) const NOTHING: u8 = 0x3f;

impl Kind {
    pub(super) fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            Some(0..=3) => Self::Stun,
            Some(64..) => Self::Quic,
            _ => Self::Other,
        }
    }
}

/// Leaves only QUIC in a buffer that holds one or more datagrams of `meta.stride` bytes (the last may be
/// shorter: the system joins what comes at once); the others are handed to `other`.
pub(super) fn keep_quic(
    buffer: &mut [u8],
    meta: &mut RecvMeta,
    mut other: impl FnMut(Kind, &[u8]),
) {
    let stride = meta.stride.max(1);
    let all_quic =
        buffer[..meta.len].chunks(stride).all(|datagram| Kind::of(datagram) == Kind::Quic);
    if all_quic {
        return;
    }
    let mut kept = 0;
    let mut at = 0;
    while at < meta.len {
        let end = (at + stride).min(meta.len);
        match Kind::of(&buffer[at..end]) {
            Kind::Quic => {
                buffer.copy_within(at..end, kept);
                kept += end - at;
            }
            kind => other(kind, &buffer[at..end]),
        }
        at = end;
    }
    meta.len = kept;
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn meta(len: usize, stride: usize) -> RecvMeta {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        RecvMeta { addr, len, stride, ecn: None, dst_ip: None }
    }

    #[test]
    fn kinds_are_those_of_rfc_9443() {
        for byte in 0..=255u8 {
            let expected = match byte {
                0..=3 => Kind::Stun,
                4..=63 => Kind::Other,
                64..=255 => Kind::Quic,
            };
            assert_eq!(Kind::of(&[byte, 0]), expected);
        }
        assert_eq!(Kind::of(&[]), Kind::Other);
    }

    proptest! {
        /// Whatever is joined, QUIC stays in order and the rest is handed out in order.
        #[test]
        fn joined_datagrams_are_told_apart(
            firsts in proptest::collection::vec(any::<u8>(), 1..20),
            stride in 1usize..30,
            last in 1usize..30,
        ) {
            let last = last.min(stride);
            let datagrams: Vec<Vec<u8>> = firsts
                .iter()
                .enumerate()
                .map(|(i, first)| {
                    let len = if i + 1 == firsts.len() { last } else { stride };
                    let mut datagram = vec![i as u8; len];
                    datagram[0] = *first;
                    datagram
                })
                .collect();
            let mut buffer = datagrams.concat();
            let mut meta = meta(buffer.len(), stride);
            let mut others = Vec::new();
            keep_quic(&mut buffer, &mut meta, |kind, datagram| {
                assert_eq!(kind, Kind::of(datagram));
                others.push(datagram.to_vec());
            });
            let (quic, rest): (Vec<_>, Vec<_>) =
                datagrams.into_iter().partition(|datagram| Kind::of(datagram) == Kind::Quic);
            prop_assert_eq!(&buffer[..meta.len], quic.concat());
            prop_assert_eq!(others, rest);
        }
    }
}
