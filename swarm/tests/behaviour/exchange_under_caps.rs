//! Repeaters that carry less than everybody wants: viewers feed each other the rest.

use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

/// A headend for repeaters only, two repeaters that push 6 sub-streams each, and viewers; K = 8, N = 12.
fn capped(seed: u64, viewers: usize, uplink: Option<u64>) -> (Net, Vec<usize>) {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    for asn in [1, 2] {
        let mut repeater = net.config(Role::Repeater, place(asn));
        repeater.max_pushed = Some(6);
        net.join(repeater);
    }
    net.run_for(Duration::from_secs(5));
    let join = |asn| {
        let mut config = net.config(Role::Viewer, place(asn));
        config.uplink = uplink;
        let viewer = net.join(config);
        net.nodes[viewer].uplink = uplink;
        net.run_for(Duration::from_millis(150));
        viewer
    };
    let viewers = (0..viewers as u32).map(|place| place % 2 + 1).map(join).collect();
    (net, viewers)
}

fn all_play(net: &mut Net, viewers: &[usize], time: Duration) {
    let mut parents = vec![std::collections::BTreeSet::new(); viewers.len()];
    for _ in 0..time.as_secs() {
        net.run_for(Duration::from_secs(1));
        for (parents, &viewer) in parents.iter_mut().zip(viewers) {
            parents.extend(net.stats(viewer).substreams.iter().map(|substream| substream.parent));
        }
    }
    let (mut from_viewers, mut from_all) = (0, 0);
    for (&viewer, parents) in viewers.iter().zip(&parents) {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "viewer {viewer}, {}", net.table());
        assert!(u128::from(stats.played) >= time.as_millis() / 250 - 4, "{}", net.table());
        // The first to come may have filled its set before there was anybody else.
        assert!(
            parents.len() >= if viewers.len() == 4 { 3 } else { 2 },
            "viewer {viewer}, {}",
            net.table()
        );
        from_viewers += stats.bytes_in.viewer;
        from_all += stats.bytes_in.viewer + stats.bytes_in.repeater + stats.bytes_in.headend;
    }
    assert!(from_viewers * 2 > from_all, "{}", net.table());
}

#[test]
fn four_viewers_play_from_one_and_a_half_streams() {
    for seed in 1..=8 {
        let (mut net, viewers) = capped(seed, 4, None);
        all_play(&mut net, &viewers, Duration::from_secs(30));
    }
}

#[test]
fn uplinks_of_one_and_a_half_streams_suffice() {
    for seed in 11..=18 {
        let (mut net, viewers) = capped(seed, 4, Some(6_300_000));
        all_play(&mut net, &viewers, Duration::from_secs(30));
    }
}

#[test]
fn twelve_viewers_play_from_one_and_a_half_streams() {
    for seed in 21..=24 {
        let (mut net, viewers) = capped(seed, 12, Some(6_300_000));
        all_play(&mut net, &viewers, Duration::from_secs(30));
    }
}
