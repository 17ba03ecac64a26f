use link::protocol::{EpochKey, Parameters};
use ticket::Location;

use super::super::Bounds;
use link::nat::Reach;

use super::*;

const NOW: Time = Time(100_000_000);
const A: Instance = PeerId([0xa; 32]);
const B: Instance = PeerId([0xb; 32]);

fn map() -> Memory {
    let bounds = Bounds {
        swarms: 10,
        swarms_per_viewer: 4,
        swarms_per_server: 10,
        off_air_after: std::time::Duration::from_secs(10),
    };
    Memory::shared(bounds, &[], 1)
}

fn node(number: u8, role: Role) -> Node {
    let addrs = vec![([192, 0, 2, number], 7000).into()];
    let (peer, location) = (PeerId([number; 32]), Location::default());
    let (seen, reach) = ([192, 0, 2, number].into(), Default::default());
    Node { peer, role, location, addrs, software: "test".into(), seen, reach }
}

fn publication(channel: &str, secret: u8) -> Publication {
    let parameters = Parameters {
        channel: channel.into(),
        rendition: "main".into(),
        key: [secret; 32],
        n: 12,
        k: 8,
        essential_k: None,
        segment_ms: 250,
        delay_ms: 2000,
        bitrate: 1_000_000,
    };
    let keys = vec![EpochKey { epoch: 3, key: [secret; 32] }];
    Publication { name: channel.into(), parameters, epoch_segments: 4800, keys }
}

/// What `from` has to tell reaches `to`, by way of bytes.
fn tell(from: &mut Memory, who: Instance, to: &mut Memory) -> Vec<Absorbed> {
    let changes = postcard::to_allocvec(&from.changes(NOW)).unwrap();
    let changes: Vec<Change> = postcard::from_bytes(&changes).unwrap();
    changes.into_iter().map(|change| to.absorb(NOW, who, change)).collect()
}

/// A headend and a repeater at one server, a viewer at the other.
fn platform() -> (Memory, Memory, SwarmId) {
    let (mut a, mut b) = (map(), map());
    a.arrive(NOW, 1, node(1, Role::Headend));
    let swarm = a.publish(NOW, PeerId([1; 32]), publication("one", 1)).unwrap().swarm;
    a.arrive(NOW, 2, node(2, Role::Repeater));
    a.join(NOW, PeerId([2; 32]), swarm).unwrap();
    let heard = tell(&mut a, A, &mut b);
    assert!(heard.iter().any(|absorbed| absorbed.line_up && absorbed.keys == Some(swarm)));
    b.arrive(NOW, 3, node(3, Role::Viewer));
    b.join(NOW, PeerId([3; 32]), swarm).unwrap();
    tell(&mut b, B, &mut a);
    (a, b, swarm)
}

#[test]
fn a_channel_of_one_server_can_be_had_at_the_other_with_its_keys_and_peers() {
    let (mut a, mut b, swarm) = platform();
    assert_eq!(b.resolve("one", None), Some(swarm));
    let (_, keys) = b.publication(swarm).unwrap();
    assert_eq!(keys, publication("one", 1).keys);
    let found: Vec<PeerId> =
        b.find(NOW, PeerId([3; 32]), swarm).into_iter().map(|hint| hint.peer).collect();
    assert_eq!(found, [PeerId([2; 32])]);
    let at_a = a.find(NOW, PeerId([2; 32]), swarm);
    assert!(at_a.iter().any(|hint| hint.peer == PeerId([3; 32])));
    assert_eq!(b.elsewhere(PeerId([2; 32])), Some(A));
    assert_eq!(b.elsewhere(PeerId([3; 32])), None);
    assert_eq!(a.changes(NOW), [], "told once, and nothing of others is told on");
    assert!(b.everything(NOW).iter().all(|change| match change {
        Change::Node(record) => record.node.peer == PeerId([3; 32]),
        _ => false,
    }));
}

#[test]
fn what_a_node_reports_and_leaves_is_known_elsewhere() {
    let (mut a, mut b, swarm) = platform();
    let report = SwarmReport { swarm: swarm.0, free: 5, stalls: 2, ..Default::default() };
    b.report(NOW, PeerId([3; 32]), report);
    tell(&mut b, B, &mut a);
    let summary = &a.summaries(NOW)[0];
    assert_eq!((summary.free.viewer, summary.stalls), (5, 2));
    assert_eq!((summary.nodes.viewer, summary.here.viewer), (1, 0));
    b.leave(NOW, PeerId([3; 32]), swarm);
    tell(&mut b, B, &mut a);
    assert_eq!(a.summaries(NOW)[0].nodes.viewer, 0);
    a.depart(NOW, 1, PeerId([1; 32]));
    tell(&mut a, A, &mut b);
    assert!(!b.tick(NOW), "a headend may come back");
    assert!(b.tick(NOW + std::time::Duration::from_secs(10)));
    assert_eq!(b.resolve("one", None), None);
}

