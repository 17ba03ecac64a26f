//! What a join and a report cost in swarms of different sizes: the first must not grow with them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use link::protocol::{EpochKey, Parameters, Publication, SwarmReport};
use rendezvous::map::{Bounds, Map, Memory, Node};
use segment::SwarmId;
use swarm::Time;
use ticket::{Location, PeerId, Role};

const BOUNDS: Bounds = Bounds {
    swarms: 10,
    swarms_per_viewer: 2,
    swarms_per_server: 10,
    off_air_after: Duration::from_secs(10),
};
const NOW: Time = Time(1_000_000);

fn peer(number: u32) -> PeerId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    PeerId(id)
}

fn node(number: u32, role: Role) -> Node {
    let location = Location {
        subset: Some(number % 200),
        asn: Some(number % 50),
        country: ["AT", "CH", "DE"][number as usize % 3].parse().ok(),
    };
    let addrs = vec![([127, 0, 0, 1], 7000).into()];
    let (seen, reach) = (std::net::Ipv4Addr::from(number).into(), Default::default());
    Node { peer: peer(number), role, location, addrs, software: "bench".into(), seen, reach }
}

fn publication() -> Publication {
    let parameters = Parameters {
        channel: "one".into(),
        rendition: "main".into(),
        key: [1; 32],
        n: 12,
        k: 8,
        essential_k: Some(4),
        segment_ms: 250,
        delay_ms: 2000,
        bitrate: 4_000_000,
    };
    let keys = vec![EpochKey { epoch: 0, key: [1; 32] }];
    Publication { name: "One".into(), parameters, epoch_segments: 7200, keys }
}

/// A channel with 200 repeaters and this many viewers, a quarter of which have something to spare.
fn map(viewers: u32) -> (Memory, SwarmId) {
    let mut map = Memory::new(BOUNDS, &[], 1);
    map.arrive(NOW, 0, node(0, Role::Headend));
    let swarm = map.publish(NOW, peer(0), publication()).expect("the publication is sound").swarm;
    for number in 1..=viewers + 200 {
        let role = if number <= 200 { Role::Repeater } else { Role::Viewer };
        map.arrive(NOW, number.into(), node(number, role));
        map.join(NOW, peer(number), swarm).expect("there is room");
        map.report(NOW, peer(number), report(swarm, if number.is_multiple_of(4) { 3 } else { 0 }));
    }
    (map, swarm)
}

fn report(swarm: SwarmId, free: u16) -> SwarmReport {
    SwarmReport { swarm: swarm.0, free, ..SwarmReport::default() }
}

fn benches(c: &mut Criterion) {
    for viewers in [100, 10_000, 100_000] {
        let (mut map, swarm) = map(viewers);
        let newcomer = viewers + 1000;
        c.bench_function(&format!("join, {viewers} viewers"), |b| {
            b.iter(|| {
                map.arrive(NOW, 1 << 40, node(newcomer, Role::Viewer));
                map.join(NOW, peer(newcomer), swarm).expect("there is room");
                black_box(map.find(NOW, peer(newcomer), swarm));
                map.depart(NOW, 1 << 40, peer(newcomer));
            });
        });
        c.bench_function(&format!("report, {viewers} viewers"), |b| {
            let mut free = 0;
            b.iter(|| {
                free ^= 1;
                black_box(map.report(NOW, peer(300), report(swarm, free)));
            });
        });
    }
}

criterion_group!(all, benches);
criterion_main!(all);
