//! What one connection's round trips say of the queue before it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples are kept as the least of each slice of this length.
pub(super) const SLICE: Duration = Duration::from_millis(50);
/// The filter looks at so many slices: the queue of now is the least of them. Longer than the bursts in which a live
/// stream comes in, which hold up acknowledgements and say nothing of the uplink; shorter than people notice.
pub(super) const SLICES: usize = 3;
/// Where little is sent it looks further back: the least of a few is not the least of many if each is late by chance.
pub(super) const KEPT: usize = 12;
/// The base is the least of so many minutes (BASE_HISTORY of RFC 6817).
const MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// A base that rests on fewer samples is not believed while there is a better one.
const TRUSTED: u32 = 8;

/// One connection's round trips.
#[derive(Debug)]
pub(super) struct Trips {
    /// The least of each minute, the newest last, and when that began.
    minutes: VecDeque<Duration>,
    minute: Instant,
    /// The least of the last slices with their number of samples, the newest last, and when that began.
    slices: VecDeque<(Option<Duration>, u32)>,
    slice: Instant,
    samples: u32,
}

impl Trips {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            minutes: VecDeque::from([Duration::MAX]),
            minute: now,
            slices: VecDeque::from([(None, 0)]),
            slice: now,
            samples: 0,
        }
    }

    /// Moves on to now.
    pub(super) fn advance(&mut self, now: Instant) {
        let past = now.saturating_duration_since(self.slice).as_micros() / SLICE.as_micros();
        if past > 0 {
            self.slice += SLICE * past.min(1 << 20) as u32;
            for _ in 0..past.min(KEPT as u128) {
                self.slices.push_back((None, 0));
            }
            self.slices.drain(..self.slices.len().saturating_sub(KEPT));
        }
        if now.saturating_duration_since(self.minute) >= MINUTE {
            self.minute = now;
            // A minute without samples says nothing.
            if self.minutes.back().is_some_and(|least| *least < Duration::MAX) {
                self.minutes.push_back(Duration::MAX);
            }
            self.minutes.drain(..self.minutes.len().saturating_sub(MINUTES));
        }
    }

    /// Takes a round trip in. `standing` is the queue that other connections see: this one's base must not hold it.
    pub(super) fn sample(&mut self, now: Instant, trip: Duration, standing: Duration) {
        self.advance(now);
        self.samples = self.samples.saturating_add(1);
        let empty = if self.samples <= TRUSTED { trip.saturating_sub(standing) } else { trip };
        if let Some(least) = self.minutes.back_mut() {
            *least = (*least).min(empty);
        }
        if let Some((least, count)) = self.slices.back_mut() {
            *least = Some(least.map_or(trip, |least| least.min(trip)));
            *count += 1;
        }
    }

    /// The way there and back without a queue.
    pub(super) fn base(&self) -> Duration {
        self.minutes.iter().min().copied().unwrap_or(Duration::MAX)
    }

    /// The queue as the last `slices` saw it, if there are at least `samples` of it.
    pub(super) fn queue(&self, slices: usize, samples: u32) -> Option<Duration> {
        if self.samples(slices) < samples.max(1) {
            return None;
        }
        let least = self.slices.iter().rev().take(slices).filter_map(|(least, _)| *least).min()?;
        Some(least.saturating_sub(self.base()))
    }

    /// How many samples the last `slices` have.
    pub(super) fn samples(&self, slices: usize) -> u32 {
        self.slices.iter().rev().take(slices).map(|(_, count)| count).sum()
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.samples > TRUSTED
    }

    /// The way became longer for good: what is seen now is the base.
    pub(super) fn rebase(&mut self) {
        let now = self.slices.iter().filter_map(|(least, _)| *least).min();
        if let Some(now) = now {
            self.minutes = VecDeque::from([now]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_queue_is_the_least_of_late_above_the_least_ever() {
        let start = Instant::now();
        let mut trips = Trips::new(start);
        assert_eq!(trips.queue(SLICES, 1), None);
        for i in 0..100 {
            let trip = if i % 4 == 0 { 47 * MS } else { 90 * MS };
            trips.sample(start + MS * i, if i == 3 { 40 * MS } else { trip }, Duration::ZERO);
        }
        assert_eq!(trips.base(), 40 * MS);
        trips.sample(start + MS * 300, 52 * MS, Duration::ZERO);
        assert_eq!(trips.queue(SLICES, 1), Some(12 * MS));
        assert_eq!(trips.queue(SLICES, 2), None, "old samples are gone");
    }

    #[test]
    fn a_base_is_forgotten_after_ten_minutes() {
        let start = Instant::now();
        let mut trips = Trips::new(start);
        trips.sample(start, 10 * MS, Duration::ZERO);
        for second in 1..=11 * 60 {
            trips.sample(start + MS * 1000 * second, 30 * MS, Duration::ZERO);
            let base = if second < 10 * 60 { 10 } else { 30 };
            assert_eq!(trips.base(), base * MS, "{second}");
        }
    }

    #[test]
    fn who_comes_while_a_queue_stands_does_not_take_it_for_the_way() {
        let start = Instant::now();
        let mut trips = Trips::new(start);
        trips.sample(start, 45 * MS, 5 * MS);
        assert_eq!(trips.base(), 40 * MS);
        assert_eq!(trips.queue(SLICES, 1), Some(5 * MS));
    }
}
