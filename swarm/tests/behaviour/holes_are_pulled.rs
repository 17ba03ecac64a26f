//! Shards that are lost on the way are pulled from somebody else before they are due.

use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

fn lossy(seed: u64, loss: u32) -> (Net, Vec<usize>) {
    let mut net = Net::new(seed);
    net.loss = loss;
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    net.run_for(Duration::from_secs(3));
    let join = |_| {
        let viewer = net.viewer(place(1));
        net.run_for(Duration::from_millis(300));
        viewer
    };
    let viewers = (0..6).map(join).collect();
    (net, viewers)
}

#[test]
fn one_in_twenty_is_lost_and_nobody_stalls() {
    let (mut net, viewers) = lossy(1, 50);
    net.run_for(Duration::from_secs(60));
    for &viewer in &viewers {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
    }
}

#[test]
fn what_is_pulled_is_hardly_more_than_what_was_lost() {
    let (mut net, viewers) = lossy(2, 20);
    net.run_for(Duration::from_secs(60));
    for &viewer in &viewers {
        let stats = net.stats(viewer);
        let all = stats.bytes_in.headend + stats.bytes_in.repeater + stats.bytes_in.viewer;
        assert!(stats.duplicate_bytes * 33 < all, "{}", net.table());
    }
}
