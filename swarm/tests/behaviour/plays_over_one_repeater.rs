//! A viewer plays over one repeater.

use std::time::Duration;

use crate::net::{EPOCH, Net, place};
use ticket::Role;

/// Headend, repeater, viewer.
fn chain(seed: u64) -> (Net, usize) {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(1));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(2));
    net.join(repeater);
    net.run_for(Duration::from_secs(5));
    let viewer = net.viewer(place(2));
    (net, viewer)
}

#[test]
fn plays_without_a_stall() {
    let (mut net, viewer) = chain(1);
    net.run_for(Duration::from_secs(30));
    let stats = net.stats(viewer);
    assert_eq!(stats.stalls, 0, "{stats:?}");
    assert_eq!(stats.lost, 0);
    assert!(stats.played > 29 * 4, "{stats:?}");
    assert!(net.nodes[viewer].in_order());
    assert_eq!(stats.substreams.len(), 8);
    assert!(stats.substreams.iter().all(|substream| substream.role == Role::Repeater));
    assert_eq!(stats.bytes_in.headend, 0);
}

#[test]
fn begins_at_a_random_access_point_before_the_playout_point() {
    let (mut net, viewer) = chain(2);
    let joined = net.now;
    net.run_for(Duration::from_secs(3));
    let stats = net.stats(viewer);
    // A round trip each to connect, to ask, and for the repeater to ask the headend, three to meet.
    assert!(stats.startup.is_some_and(|startup| startup < Duration::from_millis(500)), "{stats:?}");
    let first = net.nodes[viewer].played[0];
    assert!(first.number.is_multiple_of(net.channel.access_every));
    assert!(first.due <= first.at, "it was to be played before");
    assert!(first.at - joined < 500_000);
}

#[test]
fn plays_at_the_capture_time_plus_the_delay() {
    let (mut net, viewer) = chain(3);
    net.run_for(Duration::from_secs(10));
    let late = net.nodes[viewer].played.iter().skip(16);
    for played in late {
        assert_eq!(played.at, played.due);
        let capture = played.number * 250_000 - EPOCH;
        assert_eq!(played.due, capture + 2_000_000);
    }
    let lag = net.stats(viewer).lag;
    assert_eq!(lag, Duration::from_secs(2));
}

#[test]
fn what_comes_twice_is_little() {
    let (mut net, viewer) = chain(4);
    net.run_for(Duration::from_secs(30));
    let stats = net.stats(viewer);
    assert!(stats.duplicate_bytes * 100 < stats.bytes_in.repeater, "{stats:?}");
    assert!(stats.control_bytes * 50 < stats.bytes_in.repeater, "{stats:?}");
}

/// Segments that follow each other faster than an engine looks for holes, and little time to find what lies between the
/// burst and the feeds.
#[test]
fn nothing_is_missed_between_the_first_picture_and_the_feeds() {
    for seed in 0..30 {
        let mut net = Net::new(seed);
        (net.channel.segment, net.channel.delay) =
            (Duration::from_millis(80), Duration::from_secs(1));
        net.channel.access_every = 1;
        // All three meet while there is nothing to be had.
        net.channel.gap = Some((0, 500_000));
        (net.latency, net.jitter) = (Duration::from_millis(1), Duration::ZERO);
        let mut headend = net.config(Role::Headend, place(1));
        headend.serve = swarm::Serve::Repeaters;
        net.join(headend);
        // It carries nothing yet.
        net.join(net.config(Role::Repeater, place(2)));
        let viewer = net.viewer(place(2));
        net.run_for(Duration::from_secs(10));
        let stats = net.stats(viewer);
        assert_eq!((stats.lost, stats.stalls), (0, 0), "seed {seed}: {stats:?}");
        assert!(
            stats.startup.is_some_and(|startup| startup < Duration::from_secs(2)),
            "seed {seed}: {stats:?}"
        );
    }
}
