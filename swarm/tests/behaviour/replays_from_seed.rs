//! The same seed gives the same run.

use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

/// A run with loss, jitter and a loss of parents; a hash over all that every engine did.
fn run(seed: u64) -> Option<u64> {
    let mut net = Net::new(seed);
    net.trace = Some(0);
    net.loss = 10;
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    for place_number in 0..8 {
        net.run_for(Duration::from_millis(300));
        net.viewer(place(place_number % 3));
    }
    net.run_for(Duration::from_secs(5));
    net.kill(4);
    net.run_for(Duration::from_secs(5));
    net.trace
}

#[test]
fn same_seed_same_run() {
    let first = run(5);
    assert_eq!(first, run(5));
    assert_ne!(first, run(6));
}
