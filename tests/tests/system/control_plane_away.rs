//! Auth and rendezvous are gone for a minute: who plays goes on; who comes is told what is missing, and gets in as
//! soon as they are back.

use std::time::Duration;

use anyhow::Result;
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_plays_goes_on() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 600), ..Channel::new("one", Source::Test) }],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewers = Vec::new();
    for address in ["127.0.1.11", "127.0.2.11"] {
        let mut viewer = stage.watch(Watch::new(address, "one"))?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    sleep(Duration::from_secs(2)).await;
    stage.auth.kill().await;
    stage.rendezvous.kill().await;
    let gone = Instant::now();

    let newcomer = stage.watch(Watch::new("127.0.3.11", "one"))?;
    let (code, said) = newcomer.outcome(Duration::from_secs(30)).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("auth at {}", stage.auth_url())), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");

    sleep(Duration::from_secs(60).saturating_sub(gone.elapsed())).await;
    stage.auth.restart().await?;
    stage.rendezvous.restart().await?;
    let back = Instant::now();
    // Viewers come while everything starts; each tries until it gets in.
    loop {
        let mut newcomer = stage.watch(Watch::new("127.0.3.12", "one"))?;
        match newcomer.playing().await {
            Ok(()) => {
                newcomer.stop().await?;
                break;
            }
            Err(error) => assert!(back.elapsed() < Duration::from_secs(60), "{error:#}"),
        }
    }
    println!("a newcomer plays {:.1} s after the restart", back.elapsed().as_secs_f64());
    for viewer in viewers {
        let figures = viewer.figures()?;
        assert_eq!(figures.stalls, 0, "{}: {figures:#?}\n{}", viewer.name(), viewer.log_tail());
        assert!(figures.segments.played >= 60 * 4, "{figures:#?}");
        viewer.stop().await?;
    }
    Ok(())
}
