//! How many sub-streams this node may push at one time.

use std::time::Duration;

use crate::{Delivery, Time};

/// No uplink is faster, bits per second.
const MOST: u64 = 1 << 42;
/// A queue that no push of a second passed faster than this does not empty any more: the uplink is overloaded. One that
/// does was a burst (the rule of CoDel, RFC 8289).
const STANDING: Duration = Duration::from_millis(150);
/// The same for a server, whose processor may be busy for a moment.
const STANDING_AT_SERVER: Duration = Duration::from_millis(500);
const LOOKED_AT: Duration = Duration::from_secs(1);
/// A server's queue whose shortest wait is so much less than a second before becomes shorter.
const SINKS: Duration = Duration::from_millis(50);
/// At most one fall in this time: what is in the queue was admitted before the last fall.
const SETTLE: Duration = Duration::from_secs(1);
/// The same for a server, whose pushes wait for two seconds before they are dropped.
const SETTLE_AT_SERVER: Duration = Duration::from_secs(2);
/// Time without trouble before the estimate rises.
const CALM: Duration = Duration::from_secs(2);
/// A fall is remembered so long as where doubling ends.
const MEMORY: Duration = Duration::from_secs(30);

/// The estimate starts from what a probe measured (the configured rate), falls on feedback, and rises again by doubling
/// up to where it fell first, then in small steps (Zattoo's rule; RFC 5681 is its model).
#[derive(Debug)]
pub(super) struct Uplink {
    /// What the node may use, bits per second.
    limit: Option<u64>,
    /// What it is thought to carry, bits per second.
    estimate: Option<u64>,
    /// Where doubling ends.
    threshold: u64,
    /// When that was set.
    fell: Time,
    changed: Time,
    /// One sub-stream, bits per second, as measured.
    substream: u64,
    max_pushed: Option<u32>,
    k: u8,
    /// Bits that may be sent beside pushes, as of `spent`.
    spare: u64,
    spent: Time,
    /// What a server has brought.
    carried: Option<Carried>,
    /// How long a standing queue is.
    standing: Duration,
    /// Since when waits are looked at, and the shortest since then.
    looked: Time,
    shortest: Option<Duration>,
    /// The shortest of the look before.
    before: Duration,
}

/// How much a server brings to its children: if it is overloaded, that is what it can.
#[derive(Clone, Copy, Debug)]
struct Carried {
    segment: Duration,
    since: Time,
    /// Pushes brought since then.
    pushes: u32,
    /// Sub-streams that came whole in the second before, and in that before it.
    lately: [Option<u64>; 2],
}

impl Carried {
    fn add(&mut self, now: Time) {
        let passed = now.since(self.since);
        if passed >= LOOKED_AT {
            let whole = u128::from(self.pushes) * self.segment.as_micros() / passed.as_micros();
            // After a pause it would be too little.
            let whole = Some(whole as u64).filter(|_| passed < LOOKED_AT * 2);
            self.lately = [whole, self.lately[0]];
            (self.since, self.pushes) = (now, 0);
        }
        self.pushes += 1;
    }

    fn substreams(&self) -> Option<u64> {
        self.lately.into_iter().flatten().max()
    }
}

impl Uplink {
    /// `k` sub-streams are a stream.
    pub(super) fn new(limit: Option<u64>, max_pushed: Option<u32>, k: u8, now: Time) -> Self {
        let limit = limit.map(|rate| rate.min(MOST));
        Self {
            limit,
            estimate: limit,
            threshold: u64::MAX,
            fell: now,
            changed: now,
            substream: 0,
            max_pushed,
            k,
            spare: limit.unwrap_or_default(),
            spent: now,
            carried: None,
            standing: STANDING,
            looked: now,
            shortest: None,
            before: Duration::ZERO,
        }
    }

    /// The same, of a server.
    pub(super) fn server(limit: Option<u64>, max_pushed: Option<u32>, k: u8, now: Time) -> Self {
        let carried = Carried { segment: Duration::ZERO, since: now, pushes: 0, lately: [None; 2] };
        Self {
            carried: Some(carried),
            standing: STANDING_AT_SERVER,
            ..Self::new(limit, max_pushed, k, now)
        }
    }

