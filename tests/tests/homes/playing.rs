//! Viewers behind every kind of router play one channel: from a repeater first, and then from each other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::time::sleep;

use crate::scene::{self, Count};

/// Until viewers have met, and how long is counted after that.
const MEETING: Duration = Duration::from_secs(15);
const COUNTED: Duration = Duration::from_secs(15);

/// Sub-streams that the repeater pushes: two viewers' worth, one of which is for the home that meets nobody. What is left is
/// a tenth of what the ten others take, and is taken once the first play: who comes later begins at the repeater and lives
/// on viewers, one of each kind.
const PUSHED: u32 = 16;
const FIRST: usize = 3;

/// Homes with IPv6 have a stage of their own (`ipv6`): the servers on this one listen on IPv4.
const HOMES: [Kind; 11] = [
    Kind::None,
    Kind::Blocked,
    Kind::PortRestricted,
    Kind::None,
    Kind::FullCone,
    Kind::AddressRestricted,
    Kind::PortRestricted,
    Kind::Symmetric,
    Kind::SymmetricRandom,
    Kind::Carrier,
    Kind::CarrierSymmetric,
];

async fn play(street: &Street, homes: &[Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, Some(PUSHED));
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let mut viewers: Vec<Viewer> = Vec::new();
    for (home, kind) in homes.iter().zip(HOMES) {
        let viewer = scene::watch(&mut stage, home, Watch::new("[::]", "one")).await;
        viewers.push(viewer.with_context(|| format!("{kind:?}"))?);
    }
    sleep(MEETING).await;
    let all: Vec<&Viewer> = viewers.iter().collect();
    let counts = scene::count_carried(&all, FIRST, COUNTED).await?;
    for (count, kind) in counts.iter().zip(HOMES) {
        count.say(&format!("{kind:?}"));
    }
    for (place, ((count, kind), viewer)) in counts.iter().zip(HOMES).zip(&viewers).enumerate() {
        let (whole, tail) = (Count::of(viewer)?, viewer.log_tail());
        ensure!(whole.from_servers > 0, "{kind:?} did not begin at the repeater:\n{tail}");
        ensure!(count.played > 0, "{kind:?} stands still:\n{tail}");
        let met = whole.from_viewers > 0;
        ensure!(kind != Kind::Blocked || !met, "UDP is blocked, and viewers are met:\n{tail}");
        ensure!(
            place < FIRST || count.is_carried_by_viewers(),
            "{kind:?}: less than half from viewers: {:#?}\n{tail}",
            viewer.figures()?
        );
    }
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
