//! How fast a node may send to others without being felt in its home.
//!
//! After LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus), with what is different here: one rate for all connections of the
//! node, because all of them stand in the one queue before the home's uplink; round trips, because QUIC tells no one-way
//! delays; a target of 5 ms instead of 60. The queue is the least that any connection sees: what only one of them sees
//! stands elsewhere. There is no clock and no socket in here.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::base::{KEPT, SLICE, SLICES, Trips};

/// The queue that may be added. What is above is seen 150 ms late; the mean stays below 5 ms.
pub(crate) const TARGET: Duration = Duration::from_millis(4);
/// At first, bytes per second: half a megabit, which no line of today feels.
const FIRST: f64 = 64_000.0;
/// However full the queue is, this is sent, bytes per second: two packets in 150 ms keep measuring.
const LEAST: f64 = 16_000.0;
/// Slower start: the rate grows by this in each slice until the queue first shows. LEDBAT++ divides TCP's slow start
/// by up to 16; this doubles it in 360 ms.
const START: f64 = 1.1;
/// Growing so fast is the probe of an uplink: it is made of what others asked for anyway, and it ends after so many bytes,
const PROBE_BYTES: u64 = 4_000_000;
/// or so long, if no queue has shown before.
const PROBE_TIME: Duration = Duration::from_secs(8);
/// Of what a network carried when one was last in it, one starts with this part: networks change.
const REMEMBERED: f64 = 0.7;
/// Steady growth in each slice: a sixteenth in a second, and ever faster once more is sent than the level by this much.
const NEAR: f64 = 1.15;
const STEADY: f64 = 0.003;
const STEADY_MOST: f64 = 0.04;
/// How fast: so many doublings of the growth in each second.
const PACE: f64 = 2.0;
/// What remains of that when less is sent than may be.
const CALM_KEPT: Duration = Duration::from_millis(500);
/// After a fall growth is fast up to this share of the level.
const REGAIN: f64 = 0.97;
/// The level is so much of what was delivered when a queue showed.
const BELOW: f64 = 0.95;
/// No further below the last one than this.
const LEVEL_KEPT: f64 = 0.85;
/// And for a while less is sent than that, so that the queue is gone after so long.
const DRAIN: Duration = Duration::from_millis(150);
/// The rate falls at most to this in one go; and to the other if the queue is more than four targets: it is somebody
/// else's.
const FALL_OWN: f64 = 0.65;
const FALL_MOST: f64 = 0.35;
/// A share of lost bytes above this is a full queue that is shorter than the target.
const LOSS: f64 = 0.05;
/// After so long without an empty queue, the rate falls for a moment to see it empty (LEDBAT++ section 4.5).
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// To this share.
const LOOK: f64 = 0.2;
/// So many samples tell a queue.
const ENOUGH: u32 = 8;
/// The queue counts as empty below this.
const EMPTY: Duration = Duration::from_micros(1_200);
/// Hardly anything was sent for so long, and the queue hardly varies: the way has become longer, or the line slower, so
/// that each packet takes longer; there is no queue.
const LONGER: Duration = Duration::from_secs(10);
/// Nothing was acknowledged for so long though something was sent: the way is full or broken.
const SILENCE: Duration = Duration::from_millis(700);
/// The most connections whose round trips are kept; of more, the newest are passed over.
const MOST_CONNECTIONS: usize = 512;

/// The controller.
#[derive(Debug)]
pub(crate) struct Control {
    /// Bytes per second.
    rate: f64,
    trips: BTreeMap<u64, Trips>,
    /// Whether the queue has not been seen yet.
    starting: bool,
    /// What was sent since, and for how long the rate grew.
    probed: (u64, Duration),
    /// Whether it was seen a slice ago.
    suspected: bool,
    /// What was delivered when the queue showed, bytes per second.
    carried: Option<f64>,
    /// Whether it was only remembered from another time.
    remembered: bool,
    slice: Instant,
    /// Of the last slices, the newest last.
    counts: VecDeque<Counts>,
    /// No further fall before this: the last one is not seen yet.
    hold: Instant,
    /// The queue for which the rate last fell, until it is gone.
    stood: Duration,
    /// When the rate last fell.
    fell: Instant,
    /// Since when it has grown beyond the level, or later if it was not calm since.
    calm_since: Instant,
    empty_at: Instant,
    /// What was delivered when the rate last fell, bytes per second, and a little less: so much can be had without a queue,
    /// unless somebody else has come or gone since.
    level: Option<f64>,
    /// The rate to go back to, and when, while one looks at the base.
    look: Option<(f64, Instant)>,
    /// Since when the rate has been at its least, and the least and greatest queue since.
    bottom: Option<(Instant, Duration, Duration)>,
    last_ack: Instant,
    last_sent: Instant,
    unacked: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    acked: u64,
    lost: u64,
    turns: u32,
    waited: u32,
}

