//! Viewers of one home share one copy: one of them takes each sub-stream from outside, the others take it from that one.
//!
//! Who lacks something takes it at home if it can be had there (`choice`). Two that both take from outside agree without
//! a word: who has the greater id moves to the other, and nobody moves the other way, so that no two ever wait for each
//! other. Loops are kept out by paths, as everywhere. What stays in the home takes no uplink (`push`).

use std::time::Duration;

use super::Engine;
use super::feed::Feed;
use super::partner::{Partner, Pid};
use crate::{Substreams, TimeoutReason};

/// It is looked so often, up to twice that, whether more can be had at home.
const LOOK: Duration = Duration::from_millis(700);
/// Whole copies that one viewer pushes in its home: a line of Wi-Fi carries no more either. Who comes later takes from
/// those who have one.
const COPIES: u32 = 6;
/// A parent at home that answers and pushes nothing is left after so many segments,
const SILENT: u32 = 4;
/// but not sooner than this.
const SILENT_LEAST: Duration = Duration::from_millis(800);

impl Engine {
    /// Whether a partner is a viewer of this home.
    pub(super) fn is_at_home(&self, peer: Pid) -> bool {
        self.partners.get(peer).is_some_and(Partner::at_home)
    }

    /// How many more sub-streams are pushed at home.
    pub(super) fn free_at_home(&self) -> u16 {
        let most = COPIES * u32::from(self.config.k);
        most.saturating_sub(self.pushes.home()).min(u32::from(u16::MAX)) as u16
    }

    /// Whether as much flows from this home as rebuilds everything.
    pub(super) fn lives_on_home(&self) -> bool {
        let flowing = self.feeds.iter().filter(|feed| feed.flows() && self.is_at_home(feed.parent));
        flowing.map(|feed| feed.index).collect::<Substreams>().len() >= self.config.k
    }

    /// Whether nothing has come from a parent at home for too long, whatever others bring.
    pub(super) fn home_is_silent(&self, parent: Pid) -> bool {
        let feeds = self.feeds.iter().filter(|feed| feed.parent == parent);
        let last = feeds.filter_map(|feed| feed.last).max();
        let patience = (self.config.segment * SILENT).max(SILENT_LEAST);
        last.is_some_and(|last| self.now.since(last) >= patience)
    }

    /// Somebody of this home is there: it is looked soon what can be had.
    pub(super) fn look_at_home(&mut self) {
        let at = self.spread(LOOK);
        self.next_home = Some(self.now + at);
        self.timers.arm(TimeoutReason::Parents, self.now + at);
    }

    /// Looks now and then whether what comes from outside can be had at home.
    pub(super) fn tend_home(&mut self) {
        let Some(at) = self.next_home else { return };
        if self.now < at {
            return self.timers.arm(TimeoutReason::Parents, at);
        }
        if !self.partners.values().any(Partner::at_home) {
            self.next_home = None;
            return;
        }
        self.come_home();
        self.look_at_home();
    }

    /// Moves what comes from outside to parents at home, without a break: each old feed goes once the new one flows.
    fn come_home(&mut self) {
        let leaving: Vec<_> = self.feeds.iter().filter_map(|feed| feed.replaces).collect();
        let outside = |feed: &&Feed| {
            let stays = feed.flows() && feed.replaces.is_none();
            stays && !leaving.contains(&(feed.index, feed.parent)) && !self.is_at_home(feed.parent)
        };
        let mut taken: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        let mut old: Vec<_> =
            self.feeds.iter().filter(outside).map(|f| (f.index, f.parent)).collect();
        // What is pushed to others moves only as itself, as long as something else is left to be moved.
        old.sort_unstable_by_key(|&(index, _)| (self.pushes.to(index).len(), index));
        // The same sub-stream first: nothing changes for those who take it here.
        for same in [true, false] {
            let mut rest = Vec::new();
            for (index, parent) in old {
                let of = if same {
                    Substreams::only(index)
                } else {
                    Substreams::first(self.config.n).without(taken)
                };
                let Some((peer, found)) = self.elder_with(of) else {
                    rest.push((index, parent));
                    continue;
                };
                taken.insert(found);
                self.subscribe(peer, Substreams::only(found), Some((index, parent)));
            }
            old = rest;
        }
    }

    /// A viewer of this home with a lower id that pushes one of these here, and which: what came the fewest hops.
    fn elder_with(&self, wanted: Substreams) -> Option<(Pid, u8)> {
        let elders = self.partners.iter().filter(|(_, partner)| {
            let able = partner.met && partner.free > 0 && self.now >= partner.back_off;
            able && partner.at_home() && partner.id < self.config.me
        });
        let offers = elders.flat_map(|(peer, partner)| {
            let offered = self.takable(partner).and(wanted).without(partner.feeds);
            let rank = |index| partner.offer(index).map_or(u8::MAX, |offer| offer.rank);
            offered
                .iter()
                .map(move |index| (rank(index), partner.id, index, peer))
                .collect::<Vec<_>>()
        });
        offers.min().map(|(_, _, index, peer)| (peer, index))
    }
}
