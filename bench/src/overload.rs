//! A repeater at half of what its core can do, and at twice that.

use std::ops::RangeInclusive;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::children::{self, Counters};
use crate::delay::Delays;
use crate::fan_out;
use crate::figure::Figure;
use crate::load::Load;
use crate::processor::Look;
use crate::repeater::Running;

const MBIT: u32 = 20;
/// Where there are many channels.
const MANY_MBIT: u32 = 4;
/// Others who take an equal share of the repeater's core: so its children's core, which has to receive and to open all
/// that is sent, is not the limit.
const OTHERS: usize = 3;
/// Until load and windows are steady.
const WARM: Duration = Duration::from_secs(3);
/// Until those who are too many were shed.
const SETTLE: Duration = Duration::from_secs(15);
/// A measurement.
const LOOK: Duration = Duration::from_secs(8);
/// The children of many channels cost more than those of a single one, whose shards are in the caches: so many for as much.
const OF_MANY: f64 = 0.67;
/// Percent of a core that count as half of it.
const HALF: RangeInclusive<f64> = 44.0..=56.0;
/// So often the number of channels is made to fit what they take; carefully upwards, for what is too many gives no delay at all.
const CORRECTIONS: usize = 2;
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
    let [mut kept, mut full, mut late, mut stay, mut old, mut new] = [const { Vec::new() }; 6];
    for _ in 0..runs {
        let mut running = Running::start(&clip, 1).await?;
        running.fill(FEW).await?;
        running.settle(rate(MBIT)).await;
        let load = Load { children: FEW, mbit: MBIT, seconds: 4 };
        let per_core =
            fan_out::rate("few", load, running.pid()?, &running.counters().bytes).await?;
        let enough = (per_core * 1e3 / f64::from(MBIT) / (1 + OTHERS) as f64) as usize;
        let others = (0..OTHERS).map(|_| spin()).collect::<Result<Vec<_>>>()?;
        running.sample().await?;
        running.fill(enough).await?;
        running.settle(rate(MBIT)).await;
        let first = running.counters().clone();
        let saturated = goodput(&[&first], WARM).await?[0];
        running.sample().await?.delays().await?;
        running.begin_group();
        let second = running.counters().clone();
        let before = first.shed.load(Ordering::Relaxed);
        running.add(enough).await?;
        let both = goodput(&[&first, &second], SETTLE).await?;
        let delays = running.sample().await?.delays().await?.context("nothing came")?;
        kept.push(both.iter().sum::<f64>() / saturated);
        stay.push(both[0] / saturated);
        full.push(saturated);
        late.push(delays.oldest);
        let told = |counters: &Counters| {
            (counters.shed.load(Ordering::Relaxed) + counters.full.load(Ordering::Relaxed)) as f64
        };
        old.push((first.shed.load(Ordering::Relaxed) - before) as f64);
        new.push(told(&second));
        println!("({enough} children and as many again)");
        drop(others);
        running.stop().await?;
    }
    Ok(vec![
        Figure::new("overload: goodput, of that at saturation", "", kept).at_least(0.8),
        Figure::new("overload: what those get who were there before, of that", "", stay),
        Figure::new("overload: goodput at saturation, a quarter of a core", "Gbit/s", full),
        Figure::new("overload: oldest shard that came, after its capture", "ms", late)
            .below(2_100.0),
        Figure::new("overload: sub-streams of the newest shed or refused by message", "", new)
            .at_least(1.0),
        Figure::new("overload: of those who were there before, shed", "", old),
    ])
}

/// Delay added at half load, one channel of 20 Mbit/s with many children.
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
        let mut running = Running::start(&clip, 1).await?;
        let half = half_of_a_core(&mut running, few).await?;
        running.fill(half.saturating_sub(10)).await?;
        let (delays, share) = added(&mut running, MBIT).await?;
        busy.push(share);
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

/// The same, many channels of 4 Mbit/s with twelve children each.
///
/// # Errors
/// As of [`measure`].
pub(crate) async fn delay_of_many_channels(runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, MANY_MBIT).await?;
    let [mut many, mut median, mut most, mut busy] = [const { Vec::new() }; 4];
    for _ in 0..runs {
        let few = Load { children: FEW, mbit: MANY_MBIT, seconds: 4 };
        let mut running = Running::start(&clip, 1).await?;
        let half = half_of_a_core(&mut running, few).await? as f64 / f64::from(children::N);
        let mut channels = ((half * OF_MANY) as usize).max(1);
        running.stop().await?;
        let mut running = Running::start(&clip, channels).await?;
        let (mut delays, mut share) = added(&mut running, MANY_MBIT).await?;
        for _ in 0..CORRECTIONS {
            if HALF.contains(&share) {
                break;
            }
            running.stop().await?;
            channels = ((channels as f64 * (50.0 / share).clamp(0.25, 1.3)) as usize).max(1);
            running = Running::start(&clip, channels).await?;
            (delays, share) = added(&mut running, MANY_MBIT).await?;
        }
        many.push(channels as f64);
        median.push(delays.median);
        most.push(delays.most);
        busy.push(share);
        running.stop().await?;
    }
    Ok(vec![
        Figure::new("half load, channels of twelve children: channels", "", many),
        Figure::new("half load, many channels: delay added, median", "ms", median).below(1.0),
        Figure::new("half load, many channels: delay added, 99 %", "ms", most).below(10.0),
        Figure::new("half load, many channels: processor of the repeater", "% core", busy),
    ])
}

/// How many children take half of a core, by what a few take.
async fn half_of_a_core(running: &mut Running, few: Load) -> Result<usize> {
    running.fill(few.children).await?;
    running.settle(rate(few.mbit)).await;
    let bytes = running.counters().clone();
    let per_core = fan_out::rate("few", few, running.pid()?, &bytes.bytes).await?;
    Ok((per_core * 1e3 / f64::from(few.mbit) / 2.0) as usize)
}

/// What is added to the delay now, and the repeater's share of its core.
async fn added(running: &mut Running, mbit: u32) -> Result<(Delays, f64)> {
    running.settle(rate(mbit)).await;
    let pid = running.pid()?;
    let sample = running.sample().await?;
    sleep(WARM).await;
    sample.delays().await?;
    let look = Look::begin(&[pid])?;
    sleep(LOOK).await;
    Ok((sample.delays().await?.context("nothing came")?, look.share()?))
}

/// Gbit/s that these groups of children read.
async fn goodput(groups: &[&Counters], before: Duration) -> Result<Vec<f64>> {
    sleep(before).await;
    let bytes = || groups.iter().map(|group| group.bytes.load(Ordering::Relaxed));
    let (from, read) = (Instant::now(), bytes().collect::<Vec<_>>());
    sleep(LOOK).await;
    let rate = |bytes: u64| bytes as f64 * 8.0 / 1e9 / from.elapsed().as_secs_f64();
    Ok(bytes().zip(read).map(|(now, before)| rate(now - before)).collect())
}

/// Bytes per second.
fn rate(mbit: u32) -> f64 {
    f64::from(mbit) * 1e6 / 8.0
}

fn spin() -> Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("spin")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start another program")
}