impl Control {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            rate: FIRST,
            trips: BTreeMap::new(),
            starting: true,
            probed: (0, Duration::ZERO),
            suspected: false,
            carried: None,
            remembered: false,
            slice: now,
            counts: VecDeque::from([Counts::default()]),
            hold: now,
            stood: Duration::ZERO,
            fell: now,
            calm_since: now,
            empty_at: now,
            level: None,
            look: None,
            bottom: None,
            last_ack: now,
            last_sent: now,
            unacked: 0,
        }
    }

    /// Another network: nothing known holds. `carried` is what it carried when one was last in it, if that is known, bytes
    /// per second: then there is no probe, and the rate starts from a part of that.
    pub(crate) fn reset(&mut self, now: Instant, carried: Option<f64>) {
        *self = Self::new(now);
        if let Some(carried) = carried.map(|carried| carried * REMEMBERED).filter(|c| *c > FIRST) {
            self.rate = carried;
            self.starting = false;
            (self.carried, self.remembered, self.level) = (Some(carried), true, Some(carried));
        }
    }

    /// What may be sent, bytes per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// What the uplink was seen to carry, bytes per second; `None` until its queue has shown.
    pub(crate) fn carried(&self) -> Option<f64> {
        self.carried.filter(|_| !self.remembered)
    }

    /// The queue before the uplink, as far as it is known.
    pub(crate) fn queue(&self) -> Option<Duration> {
        self.queue_of(SLICES)
    }

    /// As the last `slices` saw it, and those before if there were few samples.
    fn queue_of(&self, slices: usize) -> Option<Duration> {
        let samples = |slices| self.trips.values().map(|trips| trips.samples(slices)).sum::<u32>();
        let slices = (slices..KEPT).find(|&slices| samples(slices) >= ENOUGH).unwrap_or(KEPT);
        let least = |samples, trusted: bool| {
            let trips = self.trips.values().filter(|trips| !trusted || trips.is_trusted());
            trips.filter_map(|trips| trips.queue(slices, samples)).min()
        };
        // A connection that says little may have a base that is too high, and hides a queue.
        least(3, true).or_else(|| least(1, true)).or_else(|| least(1, false))
    }

    /// The shortest way there and back.
    fn base(&self) -> Duration {
        let bases = self.trips.values().map(Trips::base);
        bases.min().unwrap_or_default().min(Duration::from_secs(1))
    }

    fn counts(&mut self) -> &mut Counts {
        if self.counts.is_empty() {
            self.counts.push_back(Counts::default());
        }
        let last = self.counts.len() - 1;
        &mut self.counts[last]
    }

    /// A packet of `connection` came back: the newest of those that one acknowledgement names.
    pub(crate) fn trip(&mut self, connection: u64, now: Instant, trip: Duration) {
        let standing = self.queue().unwrap_or_default();
        if !self.trips.contains_key(&connection) && self.trips.len() >= MOST_CONNECTIONS {
            return;
        }
        let trips = self.trips.entry(connection).or_insert_with(|| Trips::new(now));
        trips.sample(now, trip, standing);
    }

    /// Bytes were acknowledged.
    pub(crate) fn acked(&mut self, now: Instant, bytes: u64) {
        self.counts().acked += bytes;
        self.unacked = self.unacked.saturating_sub(bytes);
        self.last_ack = now;
        self.advance(now);
    }

    /// Bytes were lost.
    pub(crate) fn lost(&mut self, now: Instant, bytes: u64) {
        self.counts().lost += bytes;
        self.unacked = self.unacked.saturating_sub(bytes);
        self.advance(now);
    }

    /// Bytes were let go, after waiting for the rate or without.
    pub(crate) fn sent(&mut self, now: Instant, bytes: u64, waited: bool) {
        // What was sent long ago and never told is of the past: reset streams, connections that ended.
        if self.unacked == 0 || now.saturating_duration_since(self.last_sent) > SILENCE {
            self.unacked = 0;
            self.last_ack = now;
        }
        self.last_sent = now;
        if self.starting {
            self.probed.0 = self.probed.0.saturating_add(bytes);
        }
        self.unacked += bytes;
        let counts = self.counts();
        counts.sent += bytes;
        counts.turns += 1;
        counts.waited += u32::from(waited);
        self.advance(now);
    }

    /// The connection has ended.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.trips.remove(&connection);
        if self.trips.is_empty() {
            self.unacked = 0;
        }
    }

    /// Once in a slice, the rate follows.
    fn advance(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.slice);
        if gone < SLICE {
            return;
        }
        let slices = (gone.as_micros() / SLICE.as_micros()).min(SLICES as u128) as u32;
        self.slice = now;
        for trips in self.trips.values_mut() {
            trips.advance(now);
        }
        self.decide(now, gone);
        for _ in 0..slices {
            self.counts.push_back(Counts::default());
        }
        self.counts.drain(..self.counts.len().saturating_sub(SLICES + 1));
    }

    fn decide(&mut self, now: Instant, gone: Duration) {
        let last = self.counts.back().copied().unwrap_or_default();
        let all = self.counts.iter().fold(Counts::default(), |sum, counts| Counts {
            acked: sum.acked + counts.acked,
            lost: sum.lost + counts.lost,
            ..sum
        });
        let over = SLICE * (self.counts.len() as u32 - 1) + gone;
        let delivered = all.acked as f64 / over.as_secs_f64();
        let silent = now.saturating_duration_since(self.last_ack) > SILENCE;
        if silent && self.unacked > 0 && now.saturating_duration_since(self.last_sent) < SILENCE {
            self.last_ack = now;
            return self.fall(now, FALL_MOST);
        }
        let lossy = all.lost as f64 > LOSS * (all.lost + all.acked) as f64 && all.lost > 3_000;
        let Some(queue) = self.queue() else {
            if lossy {
                self.fall(now, 0.7);
            }
            return;
        };
        if queue <= TARGET {
            self.stood = Duration::ZERO;
        }
        if queue < EMPTY {
            self.empty_at = now;
        }
        if let Some((back, until)) = self.look {
            if now < until {
                return;
            }
            self.look = None;
            self.empty_at = now;
            self.rate = back;
        }
        if self.stands_long(now, queue) {
            return;
        }
        if queue > TARGET || lossy {
            // What falls by itself is given time.
            if now >= self.hold && (queue > self.stood * 3 / 4 || lossy) {
                self.over(now, queue, delivered, lossy);
            }
        } else if self.starting && self.queue_of(2).is_some_and(|queue| queue > TARGET * 3 / 4) {
            // While the rate grows this fast, no time is to be lost: the slice that has just ended counts, and if the
            // next says so too, it is no accident.
            self.rate = self.rate.min((delivered * 0.8).max(LEAST)).max(self.rate * FALL_MOST);
            if std::mem::replace(&mut self.suspected, true) {
                self.starting = false;
                self.calm_since = now;
                self.hold(now, SLICES as u32);
            }
            return;
        } else if last.turns > 0 && last.waited * 2 >= last.turns {
            self.grow(now, queue, gone);
        } else {
            // What is not asked for says nothing of what could be had.
            self.calm_since = self.calm_since.max(now - CALM_KEPT);
        }
        self.suspected = false;
        if now.saturating_duration_since(self.empty_at) > LOOK_EVERY && self.rate > 2.0 * LEAST {
            let until = now + self.base() + queue + SLICE * SLICES as u32;
            self.look = Some((self.rate * 0.95, until));
            self.rate = (self.rate * LOOK).max(LEAST);
        }
    }

    /// There is too much of a queue: less is sent than came out at the other end, by so much that the queue is gone soon.
    fn over(&mut self, now: Instant, queue: Duration, delivered: f64, lossy: bool) {
        // A rate that was never sent says nothing.
        let real = self.rate.min(delivered.max(LEAST));
        let line = self.carried.unwrap_or(real).max(real);
        let above = queue.saturating_sub(TARGET / 2);
        let drained = real * BELOW - line * above.as_secs_f64() / DRAIN.as_secs_f64();
        // What the line carries may have become less.
        let least = real * if queue < TARGET * 4 { FALL_OWN } else { FALL_MOST };
        // As long as the same queue stands, what comes out is less because less was sent. And one look alone may be wrong.
        let new = real * BELOW;
        self.level = Some(match self.level {
            Some(level) if self.empty_at <= self.fell => level * BELOW,
            Some(level) => new.max(level * LEVEL_KEPT),
            None => new,
        });
        if queue < TARGET * 4 {
            self.keep(delivered);
        }
        self.stood = queue;
        self.rate = drained.max(least).min(if lossy { 0.7 * real } else { real });
        self.fall(now, 1.0);
        self.hold(now, SLICES as u32);
    }

    fn fall(&mut self, now: Instant, factor: f64) {
        self.starting = false;
        self.rate = (self.rate * factor).max(LEAST);
        (self.fell, self.calm_since) = (now, now);
        self.hold(now, 1);
    }

    /// No further fall until this one can be seen: one way there and back later, and so many slices.
    fn hold(&mut self, now: Instant, slices: u32) {
        self.hold = now + self.base().min(Duration::from_millis(150)) + SLICE * slices;
    }

    /// The uplink carried this when its queue showed.
    fn keep(&mut self, delivered: f64) {
        // Less than a quarter is what somebody else has left over.
        if self.carried.is_some_and(|carried| delivered <= carried / 4.0) || delivered <= LEAST {
            return;
        }
        let old = self.carried.filter(|_| !self.remembered).unwrap_or(delivered);
        self.remembered = false;
        // Slowly downwards: a share of the uplink is often somebody else's.
        self.carried = Some(delivered.max(old * 0.98 + delivered * 0.02));
    }

    fn grow(&mut self, now: Instant, queue: Duration, gone: Duration) {
        if self.starting {
            self.probed.1 += gone;
            self.starting = self.probed.0 < PROBE_BYTES && self.probed.1 < PROBE_TIME;
        }
        // Growth stops at what is seen last, before the filter lets it through.
        let queue = self.queue_of(2).unwrap_or(queue).max(queue);
        let slices = (gone.as_secs_f64() / SLICE.as_secs_f64()).min(2.0);
        let room = 1.0 - queue.as_secs_f64() / TARGET.as_secs_f64();
        let level = self.level.unwrap_or(f64::MAX);
        let regains = self.level.is_some() && self.rate < level * REGAIN && queue < EMPTY * 2;
        let step = if self.starting || regains {
            START - 1.0
        } else {
            if self.level.is_some() && self.rate < NEAR * level {
                self.calm_since = now;
            }
            let calm = now.saturating_duration_since(self.calm_since).as_secs_f64();
            // Where little of the line is taken, much more is not yet much.
            let left = self.carried.map_or(1.0, |carried| carried / self.rate).max(1.0);
            let most = (STEADY_MOST * left / 2.0).clamp(STEADY_MOST, START - 1.0);
            let step = (STEADY * left.min(2.0) * (PACE * calm).exp2()).min(most);
            step * (room - 0.2).max(0.0)
        };
        // What is seen is one way there and back old: the longer it is, the slower one grows.
        let agility = (0.1 / (self.base().as_secs_f64() + 0.06)).min(1.0);
        self.rate *= 1.0 + step * slices * agility;
        if regains {
            self.rate = self.rate.min(level * REGAIN);
        }
        if queue * 2 > TARGET {
            // A queue, or a machine that is busy: it does not have to begin all over again.
            self.calm_since = (self.calm_since + 4 * SLICE).min(now);
        }
    }

    /// Whether the way has become longer: a queue that stays the same though hardly anything is sent.
    fn stands_long(&mut self, now: Instant, queue: Duration) -> bool {
        if self.rate > 2.0 * LEAST || queue <= EMPTY {
            self.bottom = None;
            return false;
        }
        let (since, least, most) = self.bottom.unwrap_or((now, queue, queue));
        let (least, most) = (least.min(queue), most.max(queue));
        if most - least > TARGET {
            self.bottom = Some((now, queue, queue));
            return false;
        }
        self.bottom = Some((since, least, most));
        if now.saturating_duration_since(since) < LONGER {
            return false;
        }
        self.bottom = None;
        self.trips.values_mut().for_each(Trips::rebase);
        true
    }
}

#[cfg(test)]
mod tests;
