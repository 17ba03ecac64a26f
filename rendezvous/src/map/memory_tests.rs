use std::time::Duration;

use link::nat::Access;
use link::protocol::EpochKey;
use segment::ChannelKey;
use swarm::Substreams;
use ticket::Location;

use super::*;

const BOUNDS: Bounds = Bounds {
    swarms: 8,
    swarms_per_viewer: 2,
    swarms_per_server: 8,
    off_air_after: Duration::from_secs(10),
};

fn peer(number: u16) -> PeerId {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    PeerId(id)
}

fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000)
}

fn node(number: u16, role: Role) -> Node {
    Node {
        peer: peer(number),
        role,
        location: Location::default(),
        addrs: vec![([127, 0, 0, 1], 1000 + number).into()],
        software: "test".into(),
        seen: [192, 0, 2, number as u8].into(),
        reach: Reach::default(),
    }
}

fn publication(channel: &str, secret: u8, epoch: u32) -> Publication {
    Publication {
        name: channel.to_uppercase(),
        parameters: Parameters {
            channel: channel.into(),
            rendition: "main".into(),
            key: [secret; 32],
            n: 12,
            k: 8,
            essential_k: Some(4),
            segment_ms: 250,
            delay_ms: 2000,
            bitrate: 4_000_000,
        },
        epoch_segments: 4800,
        keys: [epoch, epoch + 1].map(|epoch| EpochKey { epoch, key: [secret; 32] }).to_vec(),
    }
}

fn swarm_of(secret: u8) -> SwarmId {
    SwarmId::new(&ChannelKey([secret; 32]), "main")
}

fn memory() -> Memory {
    Memory::new(BOUNDS, &[], 1)
}

/// A map with headend 1 that publishes "a", and these viewers in its swarm, all at 0 s.
fn on_air(viewers: std::ops::Range<u16>) -> Memory {
    let mut map = memory();
    map.arrive(at(0), 1, node(1, Role::Headend));
    map.publish(at(0), peer(1), publication("a", 1, 0)).unwrap();
    for number in viewers {
        map.arrive(at(0), number.into(), node(number, Role::Viewer));
        map.join(at(0), peer(number), swarm_of(1)).unwrap();
    }
    map
}

fn report(free: u16, bytes_in: [u64; 3]) -> SwarmReport {
    SwarmReport {
        swarm: swarm_of(1).0,
        have: Substreams::first(8),
        free,
        bytes_in,
        ..Default::default()
    }
}

fn who(hints: &[PeerHint]) -> BTreeSet<PeerId> {
    hints.iter().map(|hint| hint.peer).collect()
}

#[test]
fn who_is_silent_is_not_offered_and_is_again_when_heard() {
    let mut map = on_air(2..5);
    map.heard(at(20), peer(3));
    assert_eq!(who(&map.find(at(21), peer(2), swarm_of(1))), BTreeSet::from([peer(3)]));
    map.report(at(22), peer(4), report(3, [0; 3])).unwrap();
    let hints = map.find(at(24), peer(2), swarm_of(1));
    assert_eq!(who(&hints), BTreeSet::from([peer(3), peer(4)]));
    let ages: BTreeSet<u8> = hints.iter().map(|hint| hint.age_s).collect();
    assert_eq!(ages, BTreeSet::from([2, 4]));
}

#[test]
fn who_has_left_or_lost_its_connection_is_gone_at_once() {
    let mut map = on_air(2..5);
    map.leave(at(1), peer(3), swarm_of(1));
    map.depart(at(1), 4, peer(4));
    assert_eq!(who(&map.find(at(1), peer(2), swarm_of(1))), BTreeSet::from([peer(1)]));
    assert!(map.report(at(1), peer(3), report(1, [0; 3])).is_none());
    assert_eq!(map.summaries(at(1))[0].nodes.viewer, 1);
}

#[test]
fn the_end_of_an_old_connection_does_not_touch_the_new_one() {
    let mut map = on_air(2..3);
    map.arrive(at(5), 77, node(2, Role::Viewer));
    assert!(!map.takes_part(peer(2), swarm_of(1)));
    map.join(at(5), peer(2), swarm_of(1)).unwrap();
    map.depart(at(6), 2, peer(2));
    assert!(map.takes_part(peer(2), swarm_of(1)));
    map.depart(at(7), 77, peer(2));
    assert_eq!(map.members(swarm_of(1), Role::Viewer), []);
}

