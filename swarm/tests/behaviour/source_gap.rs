//! The source makes nothing for a while: one stall with that cause, and everybody goes on after it.

use std::time::Duration;

use swarm::Cause;
use ticket::Role;

use crate::net::{Net, place};

#[test]
fn a_gap_is_skipped_and_named() {
    let mut net = Net::new(1);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    net.run_for(Duration::from_secs(2));
    let viewers: Vec<usize> = (0..4).map(|_| net.viewer(place(1))).collect();
    net.run_for(Duration::from_secs(8));
    let (from, to) = (net.now, net.now + 7_000_000);
    net.channel.gap = Some((from, to));
    net.run_for(Duration::from_secs(20));
    for &viewer in &viewers {
        let stats = net.stats(viewer);
        assert_eq!(stats.stalls, 1, "{}", net.table());
        assert_eq!(stats.stall_causes.get(&Cause::SourceGap), Some(&1), "{}", net.table());
        assert_eq!(stats.lost, 0, "what was never made is not missed");
        let last = net.nodes[viewer].played.last().unwrap();
        assert_eq!(last.at, last.due, "playing never drifts");
        assert!(net.now - last.at <= 250_000);
    }
}
