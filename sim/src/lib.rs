//! Thousands of real peer engines and the real rendezvous map on a virtual clock.
//!
//! A [`Scenario`] says who watches, over which networks, and what fails. [`run`] plays it and gives a [`Report`]: the same
//! one for the same scenario and seed, whatever the number of threads. Shards are sizes without bytes; what else is left
//! out is said in `docs/simulator.md`.
//!
//! How it works: every node belongs to a region, and every region to a thread. No message is faster than a millisecond,
//! so that what nodes do within one step of that length cannot reach another node within it; regions meet after each step.
//! All chance is drawn from the seed and from what it is for, never from a state that threads would share.

mod audit;
mod chance;
mod compare;
mod event;
pub mod growth;
mod histogram;
mod html;
mod moves;
mod node;
pub mod plan;
mod population;
mod post;
mod region;
mod rendezvous;
mod report;
pub mod scenario;
mod setting;
mod stays;
mod table;
mod tally;
mod transit;
mod world;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

pub use compare::{Real, compare};
pub use histogram::Distribution;
pub use html::page;
pub use moves::Reason;
pub use report::Report;
pub use scenario::Scenario;
pub use table::table;
pub use world::{Progress, Sample};

/// How a scenario is run; no figure of the report but the times follows from it.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Threads, 1 to 64.
    pub threads: u32,
    /// Whether the time that engines take is summed. That costs some itself.
    pub profile: bool,
    /// Whether the report has a line for every stay.
    pub stays: bool,
    /// Whether it has one for every sub-stream that was lost and moved.
    pub failovers: bool,
    /// Once this is set, the run ends within a virtual second, and the report is of what was until then.
    pub stop: Option<&'static AtomicBool>,
}

impl From<u32> for How {
    fn from(threads: u32) -> Self {
        Self { threads, profile: false, stays: false, failovers: false, stop: None }
    }
}

/// Runs a scenario under its seed, and tells how far it is.
pub fn run(scenario: &Scenario, how: impl Into<How>, progress: &mut dyn FnMut(Progress)) -> Report {
    let (began, how) = (Instant::now(), how.into());
    let spent = cpu_seconds();
    let outcome = world::run(scenario.clone(), scenario.seed, how, progress);
    let mut report = report::make(&outcome);
    report.wall_seconds = histogram::round(began.elapsed().as_secs_f64());
    report.cpu_seconds = cpu_seconds().zip(spent).map(|(now, before)| now - before);
    report.memory_mib = memory_mib();
    report.stays = how.stays.then(|| stays::csv(&outcome.setting, &outcome.tally.viewers));
    report.failovers = how.failovers.then(|| outcome.tally.moves.csv());
    report.engine_seconds = how.profile.then_some(outcome.engines.as_secs_f64());
    report
}

/// The most memory that this process has held so far (Linux).
fn memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// User and system time of this process so far (Linux), whose ticks are hundredths of a second on every machine.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.sum::<Result<f64, _>>().ok().map(|ticks| ticks / 100.0)
}