#[test]
fn a_node_is_where_it_connected_last() {
    let (mut a, mut b, swarm) = platform();
    // It comes to A before B notices that it is gone there.
    a.arrive(NOW, 9, node(3, Role::Viewer));
    a.join(NOW, PeerId([3; 32]), swarm).unwrap();
    let heard = tell(&mut a, A, &mut b);
    assert!(heard.iter().any(|absorbed| absorbed.left == Some(PeerId([3; 32]))));
    assert_eq!(b.elsewhere(PeerId([3; 32])), Some(A));
    b.depart(NOW, 3, PeerId([3; 32]));
    tell(&mut b, B, &mut a);
    assert!(a.takes_part(PeerId([3; 32]), swarm), "the end of the earlier connection is no news");
    // An earlier connection that is heard of late does not count.
    let late = Record {
        node: node(3, Role::Viewer),
        connection: 4,
        age_ms: 0,
        account: String::new(),
        parts: vec![],
    };
    a.absorb(NOW, B, Change::Node(late));
    assert_eq!(a.connection_of(PeerId([3; 32])), Some(9));
}

#[test]
fn nobody_speaks_for_another_servers_nodes() {
    let (mut a, _, swarm) = platform();
    a.absorb(NOW, A, Change::Gone { peer: PeerId([3; 32]), connection: 3 });
    assert!(a.takes_part(PeerId([3; 32]), swarm), "that node is B's");
    a.absorb(NOW, B, Change::Gone { peer: PeerId([2; 32]), connection: 2 });
    assert!(a.takes_part(PeerId([2; 32]), swarm), "that node is A's own");
    let (publication, number) = (publication("two", 2), (7, 1));
    let peer = PeerId([3; 32]);
    a.absorb(NOW, A, Change::Publication { peer, connection: 3, publication, number });
    assert_eq!(a.resolve("two", None), None);
}

#[test]
fn a_lost_server_takes_its_nodes_along_and_held_ones_stay_fresh() {
    let (_, mut b, swarm) = platform();
    let later = NOW + std::time::Duration::from_secs(60);
    b.hold(later);
    let found = b.find(later, PeerId([3; 32]), swarm);
    assert_eq!(found.len(), 1, "the repeater counts as there while nobody can be heard");
    let kept = HashSet::from([PeerId([1; 32])]);
    b.forget(later, A, Some(&kept));
    let left: Vec<PeerId> =
        b.find(later, PeerId([3; 32]), swarm).into_iter().map(|hint| hint.peer).collect();
    assert_eq!(left, [PeerId([1; 32])], "the repeater is gone");
    assert_eq!(b.resolve("one", None), Some(swarm));
    b.forget(later, A, None);
    assert!(b.takes_part(PeerId([3; 32]), swarm), "its own stay");
    b.tick(later + std::time::Duration::from_secs(10));
    assert_eq!(b.resolve("one", None), None);
}

#[test]
fn servers_come_to_the_same_line_up_whatever_they_heard_first() {
    let (mut a, mut b) = (map(), map());
    a.arrive(NOW, 10, node(1, Role::Headend));
    a.publish(NOW, PeerId([1; 32]), publication("one", 1)).unwrap();
    b.arrive(NOW, 11, node(2, Role::Headend));
    b.publish(NOW, PeerId([2; 32]), publication("two", 2)).unwrap();
    assert_eq!((a.line_up()[0].number, b.line_up()[0].number), (1, 1));
    for _ in 0..2 {
        for change in a.everything(NOW) {
            b.absorb(NOW, A, change);
        }
        for change in b.everything(NOW) {
            a.absorb(NOW, B, change);
        }
    }
    let numbers = |map: &Memory| -> Vec<(u32, String)> {
        map.line_up().into_iter().map(|channel| (channel.number, channel.id)).collect()
    };
    assert_eq!(numbers(&a), [(1, "one".to_owned()), (2, "two".to_owned())]);
    assert_eq!(numbers(&a), numbers(&b));
}

#[test]
fn how_far_a_node_can_be_reached_is_known_elsewhere() {
    let (mut a, mut b, _) = platform();
    let viewer = PeerId([3; 32]);
    b.reached(viewer, Reach { servers_only: true, ..Reach::default() });
    tell(&mut b, B, &mut a);
    assert!(a.nodes[&viewer].node.reach.servers_only);
}
