//! All viewers show the same picture at the same moment, wherever they are and whenever they came.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::Role;

use crate::net::{Net, place};

#[test]
fn viewers_differ_by_less_than_a_tenth_of_a_second() {
    let mut net = Net::new(1);
    net.jitter = Duration::from_millis(60);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let repeater = net.config(Role::Repeater, place(1));
    net.join(repeater);
    net.run_for(Duration::from_secs(3));
    let mut viewers = Vec::new();
    for number in 0..12u32 {
        // Clocks as good as rendezvous makes them: within 40 ms.
        net.clock_error = i64::from(number % 5) * 20_000 - 40_000;
        viewers.push(net.viewer(place(number % 3)));
        net.run_for(Duration::from_millis(700));
    }
    net.run_for(Duration::from_secs(20));
    let mut moments: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for &viewer in &viewers {
        assert_eq!(net.nodes[viewer].bad(), [], "{}", net.table());
        for played in net.nodes[viewer].played.iter().filter(|played| played.at == played.due) {
            moments.entry(played.number).or_default().push(played.at);
        }
    }
    let shared: Vec<_> = moments.values().filter(|at| at.len() == viewers.len()).collect();
    assert!(shared.len() > 60);
    for at in shared {
        let spread = at.iter().max().unwrap() - at.iter().min().unwrap();
        assert!(spread < 100_000, "spread of {spread} us");
    }
}
