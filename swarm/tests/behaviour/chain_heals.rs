//! Repeaters that chain because the headend carries few: when one goes, the others and their viewers go on within 5 s.

use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

#[test]
fn the_chain_closes_again() {
    for seed in 1..=4 {
        let mut net = Net::new(seed);
        let mut headend = net.config(Role::Headend, place(9));
        headend.serve = swarm::Serve::Repeaters;
        // Enough for two repeaters of three.
        headend.max_pushed = Some(16);
        net.join(headend);
        let mut repeaters = Vec::new();
        for asn in [1, 2, 3] {
            let config = net.config(Role::Repeater, place(asn));
            repeaters.push(net.join(config));
            net.run_for(Duration::from_secs(1));
        }
        let viewers: Vec<usize> = [1, 2, 3, 1, 2, 3]
            .map(|asn| {
                let viewer = net.viewer(place(asn));
                net.run_for(Duration::from_millis(400));
                viewer
            })
            .to_vec();
        net.run_for(Duration::from_secs(15));
        let chained = repeaters.iter().find_map(|&repeater| {
            let stats = net.stats(repeater);
            let parents = stats.substreams.iter().filter(|s| s.role == Role::Repeater);
            let parents: Vec<_> = parents.map(|s| s.parent).collect();
            repeaters.iter().copied().find(|&other| parents.contains(&net.id(other)))
        });
        let upper = chained.unwrap_or_else(|| panic!("no chain, seed {seed}, {}", net.table()));
        net.kill(upper);
        let killed = net.now;
        net.run_for(Duration::from_secs(20));
        for &viewer in &viewers {
            let late =
                net.nodes[viewer].bad().into_iter().filter(|&(_, at)| at > killed + 5_000_000);
            assert_eq!(late.count(), 0, "viewer {viewer}, seed {seed}, {}", net.table());
            assert!(net.stats(viewer).substreams.len() >= 8, "seed {seed}, {}", net.table());
        }
    }
}
