//! What flows in: subscriptions, their answers, their loss.

use std::time::Duration;

use super::Engine;
use super::feed::{Debt, Feed, Lost};
use super::partner::Pid;
use crate::output::Offence;
use crate::{Grant, Loss, Message, Refusal, Shed, Substreams, TimeoutReason};

/// After the first hello others are awaited so long, so that the set is spread over the best.
const GATHER: Duration = Duration::from_millis(120);
/// A subscription without an answer after this and one and a half round trips is given up.
const ANSWER: Duration = Duration::from_millis(100);
/// A set that is not full is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// A refusal keeps a parent from being asked again.
const BACK_OFF: Duration = Duration::from_secs(1);
/// It doubles with each further one, up to so many.
const MAX_REFUSALS: u8 = 3;
/// A partner is searched at most this often.
const SEARCH: Duration = Duration::from_millis(800);
/// A loss that has not been made good by then is not counted any more.
const FORGIVEN: Duration = Duration::from_secs(20);
/// What is lost and not made good in this time is told to be gone.
pub(super) const DEBT: Duration = Duration::from_millis(1500);

impl Engine {
    /// Waits a moment for more hellos before parents are chosen.
    pub(super) fn gather(&mut self) {
        if self.gathering.is_none() {
            let wait = if self.is_viewer() { GATHER } else { Duration::ZERO };
            self.gathering = Some(self.now + wait);
            self.timers.arm(TimeoutReason::Parents, self.now + wait);
        }
        self.maybe_start();
        self.fill();
        if self.counters.startup.is_none() && self.start.first().is_some() {
            self.timers.arm(TimeoutReason::Repair, self.now + Duration::from_millis(1));
        }
    }

    /// Subscribes to what is wanted, as far as it can be had.
    pub(super) fn fill(&mut self) {
        let gathered = self.gathering.is_some_and(|until| self.now >= until);
        if !gathered || self.start.awaited() {
            return;
        }
        if let Some(at) = self.gentle.next(self.now) {
            self.timers.arm(TimeoutReason::Parents, at);
        }
        let (wanted, count) = self.wanted();
        if count == 0 {
            return;
        }
        let mut asks: Vec<(Pid, Substreams)> = Vec::new();
        let chosen = self.choose(wanted, count);
        let found = chosen.len();
        for (peer, index) in chosen {
            match asks.iter_mut().find(|(asked, _)| *asked == peer) {
                Some((_, set)) => set.insert(index),
                None => asks.push((peer, Substreams::only(index))),
            }
        }
        for (peer, substreams) in asks {
            self.gentle.begin(self.now);
            self.subscribe(peer, substreams, None);
        }
        if found < count {
            self.timers.arm(TimeoutReason::Parents, self.now + AGAIN);
        }
    }

    /// Asks a parent for sub-streams, or to take the place of another feed once it flows.
    pub(super) fn subscribe(
        &mut self,
        peer: Pid,
        substreams: Substreams,
        replaces: Option<(u8, Pid)>,
    ) {
        let from = substreams.iter().map(|index| self.first_wanted(peer, index)).min();
        let from = from.unwrap_or_default();
        for index in substreams.iter() {
            let mut feed = Feed::new(index, peer, from, self.now);
            feed.replaces = replaces;
            if replaces.is_none() {
                feed.makes_good = self.make_good(index);
            }
            self.feeds.push(feed);
        }
        if let Some(partner) = self.partners.get_mut(peer) {
            partner.free = partner.free.saturating_sub(substreams.len().into());
            partner.feeds = partner.feeds.or(substreams);
        }
        self.send(peer, Message::Subscribe { substreams, from });
        let answer = self.now + self.answer_within(peer);
        self.timers.arm(TimeoutReason::Parents, answer);
    }

    /// Gives a feed up, whatever it brought.
    pub(super) fn drop_feed(&mut self, parent: Pid, index: u8) -> bool {
        let before = self.feeds.len();
        self.feeds.retain(|feed| (feed.parent, feed.index) != (parent, index));
        if let Some(partner) = self.partners.get_mut(parent) {
            partner.feeds.remove(index);
        }
        self.feeds.len() < before
    }

    fn answer_within(&self, peer: Pid) -> Duration {
        let rtt = self.partners.get(peer).map(|partner| partner.info.rtt).unwrap_or_default();
        ANSWER + Duration::from_micros(rtt.as_micros() as u64 * 3 / 2)
    }

