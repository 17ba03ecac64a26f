//! Time as the engine sees it: an input.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on the node's monotonic clock, microseconds from an origin that the shell chose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// How long after `earlier`; zero if it is not after.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(self.0.saturating_add(by.as_micros() as u64))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, by: Duration) -> Time {
        Time(self.0.saturating_sub(by.as_micros() as u64))
    }
}

/// Why the engine wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TimeoutReason {
    /// A segment is due to be played, or its deadline passes.
    Playout,
    /// A hole may have to be pulled, or a pull has had no answer.
    Repair,
    /// A search, subscription or start request has had no answer, or a set of parents is not full.
    Parents,
    /// Availability and paths are told to partners.
    Announce,
    /// Partners are probed; silent ones are given up.
    Probe,
    /// Known peers are exchanged and refreshed.
    Peers,
    /// Old segments are forgotten.
    Forget,
}
