//! A repeater is updated while it feeds viewers: it moves them to others first, so that nobody's picture stops, and serves
//! them again afterwards. Its own page tells what it does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use tokio::time::{Instant, sleep};

/// Generous: machines are shared.
const LONG: Duration = Duration::from_secs(60);
/// How long it may take for its leave.
const DRAIN: u32 = 6;

async fn status(http: &str) -> Result<serde_json::Value> {
    Ok(reqwest::get(format!("http://{http}/status.json")).await?.json().await?)
}

fn http_of(stage: &Stage) -> Result<String> {
    let file = stage.folder().join("repeater-0.json");
    let places: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
    Ok(places["http"].as_str().context("no HTTP address")?.to_owned())
}

/// Waits until it feeds somebody; gives how many sub-streams.
async fn feeds(stage: &Stage) -> Result<u64> {
    let from = Instant::now();
    loop {
        let now = match http_of(stage) {
            Ok(http) => status(&http).await.unwrap_or_default(),
            Err(_) => serde_json::Value::Null,
        };
        let fed = now["carried"][0]["substreams_out"].as_u64().unwrap_or(0);
        if fed >= 8 {
            return Ok(fed);
        }
        ensure!(from.elapsed() < LONG, "the repeater feeds nobody: {now}");
        sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_it_feeds_is_moved_first_and_comes_back() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 600), ..Channel::new("one", Source::Test) }],
        repeaters: vec![
            Repeater { drain_s: DRAIN, ..Repeater::at("127.0.1.250") },
            Repeater::at("127.0.2.250"),
        ],
        headend_feeds_viewers: false,
    })
    .await?;
    // In the network of the first repeater, and nobody else to take from: it feeds them all.
    let mut viewers = Vec::new();
    for address in ["127.0.1.11", "127.0.1.12", "127.0.1.13"] {
        let watch = Watch { share: Some("off".into()), ..Watch::new(address, "one") };
        let mut viewer = stage.watch(watch)?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    let before = feeds(&stage).await?;
    let http = http_of(&stage)?;
    let page = reqwest::get(format!("http://{http}/")).await?.text().await?;
    ensure!(page.contains("Ready") && page.contains("<td>one<td>main"), "{page}");
    sleep(Duration::from_secs(3)).await;
    let now = status(&http).await?;
    ensure!(
        now["saved"].as_u64() > Some(0) && now["rate_out"].as_u64() > now["rate_in"].as_u64(),
        "{now}"
    );

    // An update: it is told to end, says that it is about to, feeds fewer and fewer, ends by itself, and begins anew.
    let pid = stage.repeaters[0].pid().context("the repeater does not run")?;
    let kill = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
    ensure!(kill.success(), "cannot tell it to end");
    let told = Instant::now();
    let (mut drained, mut least) = (false, before);
    while let Ok(now) = status(&http).await {
        drained |= now["draining"] == true;
        if let Some(fed) = now["carried"][0]["substreams_out"].as_u64() {
            least = least.min(fed);
        }
        ensure!(told.elapsed() < LONG, "it does not end: {now}");
        sleep(Duration::from_millis(100)).await;
    }
    let ended = stage.repeaters[0].ended(LONG).await?;
    ensure!(ended.success(), "{ended}: {}", stage.repeaters[0].log());
    let took = told.elapsed();
    println!(
        "{before} sub-streams were fed, {least} at the end; it ended after {:.1} s",
        took.as_secs_f64()
    );
    ensure!(drained && least == 0, "drained: {drained}, {least} sub-streams were cut off");
    std::fs::remove_file(stage.folder().join("repeater-0.json"))?;
    stage.repeaters[0].restart().await?;
    feeds(&stage).await?;

    for viewer in viewers {
        let figures = viewer.figures()?;
        ensure!(figures.stalls == 0, "{}: {figures:#?}\n{}", viewer.name(), viewer.log_tail());
        ensure!(figures.segments.lost == 0, "{}: {figures:#?}", viewer.name());
        viewer.stop().await?;
    }
    stage.strike().await
}
