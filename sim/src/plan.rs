//! How few repeaters are enough.

use std::fmt;

use crate::population::repeater_sizes;
use crate::scenario::Scenario;
use crate::{Report, run};

/// One number of repeaters, tried.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Share of the audience that the repeaters could feed alone.
    pub audience_share: f64,
    /// How many repeaters that are.
    pub repeaters: u32,
    /// Sub-streams that each pushes.
    pub substreams_each: u32,
    /// Stalled share of the viewing time.
    pub stalled_share: f64,
    /// Start, 95th percentile, milliseconds.
    pub startup_ms: f64,
    /// Share of the media that came from viewers.
    pub offload: f64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The least that kept the limit.
    pub found: Option<Attempt>,
    /// The limit: stalled share of the viewing time.
    pub stalls: f64,
    /// One sub-stream, bits per second.
    substream: u64,
    viewers: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "repeaters for {:.1} % of the audience ({} of {} sub-streams): stalled {:.3} %, start {:.0} ms (95 %), offload {:.1} %",
            self.audience_share * 100.0,
            self.repeaters,
            self.substreams_each,
            self.stalled_share * 100.0,
            self.startup_ms,
            self.offload * 100.0,
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(found) = self.found else {
            return write!(f, "repeaters for the whole audience are not enough");
        };
        let all = u64::from(found.repeaters) * u64::from(found.substreams_each) * self.substream;
        write!(
            f,
            "{} viewers need {} repeaters of {} sub-streams ({:.1} Mbit/s in all) to stall less than {} % of the time",
            self.viewers,
            found.repeaters,
            found.substreams_each,
            all as f64 / 1e6,
            self.stalls * 100.0,
        )
    }
}

/// Shares of the audience that are tried first, the least first.
const SHARES: [f64; 8] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0];
/// Halvings between the last that failed and the first that held.
const HALVINGS: u32 = 3;

/// The least number of repeaters with which less than `stalls` of the viewing time is stalled, within a tenth or so.
pub fn find(
    scenario: &Scenario,
    stalls: f64,
    threads: u32,
    told: &mut dyn FnMut(&Attempt),
) -> Plan {
    let mut attempt = |audience_share: f64| {
        let mut scenario = scenario.clone();
        scenario.repeaters.audience_share = audience_share;
        let report = run(&scenario, threads, &mut |_| {});
        let attempt = attempt(&scenario, &report);
        told(&attempt);
        attempt
    };
    let holds = |attempt: &Attempt| attempt.stalled_share < stalls;
    let mut failed = 0.0;
    let mut found: Option<Attempt> = None;
    for share in SHARES {
        let attempt = attempt(share);
        if holds(&attempt) {
            found = Some(attempt);
            break;
        }
        failed = share;
    }
    for _ in 0..HALVINGS {
        let Some(least) = found else { break };
        let middle = attempt((failed + least.audience_share) / 2.0);
        // Fewer may be no fewer: there is a least number of repeaters.
        if same(&middle, &least) {
            break;
        }
        if holds(&middle) {
            found = Some(middle);
        } else {
            failed = middle.audience_share;
        }
    }
    let channel = &scenario.channel;
    let substream = channel.bitrate.bits_per_second() / u64::from(channel.k);
    Plan { found, stalls, substream, viewers: scenario.viewers.count }
}

fn same(one: &Attempt, other: &Attempt) -> bool {
    (one.repeaters, one.substreams_each) == (other.repeaters, other.substreams_each)
}

fn attempt(scenario: &Scenario, report: &Report) -> Attempt {
    let (repeaters, substreams_each) = repeater_sizes(scenario);
    Attempt {
        audience_share: scenario.repeaters.audience_share,
        repeaters,
        substreams_each,
        stalled_share: report.stalled_share,
        startup_ms: report.startup_ms.p95,
        offload: report.offload,
    }
}
