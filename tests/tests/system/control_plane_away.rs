//! Auth and rendezvous are gone for a minute: who plays goes on; who comes is told what is missing, and gets in as
//! soon as they are back.

use std::time::Duration;

use anyhow::Result;
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use tokio::time::{Instant, sleep};

/// Within this after both are back, who waits plays.
const IN: Duration = Duration::from_secs(5);
/// How much longer it may take for each second that a viewer needs here in calm: the machine may be shared.
const SLOW: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_plays_goes_on() -> Result<()> {
    let mut stage = Stage::set(Plan {
        channels: vec![Channel { video: (320, 180, 600), ..Channel::new("one", Source::Test) }],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewers = Vec::new();
    let mut calm = Duration::ZERO;
    for address in ["127.0.1.11", "127.0.2.11"] {
        let begun = Instant::now();
        let mut viewer = stage.watch(Watch::new(address, "one"))?;
        viewer.playing().await?;
        calm = calm.max(begun.elapsed());
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

    // Another has patience: it says what is missing, and waits.
    let mut patient = stage.watch(Watch { wait: 120, ..Watch::new("127.0.3.12", "one") })?;
    let missing = format!("auth at {} cannot be reached; trying again", stage.auth_url());
    let told = Instant::now() + Duration::from_secs(30);
    while !patient.log().contains(&missing) {
        assert!(Instant::now() < told && !patient.has_ended(), "{}", patient.log_tail());
        sleep(Duration::from_millis(50)).await;
    }

    sleep(Duration::from_secs(60).saturating_sub(gone.elapsed())).await;
    let ready = ["auth.json", "rendezvous.json"].map(|name| stage.folder().join(name));
    ready.iter().try_for_each(std::fs::remove_file)?;
    stage.auth.restart().await?;
    stage.rendezvous.restart().await?;
    stage.auth.ready(&ready[0]).await?;
    stage.rendezvous.ready(&ready[1]).await?;
    let back = Instant::now();
    patient.playing().await?;
    let took = back.elapsed();
    // How slow the machine is by now.
    let mut last = stage.watch(Watch::new("127.0.3.13", "one"))?;
    let begun = Instant::now();
    last.playing().await?;
    calm = calm.max(begun.elapsed());
    println!(
        "who waited plays {:.1} s after auth and rendezvous are ready again; a start in calm takes {:.1} s",
        took.as_secs_f64(),
        calm.as_secs_f64()
    );
    assert!(took < IN + SLOW * calm, "{took:?}, in calm {calm:?}\n{}", patient.log_tail());
    for viewer in [patient, last] {
        viewer.stop().await?;
    }
    for viewer in viewers {
        let figures = viewer.figures()?;
        assert_eq!(figures.stalls, 0, "{}: {figures:#?}\n{}", viewer.name(), viewer.log_tail());
        assert!(figures.segments.played >= 60 * 4, "{figures:#?}");
        viewer.stop().await?;
    }
    Ok(())
}
