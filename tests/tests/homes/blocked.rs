//! A home whose router lets no UDP through any more, and then does again.

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use demo::{Stage, Viewer, Watch};
use system_tests::street::{Kind, Street};
use tokio::time::{Instant, sleep};

use crate::scene::{self, Count, OVER, SHOWINGS};

/// Who stays, and shows whether the machine is too busy for anybody; and whose UDP is blocked.
const HOMES: [Kind; 2] = [Kind::None, Kind::PortRestricted];
const BLOCKED: usize = 1;
/// What the viewer says.
const TUNNEL: &str = "a tunnel is used";
const BACK: &str = "UDP works again";
/// UDP is tried again 4 s after it fell silent, and then ever less often.
const RETURN: Duration = Duration::from_secs(45);

fn said(viewer: &Viewer, from: usize, what: &str) -> usize {
    viewer.log()[from..].matches(what).count()
}

/// One protocol is shut off: how everybody fares.
async fn without(street: &Street, viewers: &[Viewer], protocol: &str) -> Result<Vec<Count>> {
    let all: Vec<&Viewer> = viewers.iter().collect();
    let shut = async {
        sleep(Duration::from_millis(100)).await;
        street.shut(BLOCKED + 1, protocol).map_err(|error| anyhow!(error))
    };
    let (counts, done) = tokio::join!(scene::count(&all, OVER), shut);
    done?;
    counts
}

async fn scene(street: &Street, viewers: &[Viewer]) -> Result<bool> {
    let all: Vec<&Viewer> = viewers.iter().collect();
    let viewer = &viewers[BLOCKED];
    let begin = viewer.log().len();
    // UDP is gone.
    let counts = without(street, viewers, "udp").await?;
    counts[BLOCKED].say("UDP is shut off");
    ensure!(said(viewer, begin, TUNNEL) > 0, "no tunnel:\n{}", viewer.log_tail());
    let mut quiet = counts[0].is_whole();
    let Count { stalls, stall_ms, .. } = counts[BLOCKED];
    let fits = stalls <= 1 && stall_ms < 2000.0;
    ensure!(fits || !quiet, "{counts:?}\n{}", viewer.log_tail());
    // Through TCP.
    let counts = scene::count(&all, OVER).await?;
    counts[BLOCKED].say("over TCP");
    quiet &= counts[0].is_whole();
    let keeps_up = counts[BLOCKED].keeps_up_with(&counts[0]);
    ensure!(keeps_up, "stands still:\n{}", viewer.log_tail());
    ensure!(counts[BLOCKED].is_whole() || !quiet, "{counts:?}\n{}", viewer.log_tail());
    // UDP works again.
    let opened = Instant::now();
    let before = Count::of(viewer)?;
    street.open(BLOCKED + 1, "udp").map_err(|error| anyhow!(error))?;
    let tunnels = said(viewer, begin, TUNNEL);
    while said(viewer, begin, BACK) < tunnels {
        if opened.elapsed() > RETURN {
            bail!("{tunnels} tunnels, and not back at UDP:\n{}", viewer.log_tail());
        }
        sleep(Duration::from_millis(100)).await;
    }
    println!("back at UDP after {:?}, {tunnels} tunnels", opened.elapsed());
    // So it is: without TCP nothing is missed.
    let counts = without(street, viewers, "tcp").await?;
    street.open(BLOCKED + 1, "tcp").map_err(|error| anyhow!(error))?;
    let back = Count::of(viewer)? - before;
    back.say("since UDP works again, at last without TCP");
    quiet &= counts[0].is_whole();
    ensure!(back.played > 0, "stands still:\n{}", viewer.log_tail());
    ensure!(back.is_whole() || !quiet, "{back:?}\n{}", viewer.log_tail());
    Ok(quiet)
}

async fn play(street: &Street, homes: &[system_tests::street::Spot]) -> Result<()> {
    let servers = &street.servers;
    let plan = scene::plan(street, None);
    let mut stage = Stage::set_in(plan, &servers.namespace, servers.ip).await?;
    let mut viewers = Vec::new();
    for home in homes {
        viewers.push(scene::watch(&mut stage, home, Watch::new("[::]", "one")).await?);
    }
    sleep(OVER).await;
    for showing in 1..=SHOWINGS {
        if scene(street, &viewers).await? {
            break;
        }
        println!("who stays was disturbed too in showing {showing}: not all is judged");
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_udp_it_plays_on_over_tcp_and_comes_back() -> Result<()> {
    let _turn = scene::turn().await?;
    let Some((street, homes)) = scene::street("b", &HOMES) else { return Ok(()) };
    play(&street, &homes).await
}
