//! Give-to-get: where uplinks are short, a place goes to who passes on more (Mol et al., "Give-to-Get", MMCN 2008).
//!
//! Nobody's own word is taken for it. What a viewer passes on is seen in the paths that others tell: each names who the
//! sub-stream came through. A newcomer has not had time to give: a part of the places is its for a while, whatever it
//! gives, and such places go round.

use std::time::Duration;

use ticket::ShortId;

use super::Engine;
use super::partner::Pid;
use crate::{Shed, Substreams, Time};

/// A child keeps its place so long whatever it gives.
const CHANCE: Duration = Duration::from_secs(20);
/// One place in so many, and one at least, is for newcomers.
const OPTIMISTIC: u32 = 8;
/// Between two that lose their place.
const PAUSE: Duration = Duration::from_secs(2);
/// Who takes another's place must be seen to give so much more.
const MORE: usize = 2;
/// A place that was promised is kept so long: who looks for parents subscribes a round trip later, or not at all.
const PROMISED: Duration = Duration::from_millis(500);

/// A place that was promised to a viewer that looks for parents, while all were taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    to: Pid,
    /// What is taken from whom.
    index: u8,
    child: Pid,
    until: Time,
}

impl Promise {
    pub(super) fn concerns(&self, peer: Pid) -> bool {
        self.to == peer || self.child == peer
    }
}

impl Engine {
    /// Who is seen to pass something on, as often as others' paths name it, in order.
    fn witnessed(&self) -> Vec<ShortId> {
        let mut named = Vec::new();
        for partner in self.partners.values().filter(|partner| partner.is_viewer()) {
            let paths = partner.offers().iter().flat_map(|offer| &offer.path);
            // Nobody's own word counts.
            named.extend(paths.copied().filter(|short| *short != partner.short));
        }
        named.sort_unstable();
        named
    }

    /// How much a partner is seen to pass on: sub-streams to this node, and those of others that came through it.
    fn gives(&self, peer: Pid, witnessed: &[ShortId]) -> usize {
        let Some(partner) = self.partners.get(peer) else { return 0 };
        let first = witnessed.partition_point(|short| *short < partner.short);
        let through = witnessed[first..].partition_point(|short| *short == partner.short);
        usize::from(partner.feeds.len()) + through
    }

    /// Whose place a viewer may have that looks for parents while all places here are taken: the sub-stream and the child.
    fn place_for(&self, asker: Pid) -> Option<(u8, Pid)> {
        let now = self.now;
        let paused = self.displaced.is_some_and(|at| now.since(at) < PAUSE);
        if !self.is_viewer() || paused || self.free_for(asker) > 0 || !self.scarce() {
            return None;
        }
        let witnessed = self.witnessed();
        let deserves = self.gives(asker, &witnessed);
        let settled = self.pushes.settled(now - CHANCE).into_iter();
        let others = settled.filter(|&(_, child, _)| child != asker);
        let (gives, _, index, child) = others
            .map(|(index, child, since)| (self.gives(child, &witnessed), since, index, child))
            .min()?;
        let chances = (self.pushes.outside() / OPTIMISTIC).max(1);
        let chance = gives == 0 && self.pushes.outside_since(now - CHANCE) < chances;
        (deserves >= gives + MORE || chance).then_some((index, child))
    }

    /// How many places a viewer that looks for parents may have here: those that are free, else another's, which is promised to
    /// it. One place at a time is promised, for one at a time changes hands.
    pub(super) fn free_to_give(&mut self, asker: Pid) -> u16 {
        let free = self.free_for(asker);
        if free > 0 || !self.serves(asker) {
            return free;
        }
        let open = self.promised.filter(|promise| self.now < promise.until);
        if open.is_none() {
            let until = self.now + PROMISED;
            let place = self.place_for(asker);
            self.promised = place.map(|(index, child)| Promise { to: asker, index, child, until });
        }
        self.promised.is_some_and(|promise| promise.to == asker).into()
    }

    /// Makes room for a viewer that was promised a place, if all are still taken: its child loses it now.
    pub(super) fn make_place(&mut self, asker: Pid) {
        let Some(promise) = self.promised.take_if(|promise| promise.to == asker) else { return };
        let Promise { index, child, until, .. } = promise;
        if self.now < until && self.free_for(asker) == 0 && self.takes(child).contains(index) {
            self.displaced = Some(self.now);
            self.stop_pushing(child, Substreams::only(index), Some(Shed::Overload));
        }
    }
}

#[cfg(test)]
mod tests {
    use ticket::PeerId;

    use super::super::hand::{self, id, meet, viewer};
    use super::*;
    use crate::{Input, Message};

    /// Looks for parents, and subscribes a moment later.
    fn subscribe(engine: &mut Engine, second: u64, number: u8, index: u8) -> bool {
        let message = Message::Search { wanted: Substreams::only(index) };
        engine.handle_input(
            Time(second * 1_000_000 - 100_000),
            Input::Message { from: id(number), message },
        );
        hand::subscribe(engine, second, number, index)
    }

    #[test]
    fn who_passes_on_more_takes_the_place_of_who_gives_nothing_and_newcomers_have_a_chance() {
        // Room for three sub-streams.
        let mut engine = viewer(2_000_000);
        for number in 1..=9 {
            // What two of them have came through the fifth.
            let through = [id(5)];
            let offers: [(u8, &[PeerId]); 2] = [(0, &through), (1, &through)];
            meet(&mut engine, number, if number >= 8 { &offers } else { &[] });
        }
        for number in 1..=3 {
            assert!(subscribe(&mut engine, 1, number, number), "{number}");
        }
        assert_eq!(engine.free_for(engine.partners.find(&id(4)).unwrap()), 0);
        assert!(!subscribe(&mut engine, 2, 4, 4), "those who came first have had no time to give");
        assert!(
            subscribe(&mut engine, 30, 4, 4),
            "the first of three gave nothing in half a minute"
        );
        assert!(!subscribe(&mut engine, 31, 6, 6), "one place at a time goes round");
        assert!(!subscribe(&mut engine, 33, 6, 6), "and a newcomer keeps it for a while");
        assert!(!hand::subscribe(&mut engine, 34, 5, 5), "what was not promised is not taken away");
        assert!(subscribe(&mut engine, 35, 5, 5), "who gives need not wait");
        assert_eq!(engine.pushes.total(), 3);
        let giver = engine.partners.find(&id(5)).unwrap();
        for second in [60, 90, 120] {
            subscribe(&mut engine, second, 7, 7);
            assert!(!engine.takes(giver).is_empty(), "and keeps its place");
        }
    }
}
