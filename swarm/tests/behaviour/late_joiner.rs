//! Who joins later, or again, sees its first picture soon and plays along.

use std::time::Duration;

use swarm::{Input, PeerHint};
use ticket::Role;

use crate::net::{Net, place};

fn running(seed: u64, viewers: usize) -> Net {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    for asn in [1, 2] {
        let repeater = net.config(Role::Repeater, place(asn));
        net.join(repeater);
    }
    net.run_for(Duration::from_secs(2));
    for asn in 0..viewers as u32 {
        net.viewer(place(asn % 2 + 1));
        net.run_for(Duration::from_millis(200));
    }
    net.run_for(Duration::from_secs(10));
    net
}

#[test]
fn the_first_picture_takes_a_few_round_trips() {
    for seed in 1..=5 {
        let mut net = running(seed, 6);
        let viewer = net.viewer(place(1));
        net.run_for(Duration::from_secs(15));
        let stats = net.stats(viewer);
        // Rendezvous 10 ms, connecting three trips, hello one, the burst two: seven trips of 20 ms and jitter.
        // Or playing begins at a random access point that is due half a second later at most.
        let startup = stats.startup.unwrap();
        let waited = net.nodes[viewer].played[0].at == net.nodes[viewer].played[0].due;
        let most = Duration::from_millis(if waited { 600 } else { 250 });
        assert!(startup < most, "{}", net.table());
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
        let first = net.nodes[viewer].played[0];
        assert!(first.due <= first.at, "there was a random access point before the playout point");
        assert!(first.at - first.due < 1_300_000, "and not one much older than needed");
    }
}

#[test]
fn a_viewer_can_give_the_first_picture() {
    let mut net = running(7, 6);
    net.rendezvous = false;
    for server in [0, 1, 2] {
        net.nodes[server].reachable = false;
    }
    let viewer = net.viewer(place(1));
    let hints = [3, 4, 5].map(|node| PeerHint {
        peer: net.id(node),
        role: Role::Viewer,
        location: place(1),
        addrs: vec![net.nodes[node].addr(node)],
        age_s: 0,
    });
    net.input(viewer, Input::Candidates { peers: hints.to_vec() });
    net.run_for(Duration::from_millis(500));
    let stats = net.stats(viewer);
    assert!(stats.startup.is_some(), "{}", net.table());
    assert!(stats.bytes_in.viewer > 0);
}

#[test]
fn a_flash_crowd_gets_in() {
    let mut net = running(8, 2);
    let crowd: Vec<usize> = (0..40).map(|asn| net.viewer(place(asn % 2 + 1))).collect();
    net.run_for(Duration::from_secs(15));
    for &viewer in &crowd {
        let stats = net.stats(viewer);
        assert!(stats.startup.unwrap() < Duration::from_millis(700), "{}", net.table());
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
    }
}

#[test]
fn a_stream_younger_than_the_delay_plays_when_it_is_due() {
    let mut net = Net::new(9);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    let viewer = net.viewer(place(1));
    net.run_for(Duration::from_secs(1));
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    net.run_for(Duration::from_secs(20));
    let stats = net.stats(viewer);
    assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
    assert!(stats.played > 40, "{}", net.table());
    let last = net.nodes[viewer].played.last().unwrap();
    assert_eq!(last.at, last.due);
}
