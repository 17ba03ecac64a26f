//! Viewers who have too little from repeaters complete the channel from each other, and what they receive is what
//! the source sent.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Bytes, Channel, Plan, Repeater, Source, Stage, Watch};
use system_tests::media;
use tokio::time::{Instant, sleep};

const SECONDS: u32 = 40;
/// After so many seconds all play. What they start with comes from whoever has it, repeaters first.
const STARTED: u32 = 10;
/// Until a source has answered on a busy machine.
const ON_AIR: Duration = Duration::from_secs(60);
/// A viewer that comes now may begin so long ago.
const SLATE_SEEN: Duration = Duration::from_secs(4);
/// The four viewers' networks: two in each repeater's AS.
const VIEWERS: [&str; 4] = ["127.0.1.11", "127.0.1.12", "127.0.2.11", "127.0.2.12"];

/// Two repeaters in different ASes that push 12 sub-streams in all: one and a half channels of K = 8, for four
/// viewers. The headend serves repeaters only.
fn plan(channel: Channel) -> Plan {
    let repeater = |address| Repeater { max_pushed: Some(6), ..Repeater::at(address) };
    Plan {
        channels: vec![channel],
        repeaters: vec![repeater("127.0.1.250"), repeater("127.0.2.250")],
        headend_feeds_viewers: false,
    }
}

/// Waits until viewers begin with the source's pictures: a channel whose source has not answered yet shows its slate,
/// which comes to viewers for as long as the delay.
async fn on_air(stage: &Stage) -> Result<()> {
    let until = Instant::now() + ON_AIR;
    while let Some(missing) = stage.missing_at_headend().await {
        anyhow::ensure!(Instant::now() < until, "the headend still misses {missing}");
        sleep(Duration::from_millis(100)).await;
    }
    sleep(SLATE_SEEN).await;
    Ok(())
}

/// Four viewers play at once; their figures, and `judge` on each recording.
async fn four_play(channel: Channel, judge: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let id = channel.id.clone();
    let mut stage = Stage::set(plan(channel)).await?;
    on_air(&stage).await?;
    let mut viewers = Vec::new();
    for address in VIEWERS {
        let watch = Watch { seconds: Some(SECONDS), record: true, ..Watch::new(address, &id) };
        viewers.push(stage.watch(watch)?);
    }
    // Who feeds whom is looked at while they play; at the end the first to leave are missing.
    let mut parents = vec![BTreeSet::<String>::new(); viewers.len()];
    let came = || -> Result<Vec<Bytes>> {
        let each = viewers.iter().map(|viewer| Ok(viewer.figures()?.bytes_in));
        each.collect::<Result<_>>().context("figures of those who play")
    };
    let mut at_first = Vec::new();
    for second in 1..=SECONDS - 5 {
        sleep(Duration::from_secs(1)).await;
        if second == STARTED {
            at_first = came()?;
        }
        for (viewer, parents) in viewers.iter().zip(&mut parents) {
            let now = viewer.figures().map(|figures| figures.substreams).unwrap_or_default();
            parents.extend(now.into_iter().map(|from| from.parent));
        }
    }
    let at_last = came()?;
    for viewer in viewers {
        let (name, recording) = (viewer.name().to_owned(), viewer.recording());
        let log = viewer.log_tail();
        let figures = viewer.finish(Duration::from_secs(60)).await?;
        let context = || format!("{name}: {figures:#?}\n{log}");
        anyhow::ensure!(figures.stalls == 0 && figures.segments.lost == 0, "stalls: {}", context());
        let least = u64::from(SECONDS) * 4 - 4;
        anyhow::ensure!(figures.segments.played >= least, "too little played: {}", context());
        anyhow::ensure!(figures.bytes_in.headend == 0, "the headend fed it: {}", context());
        judge(&recording).with_context(context)?;
    }
    println!("parents used: {:?}", parents.iter().map(BTreeSet::len).collect::<Vec<_>>());
    // One of four may live on the two repeaters: who is interior takes from servers what others hang on (decision 146).
    for (viewer, parents) in VIEWERS.iter().zip(&parents) {
        assert!(parents.len() >= 2, "viewer {viewer} used only {parents:?}");
    }
    let spread = parents.iter().filter(|parents| parents.len() >= 3).count();
    assert!(spread + 1 >= VIEWERS.len(), "most used two parents alone: {parents:?}");
    from_viewers_mostly(at_first.iter().zip(&at_last));
    stage.strike().await
}

/// Of what came to each between two moments.
fn from_viewers_mostly<'a>(came: impl Iterator<Item = (&'a Bytes, &'a Bytes)>) {
    let (mut viewers, mut all) = (0, 0);
    for (first, last) in came {
        viewers += last.viewer - first.viewer;
        all += last.sum() - first.sum();
    }
    let share = viewers as f64 / all as f64;
    println!("from viewers: {:.0} %", share * 100.0);
    assert!(share > 0.5, "only {:.0} % came from viewers: {viewers} of {all}", share * 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_through_frames_are_the_sources_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    media::make_clip(demo::clip().as_deref(), 10, &clip)?;
    let source = media::frame_hashes(&clip)?;
    let channel = Channel::pass_through("clip", Source::File(clip));
    four_play(channel, |recording| {
        let frames = media::frame_hashes(recording)?;
        anyhow::ensure!(frames.len() as u32 >= (SECONDS - 2) * 25, "only {} frames", frames.len());
        media::position_in_loop(&frames, &source).context("frames differ from the source's")?;
        media::sound_decodes(recording)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encoded_frames_are_all_there_and_alike() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    media::make_clip(demo::clip().as_deref(), 8, &clip)?;
    let source = media::Luma::of(&clip)?;
    let channel = Channel { video: (320, 180, 800), ..Channel::new("clip", Source::File(clip)) };
    four_play(channel, |recording| {
        let received = media::Luma::of(recording)?;
        anyhow::ensure!(received.len() as u32 >= (SECONDS - 2) * 25, "{} frames", received.len());
        let psnr = received.psnr_in_loop(&source).context("no frames to compare")?;
        println!("encoded channel: {psnr:.1} dB PSNR (luma, 160x90) against the source's frames, in order");
        anyhow::ensure!(psnr > 35.0, "only {psnr:.1} dB: frames are missing or not the source's");
        media::sound_decodes(recording)
    })
    .await
}
