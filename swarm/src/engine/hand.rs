//! An engine driven by hand, for tests of single rules.

use std::time::Duration;

use ticket::{Location, PeerId, Role, ShortId};

use super::path::Path;
use super::{Engine, Substreams};
use crate::{Availability, Config, Input, Message, Offer, Output, PeerInfo, Serve, Time};

/// A viewer (K = 8, N = 12, 0.5 Mbit/s a sub-stream) that has all sub-streams and lends so many bits per second.
pub(super) fn viewer(uplink: u64) -> Engine {
    node(Role::Viewer, Some(uplink))
}

/// The same, of a server without a limit.
pub(super) fn server(role: Role) -> Engine {
    node(role, None)
}

fn node(role: Role, uplink: Option<u64>) -> Engine {
    let config = Config {
        me: PeerId([255; 32]),
        role,
        location: Location::default(),
        n: 12,
        k: 8,
        essential_k: 4,
        segment: Duration::from_millis(250),
        playout_delay: Duration::from_secs(2),
        uplink,
        max_pushed: None,
        serve: Serve::All,
        max_spares: 2,
        max_partners: 40,
        keep: Duration::from_secs(6),
    };
    let mut engine = Engine::new(config, 1, Time(0));
    engine.uplink.measure(15_625, Duration::from_millis(250));
    for path in &mut engine.paths {
        *path = Some(Path { ancestors: vec![ShortId(1)], rank: 1 });
    }
    engine.open = Substreams::first(12);
    engine
}

pub(super) fn id(number: u8) -> PeerId {
    PeerId([number; 32])
}

/// A viewer comes, with what it offers: sub-streams, and who they come through.
pub(super) fn meet(engine: &mut Engine, number: u8, offers: &[(u8, &[PeerId])]) {
    let info = PeerInfo {
        role: Role::Viewer,
        location: Location::default(),
        rtt: Duration::from_millis(20),
        addrs: vec![([192, 0, 2, number], 4000).into()],
        household: false,
    };
    let available = offers
        .iter()
        .map(|&(index, through)| Availability {
            index,
            newest: 1000,
            path: through.iter().map(PeerId::short).collect(),
            rank: through.len() as u8,
        })
        .collect();
    let now = engine.now;
    engine.handle_input(now, Input::Connected { peer: id(number), info });
    let hello = Message::Hello(Offer { available, free: 0, lag_ms: 300, peers: vec![] });
    engine.handle_input(now, Input::Message { from: id(number), message: hello });
}

/// Which of these it grants to a viewer that subscribes after so many seconds.
pub(super) fn subscribe(engine: &mut Engine, second: u64, number: u8, index: u8) -> bool {
    let message = Message::Subscribe { substreams: Substreams::only(index), from: 1000 };
    engine.handle_input(Time(second * 1_000_000), Input::Message { from: id(number), message });
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let grants = outputs.filter_map(|output| match output {
        Output::Send { to, message: Message::Grant(grant) } if to == id(number) => Some(grant),
        _ => None,
    });
    grants.last().is_some_and(|grant| grant.granted.contains(index))
}
