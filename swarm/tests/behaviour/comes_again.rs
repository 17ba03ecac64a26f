//! Who comes again: good peers of last time are tried first, bad conduct is not forgotten by parting.

use std::time::Duration;

use swarm::{
    ConnectError, Engine, Input, Message, Offence, Output, Parting, PeerHint, PeerInfo, Substreams,
    Time,
};
use ticket::{PeerId, Role};

use crate::net::{EPOCH, Net, place};

#[test]
fn good_peers_of_last_time_are_tried_first() {
    let mut net = Net::new(1);
    let headend = net.config(Role::Headend, place(9));
    net.join(headend);
    let config = net.config(Role::Repeater, place(1));
    net.join(config);
    net.run_for(Duration::from_secs(3));
    let viewers: Vec<usize> = (0..12)
        .map(|_| {
            let viewer = net.viewer(place(1));
            net.run_for(Duration::from_millis(200));
            viewer
        })
        .collect();
    net.run_for(Duration::from_secs(10));
    let good = net.nodes[viewers[11]].engine.good_peers();
    assert!(!good.is_empty() && good.len() <= 32);
    let fed: Vec<PeerId> = net.stats(viewers[11]).substreams.iter().map(|s| s.parent).collect();
    let servers = [net.id(0), net.id(1)];
    for hint in &good {
        assert!(fed.contains(&hint.peer) || servers.contains(&hint.peer), "{:?}", hint.peer);
    }
    // A new session far away from those that rendezvous would name first.
    let mut engine = Engine::new(net.config(Role::Viewer, place(7)), 1, Time(0));
    let mut near = good[0].clone();
    let strangers = (0..40u8).map(|id| {
        near.peer = PeerId([id + 100; 32]);
        near.role = Role::Viewer;
        near.location = place(7);
        near.clone()
    });
    let peers = strangers.collect();
    let viewer = good.iter().find(|hint| hint.role == Role::Viewer).cloned();
    engine.handle_input(Time(1), Input::Remembered { peers: good.clone() });
    engine.handle_input(Time(1), Input::Candidates { peers });
    let mut dialled = Vec::new();
    while let Some(output) = engine.poll_output() {
        if let Output::Connect { peer, .. } = output {
            dialled.push(peer);
        }
    }
    let first: Vec<PeerId> = good.iter().map(|hint| hint.peer).collect();
    assert!(first.contains(&dialled[0]), "{dialled:?}");
    if let Some(viewer) = viewer {
        assert!(dialled.contains(&viewer.peer), "{dialled:?}");
    }
}

#[test]
fn parting_wipes_out_no_demerits() {
    let config = Net::new(0).config(Role::Viewer, place(1));
    let mut engine = Engine::new(config, 1, Time(0));
    engine.handle_input(Time(0), Input::Clock { offset: EPOCH as i64 });
    let peer = PeerId([77; 32]);
    let info = PeerInfo {
        role: Role::Viewer,
        location: place(1),
        rtt: Duration::from_millis(20),
        addrs: vec![],
        household: false,
    };
    let mut parted = None;
    // One offence against the protocol each time it comes.
    for round in 0..2u64 {
        let now = Time(1_000_000 + round * 1_000_000);
        engine.handle_input(now, Input::Connected { peer, info: info.clone() });
        let message = Message::Subscribe { substreams: Substreams::only(40), from: 0 };
        engine.handle_input(now, Input::Message { from: peer, message });
        engine.handle_input(now, Input::Disconnected { peer });
        while let Some(output) = engine.poll_output() {
            if let Output::Disconnect { reason, .. } = output {
                parted = Some(reason);
            }
        }
    }
    assert_eq!(parted, Some(Parting::Misbehaved(Offence::Protocol)));
}

#[test]
fn a_repeater_that_gets_nothing_tries_its_headend_again_soon() {
    let config = Net::new(0).config(Role::Repeater, place(1));
    let mut engine = Engine::new(config, 1, Time(0));
    let hint = |id: u8, role| PeerHint {
        peer: PeerId([id; 32]),
        role,
        location: place(9),
        addrs: vec![([127, 0, 0, 1], 1000 + u16::from(id)).into()],
        age_s: 0,
    };
    let (headend, other) = (hint(50, Role::Headend), hint(60, Role::Repeater));
    let info = PeerInfo {
        role: Role::Repeater,
        location: place(9),
        rtt: Duration::from_millis(20),
        addrs: other.addrs.clone(),
        household: false,
    };
    // Another repeater, which has nothing either, is a partner all the time.
    engine.handle_input(Time(0), Input::Connected { peer: other.peer, info });
    engine.handle_input(Time(0), Input::Candidates { peers: vec![headend.clone(), other] });
    let mut dials = Vec::new();
    let mut now = Time(0);
    // A partner that says nothing at all is dropped after 20 s.
    while now < Time(19_000_000) {
        while let Some(output) = engine.poll_output() {
            if let Output::Connect { peer, .. } = output {
                dials.push((peer, now));
            }
        }
        let failed = dials.last().filter(|(_, at)| now.since(*at) == Duration::from_secs(4));
        if let Some(&(peer, _)) = failed {
            engine
                .handle_input(now, Input::NotConnected { peer, error: ConnectError::Unreachable });
        }
        now = now + Duration::from_millis(100);
        while engine.next_timeout().is_some_and(|(at, _)| at <= now) {
            engine.handle_input(now, Input::Timeout);
        }
    }
    assert!(dials.iter().all(|(peer, _)| *peer == headend.peer), "{dials:?}");
    let pauses = dials.windows(2).map(|two| two[1].1.since(two[0].1));
    assert!(pauses.max() <= Some(Duration::from_secs(6)) && dials.len() >= 4, "{dials:?}");
}
