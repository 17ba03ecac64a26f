//! A viewer is cut off from everybody for longer than its buffer lasts: it counts that while it lasts, and goes on soon.

use std::time::Duration;

use swarm::Serve;
use ticket::Role;

use crate::net::{Net, place};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_freeze_is_counted_while_it_lasts() {
    let mut net = Net::new(5);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = Serve::Repeaters;
    net.join(headend);
    let config = net.config(Role::Repeater, place(1));
    let repeater = net.join(config);
    net.run_for(2 * SECOND);
    let viewer = net.viewer(place(1));
    net.run_for(10 * SECOND);
    let before = net.stats(viewer);
    assert_eq!(before.stalls, 0, "{}", net.table());
    // Nothing comes from the only one that feeds it.
    net.nodes[repeater].mute = true;
    let (from, mut counted) = (net.now, before.stalled);
    for _ in 0..60 {
        net.run_for(SECOND / 10);
        let stats = net.stats(viewer);
        let frozen = Duration::from_micros(net.now - from).saturating_sub(net.channel.delay);
        assert!(stats.stalled >= counted, "it never falls");
        assert!(stats.stalled.abs_diff(frozen) < SECOND / 2, "{frozen:?}: {}", net.table());
        assert_eq!(stats.stalls, u64::from(!stats.stalled.is_zero()));
        counted = stats.stalled;
    }
    net.nodes[repeater].mute = false;
    let back = net.now;
    net.run_for(5 * SECOND);
    let after = net.stats(viewer);
    let resumed = net.nodes[viewer].played.iter().find(|played| played.at > back).unwrap();
    assert!(resumed.at < back + 1_000_000, "{} {}", resumed.at - back, net.table());
    assert_eq!(after.stalls, 1, "{}", net.table());
    // What could not be played, and no more.
    assert!(after.stalled >= counted && after.stalled < counted + SECOND, "{}", net.table());
    assert_eq!(after.stall_causes.values().sum::<u64>(), 1);
}
