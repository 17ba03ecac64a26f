//! Over real nodes: what a viewer sends to another is what may be sent, from a second after the choice on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

#[path = "../zapping/network.rs"]
mod network;

use std::time::{Duration, Instant};

use client::channel::Channels;
use client::player::Player;
use client::settings::Share;
use link::Node;
use ticket::Role;
use tokio::time::sleep;

use self::network::{Network, Plan, Viewer, until};

/// What the channel takes in the swarm, bits per second: 2.5 Mbit/s of media.
const CHANNEL: u64 = 2_500_000;
/// A choice holds after this.
const AT_ONCE: Duration = Duration::from_secs(1);
/// A node's counters are as old as this at most.
const COUNTED: Duration = Duration::from_millis(250);
/// What is sent is counted for so long.
const STRETCH: Duration = Duration::from_secs(3);

/// Bits per second that come to a node in the next stretch, transport headers included.
async fn rate(node: &Node) -> u64 {
    let (before, begun) = (node.stats().wire_in, Instant::now());
    sleep(STRETCH).await;
    let bits = 8 * (node.stats().wire_in - before);
    (bits as f64 / begun.elapsed().as_secs_f64()) as u64
}

/// As the platform does it.
fn set_share(viewer: &Viewer, share: Share) {
    viewer.share.send_replace(share);
    viewer.node.set_max_egress(Some(share.uplink()));
}

fn up_to(kbits: u64) -> Share {
    format!("{kbits}").parse().unwrap()
}

/// One viewer takes the channel from the headend, which has no room for another; the other takes it from the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_and_off_hold_within_a_second() {
    let network = Network::start(Plan { packets: CHANNEL / 4 / 8 / 188, most: 1 }).await;
    let giver = network.viewer(&[(&network.headend, Role::Headend)]).await;
    let player = Player::new(Channels::new(giver.clone(), 4));
    set_share(&giver, up_to(50_000));
    let watched = player.play("one", Instant::now()).await.unwrap();
    until("the first plays", || watched.counts().swarm.played > 4).await;
    let taker = network.viewer(&[(&giver.node, Role::Viewer)]).await;
    set_share(&taker, Share::Off);
    let other = Player::new(Channels::new(taker.clone(), 4));
    let shown = other.play("one", Instant::now()).await.unwrap();
    until("the other plays", || shown.counts().swarm.played > 8).await;
    let before = rate(&taker.node).await;

    for (share, most) in [
        // Keeping a connection up and asking in vain takes a little.
        (Share::Off, CHANNEL / 20),
        (up_to(50_000), u64::MAX),
        // Headers, acknowledgements and what is not media come on top.
        (up_to(500), 650_000),
        (Share::Off, CHANNEL / 20),
    ] {
        set_share(&giver, share);
        sleep(AT_ONCE + COUNTED).await;
        let mut now = rate(&taker.node).await;
        println!("{share}: {now} bit/s, before any choice {before}");
        if most == u64::MAX {
            // It is taken up again, however long the machine takes for it.
            let begun = Instant::now();
            while now < CHANNEL / 2 {
                assert!(begun.elapsed() < Duration::from_secs(60), "{now} bit/s when it is on");
                now = rate(&taker.node).await;
            }
        } else {
            assert!(now < most, "{now} bit/s a second after {share}");
        }
    }
    assert!(before > CHANNEL / 2, "there was something to be limited: {before}");

    other.channels().close().await;
    player.channels().close().await;
    taker.node.shutdown().await;
    giver.node.shutdown().await;
    network.end().await;
}
