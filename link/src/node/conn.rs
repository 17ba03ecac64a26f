//! A connected peer, as the driver sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use segment::SwarmId;
use ticket::{ChannelTicket, PeerId};
use tokio::time::Instant;

use super::outbox::Outbox;

/// Whether a peer is met in a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// It was asked, at this moment for the first time.
    Asked(Instant),
    /// It was asked first at `since`, and is to be asked again at `until`: it has been entered too often.
    PutOff { since: Instant, until: Instant },
    /// It is in it, and the engine knows.
    In,
}

/// A connection to a peer whose ticket passed.
pub(crate) struct Conn {
    pub(crate) peer: PeerId,
    pub(crate) quic: quinn::Connection,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) ticket: ChannelTicket,
    /// Whether this node dialled.
    pub(crate) dialled: bool,
    pub(crate) since: Instant,
    pub(crate) swarms: BTreeMap<SwarmId, Presence>,
    /// When the last swarm was left, while there is none.
    pub(crate) idle: Option<Instant>,
    /// Frames and shards of swarms that it is not met in, lately.
    pub(crate) strays: u32,
    /// Both are viewers of one home, and the connection stays in it.
    pub(crate) household: bool,
    /// It does not want others to be told where it is.
    pub(crate) unlisted: bool,
    /// Renewed tickets that it has shown, lately.
    pub(crate) renewals: u32,
}

impl Conn {
    pub(crate) fn is_in(&self, swarm: SwarmId) -> bool {
        self.swarms.get(&swarm) == Some(&Presence::In)
    }

    /// Forgets a swarm, and what waits to be sent for it.
    pub(crate) fn leave(&mut self, swarm: SwarmId) -> Option<Presence> {
        let presence = self.swarms.remove(&swarm);
        self.outbox.forget(swarm);
        if self.swarms.is_empty() && self.idle.is_none() {
            self.idle = Some(Instant::now());
        }
        presence
    }

    pub(crate) fn enter(&mut self, swarm: SwarmId, presence: Presence) {
        self.swarms.insert(swarm, presence);
        self.idle = None;
    }
}
