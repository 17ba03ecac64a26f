//! The few STUN messages that reflectors understand (RFC 8489, RFC 5780). Those of connectivity checks are `is`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names one question, so that its answer can be told from others.
pub(crate) type Transaction = [u8; 12];

const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEAD: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const CHANGE_REQUEST: u16 = 0x0003;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PADDING: u16 = 0x0026;
const CHANGE_IP: u32 = 4;
const CHANGE_PORT: u32 = 2;
/// The length of every question, bytes: no answer is longer, so that nobody can make a reflector send more to a stranger
/// than is sent to it.
pub(crate) const QUESTION: usize = 56;

/// From where a question is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Via {
    /// Where it came in.
    Same,
    /// The same address, a port to which nobody sends.
    OtherPort,
    /// Another address, a port to which nobody sends.
    OtherAddress,
}

/// What am I seen at?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) transaction: Transaction,
    pub(crate) via: Via,
}

/// This is what you are seen at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) transaction: Transaction,
    pub(crate) seen: SocketAddr,
}

fn head(kind: u16, transaction: &Transaction, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + len);
    bytes.extend(kind.to_be_bytes());
    bytes.extend((len as u16).to_be_bytes());
    bytes.extend(MAGIC);
    bytes.extend(transaction);
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
}

/// The attributes of a message of this kind with their transaction; `None` if it is another or malformed.
fn open(bytes: &[u8], kind: u16) -> Option<(Transaction, impl Iterator<Item = (u16, &[u8])>)> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[..2] != kind.to_be_bytes() || head[4..8] != MAGIC || len != rest.len() {
        return None;
    }
    let transaction = head[8..].try_into().ok()?;
    let attributes = std::iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(4)?;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..len)?;
        rest = tail.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([head[0], head[1]]), value))
    });
    Some((transaction, attributes))
}

impl Question {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let flags = match self.via {
            Via::Same => 0,
            Via::OtherPort => CHANGE_PORT,
            Via::OtherAddress => CHANGE_PORT | CHANGE_IP,
        };
        let mut bytes = head(REQUEST, &self.transaction, QUESTION - HEAD);
        attribute(&mut bytes, CHANGE_REQUEST, &flags.to_be_bytes());
        let left = QUESTION - bytes.len() - 4;
        attribute(&mut bytes, PADDING, &vec![0; left]);
        bytes
    }

    /// `None` if it is none, or shorter than ours.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < QUESTION {
            return None;
        }
        let (transaction, mut attributes) = open(bytes, REQUEST)?;
        let change = attributes.find(|(kind, _)| *kind == CHANGE_REQUEST);
        let flags = change.and_then(|(_, value)| value.try_into().ok()).map(u32::from_be_bytes);
        let via = match flags.unwrap_or(0) {
            flags if flags & CHANGE_IP != 0 => Via::OtherAddress,
            flags if flags & CHANGE_PORT != 0 => Via::OtherPort,
            _ => Via::Same,
        };
        Some(Self { transaction, via })
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![0, if self.seen.is_ipv4() { 1 } else { 2 }];
        value.extend((self.seen.port() ^ 0x2112).to_be_bytes());
        match self.seen.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets()),
            IpAddr::V6(ip) => value.extend(ip.octets()),
        }
        self.mask(&mut value[4..]);
        let mut bytes = head(SUCCESS, &self.transaction, 4 + value.len());
        attribute(&mut bytes, XOR_MAPPED_ADDRESS, &value);
        bytes
    }

    /// Routers that rewrite addresses wherever they see them do not see them so (RFC 8489 section 14.2).
    fn mask(&self, ip: &mut [u8]) {
        mask(&self.transaction, ip);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (transaction, mut attributes) = open(bytes, SUCCESS)?;
        let (_, value) = attributes.find(|(kind, _)| *kind == XOR_MAPPED_ADDRESS)?;
        let (head, ip) = value.split_at_checked(4)?;
        let port = u16::from_be_bytes([head[2], head[3]]) ^ 0x2112;
        let mut ip = ip.to_vec();
        mask(&transaction, &mut ip);
        let ip: IpAddr = match head[1] {
            1 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
            2 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
            _ => return None,
        };
        Some(Self { transaction, seen: SocketAddr::new(ip, port) })
    }
}

fn mask(transaction: &Transaction, ip: &mut [u8]) {
    for (byte, mask) in ip.iter_mut().zip(MAGIC.iter().chain(transaction)) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_come_back_and_answers_are_no_longer() {
        for via in [Via::Same, Via::OtherPort, Via::OtherAddress] {
            let question = Question { transaction: [7; 12], via };
            let bytes = question.encode();
            assert_eq!(bytes.len(), QUESTION);
            assert_eq!(Question::decode(&bytes), Some(question));
            assert_eq!(Question::decode(&bytes[..QUESTION - 4]), None);
        }
        for seen in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
            let answer = Answer { transaction: [9; 12], seen: seen.parse().unwrap() };
            let bytes = answer.encode();
            assert!(bytes.len() <= QUESTION);
            assert_eq!(Answer::decode(&bytes), Some(answer));
        }
    }

    /// The attribute of RFC 5769 section 2.2: 192.0.2.1, port 32853.
    #[test]
    fn addresses_are_written_as_the_standard_has_it() {
        let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let seen = "192.0.2.1:32853".parse().unwrap();
        let bytes = Answer { transaction, seen }.encode();
        let attribute = [0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        assert_eq!(bytes[HEAD..], attribute);
    }

    proptest! {
        #[test]
        fn nothing_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), fit: bool) {
            if fit && bytes.len() >= HEAD {
                let len = (bytes.len() - HEAD) as u16;
                bytes[..2].copy_from_slice(&SUCCESS.to_be_bytes());
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC);
                let _ = Answer::decode(&bytes);
                bytes[..2].copy_from_slice(&REQUEST.to_be_bytes());
            }
            let _ = (Answer::decode(&bytes), Question::decode(&bytes));
        }
    }
}