    pub(super) fn limit(&mut self, limit: Option<u64>, now: Time) {
        let limit = limit.map(|rate| rate.min(MOST));
        self.limit = limit;
        self.estimate = limit;
        self.threshold = u64::MAX;
        self.changed = now;
    }

    pub(super) fn max_pushed(&mut self, most: Option<u32>) {
        self.max_pushed = most;
    }

    /// A shard of `bytes` came, or was made, one for each `segment`.
    pub(super) fn measure(&mut self, bytes: u32, segment: Duration) {
        let rate = u64::from(bytes) * 8_000_000 / (segment.as_micros() as u64).max(1);
        self.substream = if self.substream == 0 { rate } else { (self.substream * 31 + rate) / 32 };
        if let Some(carried) = &mut self.carried {
            carried.segment = segment;
        }
    }

    /// A push has arrived.
    pub(super) fn brought(&mut self, now: Time) {
        if let Some(carried) = &mut self.carried {
            carried.add(now);
        }
    }

    /// What may be sent in all, bits per second. A server that is told how much it may push, and no rate, may send a
    /// third more, or a stream and a half: what its operator left for first pictures and for holes. One that pushes less than
    /// three streams is not held to that: it would be too little for a burst.
    fn budget(&self) -> Option<u64> {
        let pushes =
            self.max_pushed.filter(|&most| self.substream > 0 && most >= 3 * u32::from(self.k));
        let allowed = pushes.map(|most| {
            let most = u64::from(most);
            (most * 4 / 3).max(most + u64::from(self.k) * 3 / 2) * self.substream
        });
        self.estimate.or(allowed)
    }

    /// Whether there is a limit to what may be sent.
    pub(super) fn limited(&self) -> bool {
        self.budget().is_some()
    }

    /// Takes from what is left for pulled shards and bursts; whether there was enough. Without this, repair would hold up
    /// what is pushed just when the uplink is short.
    pub(super) fn spend(&mut self, bytes: u32, pushed: u32, now: Time) -> bool {
        let Some(estimate) = self.budget() else { return true };
        let pushes = u64::from(pushed) * self.substream;
        let rate = estimate.saturating_sub(pushes).max(estimate / 10);
        let earned = rate.saturating_mul(now.since(self.spent).as_micros() as u64) / 1_000_000;
        self.spent = now;
        // Never more than two seconds' worth at once.
        self.spare = (self.spare + earned).min(rate * 2);
        let cost = u64::from(bytes) * 8;
        let enough = self.spare >= cost;
        self.spare -= if enough { cost } else { 0 };
        enough
    }

    /// How many sub-streams it carries in all.
    pub(super) fn capacity(&self) -> u32 {
        let by_rate = match (self.estimate, self.substream) {
            (None, _) => u32::MAX,
            (Some(0), _) => 0,
            (Some(_), 0) => 1,
            // A seventh is left for pulled shards, and so that queues empty.
            (Some(estimate), substream) => {
                (estimate * 6 / 7 / substream).min(u64::from(u32::MAX)) as u32
            }
        };
        by_rate.min(self.max_pushed.unwrap_or(u32::MAX))
    }

    /// What became of a shard; whether the estimate fell.
    pub(super) fn delivered(&mut self, delivery: Delivery, pushed: u32, now: Time) -> bool {
        match delivery {
            Delivery::Dropped => self.fall(pushed, now),
            Delivery::Sent(wait) => {
                let since = now.since(self.looked);
                // A look begins with its first wait, and anew if nothing was pushed for long.
                let Some(shortest) = self.shortest.filter(|_| since < LOOKED_AT * 2) else {
                    (self.looked, self.shortest) = (now, Some(wait));
                    return false;
                };
                let shortest = shortest.min(wait);
                self.shortest = Some(shortest).filter(|_| since < LOOKED_AT);
                if since < LOOKED_AT {
                    return false;
                }
                // A server's queue that becomes shorter is left to empty.
                let before = std::mem::replace(&mut self.before, shortest);
                let sinks = self.carried.is_some() && shortest + SINKS < before;
                shortest > self.standing && !sinks && self.fall(pushed, now)
            }
        }
    }

