//! Public viewers and those whom only they can feed.
//!
//! Who is behind a symmetric NAT can be fed by viewers that are open to all, and can feed them, and nobody else. So those who
//! have a choice leave open viewers to them, open viewers take from them what they can, and keep places for them. What a
//! viewer says of its own reach is believed: who calls itself hard to reach to get such a place gives up all other viewers'.

use super::Engine;
use super::partner::{Partner, Pid};
use crate::{Message, Reach};

/// Less than a step of nearness.
const PUBLIC: i64 = 60;
/// One place in so many is kept for those who are hard to reach, while there are any.
const KEPT: u32 = 4;

impl Engine {
    /// The shell knows how this viewer can be reached.
    pub(super) fn reach(&mut self, reach: Reach) {
        if self.reach != reach {
            self.reach = reach;
            self.partners.pids().into_iter().for_each(|peer| self.tell_reach(peer));
        }
    }

    pub(super) fn tell_reach(&mut self, peer: Pid) {
        let viewers = self.is_viewer() && self.partners.get(peer).is_some_and(Partner::is_viewer);
        if viewers && self.reach != Reach::Unknown {
            self.send(peer, Message::Reach(self.reach));
        }
    }

    pub(super) fn reached(&mut self, from: Pid, reach: Reach) {
        if self.charge(from, 1)
            && let Some(partner) = self.partners.get_mut(from)
        {
            partner.reach = reach;
        }
    }

    /// What is added to a parent's cost, so that open viewers are left to those who have nobody else.
    pub(super) fn public(&self, partner: &Partner) -> i64 {
        match (self.reach, partner.reach) {
            (Reach::Open, Reach::Hard) => -PUBLIC,
            (Reach::Open | Reach::Behind, Reach::Open) => PUBLIC,
            _ => 0,
        }
    }

    /// Places that an open viewer keeps for those who are hard to reach, if the asker is not one of them.
    pub(super) fn kept_for_hard(&self, asker: Pid) -> u32 {
        let hard = |partner: &Partner| partner.is_viewer() && partner.reach == Reach::Hard;
        if self.reach != Reach::Open || self.partners.get(asker).is_none_or(hard) {
            return 0;
        }
        let mut any = false;
        let mut taken = 0;
        for partner in self.partners.values().filter(|partner| hard(partner)) {
            any = true;
            taken += u32::from(partner.takes.len());
        }
        if any { (self.uplink.capacity() / KEPT).saturating_sub(taken) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::{id, meet, viewer};
    use super::*;
    use crate::{Input, Output};

    #[test]
    fn an_open_viewer_keeps_places_for_those_whom_others_cannot_reach() {
        // Room for eight sub-streams.
        let mut engine = viewer(4_700_000);
        for number in 1..=3 {
            meet(&mut engine, number, &[]);
        }
        let pid = |engine: &mut Engine, number| engine.partners.find(&id(number)).unwrap();
        let (behind, hard) = (pid(&mut engine, 1), pid(&mut engine, 2));
        let says = |reach| Message::Reach(reach);
        let now = engine.now;
        engine.handle_input(now, Input::Message { from: id(1), message: says(Reach::Behind) });
        engine.handle_input(now, Input::Message { from: id(2), message: says(Reach::Hard) });
        assert_eq!(
            (engine.free_for(behind), engine.free_for(hard)),
            (8, 8),
            "it is not open itself"
        );
        while engine.poll_output().is_some() {}
        engine.handle_input(now, Input::Reach(Reach::Open));
        assert_eq!((engine.free_for(behind), engine.free_for(hard)), (6, 8));
        let told = std::iter::from_fn(|| engine.poll_output());
        let reach = |output: &Output| {
            matches!(output, Output::Send { message: Message::Reach(Reach::Open), .. })
        };
        assert_eq!(told.filter(reach).count(), 3, "partners hear of it");
        // It takes from those whom nobody else can use, and leaves open ones to them.
        let cost = |engine: &Engine, pid| engine.public(engine.partners.get(pid).unwrap());
        assert!(cost(&engine, hard) < cost(&engine, behind));
        engine.handle_input(now, Input::Message { from: id(1), message: says(Reach::Open) });
        assert!(cost(&engine, behind) > 0);
        engine.handle_input(now, Input::Reach(Reach::Hard));
        assert_eq!(cost(&engine, behind), 0);
    }
}
