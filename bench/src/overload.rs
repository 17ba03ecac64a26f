//! A repeater at half of what its core can do, and at twice that.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::fan_out;
use crate::figure::Figure;
use crate::load::Load;
use crate::processor;
use crate::repeater::Running;

const MBIT: u32 = 20;
/// Others who take an equal share of the repeater's core: so its children's core, which has to receive and to open all
/// that is sent, is not the limit.
const OTHERS: usize = 3;
/// Until load and windows are steady.
const WARM: Duration = Duration::from_secs(3);
/// Until those who are too many were shed.
const SETTLE: Duration = Duration::from_secs(15);
/// A measurement.
const LOOK: Duration = Duration::from_secs(8);
/// With so many children the cost of one is measured.
const FEW: usize = 20;

/// Overload: goodput beside that at saturation.
///
/// # Errors
/// If a program does not start or a child is not let in.
pub(crate) async fn measure(runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, MBIT).await?;
    let [mut kept, mut full, mut late, mut shed] = [const { Vec::new() }; 4];
    for _ in 0..runs {
        let mut running = Running::start(&clip).await?;
        running.add(FEW - 1).await?;
        let load = Load { children: FEW, mbit: MBIT, seconds: 4 };
        let per_core =
            fan_out::rate("few", load, running.pid()?, &running.counters().bytes).await?;
        let enough = (per_core * 1e3 / f64::from(MBIT) / (1 + OTHERS) as f64) as usize;
        let others = (0..OTHERS).map(|_| spin()).collect::<Result<Vec<_>>>()?;
        running.sample().await?;
        running.add(enough.saturating_sub(FEW)).await?;
        let saturated = goodput(&running, WARM).await?;
        running.sample().await?.delays().await?;
        let before = running.counters().shed.load(Ordering::Relaxed);
        running.add(enough).await?;
        let overloaded = goodput(&running, SETTLE).await?;
        let sheds = running.counters().shed.load(Ordering::Relaxed) - before;
        let delays = running.sample().await?.delays().await?.context("nothing came")?;
        kept.push(overloaded / saturated);
        full.push(saturated);
        late.push(delays.oldest);
        shed.push(sheds as f64);
        println!("({enough} children and as many again)");
        drop(others);
        running.stop().await?;
    }
    Ok(vec![
        Figure::new("overload: goodput, of that at saturation", "", kept).at_least(0.8),
        Figure::new("overload: goodput at saturation, a quarter of a core", "Gbit/s", full),
        Figure::new("overload: oldest shard that came, after its capture", "ms", late)
            .below(2_100.0),
        Figure::new("overload: sub-streams shed with a message", "", shed),
    ])
}

/// Delay added at half load.
///
/// # Errors
/// As of [`measure`].
pub(crate) async fn delay(runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, MBIT).await?;
    let [mut median, mut most, mut busy, mut bound, mut part] = [const { Vec::new() }; 5];
    for _ in 0..runs {
        let few = Load { children: FEW, mbit: MBIT, seconds: 4 };
        let limit = fan_out::sealed_udp(few).await?;
        let mut running = Running::start(&clip).await?;
        running.add(FEW - 1).await?;
        let pid = running.pid()?;
        let per_core = fan_out::rate("few", few, pid, &running.counters().bytes).await?;
        let half = (per_core * 1e3 / f64::from(MBIT) / 2.0) as usize;
        running.add(half.saturating_sub(FEW + 10)).await?;
        let sample = running.sample().await?;
        sleep(WARM).await;
        sample.delays().await?;
        let (from, before) = (Instant::now(), processor::seconds(pid)?);
        sleep(LOOK).await;
        let delays = sample.delays().await?.context("nothing came")?;
        busy.push(100.0 * (processor::seconds(pid)? - before) / from.elapsed().as_secs_f64());
        median.push(delays.median);
        most.push(delays.most);
        // What the limit needs to send one segment to all.
        let burst = half as f64 * f64::from(MBIT) * 1e-3 * 0.25 / limit * 1e3;
        bound.push(burst);
        part.push(delays.most / burst);
        running.stop().await?;
    }
    Ok(vec![
        Figure::new("half load: delay added, median", "ms", median).below(1.0),
        Figure::new("half load: delay added, 99 %", "ms", most).below(10.0),
        Figure::new("half load: sealed UDP sends a segment to all in", "ms", bound),
        Figure::new("half load: delay added, 99 %, of that", "", part),
        Figure::new("half load: processor of the repeater", "% core", busy),
    ])
}

/// Gbit/s that children read.
async fn goodput(running: &Running, before: Duration) -> Result<f64> {
    sleep(before).await;
    let bytes = || running.counters().bytes.load(Ordering::Relaxed);
    let (from, read) = (Instant::now(), bytes());
    sleep(LOOK).await;
    Ok((bytes() - read) as f64 * 8.0 / 1e9 / from.elapsed().as_secs_f64())
}

fn spin() -> Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("spin")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start another program")
}
