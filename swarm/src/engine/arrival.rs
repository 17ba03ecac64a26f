//! Shards that come in, or are made here.

use std::time::Duration;

use super::Engine;
use super::counters::{add, add_near};
use super::partner::Pid;
use super::window::Change;
use crate::output::{Offence, Urgency};
use crate::{Arrival, Delivery, Message, ShardRef, Substreams, TimeoutReason};
use segment::Header;

/// What is handed over so soon after a segment began to come is pushed.
const PROMPT: Duration = Duration::from_millis(600);
/// Who misses a shard has asked somebody else for it by then.
const ASKED_OTHERS: Duration = Duration::from_millis(250);
/// Drops for two receivers within this are the sender's fault.
const TOGETHER: Duration = Duration::from_secs(1);
/// Pushes dropped for so many children are enough, however many there are.
const MANY: usize = 32;
/// Numbers are segments since 1970: none is near this, so that reckoning with them cannot overflow.
const MAX_NUMBER: u64 = 1 << 60;
/// How far ahead of the platform's clock a segment may be captured.
const AHEAD: Duration = Duration::from_secs(5);
/// A proven shard that is older than what is kept by more than this is a replay.
const REPLAY: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) fn shard(&mut self, from: Pid, arrival: &Arrival) {
        let now = self.now;
        let Some(partner) = self.partners.get_mut(from) else { return };
        partner.hear(now);
        partner.has(arrival.header.number, now);
        add(&mut self.counters.bytes_in, partner.info.role, arrival.bytes.into());
        add_near(&mut self.counters.near_in, partner.nearness, arrival.bytes.into());
        self.counters.home_in += if partner.at_home() { u64::from(arrival.bytes) } else { 0 };
        let shard = ShardRef { number: arrival.header.number, index: arrival.index };
        if arrival.index >= self.config.n {
            self.offend(from, Offence::Protocol);
            return;
        }
        if !self.in_time(from, &arrival.header) {
            return;
        }
        self.start.flows.get_or_insert(now);
        let pulled = self.pull_came(from, shard);
        self.start_progress(from, shard.number);
        let change = self.window.take(arrival, self.is_steady(), now);
        self.feed_came(from, shard, pulled);
        match change {
            Change::Lost => {}
            Change::Duplicate => self.counters.duplicate_bytes += u64::from(arrival.bytes),
            Change::New { edge, whole } => {
                self.uplink.measure(arrival.bytes, self.config.segment);
                if edge {
                    self.edge_moved();
                }
                if self.still_wanted(shard) {
                    self.push(shard);
                }
                if whole {
                    self.whole(shard.number);
                }
            }
        }
    }

    /// Whether children still want a shard pushed: those that missed it for long have asked others.
    fn still_wanted(&self, shard: ShardRef) -> bool {
        let usual = self.main_feed(shard.index).map_or(0, |feed| feed.late_us);
        let first = self.window.get(shard.number).map_or(self.now, |slot| slot.first);
        self.now.since(first) < ASKED_OTHERS + Duration::from_micros(usual)
    }

    /// Whether a feed is older than the newest segment. Who was cut off asks anew for all that was missed, and may get the
    /// newest of it first.
    fn is_steady(&self) -> bool {
        let Some(edge_at) = self.window.edge_at() else { return false };
        self.feeds.iter().any(|feed| feed.flows() && feed.asked <= edge_at)
    }

    /// Whether a segment is within the window; replays are noted.
    fn in_time(&mut self, from: Pid, header: &Header) -> bool {
        if header.number > MAX_NUMBER {
            return false;
        }
        let keep = self.config.keep;
        let (late, early, replay) = match self.platform() {
            Some(platform) => {
                let oldest = platform.saturating_sub(keep.as_micros() as u64);
                (
                    header.capture < oldest,
                    header.capture > platform.saturating_add(AHEAD.as_micros() as u64),
                    header.capture < oldest.saturating_sub(REPLAY.as_micros() as u64),
                )
            }
            None => {
                let newest = self.window.newest_capture().unwrap_or_default();
                (header.capture < newest.saturating_sub(keep.as_micros() as u64), false, false)
            }
        };
        if replay || early {
            self.offend(from, Offence::Replay);
        }
        !late && !early
    }

    /// Keeps account of the feed that a shard came by.
    fn feed_came(&mut self, from: Pid, shard: ShardRef, pulled: bool) {
        let now = self.now;
        let first = self.window.get(shard.number).map_or(now, |slot| slot.first);
        let ours = |feed: &&mut super::Feed| feed.parent == from && feed.index == shard.index;
        let Some(feed) = self.feeds.iter_mut().find(ours) else { return };
        let began = !feed.flows();
        feed.granted = feed.granted.or(Some(now));
        // What was pulled, or what a new parent brings of earlier segments, says nothing of its speed.
        let behind = (first >= feed.asked && !pulled).then(|| now.since(first));
        feed.came(shard.number, behind, now);
        let replaces = feed.replaces.take();
        let makes_good = feed.makes_good.take();
        let made_good = makes_good.map(|lost| lost.made_good(feed, self.config.segment, now));
        if began {
            self.debts.retain(|debt| debt.lost.index != shard.index);
            let made =
                |debt: &&mut super::feed::Debt| makes_good.is_some_and(|lost| debt.lost.is(&lost));
            if let Some(debt) = self.debts.iter_mut().find(made) {
                debt.paid = true;
            }
        }
        if let Some(failover) = made_good {
            self.counters.failovers += 1;
            self.counters.failover_max = self.counters.failover_max.max(failover.gap);
            self.counters.failover_last = Some(failover);
        }
        if !pulled && !began {
            self.call_off(from);
        }
        if let Some((index, parent)) = replaces {
            self.replaced(index, parent, makes_good.is_some());
        } else if began {
            self.refresh_paths(Substreams::only(shard.index));
        }
    }

    /// A segment newer than all before began to come.
    pub(super) fn edge_moved(&mut self) {
        let check = self.now + Duration::from_millis(100);
        // Never put off: segments may follow each other faster than this.
        self.timers.arm(TimeoutReason::Repair, check);
        self.timers.arm(TimeoutReason::Forget, self.now + Duration::from_secs(1));
        self.note_lag();
        self.play();
    }

    /// A segment can be rebuilt, and so every shard of it.
    fn whole(&mut self, number: u64) {
        self.push_regenerated(number);
        self.answer_waiting(number);
        self.answer_pending();
        self.play();
    }

    /// Gives children what does not come here by itself: sub-streams that a repeater does not pull, and those whose feed
    /// has a hole or was lost just now.
    pub(super) fn push_regenerated(&mut self, number: u64) {
        let Some(slot) = self.window.get(number) else { return };
        if !slot.whole() {
            return;
        }
        let open = self.pushes.demanded().without(slot.pushed);
        for index in open.iter() {
            let comes = self.feeds.iter().any(|feed| {
                let due = feed.flows() && feed.suspect.is_none() && feed.newest < number;
                feed.index == index && due
            });
            if !comes {
                self.push(ShardRef { number, index });
            }
        }
    }

    pub(super) fn published(&mut self, header: &Header, shard_bytes: u32) {
        self.window.publish(header, shard_bytes, self.now);
        self.uplink.measure(shard_bytes, self.config.segment);
        self.timers.arm(TimeoutReason::Forget, self.now + Duration::from_secs(1));
        for index in self.pushes.demanded().iter() {
            self.push(ShardRef { number: header.number, index });
        }
        if self.window.oldest() == Some(header.number) {
            self.announce_soon();
        }
        self.answer_pending();
    }

    pub(super) fn delivered(
        &mut self,
        to: Pid,
        shard: ShardRef,
        urgency: Urgency,
        delivery: Delivery,
    ) {
        let bytes = self.window.get(shard.number).map_or(0, |slot| slot.shard_bytes);
        if let (Delivery::Sent(_), Some(partner)) = (delivery, self.partners.get(to)) {
            add(&mut self.counters.bytes_out, partner.info.role, bytes.into());
            self.counters.home_out += if partner.at_home() { u64::from(bytes) } else { 0 };
        }
        if urgency == Urgency::Push && matches!(delivery, Delivery::Sent(_)) {
            self.uplink.brought(self.now);
        }
        // What stays in the home says nothing of the uplink, and neither does what was pulled or sent in a burst: that
        // waits behind what is pushed, and is dropped where it is more than a receiver's queue holds.
        if self.is_at_home(to) || urgency != Urgency::Push || !self.came_in_time(shard, delivery) {
            return;
        }
        if !self.is_viewer() && delivery == Delivery::Dropped {
            self.dropped(to);
            return;
        }
        let pushed = self.pushes.outside();
        if self.uplink.delivered(delivery, pushed, self.now) {
            self.shed_fallen();
        }
    }

    /// A server without a limit of its own learns that it has one. What it drops for one slow receiver says nothing of
    /// that: only if pushes to two, and to a sixteenth of its children, are dropped within a moment is it overloaded;
    /// then the newest child goes.
    fn dropped(&mut self, to: Pid) {
        let now = self.now;
        self.dropped_to.retain(|(peer, at)| *peer != to && now.since(*at) < TOGETHER);
        self.dropped_to.push((to, now));
        let pushed = self.pushes.outside();
        let children = pushed / u32::from(self.config.k).max(1);
        let many = (children / 16).clamp(2, MANY as u32) as usize;
        if self.dropped_to.len() >= many && self.uplink.fall(pushed, now) {
            self.shed_fallen();
        }
        if self.dropped_to.len() > MANY {
            self.dropped_to.remove(0);
        }
    }

    /// Whether a shard that was pushed came here in time, so that it could have left in time.
    fn came_in_time(&self, shard: ShardRef, delivery: Delivery) -> bool {
        let Some(slot) = self.window.get(shard.number) else { return false };
        match delivery {
            Delivery::Sent(wait) => (self.now - wait).since(slot.first) < PROMPT,
            Delivery::Dropped => self.now.since(slot.first) < self.config.playout_delay,
        }
    }

    /// A child is served badly: if another says so too, or there is no other, the uplink is overloaded. What comes late
    /// here is late there, and is not this node's fault.
    pub(super) fn quality(&mut self, from: Pid, index: u8, late_ms: u16, lost: u8) {
        if !self.charge(from, 1) || !self.is_viewer() || !self.takes(from).contains(index) {
            return;
        }
        if self.is_at_home(from) {
            return;
        }
        let own = self.main_feed(index).map_or((0, 0), |feed| (feed.late_us / 1000, feed.lost()));
        let bad = u64::from(late_ms) > own.0 + 300 || lost > own.1 + 3;
        if !bad {
            return;
        }
        let before = self.complaint.replace((from, self.now));
        let mut children = self.pushes.children(Substreams(u64::MAX));
        children.retain(|&child| !self.is_at_home(child));
        let alone = children.len() == 1;
        let second = before
            .is_some_and(|(peer, at)| peer != from && self.now.since(at) < Duration::from_secs(3));
        if (alone || second) && self.uplink.fall(self.pushes.outside(), self.now) {
            self.shed_fallen();
        }
    }

    /// Tells parents whose sub-streams are bad that they are, and only then.
    pub(super) fn complain(&mut self) {
        let now = self.now;
        let fastest = self.feeds.iter().map(|feed| feed.late_us).min().unwrap_or_default();
        let mut bad = Vec::new();
        for feed in self.feeds.iter().filter(|feed| feed.flows()) {
            let late_ms = (feed.late_us - fastest) / 1000;
            let lost = feed.lost();
            if late_ms > 300 || lost > 3 {
                bad.push((feed.parent, feed.index, late_ms.min(u64::from(u16::MAX)) as u16, lost));
            }
        }
        for (parent, index, late_ms, lost) in bad {
            let Some(partner) = self.partners.get_mut(parent) else { continue };
            if partner.complained.is_none_or(|at| now.since(at) >= Duration::from_secs(2)) {
                partner.complained = Some(now);
                self.send(parent, Message::Quality { index, late_ms, lost });
            }
        }
    }

    /// Sub-streams that a segment may still get from feeds that are not late.
    pub(super) fn expected(&self, number: u64) -> Substreams {
        let coming = self.feeds.iter().filter(|feed| {
            feed.flows() && feed.suspect.is_none() && feed.newest < number && feed.from <= number
        });
        coming.map(|feed| feed.index).collect()
    }
}
