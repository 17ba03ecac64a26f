//! What enters each network when the audience grows.

use std::fmt;

use crate::report::Entering;
use crate::{How, Scenario, run};

/// Two runs of a scenario: with its audience, and with several times as many.
#[derive(Clone, Debug)]
pub struct Growth {
    times: f64,
    small: Vec<Entering>,
    large: Vec<Entering>,
    /// Stalled share of the viewing time in both.
    stalled: [f64; 2],
    wall_seconds: f64,
}

/// Runs a scenario twice. The number of repeaters stays what it is for the smaller audience if `repeaters_stay`.
pub fn measure(scenario: &Scenario, times: u32, repeaters_stay: bool, how: How) -> Growth {
    let small = run(scenario, how, &mut |_| {});
    let mut scenario = scenario.clone();
    if repeaters_stay {
        scenario.repeaters.audience_share /= f64::from(times.max(1));
    }
    scenario.scale(scenario.viewers.count.saturating_mul(times.max(1)));
    let large = run(&scenario, how, &mut |_| {});
    Growth {
        times: times.into(),
        stalled: [small.stalled_share, large.stalled_share],
        wall_seconds: small.wall_seconds + large.wall_seconds,
        small: small.entering,
        large: large.entering,
    }
}

impl Growth {
    /// By how much the bytes that enter all networks grow: 0.1 is a tenth.
    pub fn of_all(&self) -> f64 {
        let sum = |entering: &[Entering]| entering.iter().map(|one| one.streams).sum::<f64>();
        grown(sum(&self.small), sum(&self.large))
    }
}

fn grown(before: f64, after: f64) -> f64 {
    if before > 0.0 { after / before - 1.0 } else { 0.0 }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| AS | viewers | streams in | viewers x{} | streams in | growth |",
            self.times
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for (small, large) in self.small.iter().zip(&self.large) {
            writeln!(
                f,
                "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:+.1} % |",
                small.system,
                small.viewers,
                small.streams,
                large.viewers,
                large.streams,
                grown(small.streams, large.streams) * 100.0
            )?;
        }
        writeln!(f, "| all | | | | | {:+.1} % |", self.of_all() * 100.0)?;
        let [small, large] = self.stalled.map(|share| share * 100.0);
        writeln!(f)?;
        writeln!(
            f,
            "Stalled {small:.3} % and {large:.3} % of the viewing time; {:.1} s of wall time.",
            self.wall_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_is_more() {
        assert!((grown(2.0, 2.2) - 0.1).abs() < 1e-9);
        assert_eq!(grown(0.0, 2.0), 0.0);
    }
}
