//! Viewers of one home take one copy from outside, and share it.

use std::time::Duration;

use ticket::{PeerId, Role};

use crate::net::{Net, place};

/// The home that is looked at.
const HOME: u32 = 1;

/// A headend for repeaters only, two repeaters, and some viewers elsewhere; all play.
fn town(seed: u64, others: usize) -> Net {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    for asn in [1, 2] {
        let config = net.config(Role::Repeater, place(asn));
        net.join(config);
    }
    net.run_for(Duration::from_secs(3));
    for other in 0..others as u32 {
        net.viewer(place(other % 2 + 1));
        net.run_for(Duration::from_millis(300));
    }
    net.run_for(Duration::from_secs(8));
    net
}

/// How many copies of the channel came into the home from outside while `time` passed.
fn copies(net: &mut Net, viewers: &[usize], time: Duration) -> f64 {
    let outside = |net: &Net| -> u64 {
        let stats = viewers.iter().map(|&viewer| net.stats(viewer));
        stats.map(|s| s.bytes_in.repeater + s.bytes_in.viewer - s.home_in).sum()
    };
    let before = outside(net);
    net.run_for(time);
    let came = outside(net) - before;
    let channel = &net.channel;
    let segments = time.as_secs_f64() / channel.segment.as_secs_f64();
    came as f64 / (segments * f64::from(channel.k) * f64::from(channel.shard_bytes()))
}

fn no_stall(net: &Net, viewers: &[usize]) {
    for &viewer in viewers {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "viewer {viewer}, {}", net.table());
        assert!(net.nodes[viewer].in_order(), "viewer {viewer}");
    }
}

/// A viewer of the home whose id is lower, or greater, than those of all others.
fn viewer_with_id(net: &mut Net, id: u8) -> usize {
    let mut config = net.config(Role::Viewer, place(1));
    config.me = PeerId([id; 32]);
    net.join_home(config, HOME)
}

#[test]
fn two_and_three_share_one_copy() {
    for (seed, count) in [(1, 2), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3), (7, 5)] {
        let mut net = town(seed, 4);
        let mut home = Vec::new();
        for _ in 0..count {
            home.push(net.viewer_at_home(place(1), HOME));
            net.run_for(Duration::from_secs(2));
        }
        net.run_for(Duration::from_secs(20));
        let copies = copies(&mut net, &home, Duration::from_secs(20));
        println!("seed {seed}, {count} viewers: {copies:.2} copies");
        assert!((0.95..1.3).contains(&copies), "seed {seed}: {copies} copies\n{}", net.table());
        no_stall(&net, &home);
    }
}

#[test]
fn who_is_alone_in_a_home_is_as_anybody_else() {
    let mut net = town(8, 4);
    let one = net.viewer_at_home(place(1), HOME);
    let other = net.viewer_at_home(place(1), HOME + 1);
    net.run_for(Duration::from_secs(20));
    let copies = copies(&mut net, &[one, other], Duration::from_secs(20));
    assert!(copies > 1.9, "{copies} copies");
    assert_eq!((net.stats(one).home_in, net.stats(other).home_out), (0, 0));
}

#[test]
fn those_who_start_at_one_moment_agree_and_stay_so() {
    for seed in 11..=16 {
        let mut net = town(seed, 4);
        let home: Vec<usize> =
            (0..2 + seed as usize % 2).map(|_| net.viewer_at_home(place(1), HOME)).collect();
        net.run_for(Duration::from_secs(20));
        let parents = |net: &Net| -> Vec<Vec<PeerId>> {
            let of =
                |&viewer: &usize| net.stats(viewer).substreams.iter().map(|s| s.parent).collect();
            home.iter().map(of).collect()
        };
        let before = parents(&net);
        let ids: Vec<PeerId> = home.iter().map(|&viewer| net.id(viewer)).collect();
        let moved = |net: &Net| -> u64 {
            home[1..].iter().map(|&viewer| net.stats(viewer).failovers).sum()
        };
        let moved_before = moved(&net);
        for other in &before[1..] {
            let from_home = other.iter().filter(|&parent| ids.contains(parent)).count();
            assert_eq!(from_home, 8, "seed {seed}: {before:?}\n{}", net.table());
        }
        let copies = copies(&mut net, &home, Duration::from_secs(40));
        println!("seed {seed}, {} viewers: {copies:.2} copies", home.len());
        assert!((0.95..1.3).contains(&copies), "seed {seed}: {copies} copies\n{}", net.table());
        no_stall(&net, &home);
        // Nobody goes to and fro.
        assert_eq!(parents(&net)[1..], before[1..], "{}", net.table());
        assert_eq!(moved(&net), moved_before);
    }
}

