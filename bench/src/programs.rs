//! What the real programs need for channels that are passed through, on loopback.

use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Viewer, Watch};
use tokio::time::sleep;

use crate::figure::Figure;
use crate::processor::{self, Look};

/// What most channels have, and what the targets are for.
pub(crate) const MBIT: u32 = 4;
/// Before each measurement.
pub(crate) const WARM: Duration = Duration::from_secs(4);
/// A measurement.
pub(crate) const LOOK: Duration = Duration::from_secs(4);

/// A headend with ten channels of so many Mbit/s and nobody who takes them, and one with a channel and three repeaters.
///
/// # Errors
/// If a program does not start.
pub(crate) async fn headend(mbit: u32, runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, mbit).await?;

    let channel = |i: usize| Channel::pass_through(&format!("c{i}"), Source::File(clip.clone()));
    let plan = Plan { channels: (0..10).map(channel).collect(), ..Plan::default() };
    let mut stage = Stage::set(plan).await?;
    sleep(WARM).await;
    let (mut alone, mut memory) = (Vec::new(), Vec::new());
    let pid = stage.headend.pid().context("the headend runs")?;
    for _ in 0..runs {
        alone.push(share(&[pid]).await? / 10.0);
        memory.push(processor::resident(pid)? as f64 / 1e6);
    }
    stage.strike().await?;

    let networks = 1..=3;
    let mut stage = Stage::set(Plan {
        channels: vec![channel(0)],
        repeaters: networks.clone().map(|i| Repeater::at(&format!("127.0.{i}.250"))).collect(),
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewers = Vec::new();
    for network in networks {
        viewers.push(playing(&mut stage, &format!("127.0.{network}.11"), "c0", 0).await?);
    }
    sleep(WARM).await;
    let mut feeding = Vec::new();
    let mut repeater = Vec::new();
    for _ in 0..runs {
        let feeds = [stage.headend.pid().context("the headend runs")?];
        let relays = [stage.repeaters[0].pid().context("the repeater runs")?];
        let (fed, relayed) = tokio::try_join!(share(&feeds), share(&relays))?;
        feeding.push(fed);
        repeater.push(relayed);
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await?;
    let judged = |figure: Figure, goal: f64| if mbit == MBIT { figure.below(goal) } else { figure };
    let of = |what: &str| format!("headend, {mbit} Mbit/s passed through: {what}");
    Ok(vec![
        judged(Figure::new(of("one of ten channels, not sending"), "% core", alone), 0.3),
        judged(Figure::new(of("one channel, three children"), "% core", feeding), 1.5),
        Figure::new(of("ten channels"), "MB", memory),
        Figure::new(format!("repeater with one viewer, {mbit} Mbit/s"), "% core", repeater),
    ])
}

/// Eight viewers who share and two repeaters that cannot carry them all.
pub(crate) struct Crowd {
    stage: Stage,
    viewers: Vec<Viewer>,
    _folder: tempfile::TempDir,
}

impl Crowd {
    /// All of them play.
    ///
    /// # Errors
    /// If a program does not start.
    pub(crate) async fn gather() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let clip = folder.path().join("clip.ts");
        system_tests::clip::constant_rate(&clip, MBIT).await?;
        let repeater = |address: &str| Repeater { max_pushed: Some(12), ..Repeater::at(address) };
        let mut stage = Stage::set(Plan {
            channels: vec![Channel::pass_through("clip", Source::File(clip))],
            repeaters: vec![repeater("127.0.1.250"), repeater("127.0.2.250")],
            headend_feeds_viewers: false,
        })
        .await?;
        let mut viewers = Vec::new();
        for i in 0..8 {
            let address = format!("127.0.{}.{}", 1 + i % 2, 11 + i);
            viewers.push(playing(&mut stage, &address, "clip", 8000).await?);
        }
        Ok(Self { stage, viewers, _folder: folder })
    }

    /// Their process ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.viewers.iter().filter_map(Viewer::pid).collect()
    }

    /// Ends everything.
    ///
    /// # Errors
    /// If a program does not stop in order.
    pub(crate) async fn leave(mut self) -> Result<()> {
        for viewer in self.viewers {
            viewer.stop().await?;
        }
        self.stage.strike().await
    }

    fn figures(&self) -> Result<Vec<Figures>> {
        self.viewers.iter().map(Viewer::figures).collect()
    }
}

/// What a viewer of the crowd costs.
///
/// # Errors
/// If a program does not start.
pub(crate) async fn viewer(runs: usize) -> Result<Vec<Figure>> {
    let mut crowd = Crowd::gather().await?;
    sleep(WARM).await;
    let pids = crowd.pids();
    let [mut cost, mut memory, mut out, mut starts, mut control] = [const { Vec::new() }; 5];
    for _ in 0..runs {
        let before = crowd.figures()?;
        cost.push(share(&pids).await? / pids.len() as f64);
        let after = crowd.figures()?;
        let sizes: Vec<u64> =
            pids.iter().map(|&pid| processor::resident(pid)).collect::<Result<_>>()?;
        memory.push(sizes.iter().sum::<u64>() as f64 / sizes.len() as f64 / 1e6);
        let [sent, media, said] = grown(&before, &after);
        out.push(sent * 8.0 / LOOK.as_secs_f64() / 1e6 / pids.len() as f64);
        control.push(100.0 * said / media);
        // What a newcomer sees, who starts when everything runs.
        let newcomer = playing(&mut crowd.stage, "127.0.1.99", "clip", 0).await?;
        starts.extend(newcomer.figures()?.startup_ms);
        newcomer.stop().await?;
    }
    crowd.leave().await?;
    Ok(vec![
        Figure::new("viewer, 4 Mbit/s in, not decoding", "% core", cost).below(1.5),
        Figure::new("viewer, sent to others meanwhile", "Mbit/s", out),
        Figure::new("viewer", "MB", memory).below(60.0),
        Figure::new("viewer, messages and their answers of media", "%", control).below(2.0),
        Figure::new("viewer, start on a running channel", "ms", starts).below(300.0),
    ])
}

async fn playing(stage: &mut Stage, address: &str, channel: &str, kbit: u32) -> Result<Viewer> {
    let share = if kbit == 0 { "off".to_owned() } else { kbit.to_string() };
    let mut viewer = stage.watch(Watch { share: Some(share), ..Watch::new(address, channel) })?;
    viewer.playing().await?;
    Ok(viewer)
}

/// Processor time of these programs while we look, per cent of a core.
async fn share(programs: &[u32]) -> Result<f64> {
    let look = Look::begin(programs)?;
    sleep(LOOK).await;
    look.share()
}

/// Bytes of all viewers between two looks: media sent, media both ways, messages both ways.
fn grown(before: &[Figures], after: &[Figures]) -> [f64; 3] {
    let sums = |figures: &[Figures]| {
        let mut sums = [0; 3];
        for figures in figures {
            sums[0] += figures.bytes_out;
            sums[1] += figures.bytes_out + figures.bytes_in.sum();
            sums[2] += figures.control_bytes;
        }
        sums
    };
    let (before, after) = (sums(before), sums(after));
    std::array::from_fn(|i| (after[i] - before[i]) as f64)
}
