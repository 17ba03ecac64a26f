//! Ten rapid changes of channel leave nothing behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    files: usize,
    threads: usize,
    resident_kib: u64,
}

fn held(pid: u32) -> Result<Held> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name)).context("a field")?;
        Ok(line.split_whitespace().nth(1).context("a value")?.parse()?)
    };
    Ok(Held {
        files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        threads: field("Threads:")? as usize,
        resident_kib: field("VmRSS:")?,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_changes_leave_nothing_behind() -> Result<()> {
    let channel = |id: &str| Channel { video: (320, 180, 400), ..Channel::new(id, Source::Test) };
    let mut stage = Stage::set(Plan {
        channels: ["one", "two", "three"].map(channel).to_vec(),
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewer = stage.watch(Watch::new("127.0.1.11", "one"))?;
    viewer.playing().await?;
    let pid = viewer.pid().context("the viewer runs")?;
    let http = reqwest::Client::new();

    let zap = async |channel: &str| -> Result<()> {
        let mut reply =
            http.get(format!("{}channels/{channel}/stream.ts", viewer.local())).send().await?;
        ensure!(reply.status().is_success(), "{channel}: {}", reply.status());
        let first = tokio::time::timeout(Duration::from_secs(30), reply.chunk()).await??;
        ensure!(first.is_some_and(|bytes| bytes[0] == 0x47), "{channel}: no transport stream");
        Ok(())
    };
    // Once round first: what is made once and kept (a connection to each repeater) is no leak.
    for channel in ["two", "three"] {
        zap(channel).await?;
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = held(pid)?;
    for i in 0..10 {
        zap(["two", "three"][i % 2]).await?;
    }
    let mut after = held(pid)?;
    for _ in 0..120 {
        if after.files <= before.files && after.threads <= before.threads {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        after = held(pid)?;
    }
    assert!(after.files <= before.files, "{before:?} {after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    // Ten channels' worth of segments would be tens of MiB.
    assert!(after.resident_kib < before.resident_kib + 16 * 1024, "{before:?} {after:?}");
    let figures = viewer.figures()?;
    assert_eq!(figures.stalls, 0, "the channel that stayed: {figures:#?}");
    viewer.stop().await?;
    stage.strike().await
}