    /// The first segment that a new feed is to bring.
    fn first_wanted(&self, peer: Pid, index: u8) -> u64 {
        let told = self.partners.get(peer).and_then(|partner| partner.newest());
        // What was proven counts, not what is told.
        let newest = self.window.newest().or(told).unwrap_or_default();
        let span = self.config.playout_delay + Duration::from_secs(1);
        let back = span.as_micros() as u64 / (self.config.segment.as_micros() as u64).max(1);
        let early = newest.saturating_sub(back);
        if !self.is_viewer() {
            // What comes first fills the cache for those who start later.
            if !self.window.iter().any(|(_, slot)| slot.whole()) {
                return early;
            }
            let asked = self.pushes.to(index).iter().map(|push| push.from).min();
            return asked.unwrap_or(early).max(early);
        }
        // What is older is pulled, in order of deadline and no faster than it comes.
        let covered = self.start.covered().map(|last| self.believable(last));
        let begin = self.playout.next.max(covered).unwrap_or(early);
        let Some(edge) = self.window.newest() else {
            // A parent that nobody asked before has told nothing yet.
            return newest.max(self.playout.next.map_or(0, |next| self.newest_from(next)));
        };
        let live = begin.max(edge.saturating_sub(1));
        (live..=edge)
            .find(|&number| self.window.get(number).is_none_or(|slot| !slot.whole()))
            .unwrap_or_else(|| begin.max(edge.saturating_add(1)))
    }

    pub(super) fn granted(&mut self, from: Pid, grant: Grant) {
        let now = self.now;
        let mut unknown = Substreams::NONE;
        for index in grant.granted.iter() {
            let ours = |feed: &&mut Feed| feed.index == index && feed.parent == from;
            match self.feeds.iter_mut().find(ours) {
                Some(feed) => feed.granted = feed.granted.or(Some(now)),
                None => unknown.insert(index),
            }
        }
        if !unknown.is_empty() {
            self.send(from, Message::Unsubscribe { substreams: unknown });
        }
        let Some(partner) = self.partners.get_mut(from) else { return };
        partner.answered = Some(now);
        if grant.refused.is_empty() {
            partner.refusals = 0;
            return;
        }
        let mut lied = false;
        match grant.reason {
            Some(Refusal::Loop) => partner.withdraw(grant.refused),
            Some(Refusal::NotHeld) => {
                // It may have lost it just now; who goes on offering what it does not hold is a liar.
                let offered = !partner.offered.and(grant.refused).is_empty();
                partner.withdraw(grant.refused);
                lied = offered;
            }
            Some(Refusal::NotServed) => partner.withdraw(Substreams(u64::MAX)),
            Some(Refusal::Full) | None => {
                partner.free = 0;
                partner.refusals = (partner.refusals + 1).min(MAX_REFUSALS);
                partner.back_off = now + BACK_OFF * (1 << (partner.refusals - 1));
            }
        }
        if !lied || !self.offend(from, Offence::FalseAvailability) {
            self.lose(from, grant.refused, Loss::Shed);
        }
    }

    pub(super) fn shed_by(&mut self, from: Pid, substreams: Substreams, reason: Shed) {
        if let Some(partner) = self.partners.get_mut(from) {
            match reason {
                Shed::Overload => {
                    partner.free = 0;
                    partner.back_off = self.now + BACK_OFF * 2;
                }
                Shed::Lost => partner.withdraw(substreams),
                Shed::Leaving => partner.withdraw(Substreams(u64::MAX)),
            }
        }
        let loss = if reason == Shed::Overload { Loss::Shed } else { Loss::Gone };
        self.lose(from, substreams, loss);
    }

    pub(super) fn lose_parent(&mut self, peer: Pid) {
        self.lose(peer, Substreams(u64::MAX), Loss::Left);
    }

    /// Feeds from this parent are gone: others take their place at once.
    pub(super) fn lose(&mut self, peer: Pid, substreams: Substreams, why: Loss) {
        let now = self.now;
        let gone = |feed: &Feed| feed.parent == peer && substreams.contains(feed.index);
        let (lost, kept): (Vec<Feed>, Vec<Feed>) = self.feeds.drain(..).partition(gone);
        self.feeds = kept;
        if let Some(partner) = self.partners.get_mut(peer) {
            partner.feeds = partner.feeds.without(substreams);
        }
        for feed in &lost {
            let successor =
                self.feeds.iter_mut().find(|next| next.replaces == Some((feed.index, peer)));
            // Without a shard yet it still owes what the one before it brought.
            let owed = Lost::by(feed, why, now);
            if let Some(next) = successor {
                next.replaces = None;
                next.makes_good = next.makes_good.or(owed);
            } else if let (None, Some(lost)) = (feed.replaces, owed) {
                self.owe(lost);
            }
            if feed.flows() && feed.replaces.is_none() {
                self.losses.push_back(now);
                let moves = &mut self.counters.moves;
                *match why {
                    Loss::Left => &mut moves.left,
                    Loss::Silent => &mut moves.silent,
                    Loss::Shed => &mut moves.shed,
                    Loss::Gone => &mut moves.lost,
                } += 1;
            }
        }
        while self.losses.len() > 16 {
            self.losses.pop_front();
        }
        if !lost.is_empty() {
            self.fill();
            self.timers.arm(TimeoutReason::Repair, now + Duration::from_millis(20));
            self.refresh_paths(lost.iter().map(|feed| feed.index).collect());
        }
    }

