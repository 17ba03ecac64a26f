//! Two sets in one home, behind one router: one of them takes the channel from outside, the other from that one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Figures, Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::time::sleep;

use crate::scene::{plan, street, turn};

/// Until the two have met and agreed, and how long is counted after that.
const MEETING: Duration = Duration::from_secs(20);
const COUNTED: Duration = Duration::from_secs(15);

/// A second set in a home: another namespace, on the same line.
struct Second(String);

impl Second {
    fn beside(home: &Spot) -> Result<Self> {
        let (first, second) = (&home.namespace, format!("{}b", home.namespace));
        ip(&format!("netns add {second}"))?;
        // Deleted whatever else fails.
        let this = Self(second);
        let [a, b, c, _] = home.ip.octets();
        let (net, second) = (format!("{a}.{b}.{c}"), &this.0);
        for line in [
            format!("-n {first} link add dev br0 type bridge"),
            format!("-n {first} addr flush dev eth0"),
            format!("-n {first} link set dev eth0 master br0"),
            format!("-n {first} addr add {net}.2/24 dev br0"),
            format!("-n {first} link set dev br0 up"),
            format!("-n {first} route replace default via {net}.1"),
            format!("-n {second} link set dev lo up"),
            format!("-n {second} link add dev eth0 type veth peer name tv1 netns {first}"),
            format!("-n {first} link set dev tv1 master br0 up"),
            format!("-n {second} addr add {net}.3/24 dev eth0"),
            format!("-n {second} link set dev eth0 up"),
            format!("-n {second} route add default via {net}.1"),
        ] {
            ip(&line)?;
        }
        Ok(this)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.0));
    }
}

fn ip(line: &str) -> Result<()> {
    let output = Command::new("ip").args(line.split_whitespace()).output()?;
    ensure!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn play(street: &Street, home: &Spot) -> Result<()> {
    let second = Second::beside(home)?;
    let servers = &street.servers;
    let mut stage = Stage::set_in(plan(street, None), &servers.namespace, servers.ip).await?;
    let mut viewers: Vec<Viewer> = Vec::new();
    for namespace in [&home.namespace, &second.0] {
        let namespace = Some(namespace.clone());
        let mut viewer = stage.watch(Watch { namespace, ..Watch::new("[::]", "one") })?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    sleep(MEETING).await;
    let figures =
        |viewers: &[Viewer]| viewers.iter().map(Viewer::figures).collect::<Result<Vec<Figures>>>();
    let before = figures(&viewers)?;
    sleep(COUNTED).await;
    let after = figures(&viewers)?;
    let outside = |figures: &[Figures]| figures.iter().map(|f| f.bytes_in.repeater).sum::<u64>();
    let all = |figures: &[Figures]| figures.iter().map(|f| f.bytes_in.sum()).sum::<u64>();
    // Both play the same: half of all that comes in is one copy.
    let copies = 2.0 * (outside(&after) - outside(&before)) as f64
        / (all(&after) - all(&before)).max(1) as f64;
    println!("{copies:.2} copies come into a home of two");
    for (viewer, (before, after)) in viewers.iter().zip(before.iter().zip(&after)) {
        println!("stalls: {} before, {} after", before.stalls, after.stalls);
        ensure!(after.segments.played > before.segments.played, "{}", viewer.log_tail());
    }
    ensure!(copies < 1.3, "{copies} copies\n{after:#?}\n{}", viewers[1].log_tail());
    // Who takes from outside is switched off: the other does so then.
    let from_outside =
        |figures: &Figures, before: &Figures| figures.bytes_in.repeater - before.bytes_in.repeater;
    let one =
        usize::from(from_outside(&after[1], &before[1]) > from_outside(&after[0], &before[0]));
    viewers.remove(one).kill().await;
    let other = viewers.pop().context("the other")?;
    let before = other.figures()?;
    sleep(Duration::from_secs(10)).await;
    let after = other.figures()?;
    println!(
        "the one goes: {} stalls of {} ms",
        after.stalls - before.stalls,
        after.stall_ms - before.stall_ms
    );
    ensure!(after.bytes_in.repeater > before.bytes_in.repeater, "{}", other.log_tail());
    ensure!(after.segments.played >= before.segments.played + 5, "{after:#?}");
    other.stop().await?;
    stage.strike().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sets_of_one_home_share_one_copy() -> Result<()> {
    let Some((street, homes)) = street("o", &[Kind::PortRestricted]) else { return Ok(()) };
    let _turn = turn().await?;
    play(&street, homes.first().context("a home")?).await
}
