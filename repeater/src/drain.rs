//! How fast a repeater takes leave of its children.

use std::time::Duration;

/// Of the time there is, so much is for letting go; the rest is for those that could not at once.
const SHARE: f64 = 0.7;

/// Sub-streams are let go evenly over a part of the time there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    first: u64,
    most: Duration,
}

impl Drain {
    /// Of `first` sub-streams that are fed to others now, within `most`.
    pub(crate) fn new(first: u64, most: Duration) -> Self {
        Self { first, most }
    }

    /// Sub-streams that were fed at the beginning.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// How many may still be fed after this time.
    pub(crate) fn allowed(&self, after: Duration) -> u64 {
        let over = after.as_secs_f64() / (self.most.as_secs_f64() * SHARE).max(f64::MIN_POSITIVE);
        // Rounded down: the first step lets somebody go.
        (self.first as f64 * (1.0 - over).max(0.0)) as u64
    }

    /// Whether the end may come, with so many fed after this time.
    pub(crate) fn is_over(&self, pushed: u64, after: Duration) -> bool {
        self.first == 0 || after >= self.most || pushed == 0 && after > self.settled()
    }

    /// Who was the last to go has found another by then: a standby is asked in a fraction of a second.
    fn settled(&self) -> Duration {
        self.most.mul_f64(SHARE) + (self.most / 10).min(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_go_evenly_and_the_time_ends() {
        let second = Duration::from_secs;
        let drain = Drain::new(100, second(10));
        assert_eq!(drain.allowed(Duration::ZERO), 100);
        assert_eq!(drain.allowed(second(1)), 85);
        assert_eq!(drain.allowed(second(7)), 0);
        assert!(!drain.is_over(100, second(1)) && !drain.is_over(0, second(6)));
        assert!(drain.is_over(0, second(9)), "all have moved");
        assert!(!drain.is_over(3, second(9)) && drain.is_over(3, second(10)));
    }

    #[test]
    fn without_children_or_time_the_end_comes_at_once() {
        assert!(Drain::new(0, Duration::from_secs(10)).is_over(0, Duration::ZERO));
        let none = Drain::new(5, Duration::ZERO);
        assert!(none.is_over(5, Duration::ZERO));
        assert_eq!(none.allowed(Duration::from_millis(1)), 0);
    }
}
