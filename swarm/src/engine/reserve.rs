//! The headend beside a repeater: a viewer of one that knows no other is connected to the headend as well, takes nothing
//! from it while a repeater lives, however little that has to spare, and goes on with it at once when none does.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::partner::{Partner, Pid};

/// A headend that has no room, or was lost, is not tried again sooner: there may be many who want one.
const AGAIN: Duration = Duration::from_secs(20);

impl Engine {
    /// Whether the headend is to be dialled though a repeater is there: not before this viewer plays, which is more urgent.
    pub(super) fn wants_reserve(&self) -> bool {
        self.is_viewer()
            && self.counters.startup.is_some()
            && self.reserve_dialled.is_none_or(|at| self.now.since(at) >= AGAIN)
    }

    /// Whether the headend is left alone: a repeater lives.
    pub(super) fn headend_waits(&self) -> bool {
        self.is_viewer() && self.partners.iter().any(|(peer, partner)| self.lives(peer, partner))
    }

    /// Whether nothing is taken from a partner for now, but it is there.
    pub(super) fn in_reserve(&self, partner: &Partner) -> bool {
        partner.info.role == Role::Headend && self.headend_waits()
    }

    /// Whether this is a repeater that answers and has something; one that has just been met may have nothing yet.
    fn lives(&self, peer: Pid, partner: &Partner) -> bool {
        partner.info.role == Role::Repeater
            && partner.met
            && !self.unanswered(peer)
            && (!partner.offered.is_empty() || !self.settled(partner.since))
    }
}
