//! Viewers are introduced to each other, so that both can try at once to meet.

use link::nat::Reach;
use link::protocol::{Event, Introduction};
use segment::SwarmId;
use swarm::Time;
use ticket::{PeerId, Role};

use super::hello::NOWHERE;
use super::{Caller, Hub, State};

impl Hub {
    /// A viewer wants to be met by another. Passed on if they take part in one swarm and may meet; otherwise nothing
    /// happens, as if the other were not there.
    pub(super) fn introduce(
        &self,
        state: &State,
        caller: &Caller,
        peer: PeerId,
        mut introduction: Introduction,
    ) {
        if state.reflectors.is_none() || !introduction.is_sound() {
            return;
        }
        let Some((from, to)) = state.map.introduce(caller.peer, peer) else {
            self.metrics.not_introduced.inc();
            return;
        };
        introduction.keep_fit(from, to);
        if self.tell_in(state, peer, Event::Introduced { peer: caller.peer, introduction }) {
            self.metrics.introduced.inc();
        }
    }

    /// How far a node can be reached, as it says.
    pub(super) fn reached(&self, state: &mut State, caller: &Caller, reach: Reach) {
        let Some(seat) = state.seats.get(&caller.peer) else { return };
        let reach = match seat.tunnelled {
            true => Reach { servers_only: reach.servers_only, ..NOWHERE },
            false => reach,
        };
        if caller.role == Role::Viewer {
            state.map.reached(caller.peer, reach);
        }
    }

    /// Names viewers to a viewer that may be of its home.
    pub(super) fn name_neighbours(&self, state: &State, now: Time, peer: PeerId, swarm: SwarmId) {
        let Some(seat) = state.seats.get(&peer) else { return };
        if state.reflectors.is_none() || seat.ticket.role != Role::Viewer {
            return;
        }
        let peers = state.map.neighbours(now, peer, swarm);
        if !peers.is_empty() {
            self.push(seat, Event::Neighbours { swarm: swarm.0, peers });
        }
    }
}
