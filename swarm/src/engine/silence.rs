//! Feeds that fall silent.

use std::time::Duration;

use super::Engine;
use super::partner::Pid;
use crate::{Loss, Message, Substreams, Time, TimeoutReason};

/// A parent that granted and never pushed is given up.
const PROMISE: Duration = Duration::from_millis(1500);
/// A parent that fell silent is not asked again so long.
const DISTRUST: Duration = Duration::from_secs(2);
/// Between two looks at what is late.
const LOOK: Duration = Duration::from_millis(40);
/// Not sooner, whatever is about to be late.
const SHORT: Duration = Duration::from_millis(5);
/// A probe that has no answer after this and one and a half round trips.
const PROBE: Duration = Duration::from_millis(60);
/// After this and a round trip its answer is late, and another parent is asked, too.
const SOON: Duration = Duration::from_millis(20);

impl Engine {
    /// Looks at what is late, and does something about it.
    pub(super) fn mend(&mut self) {
        let late = self.find_late();
        let holes = self.repair();
        self.complain();
        let Some(edge_at) = self.window.edge_at() else { return };
        // When all is well the next look is due only if nothing new comes.
        let still = edge_at + self.config.segment * 3 / 2;
        let again = match holes {
            true => self.now + LOOK,
            false if still > self.now => still,
            false => self.now + self.config.segment,
        };
        let late = late.map_or(again, |at| at.max(self.now + SHORT));
        self.timers.arm(TimeoutReason::Repair, again.min(late));
    }

