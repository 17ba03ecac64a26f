//! A repeater and a viewer are killed without notice: nobody else's picture stops.

use std::time::Duration;

use anyhow::Result;
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_stalls() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 600), ..Channel::new("one", Source::Test) }],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewers = Vec::new();
    for address in ["127.0.1.11", "127.0.1.12", "127.0.2.11", "127.0.2.12"] {
        let mut viewer = stage.watch(Watch::new(address, "one"))?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    // Long enough that they exchange among themselves.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let gone = viewers.pop().expect("four viewers");
    let before: u64 = viewers.iter().filter_map(|v| v.figures().ok()).map(|f| f.failovers).sum();
    gone.kill().await;
    stage.repeaters[0].kill().await;
    tokio::time::sleep(Duration::from_secs(12)).await;

    let mut after = 0;
    for viewer in viewers {
        let figures = viewer.figures()?;
        assert_eq!(figures.stalls, 0, "{}: {figures:#?}\n{}", viewer.name(), viewer.log_tail());
        assert_eq!(figures.segments.lost, 0, "{}: {figures:#?}", viewer.name());
        assert!(figures.segments.played >= 18 * 4, "{}: {figures:#?}", viewer.name());
        println!("{}: longest failover {:.0} ms", viewer.name(), figures.failover_ms_max);
        after += figures.failovers;
        viewer.stop().await?;
    }
    assert!(after > before, "nobody was fed by those that were killed: the test shows nothing");
    Ok(())
}
