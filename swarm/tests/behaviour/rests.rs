//! A viewer that frees its line receives nothing more, and plays what is in to its end.

use std::time::Duration;

use swarm::{Input, Serve};
use ticket::Role;

use crate::net::{Net, place};

#[test]
fn what_has_come_is_played_and_nothing_comes() {
    let mut net = Net::new(3);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = Serve::Repeaters;
    net.join(headend);
    let config = net.config(Role::Repeater, place(1));
    let repeater = net.join(config);
    net.run_for(Duration::from_secs(2));
    let viewer = net.viewer(place(1));
    net.run_for(Duration::from_secs(8));
    let before = net.stats(viewer);
    net.input(viewer, Input::Rest);
    // Two seconds of delay, of which a quarter is the segment that is being made.
    net.run_for(Duration::from_millis(1500));
    let played = net.stats(viewer);
    assert_eq!((played.stalls, played.lost, played.overdue), (0, 0, 0), "{}", net.table());
    assert!(played.played >= before.played + 5, "{}", net.table());
    net.run_for(Duration::from_secs(5));
    let after = net.stats(viewer);
    assert_eq!(after.bytes_in, before.bytes_in, "{}", net.table());
    assert_eq!((after.partners, after.lost), (0, 0), "{}", net.table());
    assert!(after.played <= before.played + 9, "{}", net.table());
    assert_eq!(net.stats(repeater).pushed, 0, "{}", net.table());
}