    /// The uplink is overloaded; whether the estimate fell.
    pub(super) fn fall(&mut self, pushed: u32, now: Time) -> bool {
        let settle = if self.carried.is_some() { SETTLE_AT_SERVER } else { SETTLE };
        if now.since(self.changed) < settle || pushed == 0 || self.substream == 0 {
            return false;
        }
        let load = u64::from(pushed) * self.substream;
        let base = self.estimate.unwrap_or(load).min(load);
        let mut fallen = base * 17 / 20;
        if let Some(substreams) = self.carried.and_then(|carried| carried.substreams()) {
            fallen = fallen.min((substreams * self.substream).max(base / 2));
        }
        let fallen = fallen.max(self.substream);
        if self.threshold == u64::MAX || now.since(self.fell) > MEMORY {
            self.threshold = fallen;
            self.fell = now;
        }
        self.estimate = Some(fallen);
        self.changed = now;
        true
    }

    /// A linear step: one sub-stream, and where hundreds flow a thirty-second, or a server would refuse children for
    /// minutes after a moment's trouble.
    fn step(&self, estimate: u64) -> u64 {
        self.substream.max(estimate / 32)
    }

    /// Lets the estimate rise if all was calm.
    pub(super) fn rise(&mut self, now: Time) {
        let Some(estimate) = self.estimate else { return };
        if now.since(self.changed) < CALM || self.limit.is_some_and(|limit| estimate >= limit) {
            return;
        }
        // A server has no more to give while all that it pushes waits.
        let pushes = now.since(self.looked) < LOOKED_AT * 2;
        if self.carried.is_some() && pushes && self.before > STANDING {
            return;
        }
        let risen =
            if estimate < self.threshold { estimate * 2 } else { estimate + self.step(estimate) };
        self.estimate = Some(self.limit.map_or(risen, |limit| risen.min(limit)));
        self.changed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight sub-streams over 10 Mbit/s: whether the estimate falls if pushes wait so many milliseconds.
    fn fallen(waits: impl Fn(u64) -> u64) -> bool {
        let mut uplink = Uplink::new(Some(10_000_000), None, 8, Time(0));
        for _ in 0..200 {
            uplink.measure(15_625, Duration::from_millis(250));
        }
        (1..=40u64).any(|push| {
            let now = Time(1_000_000 + push * 100_000);
            uplink.delivered(Delivery::Sent(Duration::from_millis(waits(push))), 8, now)
        })
    }

    #[test]
    fn a_burst_is_no_overload_and_a_standing_queue_is() {
        assert!(!fallen(|push| if push % 8 == 0 { 5 } else { 600 }));
        assert!(fallen(|_| 200));
        assert!(!fallen(|_| 100));
    }

    #[test]
    fn what_is_dropped_is_overload_at_once() {
        let mut uplink = Uplink::new(Some(10_000_000), None, 8, Time(0));
        uplink.measure(15_625, Duration::from_millis(250));
        assert!(uplink.delivered(Delivery::Dropped, 8, Time(5_000_000)));
    }

    /// Two streams pushed, of which one comes: whether a server falls to what it brings at once, once, and while its queue
    /// becomes shorter no further.
    #[test]
    fn a_server_falls_to_what_it_brings_and_lets_its_queue_empty() {
        let mut uplink = Uplink::server(None, None, 8, Time(0));
        uplink.measure(15_625, Duration::from_millis(250));
        let mut fallen = Vec::new();
        let mut wait = Duration::ZERO;
        // Thirty-two pushes a second are eight sub-streams.
        for push in 1..=320u64 {
            let now = Time(1_000_000 + push * 31_250);
            uplink.brought(now);
            let pushed = if fallen.is_empty() {
                wait += Duration::from_millis(20);
                16
            } else {
                wait = wait.saturating_sub(Duration::from_millis(2));
                6
            };
            if uplink.delivered(Delivery::Sent(wait), pushed, now) {
                fallen.push(uplink.capacity());
            }
        }
        assert!(wait > STANDING_AT_SERVER);
        assert_eq!(fallen, [6], "six sevenths of eight");
    }
}
