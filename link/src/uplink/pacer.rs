//! A bucket of bytes: what one may send at once, and when the next may go.

use std::time::{Duration, Instant};

/// Bytes fill it at a rate, up to its depth.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Bytes per second.
    rate: f64,
    depth: f64,
    level: f64,
    since: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant, rate: f64, depth: f64) -> Self {
        Self { rate, depth, level: depth, since: now }
    }

    fn fill(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.since);
        self.level = (self.level + self.rate * gone.as_secs_f64()).min(self.depth);
        self.since = self.since.max(now);
    }

    /// Fills at another rate from now on, bytes per second.
    pub(crate) fn set_rate(&mut self, now: Instant, rate: f64) {
        self.fill(now);
        self.rate = rate;
    }

    /// Holds two packets, or what passes in so long if that is more: timers are no finer.
    pub(crate) fn set_depth(&mut self, packet: f64, time: Duration) {
        self.depth = (self.rate * time.as_secs_f64()).clamp(2.0 * packet, 64.0 * packet);
    }

    /// Takes bytes out if there are any; they may be more than there are: the rest is a debt.
    ///
    /// # Errors
    /// How long it lasts until there is something; more than a day if nothing comes.
    pub(crate) fn take(&mut self, now: Instant, bytes: usize) -> Result<(), Duration> {
        self.fill(now);
        let wanted = (bytes as f64).min(self.depth);
        if self.level >= wanted {
            self.level -= bytes as f64;
            return Ok(());
        }
        let wait = (wanted - self.level) / self.rate.max(1e-9);
        Err(Duration::from_secs_f64(wait.min(100_000.0)))
    }

    /// Whether there is anything in it.
    ///
    /// # Errors
    /// How long it lasts until there is; more than a day if nothing comes.
    pub(crate) fn open(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.level > 0.0 {
            return Ok(());
        }
        // A little more than nothing.
        let wait = (1.0 - self.level) / self.rate.max(1e-9);
        Err(Duration::from_secs_f64(wait.min(100_000.0)))
    }

    /// Takes bytes out, whether they are there or not.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.level -= bytes as f64;
    }

    /// Gives back what was taken and not used.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.level = (self.level + bytes as f64).min(self.depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_held_and_no_pause_saves_up_more_than_the_depth() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 500_000.0, 3000.0);
        let (mut now, end) = (start + Duration::from_secs(60), start + Duration::from_secs(70));
        let mut at_once = 0;
        while bucket.take(now, 1500).is_ok() {
            at_once += 1;
        }
        assert_eq!(at_once, 2);
        let mut sent = 0;
        while now < end {
            match bucket.take(now, 1500) {
                Ok(()) => sent += 1500,
                Err(wait) => now += wait.max(Duration::from_micros(1)),
            }
        }
        assert!((4_990_000..=5_010_000).contains(&sent), "{sent}");
    }

    #[test]
    fn at_rate_zero_nothing_comes_and_more_than_the_depth_is_a_debt() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 1000.0, 1000.0);
        assert_eq!(bucket.take(start, 3000), Ok(()));
        assert_eq!(bucket.take(start, 1000), Err(Duration::from_secs(3)));
        bucket.give_back(3000);
        assert_eq!(bucket.take(start, 1000), Ok(()));
        bucket.set_rate(start, 0.0);
        assert!(bucket.take(start, 1).is_err_and(|wait| wait > Duration::from_secs(86_400)));
    }
}
