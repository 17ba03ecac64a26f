//! Over real nodes on loopback: the player plays what a headend publishes, and rapid changes of channel leave nothing
//! behind, sockets and memory of the network's side included.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

mod network;

use std::sync::atomic::Ordering;
use std::time::Instant;

use client::channel::Channels;
use client::player::Player;
use ticket::Role;

use self::network::{Network, Plan, until};

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The only test of this file: open files are counted, and tests of one file share a process.
#[tokio::test]
async fn ten_rapid_changes_leave_nothing_behind() {
    let plan = Plan { packets: 4, most: 10 };
    let network = Network::start(plan).await;
    let viewer = network.viewer(&[(&network.headend, Role::Headend)]).await;
    let player = Player::new(Channels::new(viewer.clone(), 4));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();

    let first = player.play("one", Instant::now()).await.unwrap();
    until("it plays", || first.counts().swarm.played > 0).await;
    // The first picture is there before its parents are, and the socket is looked at four times a second.
    until("its figures show it", || {
        let stats = player.stats();
        stats.startup_ms > 0
            && stats.wire_bytes.received > 0
            && stats.bytes_in.headend > 0
            && !stats.substreams.is_empty()
    })
    .await;
    drop(first);
    let before = (tasks(), open_files());

    for change in 0..10 {
        let channel = ["two", "three", "one"][change % 3];
        player.play(channel, Instant::now()).await.unwrap();
        assert_eq!(player.channels().received(), [channel]);
    }
    // It plays, though all changes came within a moment.
    let last = player.play("one", Instant::now()).await.unwrap();
    until("it plays again", || last.counts().swarm.played > 4).await;
    assert_eq!(viewer.joins.load(Ordering::SeqCst), 12);
    until("tasks are gone", || tasks() <= before.0).await;
    assert_eq!(open_files(), before.1);
    assert_eq!(viewer.node.stats().connections, 1, "one connection serves all channels");

    player.stop().await;
    player.channels().close().await;
    viewer.node.shutdown().await;
    network.end().await;
}
