//! Homes that have IPv6, alone or beside IPv4.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use demo::{Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::time::sleep;

use crate::scene::{self, Count};

/// Where the servers of a street are.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1);
/// One that nobody with IPv6 alone can meet, one that has both, and the homes in question: with IPv6 alone and with both,
/// early and late.
const HOMES: [Kind; 6] =
    [Kind::PortRestricted, Kind::Dual, Kind::Ipv6, Kind::Ipv6, Kind::Ipv6, Kind::Dual];
/// Sub-streams that the repeater pushes: two viewers' worth, one of which is for the home that meets nobody. What is left is
/// a fifth of what the five others take: whoever gets more of it than others, more than half comes from viewers.
const PUSHED: u32 = 16;
/// So many come while the repeater has room.
const FIRST: usize = 2;
/// Until viewers have met, and how long is counted after that.
const MEETING: Duration = Duration::from_secs(12);
const COUNTED: Duration = Duration::from_secs(10);

async fn play(street: &Street, homes: &[Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, Some(PUSHED));
    let mut stage = Stage::set_in_both(plan, &servers.namespace, servers.ip, SERVERS).await?;
    let mut viewers: Vec<Viewer> = Vec::new();
    for (home, kind) in homes.iter().zip(HOMES) {
        let over_ipv6 = kind == Kind::Ipv6;
        let watch = Watch { over_ipv6, ..Watch::new("[::]", "one") };
        viewers.push(scene::watch(&mut stage, home, watch).await?);
    }
    sleep(MEETING).await;
    let all: Vec<&Viewer> = viewers.iter().collect();
    let counts = scene::count_carried(&all, FIRST, COUNTED).await?;
    for ((count, kind), viewer) in counts.iter().zip(HOMES).zip(&viewers) {
        count.say(&format!("{kind:?}, which began after {:?} ms", viewer.figures()?.startup_ms));
    }
    for (place, ((count, kind), viewer)) in counts.iter().zip(HOMES).zip(&viewers).enumerate() {
        let (whole, tail) = (Count::of(viewer)?, viewer.log_tail());
        ensure!(
            whole.from_servers > 0,
            "{place}, {kind:?}, did not begin at the repeater:\n{tail}"
        );
        ensure!(count.played > 0, "{place}, {kind:?}, stands still:\n{tail}");
        ensure!(
            place < FIRST || count.is_carried_by_viewers(),
            "{place}, {kind:?}: less than half from viewers: {:#?}\n{tail}",
            viewer.figures()?
        );
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_with_ipv6_alone_plays_and_is_met_by_others() -> Result<()> {
    let _turn = scene::turn().await?;
    let Some((street, homes)) = scene::street("s", &HOMES) else { return Ok(()) };
    play(&street, &homes).await
}
