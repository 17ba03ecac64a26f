//! Whatever peers send, an engine does not panic, does not run away, and keeps its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use segment::{Header, Layer, LayerHeader, LayerSet, Root};
use swarm::{
    Arrival, Availability, Delivery, Engine, Grant, Input, Message, Offer, PeerHint, PeerInfo,
    Refusal, ShardRef, Shed, Substreams, Time, Urgency,
};
use ticket::{PeerId, Role, ShortId};

use crate::net::{EPOCH, Net, place};

/// Numbers as they are and as they should not be.
fn number() -> impl Strategy<Value = u64> {
    let now = EPOCH / 250_000;
    prop_oneof![
        8 => (now - 20)..(now + 60),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => Just(0),
    ]
}

fn peer() -> impl Strategy<Value = PeerId> {
    (0..6u8).prop_map(|id| PeerId([id; 32]))
}

fn hint() -> impl Strategy<Value = PeerHint> {
    (any::<[u8; 32]>(), 0..=60u8).prop_map(|(id, age_s)| PeerHint {
        peer: PeerId(id),
        role: Role::Viewer,
        location: place(1),
        addrs: vec![SocketAddr::from(([10, 0, 0, 1], 1))],
        age_s,
    })
}

fn available() -> impl Strategy<Value = Vec<Availability>> {
    vec((0..14u8, number(), vec(any::<u32>(), 0..=16), any::<u8>()), 0..13).prop_map(|entries| {
        let entry = |(index, newest, path, rank): (u8, u64, Vec<u32>, u8)| {
            let path = path.into_iter().map(ShortId).collect();
            (index, Availability { index, newest, path, rank })
        };
        let unique: std::collections::BTreeMap<_, _> = entries.into_iter().map(entry).collect();
        unique.into_values().collect()
    })
}

fn offer() -> impl Strategy<Value = Offer> {
    (available(), any::<u16>(), any::<u32>(), vec(hint(), 0..=8))
        .prop_map(|(available, free, lag_ms, peers)| Offer { available, free, lag_ms, peers })
}

fn message() -> impl Strategy<Value = Message> {
    let set = || prop_oneof![any::<u64>(), 0..4096u64].prop_map(Substreams);
    let shards = || {
        let shard = (number(), 0..14u8).prop_map(|(number, index)| ShardRef { number, index });
        vec(shard, 0..=64)
    };
    prop_oneof![
        offer().prop_map(Message::Hello),
        set().prop_map(|wanted| Message::Search { wanted }),
        offer().prop_map(Message::Offer),
        (set(), number()).prop_map(|(substreams, from)| Message::Subscribe { substreams, from }),
        (set(), set()).prop_map(|(granted, refused)| Message::Grant(Grant {
            granted,
            refused,
            reason: Some(Refusal::Full),
        })),
        set().prop_map(|substreams| Message::Unsubscribe { substreams }),
        set().prop_map(|substreams| Message::Shed { substreams, reason: Shed::Lost }),
        (available(), any::<u16>()).prop_map(|(available, free)| Message::Have { available, free }),
        set().prop_map(|substreams| Message::Gone { substreams }),
        (shards(), any::<u16>())
            .prop_map(|(shards, within_ms)| Message::Request { shards, within_ms }),
        shards().prop_map(|shards| Message::Unavailable { shards }),
        (any::<u64>(), 1..=32u8).prop_map(|(playout, k)| Message::Start { playout, k }),
        (number(), number())
            .prop_map(|(a, b)| Message::Starting { range: Some((a.min(b), a.max(b))) }),
        (0..64u8, any::<u16>(), 0..=16u8).prop_map(|(index, late_ms, lost)| Message::Quality {
            index,
            late_ms,
            lost
        }),
        any::<u32>().prop_map(|token| Message::Probe { token }),
        (any::<u32>(), any::<u16>(), any::<u32>())
            .prop_map(|(token, free, lag_ms)| Message::ProbeReply { token, free, lag_ms }),
        vec(hint(), 0..=16).prop_map(Message::Peers),
        Just(Message::Bye),
    ]
}

