//! Nobody takes a sub-stream that came through itself, and two may still feed each other different ones.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::{PeerId, Role};

use crate::net::{Net, place};

fn mesh(seed: u64, viewers: usize) -> (Net, Vec<usize>) {
    let mut net = Net::new(seed);
    let mut headend = net.config(Role::Headend, place(9));
    headend.serve = swarm::Serve::Repeaters;
    net.join(headend);
    let mut repeater = net.config(Role::Repeater, place(1));
    repeater.max_pushed = Some(10);
    net.join(repeater);
    net.run_for(Duration::from_secs(3));
    let join = |_| {
        let viewer = net.viewer(place(1));
        net.run_for(Duration::from_millis(100));
        viewer
    };
    let viewers = (0..viewers).map(join).collect();
    (net, viewers)
}

/// Who feeds whom: parents by child and sub-stream.
fn parents(net: &Net, viewers: &[usize]) -> BTreeMap<(PeerId, u8), Vec<PeerId>> {
    let mut parents: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &viewer in viewers {
        for substream in net.stats(viewer).substreams {
            parents.entry((net.id(viewer), substream.index)).or_default().push(substream.parent);
        }
    }
    parents
}

#[test]
fn every_sub_stream_leads_to_the_headend() {
    for seed in 1..=5 {
        let (mut net, viewers) = mesh(seed, 10);
        net.run_for(Duration::from_secs(10));
        let mut looped = 0;
        for _ in 0..40 {
            net.run_for(Duration::from_millis(500));
            let parents = parents(&net, &viewers);
            for &(viewer, index) in parents.keys() {
                let mut at = viewer;
                let mut hops = 0;
                while let Some(next) = parents.get(&(at, index)).and_then(|list| list.first()) {
                    at = *next;
                    hops += 1;
                    if hops > viewers.len() {
                        break;
                    }
                }
                looped += usize::from(hops > viewers.len());
            }
        }
        // A loop may close for a moment when several move at once; it is found by its path and opened.
        assert!(looped <= 2, "seed {seed}: {looped} loops, {}", net.table());
        for &viewer in &viewers {
            let stats = net.stats(viewer);
            assert_eq!((stats.stalls, stats.lost), (0, 0), "seed {seed}, {}", net.table());
        }
    }
}

#[test]
fn two_viewers_feed_each_other() {
    let mut mutual = 0;
    for seed in 1..=5 {
        let (mut net, viewers) = mesh(seed, 6);
        net.run_for(Duration::from_secs(20));
        let parents = parents(&net, &viewers);
        let feeds = |from: usize, to: usize| {
            parents
                .iter()
                .any(|((child, _), list)| *child == net.id(to) && list.contains(&net.id(from)))
        };
        for &a in &viewers {
            mutual += viewers.iter().filter(|&&b| a < b && feeds(a, b) && feeds(b, a)).count();
        }
    }
    assert!(mutual > 0);
}
