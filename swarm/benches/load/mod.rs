//! A viewer's engine among so many partners that all behave: what comes in during ordinary playing.

use std::time::Duration;

use segment::{Header, Layer, LayerHeader, LayerSet, Root};
use swarm::{
    Arrival, Availability, Config, Delivery, Engine, Grant, Input, Message, Offer, Output,
    PeerHint, PeerInfo, Serve, Substreams, Time,
};
use ticket::{Location, PeerId, Role, ShortId};

const SEGMENT: u64 = 250_000;
const EPOCH: u64 = 1_800_000_000_000_000;
const N: u8 = 12;
const K: u8 = 8;

/// An engine and what stands for the others.
pub(crate) struct Load {
    engine: Engine,
    partners: Vec<PeerId>,
    now: u64,
    number: u64,
    /// Who pushes what to the engine.
    pushes: Vec<(PeerId, u8)>,
    /// Inputs so far, and of those shards.
    pub(crate) inputs: u64,
    pub(crate) shards: u64,
    /// Outputs so far.
    pub(crate) outputs: u64,
}

fn peer(place: usize) -> PeerId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    PeerId(id)
}

fn location(place: usize) -> Location {
    let asn = Some(place as u32 % 3 + 1);
    Location { subset: Some(place as u32 % 6), asn, country: "CH".parse().ok() }
}

/// A viewer's configuration.
pub(crate) fn config() -> Config {
    Config {
        me: peer(1_000_000),
        role: Role::Viewer,
        location: location(0),
        n: N,
        k: K,
        essential_k: 4,
        segment: Duration::from_micros(SEGMENT),
        playout_delay: Duration::from_secs(2),
        uplink: Some(20_000_000),
        max_pushed: None,
        serve: Serve::All,
        max_spares: 2,
        max_partners: 40,
        keep: Duration::from_secs(10),
    }
}

fn header(number: u64) -> Header {
    Header {
        number,
        capture: number * SEGMENT,
        duration_ms: 250,
        epoch: 1,
        random_access: number.is_multiple_of(4),
        n: N,
        essential: Some(LayerHeader { layer: Layer::Essential, k: 4, len: 6_000 }),
        full: LayerHeader { layer: Layer::Full, k: K, len: 119_000 },
        root: Root([number as u8; 16]),
    }
}

impl Load {
    /// An engine that knows nobody.
    pub(crate) fn new() -> Self {
        let mut load = Self {
            engine: Engine::new(config(), 1, Time(0)),
            partners: Vec::new(),
            now: 0,
            number: EPOCH / SEGMENT,
            pushes: Vec::new(),
            inputs: 0,
            shards: 0,
            outputs: 0,
        };
        load.input(Input::Clock { offset: EPOCH as i64 });
        load
    }

    /// With so many partners that offer everything, eight of whom take what they can.
    pub(crate) fn meet(&mut self, partners: usize) {
        for place in 0..partners {
            let peer = peer(place);
            self.partners.push(peer);
            let info = PeerInfo {
                role: Role::Viewer,
                location: location(place),
                rtt: Duration::from_millis(20 + place as u64),
                addrs: vec![([10, 0, place as u8, 1], 4000).into()],
                household: false,
            };
            self.input(Input::Connected { peer, info });
            let peers = vec![];
            let offer = Offer { available: self.available(place), free: 8, lag_ms: 300, peers };
            self.input(Input::Message { from: peer, message: Message::Hello(offer) });
        }
    }

    /// Full of known peers.
    pub(crate) fn hear(&mut self, known: usize) {
        let hint = |place| PeerHint {
            peer: peer(10_000 + place),
            role: Role::Viewer,
            location: location(place),
            addrs: vec![([10, 1, place as u8, 1], 4000).into()],
            age_s: 1,
        };
        for first in (0..known).step_by(50) {
            let peers = (first..(first + 50).min(known)).map(hint).collect();
            self.input(Input::Candidates { peers });
        }
    }

    fn available(&self, place: usize) -> Vec<Availability> {
        let path = |index: u8| [1, 2, 100 + u32::from(index), place as u32].map(ShortId).to_vec();
        let entry = |index| Availability { index, newest: self.number, path: path(index), rank: 4 };
        (0..N).map(entry).collect()
    }

    /// One segment: its shards, what becomes of what is sent on, some announcements, and what falls due.
    pub(crate) fn segment(&mut self) {
        self.number += 1;
        let begin = self.number * SEGMENT - EPOCH + SEGMENT;
        for (place, (from, index)) in self.pushes.clone().into_iter().enumerate() {
            self.wake(begin + place as u64 * 5_000);
            let arrival = Arrival {
                header: header(self.number),
                index,
                layers: LayerSet::ALL,
                bytes: 15_900,
            };
            self.shards += 1;
            self.input(Input::Shard { from, arrival });
        }
        // Each partner announces once in eight seconds.
        for place in 0..self.partners.len() {
            if (place as u64 + self.number).is_multiple_of(32) {
                let message = Message::Have { available: self.available(place), free: 8 };
                self.input(Input::Message { from: self.partners[place], message });
            }
        }
        if self.number % 64 == 8 {
            for place in 0..self.partners.len().min(8) {
                let substreams = Substreams::first(N);
                let message = Message::Subscribe { substreams, from: self.number };
                self.input(Input::Message { from: self.partners[place], message });
            }
        }
        self.wake(begin + SEGMENT - 1);
    }

    fn wake(&mut self, until: u64) {
        while let Some((at, _)) = self.engine.next_timeout() {
            if at.0 > until {
                break;
            }
            self.now = self.now.max(at.0);
            self.input(Input::Timeout);
        }
        self.now = self.now.max(until);
    }

    fn input(&mut self, input: Input) {
        self.inputs += 1;
        self.engine.handle_input(Time(self.now), input);
        while let Some(output) = self.engine.poll_output() {
            self.outputs += 1;
            self.answer(output);
        }
    }

    fn answer(&mut self, output: Output) {
        match output {
            Output::SendShard { to, shard, urgency, .. } => {
                let delivery = Delivery::Sent(Duration::from_millis(2));
                self.inputs += 1;
                let input = Input::Delivery { to, shard, urgency, delivery };
                self.engine.handle_input(Time(self.now), input);
            }
            Output::Send { to, message } => {
                let message = match message {
                    Message::Subscribe { substreams, .. } => {
                        self.pushes.extend(substreams.iter().map(|index| (to, index)));
                        let refused = Substreams::NONE;
                        Message::Grant(Grant { granted: substreams, refused, reason: None })
                    }
                    Message::Unsubscribe { substreams } => {
                        self.pushes
                            .retain(|&(peer, index)| peer != to || !substreams.contains(index));
                        return;
                    }
                    Message::Start { .. } => Message::Starting { range: None },
                    Message::Probe { token } => Message::ProbeReply { token, free: 8, lag_ms: 300 },
                    _ => return,
                };
                self.inputs += 1;
                let input = Input::Message { from: to, message };
                self.engine.handle_input(Time(self.now), input);
            }
            _ => {}
        }
    }

    /// How many sub-streams flow in, and how many are pushed on.
    pub(crate) fn flows(&self) -> (usize, u32) {
        let stats = self.engine.stats(Time(self.now));
        (stats.substreams.len(), stats.pushed)
    }
}
