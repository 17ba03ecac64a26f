//! Viewers behind every kind of router play one channel: from a repeater first, and then from each other.

use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Viewer, Watch};
use system_tests::street::{Kind, Street};
use tokio::time::sleep;

use crate::scene;

/// Until viewers have met, and how long is counted after that.
const MEETING: Duration = Duration::from_secs(15);
const COUNTED: Duration = Duration::from_secs(15);

/// Sub-streams that the repeater pushes: three viewers' worth. That is taken once the first three play, so that who comes
/// later begins at the repeater and lives on viewers.
const PUSHED: u32 = 24;
const FIRST: usize = 3;

/// IPv6 alone has a stage of its own: the servers on this one listen on IPv4.
const HOMES: [Kind; 11] = [
    Kind::None,
    Kind::None,
    Kind::Blocked,
    Kind::FullCone,
    Kind::AddressRestricted,
    Kind::PortRestricted,
    Kind::PortRestricted,
    Kind::Symmetric,
    Kind::SymmetricRandom,
    Kind::Carrier,
    Kind::CarrierSymmetric,
];

async fn play(street: &Street, homes: &[system_tests::street::Spot]) -> Result<()> {
    let servers = &street.servers;
    let channel = Channel { video: (320, 180, 400), ..Channel::new("one", Source::Test) };
    let plan = Plan {
        channels: vec![channel],
        repeaters: vec![Repeater {
            max_pushed: Some(PUSHED),
            ..Repeater::at(&servers.ip.to_string())
        }],
        headend_feeds_viewers: false,
    };
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let mut viewers: Vec<Viewer> = Vec::new();
    for (home, kind) in homes.iter().zip(HOMES) {
        let namespace = Some(home.namespace.clone());
        let mut viewer = stage.watch(Watch { namespace, ..Watch::new("[::]", "one") })?;
        viewer.playing().await.with_context(|| format!("{kind:?}"))?;
        viewers.push(viewer);
    }
    sleep(MEETING).await;
    let before = viewers.iter().map(Viewer::figures).collect::<Result<Vec<Figures>>>()?;
    sleep(COUNTED).await;
    let mut poor = Vec::new();
    println!("home: share of bytes from viewers, stalls before and while it was counted");
    for (place, ((viewer, before), kind)) in viewers.iter().zip(&before).zip(HOMES).enumerate() {
        let now = viewer.figures()?;
        let came = |figures: &Figures| (figures.bytes_in.viewer, figures.bytes_in.sum());
        let ((from, all), (from_before, all_before)) = (came(&now), came(before));
        let share = (from - from_before) as f64 / (all - all_before).max(1) as f64;
        let (stalls, causes) = (now.stalls - before.stalls, &now.stall_causes);
        println!("{kind:?}: {:.0} %, {} and {stalls} {causes:?}", share * 100.0, before.stalls);
        let blocked = kind == Kind::Blocked;
        anyhow::ensure!(!blocked || from == 0, "UDP is blocked, and viewers are met: {now:#?}");
        anyhow::ensure!(now.bytes_in.repeater > 0, "{kind:?} did not begin at the repeater");
        if place >= FIRST && share < 0.5 {
            poor.push(format!("{kind:?}: {share:.2}\n{now:#?}\n{}", viewer.log_tail()));
        }
        anyhow::ensure!(now.segments.played > before.segments.played, "{kind:?} stands still");
    }
    anyhow::ensure!(poor.is_empty(), "less than half from viewers: {}", poor.join("\n"));
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_home_plays_and_most_of_it_comes_from_viewers() -> Result<()> {
    let _turn = scene::turn_alone().await?;
    let Some((street, homes)) = scene::street("p", &HOMES) else { return Ok(()) };
    play(&street, &homes).await
}
