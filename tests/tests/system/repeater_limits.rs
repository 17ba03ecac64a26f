//! A repeater keeps to its limits: whom it serves, and how much over all of its channels.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Viewer, Watch};
use tokio::time::{Instant, sleep};

/// Generous: machines are shared.
const LONG: Duration = Duration::from_secs(60);

fn announced(stage: &Stage, repeater: usize) -> Result<serde_json::Value> {
    let file = stage.folder().join(format!("repeater-{repeater}.json"));
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

fn has_parent(figures: &Figures, peer_id: &str) -> bool {
    figures.substreams.iter().any(|from| from.parent == peer_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_elsewhere_are_not_served_by_a_repeater_for_one_as() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 400), ..Channel::new("test", Source::Test) }],
        repeaters: vec![
            Repeater { asns: vec![64_501], ..Repeater::at("127.0.1.250") },
            Repeater::at("127.0.2.250"),
        ],
        ..Plan::default()
    })
    .await?;
    let restricted = announced(&stage, 0)?["peer_id"].as_str().context("no peer id")?.to_owned();
    let watch = |address| Watch { share: Some("off".into()), ..Watch::new(address, "test") };
    let mut at_home = stage.watch(watch("127.0.1.11"))?;
    let mut elsewhere = stage.watch(watch("127.0.2.11"))?;
    at_home.playing().await?;
    elsewhere.playing().await?;

    let from = Instant::now();
    let mut served = 0;
    while served < 5 {
        ensure!(from.elapsed() < LONG, "the repeater does not serve its own AS");
        let figures = elsewhere.figures()?;
        ensure!(!has_parent(&figures, &restricted), "served in another AS: {figures:?}");
        served += u32::from(has_parent(&at_home.figures()?, &restricted));
        sleep(Duration::from_secs(1)).await;
    }
    at_home.stop().await?;
    elsewhere.stop().await?;
    stage.strike().await
}

/// Sub-streams that the repeater feeds to others, by channel.
async fn fed(http: &str) -> Result<[u32; 2]> {
    let text = reqwest::get(format!("http://{http}/metrics")).await?.text().await?;
    let of = |channel: &str| {
        let start = format!("braidcast_substreams_out{{channel=\"{channel}\"");
        let line = text.lines().find(|line| line.starts_with(&start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    Ok([of("one"), of("two")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_sub_streams_holds_over_all_channels() -> Result<()> {
    const MOST: u32 = 10;
    let channel = |id| Channel { video: (320, 180, 400), ..Channel::new(id, Source::Test) };
    let mut stage = Stage::set(Plan {
        channels: vec![channel("one"), channel("two")],
        repeaters: vec![Repeater { max_pushed: Some(MOST), ..Repeater::at("127.0.1.250") }],
        headend_feeds_viewers: true,
    })
    .await?;
    let http = announced(&stage, 0)?["http"].as_str().context("no HTTP address")?.to_owned();
    // Each wants 8 and more, and the repeater is the nearest.
    let mut viewers: Vec<Viewer> = Vec::new();
    for (address, channel) in [("127.0.1.11", "one"), ("127.0.1.12", "two")] {
        viewers.push(stage.watch(Watch::new(address, channel))?);
    }
    for viewer in &mut viewers {
        viewer.playing().await?;
    }

    // Both channels get some of it, and together no more than there is. Figures of the two channels
    // may be a second apart, so it must be seen several times on end.
    let from = Instant::now();
    let mut seen = 0;
    while seen < 5 {
        let fed = fed(&http).await?;
        ensure!(from.elapsed() < LONG, "fed {fed:?}, {MOST} in all were allowed");
        let good = fed.iter().sum::<u32>() <= MOST && fed.iter().all(|channel| *channel > 0);
        seen = if good { seen + 1 } else { 0 };
        sleep(Duration::from_secs(1)).await;
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}
