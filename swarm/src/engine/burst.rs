//! Answering a start: a burst from the latest random access point at or before the playout point.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::partner::Pid;
use super::start::Pending;
use crate::output::Urgency;
use crate::{Message, ShardRef, TimeoutReason};

/// A start that cannot be answered from what is held waits so long for data from upstream.
const WAIT: Duration = Duration::from_millis(250);
/// A burst that has not ended by then is given up.
const BURST: Duration = Duration::from_secs(2);
/// When bursts that wait for uplink or data are looked at again.
const GO_ON: Duration = Duration::from_millis(100);
/// More bursts at once would all be late: others are asked, or the parents.
const AT_ONCE: usize = 6;
/// The most starts that wait.
const MAX_PENDING: usize = 64;
/// A burst ends so long after the asker's playout point: what is due later can be pulled from all who hold it.
const AHEAD: Duration = Duration::from_millis(500);
/// What one start costs of a peer's allowance.
const COST: u32 = 64;

impl Engine {
    pub(super) fn start_asked(&mut self, from: Pid, playout: u64, k: u8) {
        let may = self.charge(from, COST) && self.serves(from);
        let busy = self.uplink.limited() && !self.is_at_home(from) && self.pending.len() >= AT_ONCE;
        if !may || busy || self.pending.len() >= MAX_PENDING {
            self.send(from, Message::Starting { range: None });
            return;
        }
        self.warm_for(from);
        self.pending.retain(|pending| pending.peer != from);
        self.pending.push(Pending { peer: from, playout, k, at: self.now, rest: None });
        self.answer_pending();
        self.pull_upstream();
        self.timers.arm(TimeoutReason::Parents, self.now + WAIT);
    }

    /// Where a burst for this playout point begins: the latest random access point at or before it, else the oldest
    /// if there is no hope for one.
    fn access_point(&self, playout: u64, k: u8, hope: bool) -> Option<u64> {
        let mut oldest = None;
        let mut latest = None;
        for (number, slot) in self.window.iter() {
            if slot.random_access && slot.held().len() >= k {
                oldest = oldest.or(Some(number));
                if slot.capture <= playout {
                    latest = Some(number);
                }
            }
        }
        latest.or(oldest.filter(|_| !hope))
    }

    /// The last segment of a burst: at home all is sent, others pull what is not due soon.
    fn burst_ends(&self, start: &Pending, first: u64, newest: u64) -> u64 {
        if self.is_at_home(start.peer) {
            return newest;
        }
        let until = start.playout.saturating_add(AHEAD.as_micros() as u64);
        let soon = self.window.from(first).take_while(|(_, slot)| slot.capture <= until);
        soon.last().map_or(first, |(number, _)| number).min(newest)
    }

    /// Goes on with the starts that wait for data.
    pub(super) fn answer_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        for mut start in pending {
            if start.rest.is_none() {
                // Only a repeater with an upstream can hope for more.
                let hopeless =
                    self.now.since(start.at) >= WAIT || self.config.role != Role::Repeater;
                let first = self.access_point(start.playout, start.k, !hopeless);
                match first.zip(self.window.newest()) {
                    Some((first, newest)) => {
                        let last = self.burst_ends(&start, first, newest);
                        self.send(start.peer, Message::Starting { range: Some((first, last)) });
                        start.rest = Some((first, last));
                    }
                    None if hopeless => {
                        self.send(start.peer, Message::Starting { range: None });
                        continue;
                    }
                    None => {}
                }
            }
            self.burst(&mut start);
            let over = start.rest.is_some_and(|(next, last)| next > last);
            let dead = start.rest.is_some() && self.now.since(start.at) >= BURST;
            if !over && !dead {
                self.pending.push(start);
            }
        }
        if !self.pending.is_empty() {
            self.timers.arm(TimeoutReason::Parents, self.now + GO_ON);
        }
    }

    /// Sends what is held of a burst, in order of deadline, data shards first.
    fn burst(&mut self, start: &mut Pending) {
        let Some((next, last)) = &mut start.rest else { return };
        while *next <= *last {
            let number = *next;
            let Some(slot) = self.window.get(number) else {
                // Not made by the source, or not here yet.
                let known = self.window.gap.is_some_and(|(a, b)| (a..=b).contains(&number));
                if !known
                    && self.window.newest().is_some_and(|newest| newest <= number.saturating_add(2))
                {
                    return;
                }
                *next = next.saturating_add(1);
                continue;
            };
            if slot.held().len() < start.k && !slot.whole() {
                return;
            }
            let shards: Vec<_> = slot
                .held()
                .iter()
                .take(start.k.into())
                .map(|index| (ShardRef { number, index }, slot.layers_of(index)))
                .collect();
            // Pushes come first: a burst takes what they leave, and goes on when there is more.
            let bytes = slot.shard_bytes.saturating_mul(shards.len() as u32);
            let home = self.is_at_home(start.peer);
            if !home && !self.uplink.spend(bytes, self.pushes.outside(), self.now) {
                return;
            }
            for (shard, layers) in shards {
                self.send_shard(start.peer, shard, layers, Urgency::Start);
            }
            *next = next.saturating_add(1);
        }
    }
}
