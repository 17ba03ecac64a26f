//! One repeater and a headend that feeds viewers as well: nothing is taken from the headend while the repeater lives,
//! even if it has too little for all, and nobody stalls when it goes without notice.

use std::time::Duration;

use swarm::Serve;
use ticket::Role;

use crate::net::{Net, place};
use crate::server_overload::pushes;

/// Headend, repeater, and viewers who give nothing to each other, so that all hangs on the two. The repeater's uplink.
fn playing(seed: u64, viewers: usize, uplink: Option<u64>) -> (Net, usize, Vec<usize>) {
    let mut net = Net::new(seed);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let config = net.config(Role::Repeater, place(1));
    let repeater = net.join(config);
    net.nodes[repeater].uplink = uplink;
    net.run_for(Duration::from_secs(3));
    let join = |_| {
        let mut config = net.config(Role::Viewer, place(1));
        config.serve = Serve::Nobody;
        let viewer = net.join(config);
        net.run_for(Duration::from_secs(4));
        viewer
    };
    let viewers = (0..viewers).map(join).collect();
    net.run_for(Duration::from_secs(10));
    (net, repeater, viewers)
}

#[test]
fn the_headend_takes_over_when_it_stops() {
    for seed in 1..=6 {
        let (mut net, repeater, viewers) = playing(seed, 3, None);
        for &viewer in &viewers {
            let stats = net.stats(viewer);
            assert_eq!(stats.bytes_in.headend, 0, "seed {seed}: {}", net.table());
            assert_eq!(stats.standby, 1, "seed {seed}: {}", net.table());
        }
        net.kill(repeater);
        net.run_for(Duration::from_secs(20));
        for &viewer in &viewers {
            let stats = net.stats(viewer);
            assert_eq!((stats.stalls, stats.lost), (0, 0), "seed {seed}: {}", net.table());
            let fed = stats.substreams.iter().filter(|feed| feed.role == Role::Headend).count();
            assert!(fed >= 8 && fed == stats.substreams.len(), "seed {seed}: {}", net.table());
        }
    }
}

#[test]
fn the_next_repeater_relieves_the_headend() {
    let (mut net, repeater, viewers) = playing(7, 2, None);
    net.kill(repeater);
    net.run_for(Duration::from_secs(15));
    let config = net.config(Role::Repeater, place(1));
    net.join(config);
    // Rendezvous tells of it within a minute.
    net.run_for(Duration::from_secs(90));
    let before: Vec<u64> = viewers.iter().map(|&v| net.stats(v).bytes_in.headend).collect();
    net.run_for(Duration::from_secs(10));
    for (&viewer, before) in viewers.iter().zip(before) {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
        assert_eq!(stats.bytes_in.headend, before, "{}", net.table());
        assert!(stats.substreams.iter().all(|feed| feed.role == Role::Repeater), "{}", net.table());
    }
}

#[test]
fn nothing_is_taken_from_the_headend_while_it_is_overloaded() {
    for seed in 1..=4 {
        // It could feed two viewers and a half.
        let (mut net, repeater, viewers) = playing(seed, 4, Some(10_500_000));
        net.run_for(Duration::from_secs(20));
        let before = net.stats(viewers[0]);
        let pushed = pushes(&mut net, repeater);
        let after = net.stats(viewers[0]);
        assert!(after.played >= before.played + 78, "seed {seed}: {}", net.table());
        assert!(after.lost - before.lost <= 2, "seed {seed}: {}", net.table());
        assert!(pushed <= 21.0, "seed {seed}: {pushed}: {}", net.table());
        for &viewer in &viewers {
            assert_eq!(net.stats(viewer).bytes_in.headend, 0, "seed {seed}: {}", net.table());
        }
    }
}
