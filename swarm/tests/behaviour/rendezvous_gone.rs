//! Rendezvous is gone: those who play go on, find new parents through each other, and tell newcomers.

use std::time::Duration;

use swarm::{Input, PeerHint};
use ticket::Role;

use crate::net::{Net, place};

fn running(seed: u64) -> (Net, Vec<usize>) {
    let mut net = Net::new(seed);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    net.run_for(Duration::from_secs(2));
    let join = |_| {
        let viewer = net.viewer(place(1));
        net.run_for(Duration::from_millis(200));
        viewer
    };
    let viewers = (0..12).map(join).collect();
    net.run_for(Duration::from_secs(10));
    (net, viewers)
}

#[test]
fn ten_minutes_without_it_while_viewers_leave() {
    let (mut net, mut viewers) = running(1);
    net.rendezvous = false;
    for _ in 0..6 {
        net.run_for(Duration::from_secs(100));
        let left = viewers.remove(0);
        net.kill(left);
    }
    net.run_for(Duration::from_secs(10));
    for &viewer in &viewers {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
        assert!(stats.substreams.len() >= 8);
    }
}

#[test]
fn one_partner_is_enough_to_meet_the_others() {
    let (mut net, viewers) = running(2);
    net.rendezvous = false;
    let newcomer = net.viewer(place(1));
    let known = PeerHint {
        peer: net.id(viewers[3]),
        role: Role::Viewer,
        location: place(1),
        addrs: vec![net.nodes[viewers[3]].addr(viewers[3])],
        age_s: 0,
    };
    net.input(newcomer, Input::Candidates { peers: vec![known] });
    net.run_for(Duration::from_secs(10));
    let stats = net.stats(newcomer);
    assert!(stats.partners >= 6, "{}", net.table());
    assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
    assert!(stats.played > 36, "{}", net.table());
}

#[test]
fn known_peers_are_bounded() {
    let (mut net, viewers) = running(3);
    let flood: Vec<PeerHint> = (0..5000u32)
        .map(|number| {
            let mut id = [9; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            PeerHint {
                peer: ticket::PeerId(id),
                role: Role::Viewer,
                location: place(1),
                addrs: vec![([10, 9, 9, 9], 1).into()],
                age_s: 0,
            }
        })
        .collect();
    for peers in flood.chunks(60) {
        net.input(viewers[0], Input::Candidates { peers: peers.to_vec() });
    }
    net.run_for(Duration::from_secs(5));
    let stats = net.stats(viewers[0]);
    assert!(stats.known <= 200, "{stats:?}");
    assert_eq!(stats.stalls, 0);
}
