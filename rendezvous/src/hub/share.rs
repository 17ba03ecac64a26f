//! What the hub has to do with other servers that share its map.

use std::collections::HashSet;

use link::protocol::Event;
use segment::SwarmId;
use ticket::{PeerId, Role};
use tokio::sync::mpsc;

use super::{Hub, State};
use crate::map::{Change, Instance};

/// What waits to be sent to nodes elsewhere; what comes beyond it is dropped.
const PARCELS: usize = 4096;

/// An event for a node that is connected to another server.
#[derive(Debug)]
pub struct Parcel {
    /// The server.
    pub to: Instance,
    /// The node.
    pub peer: PeerId,
    /// The event.
    pub event: Event,
}

impl Hub {
    /// From now on events for nodes elsewhere come out here.
    pub fn parcels(&self) -> mpsc::Receiver<Parcel> {
        let (sender, receiver) = mpsc::channel(PARCELS);
        self.lock().parcels = Some(sender);
        receiver
    }

    /// Tells a node something, wherever it is connected. Gives whether it is anywhere and can be
    /// told.
    pub fn tell(&self, peer: PeerId, event: Event) -> bool {
        self.tell_in(&self.lock(), peer, event)
    }

    pub(super) fn tell_in(&self, state: &State, peer: PeerId, event: Event) -> bool {
        if let Some(seat) = state.seats.get(&peer) {
            self.push(seat, event);
            return true;
        }
        let Some((to, parcels)) = state.map.elsewhere(peer).zip(state.parcels.as_ref()) else {
            return false;
        };
        let sent = parcels.try_send(Parcel { to, peer, event }).is_ok();
        if !sent {
            self.metrics.shared_dropped.inc();
        }
        sent
    }

    /// Another server has this for a node here; if it is not here any more, it is dropped.
    pub fn deliver(&self, peer: PeerId, event: Event) {
        if let Some(seat) = self.lock().seats.get(&peer) {
            self.push(seat, event);
        }
    }

    /// What others have not been told.
    pub fn changes(&self) -> Vec<Change> {
        let now = self.now();
        self.lock().map.changes(now)
    }

    /// All that others should know.
    pub fn everything(&self) -> Vec<Change> {
        let now = self.now();
        self.lock().map.everything(now)
    }

    /// Another server says this.
    pub fn absorb(&self, from: Instance, changes: impl Iterator<Item = Change>) {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        let mut air = false;
        for change in changes {
            let absorbed = state.map.absorb(now, from, change);
            state.line_up_changed |= absorbed.line_up;
            air |= absorbed.keys.is_some();
            state.on_air_changed.extend(absorbed.on_air);
            if let Some(swarm) = absorbed.keys {
                self.new_keys(state, swarm);
            }
            if let Some(seat) = absorbed.left.and_then(|peer| state.seats.get(&peer)) {
                // Not told why: it would take it for its own end.
                seat.outbox.close();
            }
        }
        if air {
            self.settle(state, now);
        }
    }

    /// Viewers of the swarm who are connected here get its content keys.
    pub(super) fn new_keys(&self, state: &State, swarm: SwarmId) {
        let Some((parameters, keys)) = state.map.publication(swarm) else { return };
        for viewer in state.map.members(swarm, Role::Viewer) {
            if let Some(seat) = state.seats.get(&viewer)
                && seat.ticket.role == Role::Viewer
                && seat.ticket.grants(&parameters.channel)
            {
                self.push(seat, Event::Keys { swarm: swarm.0, keys: keys.clone() });
            }
        }
    }

    /// The nodes of another server are gone, but those in `but`.
    pub fn forget(&self, from: Instance, but: Option<&HashSet<PeerId>>) {
        let now = self.now();
        self.lock().map.forget(now, from, but);
    }

    /// Other servers cannot be heard just now.
    pub fn hold(&self) {
        let now = self.now();
        self.lock().map.hold(now);
    }
}
