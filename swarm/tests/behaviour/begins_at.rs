//! A viewer that plays what is near from elsewhere asks for what comes after it alone.

use std::time::Duration;

use swarm::{Input, Serve};
use ticket::Role;

use crate::net::{Net, place};

#[test]
fn nothing_before_it_is_fetched() {
    for seed in 1..=4 {
        let mut net = Net::new(seed);
        let mut headend = net.config(Role::Headend, place(9));
        headend.serve = Serve::Repeaters;
        net.join(headend);
        let config = net.config(Role::Repeater, place(1));
        net.join(config);
        net.run_for(Duration::from_secs(5));
        let usual = net.viewer(place(1));
        net.run_for(Duration::from_secs(6));
        let whole_to = net.stats(usual).whole_to.unwrap();
        let viewer = net.viewer(place(1));
        net.input(viewer, Input::BeginAt(whole_to + 1));
        net.run_for(Duration::from_secs(4));
        let (stats, other) = (net.stats(viewer), net.stats(usual));
        let first = net.nodes[viewer].played[0].number;
        // At the random access point before it, and no earlier.
        let access = net.channel.access_every;
        assert!(
            first > whole_to - access && first <= whole_to + access,
            "seed {seed}: {first} {whole_to}"
        );
        assert_eq!(
            (stats.stalls, stats.lost, stats.overdue),
            (0, 0, 0),
            "seed {seed}: {}",
            net.table()
        );
        assert!(other.whole_to > Some(whole_to + 12), "seed {seed}: {}", net.table());
    }
}
