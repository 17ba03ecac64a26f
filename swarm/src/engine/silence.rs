//! Feeds that fall silent.

use std::time::Duration;

use super::Engine;
use super::partner::Pid;
use crate::{Message, Substreams, Time, TimeoutReason};

/// A parent that granted and never pushed is given up.
const PROMISE: Duration = Duration::from_millis(1500);
/// A parent that fell silent is not asked again so long.
const DISTRUST: Duration = Duration::from_secs(2);
/// Between two looks at what is late.
const LOOK: Duration = Duration::from_millis(40);
/// A probe that has no answer after this and one and a half round trips.
const PROBE: Duration = Duration::from_millis(60);

impl Engine {
    /// Looks at what is late, and does something about it.
    pub(super) fn mend(&mut self) {
        let late = self.find_late();
        let holes = self.repair();
        self.complain();
        let Some(edge_at) = self.window.edge_at() else { return };
        // When all is well the next look is due only if nothing new comes.
        let still = edge_at + self.config.segment * 3 / 2;
        let again = match late || holes {
            true => self.now + LOOK,
            false if still > self.now => still,
            false => self.now + self.config.segment,
        };
        self.timers.arm(TimeoutReason::Repair, again);
    }

    /// Suspects feeds that are behind the others, asks their parents whether they are there, and moves on without those
    /// that are not; whether any is suspected.
    fn find_late(&mut self) -> bool {
        let now = self.now;
        let segment = self.config.segment;
        let Some((newest, edge_at)) = self.window.newest().zip(self.window.edge_at()) else {
            return false;
        };
        let still = now.since(edge_at) >= segment * 3 / 2;
        let mut probe: Vec<Pid> = Vec::new();
        let mut lost: Vec<(Pid, u8)> = Vec::new();
        let mut broken: Vec<(Pid, u8)> = Vec::new();
        let mut suspected = false;
        let doubtful = |feed: &super::Feed| feed.suspect.is_some() || !feed.flows();
        let own_fault = self.feeds.iter().any(doubtful) && self.own_fault();
        if own_fault {
            self.line_full = Some(now);
        }
        for place in 0..self.feeds.len() {
            let feed = &self.feeds[place];
            if !feed.flows() {
                let due = feed.granted.is_some_and(|at| now.since(at) >= PROMISE);
                if due && !still && !own_fault && feed.from.saturating_add(2) < newest {
                    broken.push((feed.parent, feed.index));
                }
                continue;
            }
            let behind = self.overdue(feed.newest, feed.grace());
            let quiet = still && feed.last.is_some_and(|at| now.since(at) >= segment * 3 / 2);
            if !behind && !quiet {
                continue;
            }
            suspected = true;
            let since = feed.suspect.unwrap_or(now);
            let (parent, index, fresh) = (feed.parent, feed.index, feed.suspect.is_none());
            self.feeds[place].suspect = Some(since);
            if fresh {
                probe.push(parent);
            }
            let unanswered = self.unanswered(parent);
            let silent = behind && !still && !own_fault && now.since(since) >= segment * 3;
            // All may come from one at home: then there is nobody else to compare it with.
            let silent = silent || still && self.is_at_home(parent) && self.home_is_silent(parent);
            if unanswered || silent {
                lost.push((parent, index));
            }
        }
        probe.sort_unstable();
        probe.dedup();
        for peer in probe {
            self.probe(peer);
        }
        // Who is of this home was asked for all at once: that is one promise.
        let mut blamed: Vec<Pid> = Vec::new();
        for (parent, index) in broken {
            if !self.is_at_home(parent) || !blamed.contains(&parent) {
                blamed.push(parent);
                self.broken_promise(parent, index);
            } else {
                self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
                self.lose(parent, Substreams::only(index));
            }
        }
        for (parent, index) in lost {
            let unanswered = self.unanswered(parent);
            if let Some(partner) = self.partners.get_mut(parent) {
                partner.back_off = now + DISTRUST;
                if !unanswered {
                    partner.withdraw(Substreams::only(index));
                }
            }
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            let all = if unanswered { Substreams(u64::MAX) } else { Substreams::only(index) };
            self.lose(parent, all);
        }
        suspected
    }

    /// Whether a viewer has more feeds that are late at once than one parent or ancestor can be to blame for: the fault is
    /// at this end, and other parents would be late as well.
    fn own_fault(&self) -> bool {
        if !self.is_viewer() {
            return false;
        }
        let late = self.feeds.iter().filter(|feed| feed.flows());
        let late = late.filter(|feed| self.overdue(feed.newest, feed.grace()));
        let mut parents: Vec<Pid> = late.map(|feed| feed.parent).collect();
        parents.sort_unstable();
        parents.dedup();
        parents.len() > usize::from(self.config.n.saturating_sub(self.config.k)).max(2)
    }

    /// Whether a segment after `newest` has been coming from others for longer than `grace`.
    fn overdue(&self, newest: u64, grace: Duration) -> bool {
        self.window
            .from(newest + 1)
            .next()
            .is_some_and(|(_, slot)| self.now.since(slot.first) > grace)
    }

    /// Whether a partner owes an answer to a probe for too long.
    fn unanswered(&self, peer: Pid) -> bool {
        let Some(partner) = self.partners.get(peer) else { return true };
        let limit = PROBE + partner.info.rtt * 3 / 2;
        partner
            .probe
            .is_some_and(|(_, at): (u32, Time)| self.now.since(at) >= limit && partner.heard <= at)
    }
}
