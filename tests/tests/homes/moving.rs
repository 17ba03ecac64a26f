//! Homes that move while somebody plays there.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use demo::{Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::time::sleep;

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

async fn play(street: &Street, homes: &mut [Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, Some(PUSHED));
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let mut viewers = Vec::new();
    for home in homes.iter() {
        viewers.push(scene::watch(&mut stage, home, Watch::new("[::]", "one")).await?);
    }
    sleep(MEETING).await;
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