    /// Suspects feeds that are behind the others, asks their parents whether they are there, and moves on without those
    /// that are not; when to look again, if anything is late or about to be.
    fn find_late(&mut self) -> Option<Time> {
        let now = self.now;
        let segment = self.config.segment;
        let (newest, edge_at) = self.window.newest().zip(self.window.edge_at())?;
        let still = now.since(edge_at) >= segment * 3 / 2;
        let mut probe: Vec<Pid> = Vec::new();
        let mut lost: Vec<(Pid, u8)> = Vec::new();
        let mut doubted: Vec<(Pid, u8)> = Vec::new();
        let mut broken: Vec<(Pid, u8)> = Vec::new();
        let mut again: Option<Time> = None;
        let mut look = |at: Time| again = Some(again.map_or(at, |set: Time| set.min(at)));
        let doubtful = |feed: &super::Feed| feed.suspect.is_some() || !feed.flows();
        let own_fault = self.feeds.iter().any(doubtful) && self.own_fault();
        if own_fault {
            self.line_full = Some(now);
        }
        for place in 0..self.feeds.len() {
            let feed = &self.feeds[place];
            let (parent, index) = (feed.parent, feed.index);
            if !feed.flows() {
                let due = feed.granted.is_some_and(|at| now.since(at) >= PROMISE);
                if due && !still && !own_fault && feed.from.saturating_add(2) < newest {
                    broken.push((parent, index));
                }
                continue;
            }
            let age = self.behind(feed.newest);
            let limits = [feed.ask(), feed.doubt(), feed.grace()];
            if let Some((age, next)) = age.zip(limits.iter().find(|limit| Some(**limit) >= age)) {
                look(now + (*next - age));
            }
            let [ask, doubt, behind] = limits.map(|limit| age.is_some_and(|age| age > limit));
            let quiet = still && feed.last.is_some_and(|at| now.since(at) >= segment * 3 / 2);
            if !ask && !quiet {
                continue;
            }
            if self.quiet_since(parent) {
                probe.push(parent);
            }
            if behind || quiet {
                look(now + LOOK);
                let since = feed.suspect.unwrap_or(now);
                if feed.suspect.is_none() {
                    probe.push(parent);
                }
                self.feeds[place].suspect = Some(since);
                let silent = behind && !still && !own_fault && now.since(since) >= segment * 3;
                let silent = silent && self.has_another(parent);
                // All may come from one at home: then there is nobody else to compare it with.
                let silent =
                    silent || still && self.is_at_home(parent) && self.home_is_silent(parent);
                if silent {
                    lost.push((parent, index));
                    continue;
                }
            }
            if doubt || quiet {
                if self.unanswered(parent) {
                    lost.push((parent, index));
                    continue;
                }
                if let Some(soon) = self.answer_due(parent) {
                    if now >= soon && !still && !own_fault {
                        doubted.push((parent, index));
                    }
                    look(soon.max(now + LOOK / 2));
                }
            }
        }
        probe.sort_unstable();
        probe.dedup();
        for peer in probe {
            self.probe(peer);
        }
        // Nobody that does not answer is to take the place of another.
        let silent = lost.iter().filter(|(parent, _)| self.unanswered(*parent));
        let silent: Vec<Pid> = silent.chain(&doubted).map(|&(parent, _)| parent).collect();
        for parent in silent {
            if let Some(partner) = self.partners.get_mut(parent) {
                partner.no_answer(now + DISTRUST);
            }
        }
        for (parent, index) in doubted {
            self.hedge(parent, index);
        }
        // Who is of this home was asked for all at once: that is one promise.
        let mut blamed: Vec<Pid> = Vec::new();
        for (parent, index) in broken {
            if !self.is_at_home(parent) || !blamed.contains(&parent) {
                blamed.push(parent);
                self.broken_promise(parent, index);
            } else {
                self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
                self.lose(parent, Substreams::only(index), Loss::Silent);
            }
        }
        for (parent, index) in lost {
            let unanswered = self.unanswered(parent);
            if let Some(partner) = self.partners.get_mut(parent).filter(|_| !unanswered) {
                partner.back_off = now + DISTRUST;
                partner.withdraw(Substreams::only(index));
            }
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            let all = if unanswered { Substreams(u64::MAX) } else { Substreams::only(index) };
            self.lose(parent, all, Loss::Silent);
        }
        again
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

    /// Whether anybody but this partner could feed it. Who has nobody else gains nothing by taking less from the one there
    /// is: what is late comes later still if it has to be pulled.
    fn has_another(&self, than: Pid) -> bool {
        self.partners.iter().any(|(peer, partner)| {
            peer != than && self.usable(partner, false) && !self.takable(partner).is_empty()
        })
    }

    /// For how long a segment after `newest` has been coming from others.
    fn behind(&self, newest: u64) -> Option<Duration> {
        let (_, slot) = self.window.from(newest + 1).next()?;
        Some(self.now.since(slot.first))
    }

    /// The same: whether it is longer than `grace`.
    fn overdue(&self, newest: u64, grace: Duration) -> bool {
        self.behind(newest).is_some_and(|age| age > grace)
    }

    /// Whether nothing shows that a partner is there, and it has not been asked just now.
    fn quiet_since(&self, peer: Pid) -> bool {
        let segment = self.config.segment;
        self.partners.get(peer).is_none_or(|partner| {
            let asked = partner.answered.is_some_and(|at| self.now.since(at) < segment);
            !asked && self.now.since(partner.heard) >= segment / 2
        })
    }

    /// When a partner that was asked whether it is there should have answered, if it has not.
    fn answer_due(&self, peer: Pid) -> Option<Time> {
        let partner = self.partners.get(peer)?;
        let (_, at) = partner.probe.filter(|&(_, at)| partner.heard <= at)?;
        Some(at + SOON + partner.info.rtt)
    }

    /// Whether a partner owes an answer to a probe for too long.
    pub(super) fn unanswered(&self, peer: Pid) -> bool {
        let Some(partner) = self.partners.get(peer) else { return true };
        let limit = PROBE + partner.info.rtt * 3 / 2;
        partner
            .probe
            .is_some_and(|(_, at): (u32, Time)| self.now.since(at) >= limit && partner.heard <= at)
    }
}