#[test]
fn who_comes_with_a_lower_id_becomes_the_one_and_nobody_stalls() {
    for seed in 21..=26 {
        let mut net = town(seed, 4);
        let first = viewer_with_id(&mut net, 200);
        net.run_for(Duration::from_secs(12));
        let second = viewer_with_id(&mut net, if seed % 2 == 0 { 100 } else { 201 });
        net.run_for(Duration::from_secs(20));
        let copies = copies(&mut net, &[first, second], Duration::from_secs(20));
        println!("seed {seed}: {copies:.2} copies");
        assert!((0.95..1.3).contains(&copies), "seed {seed}: {copies} copies\n{}", net.table());
        no_stall(&net, &[first, second]);
    }
}

/// The home's second viewer plays from the first, which goes in some way. The time that was not played.
fn the_one_goes(seed: u64, go: impl Fn(&mut Net, usize)) -> Duration {
    let mut net = town(seed, 4);
    let first = net.viewer_at_home(place(1), HOME);
    net.run_for(Duration::from_secs(3));
    let second = net.viewer_at_home(place(1), HOME);
    net.run_for(Duration::from_secs(20));
    let from_home = |net: &Net, one: usize| {
        let (stats, first) = (net.stats(one), net.id(first));
        stats.substreams.iter().filter(|s| s.parent == first).count()
    };
    assert!(from_home(&net, second) >= 8, "{}", net.table());
    no_stall(&net, &[second]);
    go(&mut net, first);
    net.run_for(Duration::from_secs(20));
    let stats = net.stats(second);
    assert!(stats.substreams.len() >= 8 && from_home(&net, second) == 0, "{}", net.table());
    println!(
        "seed {seed}: stalled {:?}, moved {} within {:?}",
        stats.stalled, stats.failovers, stats.failover_max
    );
    stats.stalled
}

#[test]
fn the_one_leaves_and_the_other_goes_on_from_outside() {
    for seed in 31..=36 {
        let stalled = the_one_goes(seed, |net, first| net.input(first, swarm::Input::Leave));
        assert_eq!(stalled, Duration::ZERO);
    }
}

#[test]
fn the_one_is_switched_off_or_falls_silent() {
    for seed in 41..=46 {
        let stalled = the_one_goes(seed, |net, first| net.kill(first));
        assert!(stalled < Duration::from_secs(1), "{stalled:?}");
        let stalled = the_one_goes(seed, |net, first| net.nodes[first].withholds = true);
        assert!(stalled < Duration::from_secs(1), "{stalled:?}");
    }
}

#[test]
fn what_stays_at_home_takes_no_uplink() {
    let mut net = town(51, 4);
    // Less than two sub-streams.
    let mut config = net.config(Role::Viewer, place(1));
    config.uplink = Some(900_000);
    let first = net.join_home(config, HOME);
    net.nodes[first].uplink = Some(900_000);
    net.run_for(Duration::from_secs(5));
    let second = net.viewer_at_home(place(1), HOME);
    net.run_for(Duration::from_secs(20));
    let copies = copies(&mut net, &[first, second], Duration::from_secs(20));
    assert!(copies < 1.3, "{copies} copies\n{}", net.table());
    no_stall(&net, &[first, second]);
}
