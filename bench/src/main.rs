//! `braidcast-bench`: what the programs cost, each figure beside its limit or its peer measured in the same run.
//!
//! Each part runs alone by name; `all` runs them one after the other, and one table stands at the end.

mod bare;
mod fan_out;
mod figure;
mod load;
mod media;
mod processor;
mod programs;
mod repeater;
mod udp;
mod work;

use std::net::SocketAddr;

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
    /// Ten channels at one headend, and one with three children.
    Headend {
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
        Part::SendQuinn { load } => {
            processor::pin(std::process::id(), 0)?;
            return Runtime::new()?.block_on(bare::send(load));
        }
        Part::Media { runs } => media::measure(runs.max(1))?,
        Part::FanOut { load, runs } => fan_out_apart(load, runs.max(1))?,
        Part::Headend { runs } => Runtime::new()?.block_on(programs::headend(runs.max(1)))?,
        Part::Viewer { runs } => Runtime::new()?.block_on(programs::viewer(runs.max(1)))?,
        Part::All { runs } => all(runs.max(1))?,
    };
    println!("{}, {} runs", processor::name(), figures.iter().map(Figure::runs).max().unwrap_or(0));
    figure::print(&figures);
    Ok(())
}

fn all(runs: usize) -> Result<Vec<Figure>> {
    let mut figures = media::measure(runs)?;
    let runtime = Runtime::new()?;
    figures.extend(runtime.block_on(programs::headend(runs))?);
    figures.extend(runtime.block_on(programs::viewer(runs))?);
    figures.extend(fan_out_apart(Load { children: 100, mbit: 4, seconds: 5 }, runs)?);
    Ok(figures)
}

/// The programs that are started inherit the core, until they are moved.
fn fan_out_apart(load: Load, runs: usize) -> Result<Vec<Figure>> {
    processor::pin(std::process::id(), 1)?;
    Runtime::new()?.block_on(fan_out::measure(load, runs))
}
