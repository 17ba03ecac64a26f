//! A server that nobody told how much it can send finds out: it sheds the newest children, and keeps the first served.

use std::time::Duration;

use swarm::{Delivery, Input, Serve, ShardRef, Urgency};
use ticket::Role;

use crate::net::{Net, place};

/// Lets 20 s pass; how many sub-streams the node pushed meanwhile, on average. Its estimate rises step by step and falls again, so
/// that one moment says little.
pub(crate) fn pushes(net: &mut Net, node: usize) -> f64 {
    let mut sum = 0;
    for _ in 0..20 {
        net.run_for(Duration::from_secs(1));
        sum += net.stats(node).pushed;
    }
    f64::from(sum) / 20.0
}

/// A headend that feeds repeaters alone.
fn headend(net: &mut Net) {
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = Serve::Repeaters;
    net.join(headend);
}

#[test]
fn the_newest_child_goes_first() {
    let mut net = Net::new(1);
    headend(&mut net);
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
    let before = net.stats(viewers[0]);
    let pushed = pushes(&mut net, repeater);
    // 20 sub-streams are what its uplink carries.
    assert!(pushed <= 21.0, "{pushed}: {}", net.table());
    let after = net.stats(viewers[0]);
    assert!(after.played >= before.played + 78, "{}", net.table());
    assert!(after.lost - before.lost <= 2, "{}", net.table());
}

/// A repeater with four children that it feeds alone.
fn repeater_with_four(net: &mut Net) -> (usize, Vec<usize>) {
    headend(net);
    let config = net.config(Role::Repeater, place(1));
    let repeater = net.join(config);
    net.run_for(Duration::from_secs(3));
    let children = (0..4).map(|_| {
        let mut config = net.config(Role::Viewer, place(1));
        config.serve = Serve::Nobody;
        net.join(config)
    });
    let children = children.collect();
    net.run_for(Duration::from_secs(10));
    (repeater, children)
}

#[test]
fn only_what_was_pushed_and_dropped_is_overload() {
    let mut net = Net::new(4);
    let (repeater, children) = repeater_with_four(&mut net);
    let before = net.stats(repeater).pushed;
    let mut drops = |urgency| {
        let number = net.newest();
        for &child in &children[..2] {
            let (to, shard) = (net.id(child), ShardRef { number, index: 0 });
            let delivery = Delivery::Dropped;
            net.input(repeater, Input::Delivery { to, shard, urgency, delivery });
        }
        net.run_for(Duration::from_millis(100));
        net.stats(repeater).pushed
    };
    // More than the queues of two receivers hold: one burst each.
    assert_eq!(drops(Urgency::Start), before);
    assert_eq!(drops(Urgency::Repair), before);
    assert!(drops(Urgency::Push) < before);
}

#[test]
fn whom_servers_alone_can_feed_goes_before_others_at_a_full_one() {
    let mut net = Net::new(2);
    headend(&mut net);
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

#[test]
fn many_whom_servers_alone_can_feed_leave_others_their_half() {
    let mut net = Net::new(3);
    headend(&mut net);
    let mut config = net.config(Role::Repeater, place(1));
    // Four viewers' worth.
    config.max_pushed = Some(32);
    let repeater = net.join(config);
    net.run_for(Duration::from_secs(3));
    let mut early = Vec::new();
    for _ in 0..4 {
        let mut config = net.config(Role::Viewer, place(1));
        config.serve = Serve::Nobody;
        early.push(net.join(config));
        net.run_for(Duration::from_secs(2));
    }
    net.run_for(Duration::from_secs(20));
    assert_eq!(net.stats(repeater).pushed, 32, "{}", net.table());
    // Three times as many as there is room kept for.
    let mut blocked = Vec::new();
    for _ in 0..6 {
        let viewer = net.viewer(place(1));
        net.nodes[viewer].reachable = false;
        blocked.push(viewer);
        net.run_for(Duration::from_secs(2));
    }
    net.run_for(Duration::from_secs(20));
    let before: Vec<_> = early.iter().chain(&blocked).map(|&node| net.stats(node)).collect();
    net.run_for(Duration::from_secs(20));
    let after: Vec<_> = early.iter().chain(&blocked).map(|&node| net.stats(node)).collect();
    let plays =
        |i: usize| after[i].played >= before[i].played + 78 && after[i].lost == before[i].lost;
    // Those who were fed first, of both kinds, still are.
    assert!(plays(0) && plays(1), "{}", net.table());
    assert!(plays(4) && plays(5), "{}", net.table());
    assert!(net.stats(repeater).pushed <= 32, "{}", net.table());
    let taken: usize = blocked.iter().map(|&node| net.stats(node).substreams.len()).sum();
    assert!(taken <= 16, "{taken} of 32 went to who came last\n{}", net.table());
}