fn arrival() -> impl Strategy<Value = Arrival> {
    (
        number(),
        0..14u8,
        any::<bool>(),
        any::<[u8; 2]>(),
        prop_oneof![3 => 0..90u64, 1 => any::<u64>()],
    )
        .prop_map(|(number, index, random_access, root, ahead)| Arrival {
            header: Header {
                number,
                capture: EPOCH.wrapping_add(ahead.wrapping_mul(100_000)),
                duration_ms: 250,
                epoch: 1,
                random_access,
                n: 12,
                essential: Some(LayerHeader { layer: Layer::Essential, k: 4, len: 9 }),
                full: LayerHeader { layer: Layer::Full, k: 8, len: 99 },
                root: Root([root[0] / 128; 16]),
            },
            index,
            layers: LayerSet { essential: root[1] > 9, full: true },
            bytes: 16_000,
        })
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Input(Input),
}

fn step() -> impl Strategy<Value = Step> {
    let info = |role, household| PeerInfo {
        role,
        location: place(1),
        rtt: Duration::from_millis(20),
        addrs: vec![SocketAddr::from(([10, 0, 0, 9], 9))],
        household,
    };
    let role = prop_oneof![Just(Role::Viewer), Just(Role::Repeater), Just(Role::Headend)];
    let shard = (number(), 0..14u8).prop_map(|(number, index)| ShardRef { number, index });
    prop_oneof![
        6 => (0..400_000u64).prop_map(Step::Wait),
        3 => (peer(), role, any::<bool>()).prop_map(move |(peer, role, household)| {
            Step::Input(Input::Connected { peer, info: info(role, household) })
        }),
        1 => peer().prop_map(|peer| Step::Input(Input::Disconnected { peer })),
        12 => (peer(), message())
            .prop_map(|(from, message)| Step::Input(Input::Message { from, message })),
        8 => (peer(), arrival())
            .prop_map(|(from, arrival)| Step::Input(Input::Shard { from, arrival })),
        1 => (peer(), shard).prop_map(|(to, shard)| Step::Input(Input::Delivery {
            to,
            shard,
            urgency: Urgency::Push,
            delivery: Delivery::Dropped,
        })),
        1 => vec(hint(), 0..30).prop_map(|peers| Step::Input(Input::Candidates { peers })),
        1 => any::<Option<u64>>().prop_map(|rate| Step::Input(Input::Uplink { rate })),
        1 => any::<i64>().prop_map(|offset| Step::Input(Input::Clock { offset })),
        2 => (-90_000_000..90_000_000i64)
            .prop_map(|offset| Step::Input(Input::Clock { offset: EPOCH as i64 + offset })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_breaks(steps in vec(step(), 1..120), role in 0..3u8) {
        let role = [Role::Viewer, Role::Repeater, Role::Headend][usize::from(role)];
        let config = Net::new(0).config(role, place(1));
        let mut now = Time(0);
        let mut engine = Engine::new(config, 1, now);
        engine.handle_input(now, Input::Clock { offset: EPOCH as i64 });
        for step in steps {
            match step {
                Step::Wait(us) => now = Time(now.0 + us),
                Step::Input(input) => engine.handle_input(now, input),
            }
            let mut wakes = 0;
            while engine.next_timeout().is_some_and(|(at, _)| at <= now) {
                engine.handle_input(now, Input::Timeout);
                wakes += 1;
                prop_assert!(wakes < 3, "it wakes again and again at one moment");
            }
            let mut outputs = 0;
            while engine.poll_output().is_some() {
                outputs += 1;
            }
            prop_assert!(outputs < 3000, "{outputs} outputs for one input");
            let stats = engine.stats(now);
            prop_assert!(stats.known <= 200);
            prop_assert!(stats.pushed <= 12 * 6);
        }
    }
}
