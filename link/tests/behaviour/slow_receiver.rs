//! A peer that does not read what it asked for holds up nobody else.

use crate::common::{Channel, PATIENCE, Platform, Strings};
use segment::{Shard, SwarmId};
use swarm::{Message, Substreams};
use ticket::Role;
use tokio::time::timeout;

async fn subscribe(strings: &mut Strings, swarm: SwarmId) {
    strings.enter(swarm).await;
    assert!(matches!(strings.hear_message().await, Message::Hello(_)));
    let hello = swarm::Offer { available: vec![], free: 0, lag_ms: 0, peers: vec![] };
    strings.say_message(swarm, &Message::Hello(hello)).await;
    let substreams = Substreams::first(12);
    strings.say_message(swarm, &Message::Subscribe { substreams, from: Channel::now() }).await;
    while !matches!(strings.hear_message().await, Message::Grant(_)) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_holds_up_nobody() {
    let platform = Platform::new();
    let headend = platform.node(Role::Headend).await;
    let channel = Channel::new(6);
    let (id, spec) = (channel.swarm(), channel.spec());
    let on_air = channel.on_air(headend.join(spec));

    let (slow, quick) = (platform.puppet(), platform.puppet());
    let mut stuck = slow.dial(&headend, platform.token(slow.id(), Role::Repeater)).await.unwrap();
    subscribe(&mut stuck, id).await;
    let mut reading =
        quick.dial(&headend, platform.token(quick.id(), Role::Repeater)).await.unwrap();
    subscribe(&mut reading, id).await;

    // The slow one may have 16 streams open: a segment and a third. It is stuck long before the end.
    let mut seen = std::collections::BTreeMap::new();
    while seen.values().filter(|shards| **shards == 12).count() < 40 {
        let read = async {
            let mut stream = reading.connection.quic.accept_uni().await.unwrap();
            stream.read_to_end(1 << 20).await.unwrap()
        };
        let wire = timeout(PATIENCE, read).await.expect("the quick one is held up");
        let shard = Shard::decode(wire[17..].to_vec().into()).unwrap();
        *seen.entry(shard.header().number).or_insert(0) += 1;
    }
    let (first, last) = (seen.keys().next().unwrap(), seen.keys().next_back().unwrap());
    assert_eq!(last - first + 1, seen.len() as u64, "no segment is missing");
    assert!(stuck.connection.quic.close_reason().is_none(), "it was held up, not cut off");
    on_air.abort();
}
