//! `braidcast-bench`: what the programs cost, each figure beside its limit or its peer measured in the same run.
//!
//! Each part runs alone by name; `all` runs them one after the other, and one table stands at the end.

mod allocations;
mod bare;
mod children;
mod delay;
mod engine;
#[path = "../../swarm/benches/load/mod.rs"]
mod engine_load;
mod fan_out;
mod figure;
mod load;
mod media;
mod overload;
mod processor;
mod programs;
mod proto;
mod rendezvous;
mod repeater;
mod udp;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use figure::Figure;
use load::Load;

#[derive(Parser)]
#[command(name = "braidcast-bench", version, about = "What the programs cost")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// All parts, one table.
    All {
        /// How often everything is measured; the middle one counts.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A segment on its way out and back.
    Media {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A repeater's fan-out.
    FanOut {
        #[command(flatten)]
        load: Load,
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// What a repeater adds to the delay while its core is busy half of the time, with one channel.
    Delay {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// The same with many channels of few children each.
    DelayMany {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A repeater with twice the children that it can serve.
    Overload {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// One swarm engine.
    Engine {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Rendezvous with its map in memory: nodes come in, report, join, and are back after a restart.
    Rendezvous {
        /// Nodes that stay.
        #[arg(long, default_value_t = 20_000)]
        viewers: usize,
        /// Its map is shared over a Redis.
        #[arg(long)]
        redis: bool,
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Ten channels at one headend, and one with three children.
    Headend {
        /// Bit rate of a channel, Mbit/s.
        #[arg(long, default_value_t = programs::MBIT)]
        mbit: u32,
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Viewers that feed each other.
    Viewer {
        /// As of `all`.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// A piece of work on a hot path, over and over: to be counted or profiled.
    Work {
        /// Which.
        work: work::Work,
        /// How often.
        #[arg(long, default_value_t = 100)]
        times: u32,
    },
    /// A sender of UDP (started by `fan-out`).
    #[command(hide = true)]
    SendUdp {
        #[command(flatten)]
        load: Load,
        #[arg(long)]
        seal: bool,
        receivers: Vec<SocketAddr>,
    },
    /// Children whose shards are noted (started by `delay`).
    #[command(hide = true)]
    Sample { stage: PathBuf, channels: usize },
    /// Works without an end on core 0 (started by `overload`).
    #[command(hide = true)]
    Spin,
    /// Viewers whose allocations are counted (started by `viewer`).
    #[command(hide = true)]
    Counted {
        #[arg(long)]
        runs: usize,
    },
    /// Engines whose memory is measured (started by `engine`).
    #[command(hide = true)]
    Engines { partners: usize },
    /// A sender with quinn-proto alone (started by `fan-out`).
    #[command(hide = true)]
    SendProto {
        #[command(flatten)]
        load: Load,
    },
    /// A sender with bare quinn (started by `fan-out`).
    #[command(hide = true)]
    SendQuinn {
        #[command(flatten)]
        load: Load,
    },
}

fn main() -> Result<()> {
    let figures = match Arguments::parse().part {
        Part::Work { work, times } => return work.repeat(times),
        Part::SendUdp { load, seal, receivers } => {
            processor::pin(std::process::id(), 0)?;
            return udp::send(load, &receivers, seal);
        }
        Part::SendProto { load } => {
            processor::pin(std::process::id(), 0)?;
            return proto::send(load);
        }
        Part::SendQuinn { load } => {
            processor::pin(std::process::id(), 0)?;
            return Runtime::new()?.block_on(bare::send(load));
        }
        Part::Sample { stage, channels } => {
            return Runtime::new()?.block_on(delay::sample(&stage, channels));
        }
        Part::Spin => {
            processor::pin(std::process::id(), 0)?;
            loop {
                std::hint::spin_loop();
            }
        }
        Part::Delay { runs } => apart(overload::delay(runs.max(1)))?,
        Part::DelayMany { runs } => apart(overload::delay_of_many_channels(runs.max(1)))?,
        Part::Overload { runs } => apart(overload::measure(runs.max(1)))?,
        Part::Engines { partners } => return engine::engines(partners),
        Part::Engine { runs } => engine::measure(runs.max(1))?,
        Part::Rendezvous { viewers, redis, runs } => {
            apart(rendezvous::measure(viewers, redis, runs.max(1)))?
        }
        Part::Media { runs } => media::measure(runs.max(1))?,
        Part::FanOut { load, runs } => apart(fan_out::measure(load, runs.max(1)))?,
        Part::Headend { mbit, runs } => {
            Runtime::new()?.block_on(programs::headend(mbit, runs.max(1)))?
        }
        Part::Viewer { runs } => viewer(runs.max(1))?,
        Part::Counted { runs } => return allocations::counted(runs),
        Part::All { runs } => all(runs.max(1))?,
    };
    println!("{}", processor::machine());
    if let Some(busy) = processor::others().filter(|busy| *busy > 10.0) {
        println!("(others take {busy:.0} % of the machine: it is not quiet)");
    }
    figure::print(&figures);
    Ok(())
}

fn viewer(runs: usize) -> Result<Vec<Figure>> {
    let mut figures = Runtime::new()?.block_on(programs::viewer(runs))?;
    figures.extend(allocations::measure(runs)?);
    Ok(figures)
}

fn all(runs: usize) -> Result<Vec<Figure>> {
    let mut figures = media::measure(runs)?;
    figures.extend(engine::measure(runs)?);
    let runtime = Runtime::new()?;
    figures.extend(runtime.block_on(programs::headend(programs::MBIT, runs))?);
    figures.extend(viewer(runs)?);
    figures.extend(apart(rendezvous::measure(20_000, false, runs))?);
    figures.extend(apart(overload::measure(1))?);
    figures.extend(apart(overload::delay_of_many_channels(1))?);
    figures.extend(apart(fan_out::measure(Load { children: 100, mbit: 4, seconds: 3 }, runs))?);
    Ok(figures)
}

/// On core 1. The programs that are started inherit that, until they are moved.
fn apart(part: impl Future<Output = Result<Vec<Figure>>>) -> Result<Vec<Figure>> {
    processor::pin(std::process::id(), 1)?;
    Runtime::new()?.block_on(part)
}
