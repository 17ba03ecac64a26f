//! Homes that move while somebody plays there.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use demo::{Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::time::{Instant, sleep};

use crate::scene::{self, Count, OVER, SHOWINGS};

/// Who stays, and shows whether the machine is too busy for anybody; two that move; one that comes last and lives on them.
const HOMES: [Kind; 4] =
    [Kind::None, Kind::PortRestricted, Kind::PortRestricted, Kind::PortRestricted];
/// Sub-streams that the repeater pushes: three viewers' worth.
const PUSHED: u32 = 24;
/// Until viewers have met.
const MEETING: Duration = Duration::from_secs(8);
/// Until a viewer has found out how it can be met, and said so.
const SETTLING: Duration = Duration::from_secs(5);
/// Without any network in between: cable out, Wi-Fi on.
const GAP: Duration = Duration::from_millis(300);
/// From capture to picture.
const DELAY: Duration = Duration::from_secs(2);

/// Who moves in which way.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// To another address in the home.
    Inside,
    /// The router gets another address.
    Router,
}

async fn scene(
    street: &Street,
    homes: &mut [Spot],
    viewers: &[Viewer],
    (who, way): (usize, Move),
) -> Result<()> {
    let failed = |error| anyhow!("{way:?}: {error}");
    for _ in 0..SHOWINGS {
        let all: Vec<&Viewer> = viewers.iter().collect();
        let log = viewers[who].log().len();
        let act = async {
            sleep(Duration::from_millis(100)).await;
            match way {
                Move::Inside => street.readdress(&mut homes[who], GAP).await.map_err(failed),
                Move::Router => street.renumber(who + 1).map_err(failed),
            }
        };
        let (counts, acted) = tokio::join!(scene::count(&all, OVER), act);
        let counts = counts?;
        acted?;
        for (place, count) in counts.iter().enumerate() {
            let moves = if place == who { " (moves)" } else { "" };
            count.say(&format!("{way:?} of {who}: {place}{moves}"));
        }
        let noticed = viewers[who].log()[log..].contains("the network has changed");
        let is_inside = matches!(way, Move::Inside);
        ensure!(noticed == is_inside, "{way:?}:\n{}", viewers[who].log_tail());
        let keeps_up = counts[who].keeps_up_with(&counts[0]);
        ensure!(keeps_up, "{way:?}: stands still:\n{}", viewers[who].log_tail());
        if counts.iter().all(Count::is_whole) {
            return Ok(());
        }
        let causes = viewers.iter().map(|viewer| Ok(viewer.figures()?.stall_causes));
        let causes = causes.collect::<Result<Vec<_>>>()?;
        ensure!(
            !counts[0].is_whole(),
            "{way:?} of {who}: {counts:#?}\n{causes:?}\n{}",
            viewers[who].log_tail()
        );
        println!("who stays was disturbed too: shown again");
    }
    println!("{way:?} of {who} is not judged: the machine is too busy");
    Ok(())
}

/// Longer than the playout delay: nothing is left to be played.
const LONG_GAP: Duration = Duration::from_millis(4_500);
/// Playing goes on so soon after the network is there again.
const RESUMED: Duration = Duration::from_secs(1);

/// The last home is without a network for long, and comes back at another address or at the same one.
async fn long_gap(
    street: &Street,
    homes: &mut [Spot],
    viewers: &[Viewer],
    another: bool,
) -> Result<()> {
    let who = homes.len() - 1;
    let viewer = &viewers[who];
    for _ in 0..SHOWINGS {
        let before = [Count::of(&viewers[0])?, Count::of(viewer)?];
        let home = &mut homes[who];
        let [a, b, c, last] = home.ip.octets();
        let new = Ipv4Addr::new(a, b, c, last + u8::from(another));
        let pulled = Instant::now();
        street.replug(home, new, LONG_GAP).await.map_err(|error| anyhow!(error))?;
        let (gap, back) = (pulled.elapsed(), Instant::now());
        // What is frozen is counted already.
        let frozen = (Count::of(viewer)? - before[1]).stall_ms;
        let size = || std::fs::metadata(viewer.recording()).map(|file| file.len());
        let old = size()?;
        while size()? == old && back.elapsed() < 5 * RESUMED {
            sleep(Duration::from_millis(10)).await;
        }
        let resumed = back.elapsed();
        sleep(OVER).await;
        let stays = Count::of(&viewers[0])? - before[0];
        let gone = Count::of(viewer)? - before[1];
        let place = if another { "another address" } else { "the same address" };
        println!("without a network for {gap:?}, then at {place}: plays again after {resumed:?}");
        gone.say(&format!("{frozen:.0} ms frozen by then, and in the end"));
        let missed = gap.saturating_sub(DELAY).as_secs_f64() * 1000.0;
        // Figures are up to a second old. What comes first may be followed by a hole: that counts, too.
        let counted = frozen > missed - 1_250.0 && gone.stall_ms > missed - 250.0;
        let soon = gone.stall_ms < missed + RESUMED.as_secs_f64() * 1000.0;
        if resumed < RESUMED && soon && counted {
            return Ok(());
        }
        ensure!(!stays.is_whole(), "{place}: {resumed:?}, {gone:?}\n{}", viewer.log_tail());
        println!("who stays was disturbed too: shown again");
    }
    println!("the long gap is not judged: the machine is too busy");
    Ok(())
}

async fn play(street: &Street, homes: &mut [Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, Some(PUSHED));
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let mut viewers = Vec::new();
    for home in homes.iter() {
        let watch = Watch { record: true, ..Watch::new("[::]", "one") };
        viewers.push(scene::watch(&mut stage, home, watch).await?);
    }
    sleep(MEETING).await;
    for another in [true, false] {
        long_gap(street, homes, &viewers, another).await?;
    }
    for turn in [(1, Move::Inside), (2, Move::Router), (3, Move::Inside), (3, Move::Router)] {
        scene(street, homes, &viewers, turn).await?;
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moves_misses_nothing() -> Result<()> {
    let _turn = scene::turn().await?;
    let Some((street, mut homes)) = scene::street("m", &HOMES) else { return Ok(()) };
    play(&street, &mut homes).await
}

/// Both can meet each other, if each knows where the other is.
const NEIGHBOURS: [Kind; 2] = [Kind::PortRestricted, Kind::PortRestricted];
/// One viewer's worth: whoever comes second lives on the first.
const FOR_ONE: u32 = 8;

async fn meet(street: &Street, homes: &[Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, Some(FOR_ONE));
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let first = scene::watch(&mut stage, &homes[0], Watch::new("[::]", "one")).await?;
    sleep(SETTLING).await;
    street.renumber(1).map_err(|error| anyhow!(error))?;
    sleep(SETTLING).await;
    let second = scene::watch(&mut stage, &homes[1], Watch::new("[::]", "one")).await?;
    sleep(MEETING).await;
    let counts = scene::count(&[&first, &second], OVER).await?;
    counts[0].say("whose router has another address");
    counts[1].say("who came after that");
    let (came, tail) = (counts[1].from_viewers, second.log_tail());
    ensure!(came > 0, "they have not met: {:#?}\n{tail}", second.figures()?);
    for viewer in [first, second] {
        viewer.stop().await?;
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_router_moves_is_met_at_the_new_address() -> Result<()> {
    let _turn = scene::turn().await?;
    let Some((street, homes)) = scene::street("n", &NEIGHBOURS) else { return Ok(()) };
    meet(&street, &homes).await
}
