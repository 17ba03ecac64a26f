//! Where the time goes between the loss of a sub-stream and its next shard, by why it was lost.

use std::fmt::Write as _;

use swarm::{Failover, Loss};

use crate::histogram::{Distribution, Histogram, round};
use crate::tally::micros;

/// Why sub-streams are lost, and what that is called.
const REASONS: [(Loss, &str); 4] =
    [(Loss::Left, "left"), (Loss::Silent, "silent"), (Loss::Shed, "shed"), (Loss::Gone, "gone")];
/// What is longer than this is slow, microseconds: the target for nineteen of twenty.
const SLOW: u64 = 500_000;

/// What was counted of the failovers of one reason.
#[derive(Clone, Default)]
struct Tally {
    gap: Histogram,
    /// Of the slow ones: how many, and the sums of their parts, microseconds.
    slow: u64,
    parts: [u64; 4],
    /// How many of those were refused by a parent, and had no answer from one, at least once.
    refused: u64,
    unanswered: u64,
}

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Moves {
    tallies: [Tally; REASONS.len()],
    /// A line for each, if they are wanted.
    pub(crate) lines: Vec<(u64, u32, Failover)>,
}

/// What one reason costs. Times in milliseconds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Reason {
    /// Why the sub-streams were lost.
    pub why: &'static str,
    /// For how long nothing came, beyond the normal spacing of shards.
    pub gap_ms: Distribution,
    /// How many took longer than half a second; what follows is of these.
    pub slow: u64,
    /// From the last shard until the loss was known: the mean.
    pub noticed_ms: f64,
    /// Until the parent was asked that feeds it now.
    pub chosen_ms: f64,
    /// Until that granted it.
    pub answered_ms: f64,
    /// Until its first shard came.
    pub flowed_ms: f64,
    /// The share that at least one parent refused before.
    pub refused: f64,
    /// The share that at least one parent did not answer, or granted and brought nothing.
    pub unanswered: f64,
}

fn parts(failover: &Failover) -> [u64; 4] {
    let Failover { noticed, chosen, answered, flowed, .. } = *failover;
    [noticed, chosen, answered, flowed].map(micros)
}

impl Moves {
    pub(crate) fn add(&mut self, failover: &Failover) {
        let place = REASONS.iter().position(|(why, _)| *why == failover.why);
        let Some(tally) = place.and_then(|place| self.tallies.get_mut(place)) else { return };
        let gap = micros(failover.gap);
        tally.gap.add(gap);
        if gap > SLOW {
            tally.slow += 1;
            for (sum, part) in tally.parts.iter_mut().zip(parts(failover)) {
                *sum += part;
            }
            tally.refused += u64::from(failover.refused > 0);
            tally.unanswered += u64::from(failover.unanswered > 0);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (here, there) in self.tallies.iter_mut().zip(&other.tallies) {
            here.gap.merge(&there.gap);
            here.slow += there.slow;
            here.refused += there.refused;
            here.unanswered += there.unanswered;
            for (here, there) in here.parts.iter_mut().zip(there.parts) {
                *here += there;
            }
        }
        self.lines.extend(other.lines);
    }

    pub(crate) fn reasons(&self) -> Vec<Reason> {
        let one = |(tally, (_, why)): (&Tally, (Loss, &'static str))| {
            let slow = tally.slow.max(1) as f64;
            let [noticed_ms, chosen_ms, answered_ms, flowed_ms] =
                tally.parts.map(|sum| round(sum as f64 / 1000.0 / slow));
            Reason {
                why,
                gap_ms: tally.gap.distribution(1000.0),
                slow: tally.slow,
                noticed_ms,
                chosen_ms,
                answered_ms,
                flowed_ms,
                refused: round(tally.refused as f64 / slow),
                unanswered: round(tally.unanswered as f64 / slow),
            }
        };
        self.tallies.iter().zip(REASONS).map(one).collect()
    }

    /// All failovers that were kept as comma-separated values, with a line of names.
    pub(crate) fn csv(&self) -> String {
        let mut text = "at_s,node,why,gap_ms,noticed_ms,chosen_ms,answered_ms,flowed_ms,refused,\
                        unanswered\n"
            .to_owned();
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|(at, node, _)| (*at, *node));
        for (at, node, failover) in lines {
            let why = REASONS.iter().find(|(why, _)| *why == failover.why);
            let [noticed, chosen, answered, flowed] = parts(failover).map(|part| part / 1000);
            let _ = writeln!(
                text,
                "{:.3},{node},{},{},{noticed},{chosen},{answered},{flowed},{},{}",
                *at as f64 / 1e6,
                why.map_or("", |(_, name)| name),
                micros(failover.gap) / 1000,
                failover.refused,
                failover.unanswered
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_slow_ones_are_taken_apart_and_each_under_its_reason() {
        let ms = Duration::from_millis;
        let failover = |why, chosen, refused| Failover {
            why,
            gap: ms(150 + chosen),
            noticed: ms(300),
            chosen: ms(chosen),
            answered: ms(40),
            flowed: ms(60),
            refused,
            unanswered: 0,
        };
        let (mut moves, mut others) = (Moves::default(), Moves::default());
        moves.add(&failover(Loss::Silent, 0, 0));
        moves.add(&failover(Loss::Silent, 400, 1));
        others.add(&failover(Loss::Silent, 600, 0));
        others.add(&failover(Loss::Left, 10, 0));
        moves.merge(others);
        let reasons = moves.reasons();
        let of = |name| reasons.iter().find(|reason| reason.why == name).expect("it is there");
        let (left, silent) = (of("left"), of("silent"));
        assert_eq!((left.gap_ms.count, left.slow), (1, 0));
        assert_eq!((silent.gap_ms.count, silent.slow), (3, 2));
        assert_eq!((silent.noticed_ms, silent.chosen_ms), (300.0, 500.0));
        assert_eq!((silent.refused, silent.unanswered), (0.5, 0.0));
    }
}
