//! A line that falls from 20 to 1 Mbit/s while a rendition of 4 Mbit/s is watched: the sound goes on, the picture stands
//! still for a moment at most, a lower rendition plays soon, and the better one comes back with the line.

use std::time::Duration;

use anyhow::{Result, ensure};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Watch};
use system_tests::clip;
use system_tests::street::Kind;
use tokio::time::{Instant, sleep};

use crate::scene;

/// What the viewer is to keep.
const LOWER_WITHIN: Duration = Duration::from_secs(5);
const BACK_WITHIN: Duration = Duration::from_secs(20);
const FROZEN_MS: u64 = 1000;
/// Figures are up to so old.
const OLD: Duration = Duration::from_secs(1);
/// Of a segment.
const SEGMENT_MS: u64 = 250;

/// Waits until the viewer plays such a rendition; how long that took.
async fn plays(
    viewer: &demo::Viewer,
    wanted: impl Fn(&str) -> bool,
    within: Duration,
) -> Result<(Duration, Figures)> {
    let from = Instant::now();
    loop {
        let figures = viewer.figures()?;
        if wanted(&figures.rendition) {
            return Ok((from.elapsed(), figures));
        }
        ensure!(
            from.elapsed() < within + OLD,
            "{} after {within:?}: {figures:#?}\n{}",
            figures.rendition,
            viewer.log_tail()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

async fn shown() -> Result<()> {
    let Some((street, homes)) = scene::street("l", &[Kind::PortRestricted]) else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("noise.mp4");
    clip::noise(&path).await?;
    let rungs = "[[channels.renditions]]\nname = \"low\"\n\
        video = { width = 160, height = 90, bitrate_kbit = 300 }\naudio = { bitrate_kbit = 64 }\n\
        [[channels.renditions]]\nname = \"sound\"\naudio = { bitrate_kbit = 48 }";
    let channel = Channel {
        video: (320, 180, 3800),
        more: rungs.into(),
        ..Channel::new("one", Source::File(path))
    };
    let plan = Plan {
        channels: vec![channel],
        repeaters: vec![Repeater::at(&street.servers.ip.to_string())],
        headend_feeds_viewers: false,
    };
    street.downlink(1, "20mbit").map_err(anyhow::Error::msg)?;
    let mut stage = Stage::set_in(plan, &street.servers.namespace, street.servers.ip).await?;
    let watch = Watch { share: Some("off".into()), ..Watch::new("[::]", "one") };
    let viewer = scene::watch(&mut stage, &homes[0], watch).await?;
    sleep(Duration::from_secs(6)).await;
    let (_, before) = plays(&viewer, |name| name == "main", LOWER_WITHIN).await?;
    let bytes = before.bytes_in.sum();
    sleep(Duration::from_secs(4)).await;
    let calm = viewer.figures()?;
    let rate = (calm.bytes_in.sum() - bytes) * 8 / 4_000;
    ensure!(calm.stalls == 0 && calm.segments.lost == 0, "in calm: {calm:#?}");
    ensure!(rate > 3200, "the better rendition is {rate} kbit/s: the test shows nothing");

    street.downlink(1, "1mbit").map_err(anyhow::Error::msg)?;
    let cut = Instant::now();
    let mut course = Vec::new();
    let mut down = None;
    while cut.elapsed() < Duration::from_secs(14) {
        sleep(Duration::from_millis(500)).await;
        let now = viewer.figures()?;
        if now.rendition == "low" && down.is_none() {
            down = Some(cut.elapsed());
        }
        course.push(format!(
            "{:.1} s: {}, {} played, {} sound alone, {} lost, {} kbit in",
            cut.elapsed().as_secs_f64(),
            now.rendition,
            now.segments.played - calm.segments.played,
            now.segments.sound_only - calm.segments.sound_only,
            now.segments.lost - calm.segments.lost,
            (now.wire_bytes.r#in - calm.wire_bytes.r#in) / 125,
        ));
    }
    let low = viewer.figures()?;
    let frozen = (low.segments.sound_only - calm.segments.sound_only) * SEGMENT_MS;
    let lost = low.segments.lost - calm.segments.lost;
    println!(
        "20 to 1 Mbit/s: {} after {down:.1?}, the picture stood still for {frozen} ms, {lost} segments without sound, {} stalls",
        low.rendition,
        low.stalls - calm.stalls
    );
    let told = |what: &str| {
        let Figures { rendition, segments, stalls, stall_causes, .. } = &low;
        format!(
            "{what}: {rendition} {segments:?}, {stalls} stalls {stall_causes:?}\n{}\n{}",
            course.join("\n"),
            viewer.log_tail()
        )
    };
    ensure!(down.is_some_and(|down| down <= LOWER_WITHIN), told("no lower picture"));
    ensure!(lost == 0, told("the sound stopped"));
    ensure!(frozen <= FROZEN_MS, told("the picture stood still"));
    ensure!(low.rendition == "low", told("not the rendition that the line carries"));

    street.downlink(1, "20mbit").map_err(anyhow::Error::msg)?;
    let (up, _) = plays(&viewer, |name| name == "main", BACK_WITHIN).await?;
    sleep(Duration::from_secs(4)).await;
    let well = viewer.figures()?;
    println!("1 to 20 Mbit/s: {} after {:.1} s", well.rendition, up.as_secs_f64());
    ensure!(well.rendition == "main", "it went down again: {well:#?}\n{}", viewer.log_tail());
    ensure!(well.segments.lost == calm.segments.lost, "the sound stopped: {well:#?}");
    viewer.stop().await?;
    stage.strike().await
}

/// What counts is half a second between the cut and the last whole segment: a machine that is busy elsewhere in that time shows
/// nothing of it, and it is shown again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_goes_on_and_the_picture_follows_the_line() -> Result<()> {
    let _turn = scene::turn_alone().await?;
    for _ in 1..scene::SHOWINGS {
        match shown().await {
            Ok(()) => return Ok(()),
            Err(why) => println!("shown again: {why:#}"),
        }
    }
    shown().await
}
