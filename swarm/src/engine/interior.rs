//! Interior in few trees: where many viewers are within reach, each passes on few sub-streams, to many children each.
//! The trees are wide and so shallow, and who leaves takes little along (SplitStream, SOSP 2003).
//!
//! A viewer opens one tree by itself, once it is older than most of those who soon go again (mTreebone, INFOCOM 2007: the
//! longer one has stayed, the longer one stays). Further ones it opens for those who search and find nothing: need opens
//! trees, not plenty.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::partner::Pid;
use crate::Substreams;

/// With fewer viewers within reach everybody passes on all it has: there is no depth to save.
const CROWD: usize = 14;
/// Children in one tree before a second one is begun without need.
const WIDE: u32 = 40;
/// Children for each tree that is opened in need.
const NARROW: u32 = 8;
/// A part of the mean stay that a viewer must have stayed, to be interior: one in so many; and the most.
const STAYED: u32 = 30;
const OLD: Duration = Duration::from_secs(30);
/// Stays are reckoned as if this had been seen beforehand: one leave in so much time.
const PRIOR: Duration = Duration::from_secs(600);

/// How long viewers stay, from those who were partners: their time and how many of them left the swarm.
#[derive(Debug, Default)]
pub(super) struct Churn {
    seen: Duration,
    left: u32,
}

impl Churn {
    /// A viewer that was a partner for so long parts, because it leaves or is gone, or for another reason.
    pub(super) fn parted(&mut self, time: Duration, leaves: bool) {
        self.seen = self.seen.saturating_add(time);
        self.left = self.left.saturating_add(leaves.into());
        // What was long ago counts less.
        if self.left >= 64 {
            self.seen /= 2;
            self.left /= 2;
        }
    }

    /// How old a viewer is to be before it is interior, if those who are here now have been seen for `now` in all.
    pub(super) fn old(&self, now: Duration) -> Duration {
        let mean = (self.seen.saturating_add(now).saturating_add(PRIOR)) / (self.left + 1);
        (mean / STAYED).min(OLD)
    }
}

impl Engine {
    /// The sub-streams that others may subscribe to here.
    pub(super) fn open(&self) -> Substreams {
        if self.is_viewer() { self.open } else { Substreams::first(self.config.n) }
    }

    /// Chooses anew which sub-streams are passed on: those that have children, then what is nearest to the source and
    /// what the fewest others pass on.
    pub(super) fn choose_trees(&mut self) {
        if !self.is_viewer() {
            return;
        }
        let here: Substreams =
            (0..self.config.n).filter(|&index| self.paths[usize::from(index)].is_some()).collect();
        let viewers = self.partners.values().filter(|p| p.info.role == Role::Viewer).count();
        if viewers < CROWD {
            self.set_open(here);
            return;
        }
        let most = self.uplink.capacity().div_ceil(WIDE).clamp(1, 64) as usize;
        let most = if self.is_young() { 0 } else { most };
        // What has children stays open.
        let taken = here.and(self.pushes.demanded());
        let more = most.saturating_sub(taken.len().into());
        let mut ranked: Vec<_> = here.without(taken).iter().map(|i| self.tree_place(i)).collect();
        ranked.sort_unstable();
        let more: Substreams = ranked.into_iter().take(more).map(|(.., index)| index).collect();
        self.set_open(taken.or(more));
    }

    /// How good a tree is to be interior in; less is better.
    fn tree_place(&self, index: u8) -> (bool, u8, usize, u8) {
        let rank = self.paths[usize::from(index)].as_ref().map_or(u8::MAX, |path| path.rank);
        let others = self.partners.values().filter(|p| p.info.role == Role::Viewer);
        let others = others.filter(|p| p.offered.contains(index)).count();
        (!self.open.contains(index), rank, others, index)
    }

    /// Whether this viewer has not stayed long enough to be interior, and can be done without: others have something to
    /// spare.
    fn is_young(&self) -> bool {
        let viewers = self.partners.values().filter(|partner| partner.is_viewer());
        let (seen, spare) = viewers.fold((Duration::ZERO, 0), |(seen, spare), partner| {
            let spares = partner.free > 0 && !partner.offered.is_empty();
            (seen + self.now.since(partner.since), spare + usize::from(spares))
        });
        let young = self.now.since(self.began) < self.churn.old(seen);
        young && spare >= usize::from(self.config.k)
    }

    /// Somebody looks for some of these: if it would find none of them here though there is uplink to spare, one more tree is
    /// opened.
    pub(super) fn open_for(&mut self, asker: Pid, wanted: Substreams) {
        if !self.is_viewer() || self.free_for(asker) == 0 {
            return;
        }
        let most = self.uplink.capacity().div_ceil(NARROW).clamp(2, 64) as usize;
        let open = !self.tellable(asker, wanted).is_empty();
        if open || usize::from(self.open.len()) >= most {
            return;
        }
        let may = |index: &u8| {
            let path = self.paths.get(usize::from(*index)).and_then(Option::as_ref);
            let asker = self.partners.get(asker).map(|partner| partner.short);
            path.zip(asker).is_some_and(|(path, asker)| !path.names(asker))
        };
        let found = wanted.iter().filter(may).map(|index| self.tree_place(index)).min();
        if let Some((.., index)) = found {
            self.set_open(self.open.or(Substreams::only(index)));
        }
    }

    fn set_open(&mut self, open: Substreams) {
        if self.open != open {
            self.open = open;
            self.announce_soon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_stays_are_short_one_is_old_soon() {
        let minute = Duration::from_secs(60);
        let mut calm = Churn::default();
        let mut restless = Churn::default();
        for _ in 0..50 {
            calm.parted(minute * 10, false);
            restless.parted(minute, true);
        }
        assert_eq!(calm.old(minute * 60), OLD);
        assert!(restless.old(minute * 5) < Duration::from_secs(5), "{:?}", restless.old(minute));
        for _ in 0..1000 {
            restless.parted(minute, true);
        }
        assert!(restless.left <= 64);
    }

    #[test]
    fn a_viewer_in_a_crowd_opens_one_tree_and_another_for_those_who_find_nothing() {
        use super::super::hand::{id, meet, viewer};
        // Room for 32 sub-streams.
        let mut engine = viewer(19_000_000);
        for number in 1..=3 {
            meet(&mut engine, number, &[]);
        }
        engine.choose_trees();
        assert_eq!(engine.open.len(), 12, "in a small swarm all is open");
        for number in 4..=20 {
            meet(&mut engine, number, &[]);
        }
        engine.choose_trees();
        assert_eq!(engine.open.len(), 1);
        let asker = engine.partners.find(&id(7)).unwrap();
        engine.open_for(asker, engine.open);
        assert_eq!(engine.open.len(), 1, "what is wanted is open");
        for _ in 0..20 {
            engine.open_for(asker, Substreams::first(12).without(engine.open));
        }
        assert_eq!(engine.open.len(), 4, "one for each eight that it could push");
        engine.choose_trees();
        assert_eq!(engine.open.len(), 1, "nobody came");
    }
}
