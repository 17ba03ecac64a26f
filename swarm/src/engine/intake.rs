//! What flows in: subscriptions, their answers, their loss.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::PeerId;

use super::Engine;
use super::feed::{Debt, Feed};
use crate::output::Offence;
use crate::{Grant, Message, Refusal, Shed, Substreams, TimeoutReason};

/// After the first hello others are awaited so long, so that the set is spread over the best.
const GATHER: Duration = Duration::from_millis(120);
/// A subscription without an answer after this and one and a half round trips is given up.
const ANSWER: Duration = Duration::from_millis(100);
/// A set that is not full is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// A refusal keeps a parent from being asked again.
const BACK_OFF: Duration = Duration::from_secs(1);
/// A partner is searched at most this often.
const SEARCH: Duration = Duration::from_millis(800);
/// What is lost and not made good in this time is told to be gone.
const DEBT: Duration = Duration::from_millis(1500);

impl Engine {
    pub(super) fn is_parent(&self, peer: &PeerId) -> bool {
        self.feeds.iter().any(|feed| feed.parent == *peer)
    }

    /// Waits a moment for more hellos before parents are chosen.
    pub(super) fn gather(&mut self) {
        if self.gathering.is_none() {
            let wait = if self.is_viewer() { GATHER } else { Duration::ZERO };
            self.gathering = Some(self.now + wait);
            self.timers.arm(TimeoutReason::Parents, self.now + wait);
        }
        self.maybe_start();
        self.fill();
    }

    /// Subscribes to what is wanted, as far as it can be had.
    pub(super) fn fill(&mut self) {
        let gathered = self.gathering.is_some_and(|until| self.now >= until);
        if !gathered || self.start.awaited() {
            return;
        }
        let (wanted, count) = self.wanted();
        if count == 0 {
            return;
        }
        let mut asks: BTreeMap<PeerId, Substreams> = BTreeMap::new();
        for (peer, index) in self.choose(wanted, count) {
            asks.entry(peer).or_default().insert(index);
        }
        let found: usize = asks.values().map(|set| usize::from(set.len())).sum();
        for (peer, substreams) in asks {
            self.subscribe(peer, substreams, None);
        }
        if found < count {
            self.timers.arm(TimeoutReason::Parents, self.now + AGAIN);
        }
    }

    /// Asks a parent for sub-streams, or to take the place of another feed once it flows.
    pub(super) fn subscribe(
        &mut self,
        peer: PeerId,
        substreams: Substreams,
        replaces: Option<(u8, PeerId)>,
    ) {
        let from = substreams.iter().map(|index| self.first_wanted(&peer, index)).min();
        let from = from.unwrap_or_default();
        for index in substreams.iter() {
            let mut feed = Feed::new(index, peer, from, self.now);
            feed.replaces = replaces;
            if replaces.is_none() && !self.debts.is_empty() {
                let same = self.debts.iter().position(|debt| debt.index == index);
                feed.makes_good = Some(self.debts.remove(same.unwrap_or(0)).last);
            }
            self.feeds.push(feed);
        }
        if let Some(partner) = self.partners.get_mut(&peer) {
            partner.free = partner.free.saturating_sub(substreams.len().into());
        }
        self.send(peer, Message::Subscribe { substreams, from });
        let answer = self.now + self.answer_within(&peer);
        self.timers.arm(TimeoutReason::Parents, answer);
        self.refresh_paths();
    }

    fn answer_within(&self, peer: &PeerId) -> Duration {
        let rtt = self.partners.get(peer).map(|partner| partner.info.rtt).unwrap_or_default();
        ANSWER + Duration::from_micros(rtt.as_micros() as u64 * 3 / 2)
    }

    /// The first segment that a new feed is to bring.
    fn first_wanted(&self, peer: &PeerId, index: u8) -> u64 {
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
        let after_burst = self.start.covered().map(|last| last.saturating_add(1));
        let begin = self.playout.next.max(after_burst);
        let begin = begin.or(self.window.oldest()).unwrap_or(early).max(early);
        let Some(edge) = self.window.newest() else { return begin };
        (begin..=edge)
            .find(|&number| self.window.get(number).is_none_or(|slot| !slot.whole()))
            .unwrap_or_else(|| begin.max(edge.saturating_add(1)))
    }

    pub(super) fn granted(&mut self, from: PeerId, grant: Grant) {
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
        let Some(partner) = self.partners.get_mut(&from) else { return };
        partner.answered = Some(now);
        if grant.refused.is_empty() {
            return;
        }
        match grant.reason {
            Some(Refusal::Loop | Refusal::NotHeld) => {
                partner.offers.retain(|&index, _| !grant.refused.contains(index));
            }
            Some(Refusal::NotServed) => partner.offers.clear(),
            Some(Refusal::Full) | None => {
                partner.free = 0;
                partner.back_off = now + BACK_OFF;
            }
        }
        self.lose(&from, grant.refused);
    }

