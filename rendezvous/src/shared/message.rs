//! What servers say on the bus.

use link::protocol::Event;
use serde::{Deserialize, Serialize};
use ticket::PeerId;

use super::seal::{Broken, Seal};
use crate::map::{Change, Instance};

/// A message and who says it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// The server.
    pub from: Instance,
    /// Its time on the bus: another after each connection, later ones greater.
    pub term: u64,
    /// What.
    pub message: Message,
}

/// What servers say. New variants go to the end.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// What has changed; said at least every second, so that silence means something.
    Changes {
        /// Counts these, from 1 in each term: a gap is noticed.
        number: u64,
        /// What.
        changes: Vec<Change>,
    },
    /// Tell me everything: I am new here, or have missed something.
    Ask,
    /// A part of everything, to one who asked.
    Everything {
        /// Where in the count of `Changes` this was.
        number: u64,
        /// The first part.
        first: bool,
        /// The last part: what was not in any is not there.
        last: bool,
        /// What.
        changes: Vec<Change>,
    },
    /// For a node that is connected to the server it is sent to.
    Mail {
        /// Whom.
        peer: PeerId,
        /// What.
        event: Event,
    },
    /// I am about to end.
    Bye,
}

impl Envelope {
    pub(super) fn seal(&self, seal: &Seal, place: &str) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).expect("these types can be written");
        seal.seal(place, bytes)
    }

    pub(super) fn open(seal: &Seal, place: &str, sealed: Vec<u8>) -> Result<Self, Broken> {
        postcard::from_bytes(&seal.open(place, sealed)?).map_err(|_| Broken)
    }
}