#[test]
fn a_lost_headend_goes_off_air_after_a_while_and_keys_are_forgotten() {
    let mut map = on_air(2..3);
    map.depart(at(30), 1, peer(1));
    assert!(!map.tick(at(39)));
    assert!(map.line_up()[0].live);
    assert_eq!(map.resolve("a", None), Some(swarm_of(1)));
    assert!(map.tick(at(40)));
    let line_up = map.line_up();
    assert!(!line_up[0].live && line_up[0].renditions.is_empty());
    assert_eq!(map.resolve("a", None), None);
    let (_, keys) = map.publication(swarm_of(1)).unwrap();
    assert!(keys.is_empty());

    // Who is in the swarm goes on, and the channel can come back.
    map.arrive(at(50), 9, node(1, Role::Headend));
    let published = map.publish(at(50), peer(1), publication("a", 1, 5)).unwrap();
    assert_eq!(published, Published { swarm: swarm_of(1), line_up: true, keys: true });
    assert!(map.takes_part(peer(2), swarm_of(1)));
}

#[test]
fn a_swarm_that_is_over_leaves_nothing_behind() {
    let mut map = on_air(2..4);
    map.depart(at(1), 1, peer(1));
    map.tick(at(11));
    map.leave(at(12), peer(2), swarm_of(1));
    map.depart(at(12), 3, peer(3));
    assert!(map.swarms.is_empty() && map.renditions.is_empty());
    assert_eq!(map.line_up().len(), 1, "the guide remembers for a day");
    assert!(map.tick(at(11 + 25 * 3600)));
    assert!(map.line_up().is_empty());
}

