//! A peer that sends what fails its proof, or what is not asked for, is dropped and never taken again.

use std::time::Duration;

use swarm::{Arrival, Input, Message, Offence, Parting, ShardRef, Substreams};
use ticket::Role;

use crate::net::{EPOCH, Net, place};

fn playing(seed: u64) -> (Net, usize, Vec<usize>) {
    let mut net = Net::new(seed);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let mut repeater = net.config(Role::Repeater, place(1));
    repeater.max_pushed = Some(12);
    let repeater = net.join(repeater);
    net.run_for(Duration::from_secs(3));
    let viewers = (0..5).map(|_| net.viewer(place(1))).collect();
    net.run_for(Duration::from_secs(10));
    (net, repeater, viewers)
}

/// When `node` dropped `peer`, and why.
fn dropped(net: &Net, node: usize, peer: usize) -> Option<(u64, Parting)> {
    let id = net.id(peer);
    let parting = net.nodes[node].partings.iter().find(|(other, ..)| *other == id);
    parting.map(|&(_, reason, at)| (at, reason))
}

#[test]
fn a_polluter_is_dropped_at_its_first_shard() {
    let (mut net, _, viewers) = playing(1);
    let liar = viewers[0];
    assert!(net.stats(liar).pushed > 0, "{}", net.table());
    net.nodes[liar].lies = true;
    let began = net.now;
    net.run_for(Duration::from_secs(10));
    let mut victims = 0;
    for &viewer in &viewers[1..] {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
        if let Some((at, reason)) = dropped(&net, viewer, liar) {
            victims += 1;
            assert_eq!(reason, Parting::Misbehaved(Offence::BadShard));
            assert!(at - began < 9_000_000);
            // Several shards may be on their way already.
            assert!(stats.rejected_shards >= 1);
            assert!(!net.nodes[viewer].links.contains(&liar));
        }
        assert!(stats.substreams.iter().all(|substream| substream.parent != net.id(liar)));
    }
    assert!(victims > 0, "{}", net.table());
    assert_eq!(net.stats(liar).stalls, 0, "honest peers go on feeding it");
}

#[test]
fn it_is_not_taken_again_in_this_session() {
    let (mut net, _, viewers) = playing(2);
    let (liar, victim) = (viewers[0], viewers[1]);
    let from = net.id(liar);
    net.input(victim, Input::BadShard { from });
    assert!(dropped(&net, victim, liar).is_some());
    let partings = net.nodes[victim].partings.len();
    net.run_for(Duration::from_secs(30));
    assert!(!net.nodes[victim].links.contains(&liar));
    let again = &net.nodes[victim].partings[partings..];
    let refused = Parting::Misbehaved(Offence::BadShard);
    assert!(again.iter().filter(|(peer, ..)| *peer == from).all(|&(_, why, _)| why == refused));
}

#[test]
fn replays_are_not_taken_and_their_sender_is_dropped() {
    let (mut net, _, viewers) = playing(3);
    let (liar, victim) = (viewers[0], viewers[1]);
    let played = net.stats(victim).played;
    let old = net.channel.header(EPOCH - 60_000_000);
    let from = net.id(liar);
    let layers = net.nodes[victim].played[0].layers.unwrap();
    for index in 0..4 {
        let arrival = Arrival { header: old, index, layers, bytes: 1000 };
        net.input(victim, Input::Shard { from, arrival });
    }
    let (_, reason) = dropped(&net, victim, liar).unwrap();
    assert_eq!(reason, Parting::Misbehaved(Offence::Replay));
    net.run_for(Duration::from_secs(5));
    assert!(net.stats(victim).played >= played + 20);
    assert_eq!(net.stats(victim).stalls, 0);
}

#[test]
fn floods_are_stopped() {
    let (mut net, _, viewers) = playing(4);
    let (liar, victim) = (viewers[0], viewers[1]);
    let from = net.id(liar);
    let newest = net.nodes[victim].played.last().unwrap().number;
    let shards: Vec<_> = (0..64).map(|i| ShardRef { number: newest, index: i % 12 }).collect();
    for _ in 0..100 {
        let message = Message::Request { shards: shards.clone(), within_ms: 100 };
        net.input(victim, Input::Message { from, message });
    }
    let (_, reason) = dropped(&net, victim, liar).unwrap();
    assert_eq!(reason, Parting::Misbehaved(Offence::Flood));
}

#[test]
fn what_breaks_the_protocol_is_noted() {
    let (mut net, _, viewers) = playing(5);
    let (liar, victim) = (viewers[0], viewers[1]);
    let from = net.id(liar);
    for _ in 0..2 {
        let message = Message::Subscribe { substreams: Substreams::only(40), from: 0 };
        net.input(victim, Input::Message { from, message });
    }
    let (_, reason) = dropped(&net, victim, liar).unwrap();
    assert_eq!(reason, Parting::Misbehaved(Offence::Protocol));
}

#[test]
fn a_false_promise_costs_no_picture() {
    let (mut net, _, viewers) = playing(6);
    let liar = viewers[0];
    // It answers everything and sends no shard.
    net.nodes[liar].withholds = true;
    net.run_for(Duration::from_secs(30));
    for &viewer in &viewers[1..] {
        let stats = net.stats(viewer);
        assert_eq!((stats.stalls, stats.lost), (0, 0), "{}", net.table());
    }
}
