//! `braidcast-bench`: what sending one channel to many costs a repeater, beside the limit (UDP with
//! segmentation offload, with and without a cipher) and a peer (quinn as it comes), all in one run.
//!
//! The sender stands alone on core 0; receivers and everybody else share core 1. What counts is payload that
//! receivers read per second of the sender's processor time, so that a busy machine makes the run longer,
//! not the figure smaller.

mod bare;
mod load;
mod processor;
mod repeater;
mod udp;
mod work;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use load::Load;

/// Before each measurement, so that windows are open and paths known.
const WARM: Duration = Duration::from_secs(3);

#[derive(Parser)]
#[command(name = "braidcast-bench", version, about = "What sending one channel to many costs")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// The repeater beside its limit and its peer.
    FanOut {
        #[command(flatten)]
        load: Load,
        /// How often everything is measured; the middle one counts.
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
    match Arguments::parse().part {
        Part::Work { work, times } => work.repeat(times),
        Part::SendUdp { load, seal, receivers } => {
            processor::pin(std::process::id(), 0)?;
            udp::send(load, &receivers, seal)
        }
        Part::SendQuinn { load } => {
            processor::pin(std::process::id(), 0)?;
            tokio::runtime::Runtime::new()?.block_on(bare::send(load))
        }
        Part::FanOut { load, runs } => {
            // Children inherit this, until they are moved.
            processor::pin(std::process::id(), 1)?;
            tokio::runtime::Runtime::new()?.block_on(fan_out(load, runs))
        }
    }
}

/// One way of sending, measured several times.
struct Row {
    name: &'static str,
    /// Gbit/s of payload per second of processor time.
    rates: Vec<f64>,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self { name, rates: Vec::new() }
    }

    fn median(&self) -> f64 {
        let mut sorted = self.rates.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn range(&self) -> (f64, f64) {
        self.rates
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), rate| (low.min(*rate), high.max(*rate)))
    }
}

async fn fan_out(load: Load, runs: usize) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("braidcast-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let clip = folder.join("clip.ts");
    system_tests::clip::constant_rate(&clip, load.mbit).await?;
    let mut rows = [
        Row::new("UDP with segmentation offload"),
        Row::new("the same, each packet sealed with AES-128-GCM"),
        Row::new("quinn as it comes, a stream per shard"),
        Row::new("braidcast-repeater"),
    ];
    let mut last = None;
    for _ in 0..runs.max(1) {
        rows[0].rates.push(plain(load, false).await?);
        rows[1].rates.push(plain(load, true).await?);
        rows[2].rates.push(bare_quinn(load).await?);
        let running = repeater::Running::start(load, &clip).await?;
        rows[3].rates.push(measure(load, running.pid()?, running.bytes()).await?);
        last = Some((running.memory_per_child()?, running.delay()));
        running.stop().await?;
    }
    std::fs::remove_dir_all(&folder)?;

    println!(
        "{} children, {} Mbit/s, shards of {} bytes, {} runs of {} s; {}",
        load.children,
        load.mbit,
        load.shard(),
        runs,
        load.seconds,
        processor::name()
    );
    println!("{:<48}{:>12}{:>16}{:>10}", "sender", "Gbit/s/core", "lowest-highest", "ratio");
    let ideal = rows[1].median();
    for row in &rows {
        let (low, high) = row.range();
        let spread = format!("{low:.2}-{high:.2}");
        let median = row.median();
        println!("{:<48}{median:>12.2}{spread:>16}{:>10.2}", row.name, median / ideal);
    }
    println!(
        "repeater: {:.2} of sealed UDP (target 0.45), {:.2} of bare quinn (target 1.2)",
        rows[3].median() / ideal,
        rows[3].median() / rows[2].median()
    );
    if let Some((memory, delay)) = last {
        println!("repeater: {} KiB per child (target 64)", memory / 1024);
        if let Some((median, most)) = delay {
            println!(
                "repeater: adds {:.2} ms at the median, {:.2} ms at the 99th percentile (targets 1 and 10)",
                median.as_secs_f64() * 1e3,
                most.as_secs_f64() * 1e3
            );
        }
    }
    Ok(())
}

async fn plain(load: Load, seal: bool) -> Result<f64> {
    let (receivers, bytes) = udp::receive(load.children).await?;
    let mut args = vec!["send-udp".to_owned()];
    if seal {
        args.push("--seal".into());
    }
    args.extend(receivers.iter().map(ToString::to_string));
    let mut sender = sender(load, &args)?;
    let rate = measure(load, sender.id().context("the sender ended")?, &bytes).await?;
    sender.kill().await?;
    Ok(rate)
}

async fn bare_quinn(load: Load) -> Result<f64> {
    let mut sender = sender(load, &["send-quinn".to_owned()])?;
    let said = sender.stdout.take().context("its stdout")?;
    let line = BufReader::new(said).lines().next_line().await?.context("the sender ended")?;
    let bytes = bare::receive(&bare::Place::read(&line)?, load.children).await?;
    let rate = measure(load, sender.id().context("the sender ended")?, &bytes).await?;
    sender.kill().await?;
    Ok(rate)
}

fn sender(load: Load, args: &[String]) -> Result<Child> {
    let (children, mbit) = (load.children.to_string(), load.mbit.to_string());
    let part = &args[0];
    Command::new(std::env::current_exe()?)
        .args([part, "--children", &children, "--mbit", &mbit])
        .args(&args[1..])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start a sender")
}

/// Gbit/s of what was read per second of the sender's processor time; fails if less than nine tenths of the
/// load came through, since the figure would be that of another load.
async fn measure(load: Load, sender: u32, bytes: &AtomicU64) -> Result<f64> {
    sleep(WARM).await;
    let (time, before) = (processor::seconds(sender)?, bytes.load(Ordering::Relaxed));
    let from = std::time::Instant::now();
    sleep(Duration::from_secs(load.seconds)).await;
    let took = from.elapsed().as_secs_f64();
    let (time, read) = (processor::seconds(sender)? - time, bytes.load(Ordering::Relaxed) - before);
    let wanted = load.children as f64 * f64::from(load.mbit) * 1e6 / 8.0 * took;
    if (read as f64) < 0.9 * wanted {
        println!(
            "(only {:.0} % of the load of {sender} came through)",
            100.0 * read as f64 / wanted
        );
    }
    Ok(read as f64 * 8.0 / 1e9 / time)
}
