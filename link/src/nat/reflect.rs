//! Reflectors: they tell who asks at which address it is seen. Rendezvous runs them.
//!
//! At each of one or two addresses there are three ports: two that are asked, so that a node sees whether it looks the
//! same to both, and one to which nobody ever sends: only who lets in everything from an address hears from it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::stun::{Answer, Question, Via};

/// The ports of one reflector that are asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Reflector {
    /// The first.
    pub first: SocketAddr,
    /// Another at the same IP address.
    pub second: SocketAddr,
}

/// The most reflectors of one rendezvous: two of each family.
pub const MOST: usize = 4;

/// The socket that answers a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voice {
    /// The one where it came in.
    Same,
    /// The silent one of the same address.
    Silent,
    /// The silent one of the other address. Where there is none, nobody answers.
    Other,
}

/// What is sent to `from` for a datagram that it sent; `None`: nothing. Never longer than the datagram.
pub fn reflect(from: SocketAddr, datagram: &[u8]) -> Option<(Voice, Vec<u8>)> {
    let question = Question::decode(datagram)?;
    let seen = SocketAddr::new(from.ip().to_canonical(), from.port());
    let voice = match question.via {
        Via::Same => Voice::Same,
        Via::OtherPort => Voice::Silent,
        Via::OtherAddress => Voice::Other,
    };
    Some((voice, Answer { transaction: question.transaction, seen }.encode()))
}