#[test]
fn twins_must_agree_on_key_and_parameters() {
    let mut map = on_air(2..3);
    map.arrive(at(1), 7, node(7, Role::Headend));
    let refused = |map: &mut Memory, change: fn(&mut Publication)| {
        let mut publication = publication("a", 1, 0);
        change(&mut publication);
        map.publish(at(1), peer(7), publication).unwrap_err().to_string()
    };
    for (change, says) in [
        ((|p| p.parameters.key = [9; 32]) as fn(&mut Publication), "another secret"),
        (|p| p.keys[0].key = [9; 32], "another secret"),
        (|p| p.parameters.k = 6, "another code"),
        (|p| p.parameters.segment_ms = 500, "another segment duration"),
        (|p| p.parameters.delay_ms = 500, "another playout delay"),
        (|p| p.epoch_segments = 1, "another length of an epoch"),
    ] {
        let said = refused(&mut map, change);
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(map.members(swarm_of(1), Role::Headend), [peer(1)]);

    let mut twin = publication("a", 1, 0);
    twin.parameters.bitrate += 1000;
    assert!(!map.publish(at(1), peer(7), twin).unwrap().keys);
    // One of two is lost: the channel stays on air.
    map.depart(at(2), 1, peer(1));
    map.tick(at(60));
    assert!(map.line_up()[0].live);
}

#[test]
fn a_channel_may_change_its_secret_once_nobody_publishes_it() {
    let mut map = on_air(2..3);
    // The only publisher itself may; its old swarm is over then for new viewers.
    map.publish(at(1), peer(1), publication("a", 2, 0)).unwrap();
    assert_eq!(map.resolve("a", Some("main")), Some(swarm_of(2)));
    assert_eq!(map.publication(swarm_of(1)).unwrap().1, []);
    map.depart(at(2), 1, peer(1));
    map.arrive(at(3), 7, node(7, Role::Headend));
    map.publish(at(3), peer(7), publication("a", 3, 0)).unwrap();
    assert_eq!(map.resolve("a", None), Some(swarm_of(3)));
}

#[test]
fn two_channels_cannot_share_one_secret() {
    let mut map = on_air(2..2);
    let shared = map.publish(at(0), peer(1), publication("b", 1, 0)).unwrap_err();
    assert_eq!(shared, Error::Publication(Mismatch::Shared("a".into())));
    assert!(shared.to_string().contains("channel a has the same secret"), "{shared}");
}

#[test]
fn what_no_node_could_work_with_is_not_published() {
    let mut map = on_air(2..2);
    let changes: [fn(&mut Publication); 11] = [
        |p| p.parameters.channel = "a/b".into(),
        |p| p.parameters.channel = String::new(),
        |p| p.parameters.rendition = "x".repeat(65),
        |p| p.name = "x".repeat(129),
        |p| p.name = "a\nb".into(),
        |p| p.parameters.k = 0,
        |p| p.parameters.k = 13,
        |p| p.parameters.segment_ms = 0,
        |p| p.parameters.delay_ms = u32::MAX,
        |p| p.keys.clear(),
        |p| p.epoch_segments = 0,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut publication = publication("b", 2, 0);
        change(&mut publication);
        let result = map.publish(at(0), peer(1), publication);
        assert!(matches!(result, Err(Error::Publication(Mismatch::Range(_)))), "{i}: {result:?}");
    }
    assert_eq!(map.line_up().len(), 1);
}

#[test]
fn swarms_are_bounded_per_node_and_in_all() {
    let mut map = memory();
    map.arrive(at(0), 1, node(1, Role::Headend));
    for i in 0..8 {
        map.publish(at(0), peer(1), publication(&format!("c{i}"), i + 1, 0)).unwrap();
    }
    let ninth = map.publish(at(0), peer(1), publication("c8", 9, 0));
    assert_eq!(ninth, Err(Error::Full(8)));
    map.publish(at(0), peer(1), publication("c7", 8, 1)).unwrap();
    map.arrive(at(0), 2, node(2, Role::Viewer));
    map.join(at(0), peer(2), swarm_of(1)).unwrap();
    map.join(at(0), peer(2), swarm_of(2)).unwrap();
    map.join(at(0), peer(2), swarm_of(2)).unwrap();
    assert_eq!(map.join(at(0), peer(2), swarm_of(3)), Err(Error::TooManySwarms(2)));
    assert_eq!(map.join(at(0), peer(2), swarm_of(77)), Err(Error::NoSuchSwarm));
    map.leave(at(0), peer(2), swarm_of(1));
    map.join(at(0), peer(2), swarm_of(3)).unwrap();
    assert_eq!(map.swarms_of(peer(2)).len(), 2);
}

#[test]
fn keys_follow_the_epochs_and_are_few() {
    let mut map = on_air(2..3);
    for epoch in 1..20 {
        let published = map.publish(at(1), peer(1), publication("a", 1, epoch)).unwrap();
        assert!(published.keys && !published.line_up);
        assert!(!map.publish(at(1), peer(1), publication("a", 1, epoch)).unwrap().keys);
    }
    let epochs: Vec<u32> =
        map.publication(swarm_of(1)).unwrap().1.iter().map(|key| key.epoch).collect();
    assert_eq!(epochs, [17, 18, 19, 20]);
}

#[test]
fn offload_counts_what_viewers_received_since_they_reported_here() {
    let mut map = on_air(2..4);
    // A restarted rendezvous hears of bytes that it must not count again.
    map.report(at(1), peer(2), report(1, [0, 9_000, 9_000])).unwrap();
    assert_eq!(map.summaries(at(1))[0].offload, None);
    let progress = map.report(at(3), peer(2), report(1, [100, 9_200, 9_700])).unwrap();
    assert_eq!(progress.received, [100, 200, 700]);
    assert_eq!(map.summaries(at(3))[0].offload, Some(0.7));
    // A node that starts again counts from zero: no progress below zero.
    let progress = map.report(at(5), peer(2), report(1, [0; 3])).unwrap();
    assert_eq!(progress.received, [0; 3]);
    let lie = map.report(at(7), peer(2), report(1, [u64::MAX; 3])).unwrap();
    assert!(lie.received[0] <= 4 << 30);
    map.tick(at(2000));
    assert_eq!(map.summaries(at(2000))[0].offload, None);
}

#[test]
fn a_large_swarm_offers_near_peers_with_something_to_spare() {
    let mut map = on_air(2..2);
    for number in 2..2002 {
        let subset = Some(u32::from(number % 20));
        let location = Location { subset, ..Location::default() };
        map.arrive(at(0), number.into(), Node { location, ..node(number, Role::Viewer) });
        map.join(at(0), peer(number), swarm_of(1)).unwrap();
        // One in twenty has something to spare.
        let free = u16::from(number % 400 < 20);
        map.report(at(1), peer(number), report(free, [0; 3])).unwrap();
    }
    let hints = map.find(at(2), peer(1999), swarm_of(1));
    assert_eq!(hints.len(), rank::MOST);
    let near = |hint: &&PeerHint| hint.location.subset == Some(1999 % 20);
    let spare = map.swarms[&swarm_of(1)].parts.iter();
    let spare: BTreeSet<PeerId> = spare
        .filter(|(_, part)| matches!(part.capacity(), rank::Capacity::Free(_)))
        .map(|(peer, _)| *peer)
        .collect();
    let both = hints.iter().filter(near).filter(|hint| spare.contains(&hint.peer)).count();
    // Five are near and have something to spare: all are found among two thousand.
    assert_eq!(both, 5);
    assert!(hints.iter().filter(|hint| spare.contains(&hint.peer)).count() >= 24);
}

#[test]
fn numbers_and_names_come_from_the_operator_or_else_stay_as_they_came() {
    let listing = |id: &str, number, name: Option<&str>| Listing {
        id: id.into(),
        number,
        name: name.map(Into::into),
        logo: None,
    };
    let listings = [listing("z", Some(2), Some("Last")), listing("y", None, None)];
    let mut map = Memory::new(BOUNDS, &listings, 1);
    map.arrive(at(0), 1, node(1, Role::Headend));
    for (channel, secret) in [("b", 1), ("z", 2), ("a", 3), ("y", 4)] {
        map.publish(at(0), peer(1), publication(channel, secret, 0)).unwrap();
    }
    let seen: Vec<_> =
        map.line_up().into_iter().map(|c| (c.number, c.id, c.name, c.live)).collect();
    let line = |number, id: &str, name: &str| (number, id.into(), name.into(), true);
    assert_eq!(
        seen,
        [line(1, "y", "Y"), line(2, "z", "Last"), line(3, "b", "B"), line(4, "a", "A")]
    );
}

mod any_order_of_events {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        Arrive(u16, Role),
        Depart(u16),
        Publish(u16, u8),
        Join(u16, u8),
        Leave(u16, u8),
        Report(u16, u8, u16),
        Wait(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        let role = prop_oneof![Just(Role::Headend), Just(Role::Repeater), Just(Role::Viewer)];
        prop_oneof![
            (0..12u16, role).prop_map(|(node, role)| Event::Arrive(node, role)),
            (0..12u16).prop_map(Event::Depart),
            (0..12u16, 0..4u8).prop_map(|(node, swarm)| Event::Publish(node, swarm)),
            (0..12u16, 0..4u8).prop_map(|(node, swarm)| Event::Join(node, swarm)),
            (0..12u16, 0..4u8).prop_map(|(node, swarm)| Event::Leave(node, swarm)),
            (0..12u16, 0..4u8, 0..4u16)
                .prop_map(|(node, swarm, free)| { Event::Report(node, swarm, free) }),
            (0..20u64).prop_map(Event::Wait),
        ]
    }

    proptest! {
        #[test]
        fn nodes_and_swarms_always_agree_and_nothing_stays_for_ever(
            events in proptest::collection::vec(event(), 0..200)
        ) {
            let mut map = memory();
            let (mut now, mut connection) = (at(0), 0);
            for event in events {
                match event {
                    Event::Arrive(number, role) => {
                        connection += 1;
                        map.arrive(now, connection, node(number, role));
                    }
                    Event::Depart(number) => {
                        let present = map.nodes.get(&peer(number));
                        if let Some(connection) = present.map(|present| present.connection) {
                            map.depart(now, connection, peer(number));
                        }
                    }
                    Event::Publish(number, swarm) => {
                        let publication = publication("x", swarm, 0);
                        let _ = map.publish(now, peer(number), publication);
                    }
                    Event::Join(number, swarm) => {
                        let _ = map.join(now, peer(number), swarm_of(swarm));
                    }
                    Event::Leave(number, swarm) => map.leave(now, peer(number), swarm_of(swarm)),
                    Event::Report(number, swarm, free) => {
                        let swarm = swarm_of(swarm).0;
                        let report = SwarmReport { swarm, ..report(free, [0; 3]) };
                        let _ = map.report(now, peer(number), report);
                    }
                    Event::Wait(seconds) => {
                        now = now + Duration::from_secs(seconds);
                        map.tick(now);
                    }
                }
                for (id, swarm) in &map.swarms {
                    for (peer, part) in &swarm.parts {
                        prop_assert!(map.nodes[peer].swarms.contains(id));
                        prop_assert!(map.nodes[peer].node.role == part.role);
                    }
                    prop_assert!(swarm.on_air || !swarm.parts.is_empty());
                    prop_assert!(swarm.publishers.iter().all(|p| swarm.parts.contains_key(p)));
                    let counted: usize = [Role::Headend, Role::Repeater, Role::Viewer]
                        .map(|role| swarm.count(role)).iter().sum();
                    prop_assert_eq!(counted, swarm.parts.len());
                }
                for (peer, present) in &map.nodes {
                    for id in &present.swarms {
                        prop_assert!(map.swarms[id].parts.contains_key(peer));
                    }
                }
            }
            for (peer, connection) in
                map.nodes.iter().map(|(p, n)| (*p, n.connection)).collect::<Vec<_>>()
            {
                map.depart(now, connection, peer);
            }
            map.tick(now + BOUNDS.off_air_after);
            prop_assert!(map.nodes.is_empty() && map.swarms.is_empty());
            prop_assert!(map.renditions.is_empty());
        }
    }
}

fn reach(v4: Access) -> Reach {
    Reach { v4, v6: Access::None, servers_only: false }
}

#[test]
fn viewers_who_cannot_meet_are_neither_offered_nor_introduced() {
    let mut map = on_air(2..6);
    map.arrive(at(0), 6, node(6, Role::Repeater));
    map.join(at(0), peer(6), swarm_of(1)).unwrap();
    for (number, access) in [
        (2, Access::Symmetric),
        (3, Access::PortRestricted),
        (4, Access::Symmetric),
        (5, Access::Open),
    ] {
        map.reached(peer(number), reach(access));
    }
    let offered = who(&map.find(at(1), peer(2), swarm_of(1)));
    assert_eq!(offered, BTreeSet::from([peer(5), peer(6)]));
    let offered = who(&map.find(at(1), peer(3), swarm_of(1)));
    assert_eq!(offered, BTreeSet::from([peer(5), peer(6)]));
    assert!(map.introduce(peer(2), peer(3)).is_none());
    assert!(map.introduce(peer(4), peer(2)).is_none());
    let seen = |number| node(number, Role::Viewer).seen;
    assert_eq!(map.introduce(peer(2), peer(5)), Some((seen(2), seen(5))));
    assert!(map.introduce(peer(2), peer(6)).is_none(), "repeaters are dialled");
    map.leave(at(1), peer(5), swarm_of(1));
    assert!(map.introduce(peer(2), peer(5)).is_none(), "no common swarm");
    // A repeater is told of everybody: it dials nobody behind a router.
    assert_eq!(map.find(at(1), peer(6), swarm_of(1)).len(), 4);
}

#[test]
fn who_takes_from_servers_only_is_named_to_no_viewer() {
    let mut map = on_air(2..4);
    map.reached(peer(2), Reach { servers_only: true, ..reach(Access::Open) });
    assert_eq!(who(&map.find(at(1), peer(3), swarm_of(1))), BTreeSet::from([peer(1)]));
    assert_eq!(who(&map.find(at(1), peer(2), swarm_of(1))), BTreeSet::from([peer(1)]));
    assert!(map.introduce(peer(3), peer(2)).is_none());
}

#[test]
fn those_seen_at_one_address_are_neighbours() {
    let mut map = on_air(2..3);
    let here = |number| Node { seen: node(2, Role::Viewer).seen, ..node(number, Role::Viewer) };
    for number in 3..20 {
        map.arrive(at(0), number.into(), here(number));
        map.join(at(0), peer(number), swarm_of(1)).unwrap();
    }
    map.arrive(at(0), 20, node(20, Role::Viewer));
    map.join(at(0), peer(20), swarm_of(1)).unwrap();
    let neighbours = map.neighbours(at(1), peer(2), swarm_of(1));
    assert_eq!(neighbours.len(), NEIGHBOURS);
    assert!(neighbours.iter().all(|hint| hint.peer != peer(2) && hint.peer != peer(20)));
    assert_eq!(map.neighbours(at(1), peer(20), swarm_of(1)), []);
    // A symmetric router is no hindrance inside a home.
    for number in 2..20 {
        map.reached(peer(number), reach(Access::Symmetric));
    }
    assert_eq!(map.neighbours(at(1), peer(2), swarm_of(1)).len(), NEIGHBOURS);
    assert!(map.introduce(peer(2), peer(3)).is_some());
    assert!(map.introduce(peer(2), peer(20)).is_some(), "how far it can be reached is not known");
    assert_eq!(map.neighbours(at(30), peer(2), swarm_of(1)), [], "they are silent");
}
