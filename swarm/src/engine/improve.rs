//! Moving to better parents, without a break: the old one is given up once the new one flows.

use std::time::Duration;

use super::Engine;
use super::choice::Exposure;
use super::partner::{Partner, Pid};
use crate::{Message, Substreams, TimeoutReason};

/// Better parents are looked for after this, up to twice that.
const EVERY: Duration = Duration::from_millis(1200);
/// What each sub-stream adds to the cost of its parent if that is a viewer, up to as many as one should have, and beyond.
const USED: i64 = 15;
const OVERUSED: i64 = 150;
/// A move must gain at least so much, against flapping.
const GAIN: i64 = 120;
/// And so much more for each child of the sub-stream, up to eight: what hangs on it moves as well.
const CHILD: i64 = 10;
/// Sub-streams that move away from servers at one time.
const AT_ONCE: usize = 3;

impl Engine {
    /// Moves a sub-stream to a better parent if there is one and all is well; viewers take from repeaters only what
    /// no viewer has to give.
    pub(super) fn improve(&mut self) {
        if !self.is_viewer() {
            return;
        }
        self.tend_home();
        if self.next_move.is_none_or(|at| self.now >= at) {
            // A set that has been good for long is looked at less often: each move is a chance for a gap, for all below.
            let calm = self.losses.back().map_or(self.began, |&at| at.max(self.began));
            let times = 1 + (self.now.since(calm).as_secs() / 10).min(7) as u32;
            let again = self.spread(EVERY * times);
            self.next_move = Some(self.now + again);
            let moving = self.feeds.iter().any(|feed| feed.replaces.is_some());
            let (_, missing) = self.wanted();
            if !moving && missing == 0 && self.settled_set() {
                self.give_back();
            }
            if !moving
                && missing == 0
                && self.settled_set()
                && self.debts.iter().all(|debt| debt.paid)
                && !self.line_is_full()
            {
                self.move_one();
            }
        }
        if let Some(at) = self.next_move {
            self.timers.arm(TimeoutReason::Parents, at);
        }
    }

    fn move_one(&mut self) {
        let best_lag = self.best_lag();
        let fastest = self.feeds.iter().map(|feed| feed.late_us).min().unwrap_or_default();
        let near = self.partners.values().filter(|partner| {
            !partner.feeds.is_empty() || (partner.free > 0 && !partner.offered.is_empty())
        });
        let limit = self.per_viewer(near.count());
        let mut exposure = self.exposure();
        // What each feed costs now, the dearest first.
        let mut feeds: Vec<(i64, u8, Pid)> = Vec::new();
        for feed in self.feeds.iter().filter(|feed| feed.flows()) {
            let Some(partner) = self.partners.get(feed.parent) else { continue };
            let late_ms = (feed.late_us.saturating_sub(fastest) / 1000).min(1000) as i64;
            let late = if late_ms > 300 { 100 + late_ms / 5 } else { late_ms / 10 };
            self.count_path(&mut exposure, feed.index, -1);
            let cost = self.cost(partner, best_lag)
                + late
                + self.way(partner, feed.index, &exposure)
                + self.burden(partner, limit, 0);
            self.count_path(&mut exposure, feed.index, 1);
            feeds.push((cost, feed.index, feed.parent));
        }
        feeds.sort_unstable_by_key(|&(cost, index, peer)| (-cost, index, peer));
        let mut taken: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        let mut moved = 0;
        for (cost, index, parent) in feeds {
            // With children on it the sub-stream itself moves; otherwise another may take its place.
            let mut wanted = Substreams::only(index);
            if self.pushes.to(index).is_empty() {
                wanted = wanted.or(Substreams::first(self.config.n).without(taken));
            }
            self.count_path(&mut exposure, index, -1);
            let children = self.pushes.to(index).len().min(8) as i64;
            let cost = cost - children * CHILD;
            let better = self.better(cost, wanted, parent, (best_lag, limit), &exposure);
            self.count_path(&mut exposure, index, 1);
            if let Some((peer, substream)) = better {
                self.subscribe(peer, Substreams::only(substream), Some((index, parent)));
                taken.insert(substream);
                moved += 1;
                // Servers are left as soon as others can be had: who comes next needs them.
                let relieved = self.partners.get(parent).is_some_and(|p| !p.is_viewer());
                if !relieved || moved >= AT_ONCE {
                    return;
                }
            }
        }
    }

    /// What it costs that a viewer is a parent for several sub-streams, `more` of them yet to come.
    fn burden(&self, partner: &Partner, limit: i64, more: i64) -> i64 {
        let used = i64::from(partner.feeds.len()) + more;
        if partner.is_viewer() { used * USED + (used - limit).max(0) * OVERUSED } else { 0 }
    }

    /// A partner that offers one of these at a cost that is worth the move.
    fn better(
        &mut self,
        cost: i64,
        wanted: Substreams,
        now_from: Pid,
        (best_lag, limit): (u32, i64),
        exposure: &Exposure,
    ) -> Option<(Pid, u8)> {
        let mut found: Vec<(i64, Pid, u8)> = Vec::new();
        for (peer, partner) in self.partners.iter() {
            let idle =
                partner.met && partner.free > 0 && !partner.silent && self.now >= partner.back_off;
            // Who is of this home is moved to in `household`, by a rule that both ends know.
            if partner.at_home()
                || peer == now_from
                || !idle
                || !self.may_feed_me(partner.info.role)
                || self.in_reserve(partner)
            {
                continue;
            }
            let offered = self.takable(partner).and(wanted);
            if offered.is_empty() {
                continue;
            }
            let there = self.cost(partner, best_lag) + self.burden(partner, limit, 1);
            for index in offered.iter() {
                let there = there + self.way(partner, index, exposure);
                if there + GAIN <= cost {
                    found.push((there, peer, index));
                }
            }
        }
        // Among equals by chance: else all who look would take the same.
        let least = found.iter().map(|&(there, ..)| there).min()?;
        found.retain(|&(there, ..)| there <= least + USED);
        let pick = self.chance(found.len() as u32) as usize;
        found.get(pick).map(|&(_, peer, index)| (peer, index))
    }

    /// The feed that was to take another's place flows: the other is given up, because this one is better or that one was
    /// silent.
    pub(super) fn replaced(&mut self, index: u8, parent: Pid, silent: bool) {
        if self.drop_feed(parent, index) {
            let moves = &mut self.counters.moves;
            *if silent { &mut moves.silent } else { &mut moves.better } += 1;
            if silent {
                self.losses.push_back(self.now);
            }
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
        }
        self.refresh_paths(Substreams(u64::MAX));
    }
}
