//! The platform's clock, learnt from rendezvous by round trips.

use std::time::Duration;

/// A measured offset is worth this much less each second: clocks drift by up to 50 ppm.
const DRIFT: f64 = 50e-6;

/// Learns the platform's clock from questions and answers: the shortest round trip is believed. Without a socket or a
/// clock of its own, so that the simulator runs it too.
#[derive(Default)]
pub struct Pulse {
    best: Option<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    offset: i64,
    /// How wrong it may be, microseconds: half a round trip.
    error: u64,
    /// When, on the node's clock.
    at: u64,
}

impl Sample {
    fn error_at(&self, now: u64) -> u64 {
        self.error + (now.saturating_sub(self.at) as f64 * DRIFT) as u64
    }
}

impl Pulse {
    /// How often the time is asked.
    pub const EVERY: Duration = Duration::from_secs(30);
    /// Asked so many times at first, and each time.
    pub const BURST: u32 = 5;
    /// So far apart.
    pub const APART: Duration = Duration::from_millis(60);

    /// Takes a round trip in (all in microseconds; `received` on the platform's clock); gives the
    /// offset if it is better than what was known.
    pub fn sample(&mut self, sent: u64, received: u64, now: u64) -> Option<i64> {
        let trip = now.checked_sub(sent)?;
        let offset = received as i64 - (sent + trip / 2) as i64;
        let sample = Sample { offset, error: trip / 2, at: now };
        let better = self.best.is_none_or(|best| {
            // Also if what was known cannot be true any more: the platform's clock was set.
            sample.error < best.error_at(now)
                || best.offset.abs_diff(offset) > best.error_at(now) + sample.error
        });
        better.then(|| {
            self.best = Some(sample);
            offset
        })
    }

    /// Another rendezvous may have another clock.
    pub fn forget(&mut self) {
        self.best = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_wins() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.sample(1_000, 51_500, 2_000), Some(50_000));
        // A longer one, off by its asymmetry.
        assert_eq!(pulse.sample(10_000, 69_000, 20_000), None);
        assert_eq!(pulse.sample(30_000, 80_110, 30_200), Some(50_010));
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let mut pulse = Pulse::default();
        pulse.sample(1_000, 51_500, 2_000);
        assert_eq!(pulse.sample(10_000, 9_015_000, 20_000), Some(9_000_000));
    }

    #[test]
    fn what_is_old_is_worth_less() {
        let mut pulse = Pulse::default();
        pulse.sample(0, 50_100, 200);
        assert_eq!(pulse.sample(60_000_000, 60_051_000, 60_002_000), Some(50_000));
    }

    #[test]
    fn answers_from_the_future_are_passed_over() {
        assert_eq!(Pulse::default().sample(u64::MAX, 1, 2), None);
    }
}
