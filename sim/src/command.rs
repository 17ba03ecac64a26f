//! The command line.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use service::Common;
use service::config::{self, Rate};
use sim::{How, Progress, Real, Report, Scenario};

/// Set by a first interrupt: the run ends, and what it showed until then is reported.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs thousands of real peer engines on a virtual clock: what a channel will do tonight, before tonight.
#[derive(Debug, Parser)]
#[command(name = "braidcast-sim", version)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario and prints a table of what it showed
    Run {
        #[command(flatten)]
        scenario: Which,
        /// Run it again with so many seeds in all, one after the other; the table gets a column for each
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
        seeds: u64,
        /// Write the results as JSON (of the first seed)
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Write the results as one page with plots (of the first seed)
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Write a line for every stay of a viewer as comma-separated values (of the first seed)
        #[arg(long, value_name = "FILE")]
        stays: Option<PathBuf>,
        /// Write a line for every sub-stream that was lost and moved, and where the time went (of the first seed)
        #[arg(long, value_name = "FILE")]
        failovers: Option<PathBuf>,
    },
    /// Runs a scenario with its audience and with several times as many: what enters each network by that?
    Growth {
        #[command(flatten)]
        scenario: Which,
        /// So many times the audience
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
        times: u32,
        /// The larger audience has the repeaters of the smaller one
        #[arg(long)]
        repeaters_stay: bool,
    },
    /// Runs a scenario and sets its figures beside those of real programs in the same set-up
    Compare {
        #[command(flatten)]
        scenario: Which,
        /// What the programs said: written by `cargo run -p system-tests --example loopback`
        #[arg(long, value_name = "FILE")]
        real: PathBuf,
    },
    /// Finds how few repeaters keep stalls under a limit
    Plan {
        #[command(flatten)]
        scenario: Which,
        /// Media bit rate, such as "6 Mbit/s"
        #[arg(long, value_name = "RATE")]
        bitrate: Option<Rate>,
        /// All uplinks times this
        #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
        uplinks: f64,
        /// The most of the viewing time that may be stalled
        #[arg(long, value_name = "SHARE", default_value_t = 0.001)]
        stalls: f64,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The scenario (also as --config FILE)
    #[arg(value_name = "SCENARIO.toml")]
    scenario: Option<PathBuf>,
    /// Audience, instead of the scenario's; repeaters follow by their share
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    viewers: Option<u32>,
    /// What all chance is drawn from, instead of the scenario's
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Virtual seconds, instead of the scenario's
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Threads; the results do not depend on them
    #[arg(long, value_name = "N", default_value_t = cores())]
    threads: u32,
    /// Measure how much of the time engines take (with --threads 1)
    #[arg(long)]
    profile: bool,
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

impl Which {
    fn how(&self) -> How {
        How { profile: self.profile, ..How::from(self.threads) }
    }

    fn load(&self, common: &Common) -> anyhow::Result<Scenario> {
        let path = self.scenario.as_deref().or(common.config.as_deref());
        let path = path.unwrap_or_else(|| nothing_given());
        let mut scenario: Scenario = config::load(path)?;
        scenario.scale(self.viewers.unwrap_or(scenario.viewers.count));
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        if let Some(seconds) = self.seconds {
            scenario.duration = config::Duration::from_secs(seconds);
        }
        Ok(scenario)
    }
}

impl Arguments {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(command) = &self.command else {
            return self.check();
        };
        match command {
            Command::Run { scenario: which, seeds, report, html, stays, failovers } => {
                let Some(mut scenario) = self.load(which)? else { return Ok(()) };
                stop_on_interrupt()?;
                let stop = Some(&STOP);
                let how = How {
                    stays: stays.is_some(),
                    failovers: failovers.is_some(),
                    stop,
                    ..which.how()
                };
                let results = sim::run(&scenario, how, &mut bar());
                if let Some((file, lines)) = stays.as_ref().zip(results.stays.as_ref()) {
                    write(file, lines)?;
                }
                if let Some((file, lines)) = failovers.as_ref().zip(results.failovers.as_ref()) {
                    write(file, lines)?;
                }
                if let Some(file) = report {
                    write(file, &json(&results)?)?;
                }
                if let Some(file) = html {
                    write(file, &sim::page(&results))?;
                }
                let mut all = vec![results];
                for _ in 1..*seeds {
                    if STOP.load(Relaxed) {
                        break;
                    }
                    scenario.seed += 1;
                    all.push(sim::run(&scenario, How { stop, ..which.how() }, &mut bar()));
                }
                print!("{}", sim::table(&all));
                Ok(())
            }
            Command::Growth { scenario: which, times, repeaters_stay } => {
                let Some(scenario) = self.load(which)? else { return Ok(()) };
                let growth = sim::growth::measure(&scenario, *times, *repeaters_stay, which.how());
                print!("{growth}");
                Ok(())
            }
            Command::Compare { scenario: which, real } => {
                let Some(mut scenario) = self.load(which)? else { return Ok(()) };
                let text = std::fs::read_to_string(real)
                    .with_context(|| format!("cannot read {}", real.display()))?;
                let said: Real = serde_json::from_str(&text)
                    .with_context(|| format!("{} is not what viewers said", real.display()))?;
                let rate = u64::from(said.kbit_per_second);
                scenario.channel.bitrate = Rate::from_kbits_per_second(rate);
                let results = sim::run(&scenario, which.how(), &mut bar());
                print!("{}", sim::compare(&said, &results));
                Ok(())
            }
            Command::Plan { scenario: which, bitrate, uplinks, stalls } => {
                let Some(mut scenario) = self.load(which)? else { return Ok(()) };
                scenario.channel.bitrate = bitrate.unwrap_or(scenario.channel.bitrate);
                scenario.scale_uplinks(*uplinks);
                let mut told = |attempt: &sim::plan::Attempt| println!("{attempt}");
                let plan = sim::plan::find(&scenario, *stalls, which.threads, &mut told);
                println!("{plan}");
                anyhow::ensure!(plan.found.is_some(), "no number of repeaters was enough");
                Ok(())
            }
        }
    }

    /// Without a command a scenario can only be checked: `--config FILE --check`.
    fn check(&self) -> anyhow::Result<()> {
        let path = self.common.config.as_deref().filter(|_| self.common.check);
        config::load::<Scenario>(path.unwrap_or_else(|| nothing_given()))?;
        println!("the scenario is valid");
        Ok(())
    }

    /// The scenario; nothing if only a check was asked for.
    fn load(&self, which: &Which) -> anyhow::Result<Option<Scenario>> {
        let scenario = which.load(&self.common)?;
        if self.common.check {
            println!("the scenario is valid");
            return Ok(None);
        }
        Ok(Some(scenario))
    }
}

