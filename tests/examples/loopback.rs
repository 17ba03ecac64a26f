//! Twenty real viewers on loopback for a minute, and what they say of it: the figures that `braidcast-sim compare` sets
//! beside those of `sim/scenarios/loopback.toml`, which has the same set-up.
//!
//! `cargo run -p system-tests --example loopback -- FILE.json [KBIT]` writes them; the programs must have been built.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Plan, Repeater, Source, Stage, Viewer, Watch};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Networks of five viewers each; the first two have a repeater.
const NETWORKS: u8 = 4;
const IN_EACH: u8 = 5;
/// From one viewer's start to the next.
const APART: Duration = Duration::from_millis(500);
/// Watched together after the last has begun.
const TOGETHER: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().context("give the file that the figures are written to")?;
    let kbit: u32 = args.next().as_deref().unwrap_or("1000").parse().context("kbit/s")?;
    let folder = tempfile::tempdir()?;
    let clip = make_clip(folder.path().join("clip.ts"), kbit).await?;
    let repeater = |address| Repeater { max_pushed: Some(20), ..Repeater::at(address) };
    let mut stage = Stage::set(Plan {
        channels: vec![Channel::pass_through("clip", Source::File(clip))],
        repeaters: vec![repeater("127.0.1.250"), repeater("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    // Nothing older than the playout delay exists before that.
    sleep(Duration::from_secs(5)).await;
    let lent = (2 * kbit).to_string();
    let mut viewers = Vec::new();
    for host in 0..IN_EACH {
        for network in 1..=NETWORKS {
            let address = format!("127.0.{network}.{}", 11 + host);
            let watch = Watch { share: Some(lent.clone()), ..Watch::new(&address, "clip") };
            viewers.push((64_500 + u32::from(network), stage.watch(watch)?, Instant::now()));
            sleep(APART).await;
        }
    }
    for (_, viewer, _) in &mut viewers {
        viewer.playing().await?;
    }
    sleep(TOGETHER).await;
    let all: Vec<Value> = viewers
        .iter()
        .map(|(asn, viewer, began)| figures(*asn, viewer, *began))
        .collect::<Result<_>>()?;
    let report = json!({ "kbit_per_second": kbit, "viewers": all });
    std::fs::write(&file, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("cannot write {file}"))?;
    for (_, viewer, _) in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

/// What a viewer says of itself now, with its network and for how long it has run.
fn figures(asn: u32, viewer: &Viewer, began: Instant) -> Result<Value> {
    let text = std::fs::read_to_string(viewer.folder().join("stats.json"))?;
    let mut figures: Value = serde_json::from_str(&text)?;
    figures["asn"] = json!(asn);
    figures["ran_ms"] = json!(began.elapsed().as_millis() as u64);
    Ok(figures)
}

/// 20 s of generated picture and sound in a constant rate.
async fn make_clip(path: PathBuf, kbit: u32) -> Result<PathBuf> {
    let video = format!("{}k", kbit.saturating_sub(110).max(100));
    let buffer = format!("{}k", kbit / 4);
    let status = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"])
        .args(["-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-nal-hrd", "cbr"])
        .args(["-b:v", &video, "-minrate", &video, "-maxrate", &video, "-bufsize", &buffer])
        .args(["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-bf", "0"])
        .args(["-c:a", "aac", "-b:a", "64k", "-f", "mpegts"])
        .arg::<&Path>(&path)
        .status()
        .await
        .context("run ffmpeg")?;
    anyhow::ensure!(status.success(), "ffmpeg made no clip");
    Ok(path)
}
