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