/// Ends the program with what is wrong with a command line that names no scenario, exit code 2.
fn nothing_given() -> ! {
    let what = "give a command and a scenario: braidcast-sim run SCENARIO.toml";
    Arguments::command().error(ErrorKind::MissingRequiredArgument, what).exit()
}

fn json(report: &Report) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A first interrupt ends the run, a second the program.
fn stop_on_interrupt() -> anyhow::Result<()> {
    let stop = || {
        if STOP.swap(true, Relaxed) {
            std::process::exit(130);
        }
        say("\nstopping; a second interrupt ends the program without results");
    };
    ctrlc::set_handler(stop).context("cannot listen to interrupts")
}

/// Writes a line to whoever waits; hours of work are not lost because nobody listens any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How often a log has a line of progress.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// A bar on a terminal; elsewhere a line a minute.
fn bar() -> impl FnMut(Progress) {
    let terminal = std::io::stderr().is_terminal();
    let began = Instant::now();
    let mut said = began;
    move |Progress { done, of, viewers, events }| {
        let rate = events as f64 / began.elapsed().as_secs_f64().max(0.001) / 1e6;
        if !terminal {
            if said.elapsed() >= LINE_EVERY {
                said = Instant::now();
                say(&format!(
                    "{done:.0} of {of:.0} s, {viewers} viewers, {rate:.2} million events/s"
                ));
            }
            return;
        }
        let width = 30;
        let full = ((done / of.max(1.0)) * f64::from(width)) as usize;
        let mut out = std::io::stderr().lock();
        let _ = write!(
            out,
            "\r[{:<30}] {done:.0} of {of:.0} s, {viewers} viewers, {rate:.2} million events/s ",
            "#".repeat(full)
        );
        if done >= of {
            let _ = writeln!(out);
        }
        let _ = out.flush();
    }
}
