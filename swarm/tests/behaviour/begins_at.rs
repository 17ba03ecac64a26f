//! A viewer that plays what is near from elsewhere asks for what comes after it alone.

use std::time::Duration;

use swarm::{Begin, Input, Serve};
use ticket::Role;

use crate::net::{Net, place};

/// A viewer begins with a segment that was made a moment ago and is due a second later (or `gently`: with the newest), in a
/// swarm that its repeater carries for somebody else already, or that nobody has asked it for.
fn begins(carried: bool, gently: bool) {
    for seed in 1..=4 {
        let mut net = Net::new(seed);
        let mut headend = net.config(Role::Headend, place(9));
        headend.serve = Serve::Repeaters;
        net.join(headend);
        let config = net.config(Role::Repeater, place(1));
        net.join(config);
        net.run_for(Duration::from_secs(5));
        if carried {
            net.viewer(place(1));
        }
        net.run_for(Duration::from_secs(6));
        let begin = if gently { net.newest() } else { net.newest() - 3 };
        let viewer = net.viewer(place(1));
        net.input(viewer, Input::BeginAt(Begin { number: begin, gently }));
        if gently {
            net.run_for(Duration::from_millis(450));
            assert_eq!(net.stats(viewer).substreams.len(), 1, "seed {seed}: {}", net.table());
        }
        net.run_for(Duration::from_secs(4));
        let (stats, played) = (net.stats(viewer), &net.nodes[viewer].played);
        assert_eq!(played[0].number, begin, "seed {seed}");
        assert!(stats.whole_to > Some(begin + 12), "seed {seed}: {}", net.table());
        let missed = (stats.stalls, stats.lost, stats.overdue);
        assert_eq!(missed, (0, 0, 0), "seed {seed}: {}", net.table());
        // Nothing that is older came, and no more than a few shards twice.
        let shards = (stats.bytes_in.viewer + stats.bytes_in.repeater + stats.bytes_in.headend)
            / u64::from(net.channel.shard_bytes());
        let most = (net.newest() - begin + 1) * u64::from(net.channel.k) + 4;
        assert!(shards <= most, "seed {seed}: {shards} of {most}");
    }
}

#[test]
fn nothing_before_it_is_fetched() {
    begins(true, false);
}

#[test]
fn nor_where_nobody_watches_yet() {
    begins(false, false);
}

#[test]
fn who_comes_gently_asks_for_one_substream_first() {
    begins(true, true);
}
