//! A server that nobody told how much it can send finds out: it sheds the newest children, and keeps the first served.

use std::time::Duration;

use swarm::Serve;
use ticket::Role;

use crate::net::{Net, place};

#[test]
fn the_newest_child_goes_first() {
    let mut net = Net::new(1);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = Serve::Repeaters;
    net.join(headend);
    let config = net.config(Role::Repeater, place(1));
    let repeater = net.join(config);
    // It could feed two viewers and a half.
    net.nodes[repeater].uplink = Some(10_500_000);
    net.run_for(Duration::from_secs(3));
    let mut viewers = Vec::new();
    for _ in 0..4 {
        let mut config = net.config(Role::Viewer, place(1));
        config.serve = Serve::Nobody;
        viewers.push(net.join(config));
        net.run_for(Duration::from_secs(4));
    }
    net.run_for(Duration::from_secs(30));
    // 20 sub-streams are what its uplink carries.
    assert!(net.stats(repeater).pushed <= 21, "{}", net.table());
    let before = net.stats(viewers[0]);
    net.run_for(Duration::from_secs(20));
    let after = net.stats(viewers[0]);
    assert!(after.played >= before.played + 78, "{}", net.table());
    assert!(after.lost - before.lost <= 2, "{}", net.table());
}

#[test]
fn whom_servers_alone_can_feed_goes_before_others_at_a_full_one() {
    let mut net = Net::new(2);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = Serve::Repeaters;
    net.join(headend);
    let mut config = net.config(Role::Repeater, place(1));
    // Two viewers' worth.
    config.max_pushed = Some(16);
    let repeater = net.join(config);
    net.run_for(Duration::from_secs(3));
    // They fill it. Others could feed them.
    for _ in 0..2 {
        let mut config = net.config(Role::Viewer, place(1));
        config.serve = Serve::Nobody;
        net.join(config);
    }
    net.run_for(Duration::from_secs(20));
    assert_eq!(net.stats(repeater).pushed, 16, "{}", net.table());
    let blocked = net.viewer(place(1));
    net.nodes[blocked].reachable = false;
    net.run_for(Duration::from_secs(10));
    let before = net.stats(blocked);
    net.run_for(Duration::from_secs(20));
    let stats = net.stats(blocked);
    assert!(stats.played >= before.played + 39, "{}", net.table());
    assert_eq!((stats.lost, stats.stalls), (before.lost, before.stalls), "{}", net.table());
    assert_eq!(stats.bytes_in.viewer, 0, "{}", net.table());
    assert!(net.stats(repeater).pushed <= 16, "{}", net.table());
}