    pub(super) fn shed_by(&mut self, from: PeerId, substreams: Substreams, reason: Shed) {
        if let Some(partner) = self.partners.get_mut(&from) {
            match reason {
                Shed::Overload => {
                    partner.free = 0;
                    partner.back_off = self.now + BACK_OFF * 2;
                }
                Shed::Lost => partner.offers.retain(|&index, _| !substreams.contains(index)),
                Shed::Leaving => partner.offers.clear(),
            }
        }
        self.lose(&from, substreams);
    }

    pub(super) fn lose_parent(&mut self, peer: &PeerId) {
        self.lose(peer, Substreams(u64::MAX));
    }

    /// Feeds from this parent are gone: others take their place at once.
    pub(super) fn lose(&mut self, peer: &PeerId, substreams: Substreams) {
        let now = self.now;
        let gone = |feed: &Feed| feed.parent == *peer && substreams.contains(feed.index);
        let (lost, kept): (Vec<Feed>, Vec<Feed>) = self.feeds.drain(..).partition(gone);
        self.feeds = kept;
        for feed in &lost {
            let successor =
                self.feeds.iter_mut().find(|next| next.replaces == Some((feed.index, *peer)));
            // Without a shard yet it still owes what the one before it brought.
            let last = feed.last.or(feed.makes_good);
            if let Some(next) = successor {
                next.replaces = None;
                next.makes_good = last;
            } else if let (None, Some(last)) = (feed.replaces, last) {
                self.debts.push(Debt { index: feed.index, last, lost: now });
            }
            if feed.flows() && feed.replaces.is_none() {
                self.losses.push_back(now);
            }
        }
        while self.losses.len() > 16 {
            self.losses.pop_front();
        }
        if !lost.is_empty() {
            self.fill();
            self.timers.arm(TimeoutReason::Repair, now + Duration::from_millis(20));
        }
        self.refresh_paths();
    }

    /// Subscriptions without an answer, sets that are not full, better parents.
    pub(super) fn tend_parents(&mut self) {
        let now = self.now;
        let silent: Vec<_> = self
            .feeds
            .iter()
            .filter(|feed| feed.granted.is_none())
            .filter(|feed| now.since(feed.asked) >= self.answer_within(&feed.parent))
            .map(|feed| (feed.parent, feed.index))
            .collect();
        for (parent, index) in silent {
            if let Some(partner) = self.partners.get_mut(&parent) {
                partner.back_off = now + BACK_OFF;
            }
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            self.lose(&parent, Substreams::only(index));
        }
        let asked = self.feeds.iter().filter(|feed| feed.granted.is_none());
        let next = asked.map(|feed| feed.asked + self.answer_within(&feed.parent)).min();
        if let Some(at) = next {
            self.timers.arm(TimeoutReason::Parents, at);
        }
        while self.losses.front().is_some_and(|&at| now.since(at) > Duration::from_secs(60)) {
            self.losses.pop_front();
        }
        let debts = self.debts.len();
        self.debts.retain(|debt| now.since(debt.lost) < DEBT);
        if self.debts.len() < debts {
            self.refresh_paths();
        }
        self.start_timeout();
        self.answer_pending();
        self.pull_upstream();
        self.fill();
        let (wanted, count) = self.wanted();
        if count > 0 && self.gathering.is_some() {
            self.search(wanted);
            self.dial();
            self.timers.arm(TimeoutReason::Parents, now + AGAIN);
        }
        self.improve();
    }

    /// One round of questions to partners that might have what is wanted.
    fn search(&mut self, wanted: Substreams) {
        let now = self.now;
        let ask: Vec<PeerId> = self
            .partners
            .iter()
            .filter(|(_, p)| p.met && self.may_feed_me(p.info.role))
            .filter(|(_, p)| p.searched.is_none_or(|at| now.since(at) >= SEARCH))
            .map(|(&peer, _)| peer)
            .take(8)
            .collect();
        for peer in ask {
            if let Some(partner) = self.partners.get_mut(&peer) {
                partner.searched = Some(now);
            }
            self.send(peer, Message::Search { wanted });
        }
    }

    /// A parent granted and does not push.
    pub(super) fn broken_promise(&mut self, parent: PeerId, index: u8) {
        self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
        if !self.offend(parent, Offence::BrokenPromise) {
            self.lose(&parent, Substreams::only(index));
        }
    }
}
