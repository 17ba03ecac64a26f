//! Parents that go without notice: nobody stalls.

use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

/// A headend, two repeaters, viewers; all play.
fn playing(seed: u64, viewers: usize) -> (Net, Vec<usize>, Vec<usize>) {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    let join_repeater = |asn| {
        let config = net.config(Role::Repeater, place(asn));
        net.join(config)
    };
    let repeaters = [1, 2].map(join_repeater).to_vec();
    net.run_for(Duration::from_secs(3));
    let join = |asn| {
        let viewer = net.viewer(place(asn));
        net.run_for(Duration::from_millis(400));
        viewer
    };
    let viewers = (0..viewers as u32).map(|place| place % 2 + 1).map(join).collect();
    net.run_for(Duration::from_secs(15));
    (net, repeaters, viewers)
}

fn no_stall(net: &Net, viewers: &[usize]) {
    for &viewer in viewers {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "viewer {viewer}, {}", net.table());
    }
}

#[test]
fn a_repeater_and_a_viewer_stop() {
    for seed in 1..=6 {
        let (mut net, repeaters, mut viewers) = playing(seed, 4);
        net.kill(repeaters[(seed % 2) as usize]);
        let stopped = viewers.remove((seed % 4) as usize);
        net.kill(stopped);
        net.run_for(Duration::from_secs(20));
        no_stall(&net, &viewers);
        for &viewer in &viewers {
            let stats = net.stats(viewer);
            assert!(stats.substreams.len() >= 8, "{}", net.table());
            assert!(stats.failover_max < Duration::from_millis(500), "{}", net.table());
        }
    }
}

#[test]
fn somebody_had_to_move() {
    let (mut net, repeaters, viewers) = playing(7, 4);
    net.kill(repeaters[0]);
    net.run_for(Duration::from_secs(5));
    assert!(viewers.iter().any(|&viewer| net.stats(viewer).failovers > 0));
}

#[test]
fn viewers_leave_one_after_the_other() {
    let (mut net, _, mut viewers) = playing(8, 12);
    while viewers.len() > 3 {
        let stopped = viewers.swap_remove(viewers.len() / 2);
        net.kill(stopped);
        net.run_for(Duration::from_secs(3));
        no_stall(&net, &viewers);
    }
}

#[test]
fn a_parent_that_falls_silent_is_left() {
    let (mut net, repeaters, viewers) = playing(9, 3);
    net.nodes[repeaters[0]].mute = true;
    net.run_for(Duration::from_secs(10));
    no_stall(&net, &viewers);
}