    /// Notes that a sub-stream is to be made good by whatever is subscribed to next.
    fn owe(&mut self, lost: Lost) {
        match self.debts.iter_mut().find(|debt| debt.lost.index == lost.index) {
            Some(debt) => {
                (debt.lost.refused, debt.lost.unanswered) = (lost.refused, lost.unanswered);
                (debt.asked, debt.paid) = (false, false);
            }
            None => self.debts.push(Debt { lost, asked: false, paid: false }),
        }
    }

    /// The debt that a subscription to `index` makes good.
    fn make_good(&mut self, index: u8) -> Option<Lost> {
        let open = |debt: &&mut Debt| !debt.asked && !debt.paid;
        let debts = &mut self.debts;
        let same =
            debts.iter().position(|debt| !debt.asked && !debt.paid && debt.lost.index == index);
        let debt = match same {
            Some(place) => debts.get_mut(place),
            None => debts.iter_mut().find(open),
        }?;
        debt.asked = true;
        Some(debt.lost)
    }

    /// Subscriptions without an answer, sets that are not full, better parents.
    pub(super) fn tend_parents(&mut self) {
        let now = self.now;
        let silent: Vec<_> = self
            .feeds
            .iter()
            .filter(|feed| feed.granted.is_none())
            .filter(|feed| now.since(feed.asked) >= self.answer_within(feed.parent))
            .map(|feed| (feed.parent, feed.index))
            .collect();
        for (parent, index) in silent {
            if let Some(partner) = self.partners.get_mut(parent) {
                partner.no_answer(now + BACK_OFF);
            }
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            self.lose(parent, Substreams::only(index), Loss::Silent);
        }
        let asked = self.feeds.iter().filter(|feed| feed.granted.is_none());
        let next = asked.map(|feed| feed.asked + self.answer_within(feed.parent)).min();
        if let Some(at) = next {
            self.timers.arm(TimeoutReason::Parents, at);
        }
        while self.losses.front().is_some_and(|&at| now.since(at) > Duration::from_secs(60)) {
            self.losses.pop_front();
        }
        self.start_timeout();
        self.answer_pending();
        self.pull_upstream();
        self.fill();
        self.settle_debts();
        let (wanted, count) = self.wanted();
        if count > 0 && self.gathering.is_some() {
            self.search(wanted);
            self.dial();
            self.timers.arm(TimeoutReason::Parents, now + AGAIN);
        }
        self.improve();
    }

    /// What was lost for long is gone; what nothing is wanted for need not be made good.
    fn settle_debts(&mut self) {
        if self.debts.is_empty() {
            return;
        }
        let (_, count) = self.wanted();
        let old: Substreams = self
            .debts
            .iter()
            .filter(|debt| self.now.since(debt.lost.at) >= DEBT)
            .map(|debt| debt.lost.index)
            .collect();
        let now = self.now;
        self.debts.retain_mut(|debt| {
            let age = now.since(debt.lost.at);
            debt.paid |= !debt.asked && count == 0;
            age < DEBT || (!debt.paid && age < FORGIVEN)
        });
        if !old.is_empty() {
            self.refresh_paths(old);
        }
        self.timers.arm(TimeoutReason::Parents, now + AGAIN);
    }

    /// One round of questions to partners that might have what is wanted.
    fn search(&mut self, wanted: Substreams) {
        let now = self.now;
        let able = self.partners.iter().filter(|(_, p)| {
            let may = p.met && self.may_feed_me(p.info.role);
            // Whom nothing was heard of is asked oftener: it may be back.
            let every = if p.silent { SEARCH / 2 } else { SEARCH };
            may && p.searched.is_none_or(|at| now.since(at) >= every)
        });
        // Who was asked longest ago comes first.
        let mut ask: Vec<_> = able.map(|(peer, p)| (p.searched, peer)).collect();
        ask.sort_unstable();
        let ask: Vec<Pid> = ask.into_iter().take(8).map(|(_, peer)| peer).collect();
        for peer in ask {
            if let Some(partner) = self.partners.get_mut(peer) {
                partner.searched = Some(now);
            }
            self.send(peer, Message::Search { wanted });
        }
    }

    /// A parent granted and does not push.
    pub(super) fn broken_promise(&mut self, parent: Pid, index: u8) {
        self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
        if !self.offend(parent, Offence::BrokenPromise) {
            self.lose(parent, Substreams::only(index), Loss::Silent);
        }
    }
}
