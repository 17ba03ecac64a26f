//! Which of a channel's sources plays: the most preferred of the best, and back with patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::{Health, State};
use crate::config::Channel;

/// At the start sources come up one after the other: so long is the first of the list waited for.
const STARTING: Duration = Duration::from_secs(5);

/// Chooses among the sources of one channel. What decides is what it is told; it reads no clock.
#[derive(Debug)]
pub struct Chooser {
    active: usize,
    /// Since when each has been no worse than the one that plays.
    well: Vec<Option<Instant>>,
    /// When the first source of all was there.
    begun: Option<Instant>,
    /// Whether the one that plays was ever there.
    seen: bool,
    back_after: Duration,
}

impl Chooser {
    /// For the sources of a channel; the first plays.
    pub fn new(channel: &Channel) -> Self {
        Self {
            active: 0,
            well: vec![None; 1 + channel.backups.len()],
            begun: None,
            seen: false,
            back_after: Duration::from_millis(channel.failover.back_after_ms.into()),
        }
    }

    /// The one that plays.
    pub fn active(&self) -> usize {
        self.active
    }

    /// Judges all sources and says so to each; gives the one that plays, if that is another now.
    pub fn look(&mut self, now: Instant, sources: &[Arc<Health>]) -> Option<usize> {
        let states: Vec<_> = sources.iter().map(|health| health.judge()).collect();
        let before = self.active;
        self.choose(now, &states);
        for (index, health) in sources.iter().enumerate() {
            health.set_active(index == self.active);
        }
        (self.active != before).then_some(self.active)
    }

    fn choose(&mut self, now: Instant, states: &[State]) {
        let rank = |index: usize| states.get(index).map_or(0, |state| state.rank());
        let here = rank(self.active);
        for (index, since) in self.well.iter_mut().enumerate() {
            let well = rank(index) > 0 && rank(index) >= here;
            *since = if well { since.or(Some(now)) } else { None };
        }
        let best = (0..states.len()).map(rank).max().unwrap_or(0);
        if best == 0 {
            return;
        }
        let begun = *self.begun.get_or_insert(now);
        self.seen |= here > 0;
        if !self.seen && now - begun < STARTING {
            return;
        }
        let first = (0..states.len()).find(|&index| rank(index) == best);
        if here < best {
            self.active = first.unwrap_or(self.active);
            // Time that counts for going back begins now.
            self.well.iter_mut().for_each(|since| *since = since.map(|_| now));
            return;
        }
        let back = (0..self.active)
            .find(|&index| self.well[index].is_some_and(|since| now - since >= self.back_after));
        if let Some(index) = back {
            self.active = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Black, Fit, Gone};

    fn chooser() -> Chooser {
        let backups = vec![crate::config::Source::Test; 2];
        let mut channel = Channel { backups, ..Channel::default() };
        channel.failover.back_after_ms = 5_000;
        Chooser::new(&channel)
    }

    #[test]
    fn the_next_best_takes_over_at_once_and_the_first_comes_back_with_patience() {
        let (mut chooser, start) = (chooser(), Instant::now());
        let mut at = |ms: u64, states: [State; 3]| {
            chooser.choose(start + Duration::from_millis(ms), &states);
            chooser.active()
        };
        assert_eq!(at(0, [Gone, Fit, Fit]), 0, "the first gets a moment");
        assert_eq!(at(500, [Fit, Fit, Fit]), 0);
        assert_eq!(at(10_000, [Gone, Gone, Fit]), 2);
        assert_eq!(at(11_000, [Gone, Fit, Fit]), 2);
        assert_eq!(at(15_900, [Gone, Fit, Fit]), 2);
        assert_eq!(at(16_000, [Fit, Fit, Fit]), 1, "after five seconds");
        assert_eq!(at(20_900, [Fit, Fit, Fit]), 1);
        assert_eq!(at(21_000, [Fit, Fit, Fit]), 0);
    }

    #[test]
    fn one_that_comes_and_goes_is_not_gone_back_to() {
        let (mut chooser, start) = (chooser(), Instant::now());
        for second in 0..60 {
            let first = if second % 4 == 1 { Fit } else { Gone };
            chooser.choose(start + Duration::from_secs(second), &[first, Fit, Gone]);
            assert_eq!(chooser.active(), usize::from(second > 1), "second {second}");
        }
    }

    #[test]
    fn black_is_better_than_nothing_and_worse_than_a_picture() {
        let (mut chooser, start) = (chooser(), Instant::now());
        let mut at = |ms: u64, states: [State; 3]| {
            chooser.choose(start + Duration::from_millis(ms), &states);
            chooser.active()
        };
        assert_eq!(at(0, [Black, Gone, Gone]), 0);
        assert_eq!(at(5_000, [Black, Black, Gone]), 0);
        assert_eq!(at(6_000, [Black, Black, Fit]), 2);
        assert_eq!(at(7_000, [Black, Black, Gone]), 0);
        assert_eq!(at(8_000, [Gone, Gone, Gone]), 0, "none is better");
    }
}
