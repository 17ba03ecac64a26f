//! A virtual network: engines on a virtual clock, with latency, jitter, loss and uplink rates as plain fields. It does
//! not carry bytes, but it checks that nobody sends what it does not hold.

mod channel;
mod node;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use segment::Header;
use swarm::{
    Arrival, Config, ConnectError, Delivery, Input, Output, PeerHint, PeerInfo, Stats, Time,
    Urgency,
};
use ticket::{Location, PeerId, Role};

pub(crate) use self::channel::Channel;
use self::node::Queued;
pub(crate) use self::node::{Node, Played};

/// When the virtual platform's clock began: microseconds since 1970.
pub(crate) const EPOCH: u64 = 1_800_000_000_000_000;

/// What happens at a moment.
enum Event {
    Input { to: usize, input: Box<Input> },
    Shard { to: usize, from: usize, arrival: Arrival, bad: bool },
    Wake { node: usize },
    Leave { node: usize },
    Publish { node: usize },
    Dial { from: usize, to: PeerId },
    Part { from: usize, to: usize },
}

/// The network and all that is on it.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) channel: Channel,
    /// One way, between any two nodes.
    pub(crate) latency: Duration,
    /// Added by chance, up to this.
    pub(crate) jitter: Duration,
    /// Shards lost, out of 1,000.
    pub(crate) loss: u32,
    /// How long until a dead node's connections are noticed.
    pub(crate) idle: Duration,
    /// Error of the platform's clock as nodes that join now know it, microseconds.
    pub(crate) clock_error: i64,
    /// Whether rendezvous answers.
    pub(crate) rendezvous: bool,
    /// Microseconds of virtual time.
    pub(crate) now: u64,
    by_id: BTreeMap<PeerId, usize>,
    headers: BTreeMap<u64, Header>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    due: BTreeMap<u64, Event>,
    sequence: u64,
    rng: Pcg32,
    /// The node whose doings are printed: `WATCH=3 cargo test ...`.
    watch: Option<usize>,
    /// A hash over all that happened, to compare runs; kept only if set.
    pub(crate) trace: Option<u64>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            channel: Channel::default(),
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(5),
            loss: 0,
            idle: Duration::from_secs(10),
            clock_error: 0,
            rendezvous: true,
            now: 0,
            by_id: BTreeMap::new(),
            headers: BTreeMap::new(),
            events: BinaryHeap::new(),
            due: BTreeMap::new(),
            sequence: 0,
            rng: Pcg32::seed_from_u64(seed),
            watch: std::env::var("WATCH").ok().and_then(|node| node.parse().ok()),
            trace: None,
        }
    }

    /// A configuration as nodes of this channel have it.
    pub(crate) fn config(&self, role: Role, location: Location) -> Config {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&(self.nodes.len() as u16 + 1).to_be_bytes());
        Config {
            me: PeerId(id),
            role,
            location,
            n: self.channel.n,
            k: self.channel.k,
            essential_k: self.channel.essential_k,
            segment: self.channel.segment,
            playout_delay: self.channel.delay,
            uplink: None,
            max_pushed: None,
            serve: swarm::Serve::All,
            max_spares: 2,
            max_partners: if role == Role::Viewer { 40 } else { 1000 },
            keep: Duration::from_secs(10),
        }
    }

    /// Puts a node on the net now; it learns the clock and asks rendezvous.
    pub(crate) fn join(&mut self, config: Config) -> usize {
        let seed = u64::from(self.rng.next_u32());
        // Every node's own clock has another origin.
        let origin = u64::from(self.rng.next_u32());
        let index = self.nodes.len();
        self.by_id.insert(config.me, index);
        let headend = config.role == Role::Headend;
        self.nodes.push(Node::new(config, seed, Time(origin + self.now), origin));
        let offset = (EPOCH as i64 - origin as i64) + self.clock_error;
        self.input(index, Input::Clock { offset });
        if headend {
            self.at(self.now, Event::Publish { node: index });
        } else {
            self.candidates(index, 10_000);
        }
        index
    }

    pub(crate) fn viewer(&mut self, location: Location) -> usize {
        let config = self.config(Role::Viewer, location);
        self.join(config)
    }

    /// A viewer of a home, which rendezvous names the others of.
    pub(crate) fn viewer_at_home(&mut self, location: Location, home: u32) -> usize {
        let config = self.config(Role::Viewer, location);
        self.join_home(config, home)
    }

    pub(crate) fn join_home(&mut self, config: Config, home: u32) -> usize {
        let viewer = self.join(config);
        let others = (0..viewer).filter(|&other| self.nodes[other].home == Some(home));
        let peers = others.filter(|&other| self.nodes[other].alive).map(|other| PeerHint {
            peer: self.id(other),
            role: Role::Viewer,
            location: self.nodes[other].config.location,
            addrs: vec![self.nodes[other].addr(other)],
            age_s: 0,
        });
        let input = Box::new(Input::Remembered { peers: peers.collect() });
        self.nodes[viewer].home = Some(home);
        self.at(self.now + 10_000, Event::Input { to: viewer, input });
        viewer
    }

    fn of_one_home(&self, one: usize, other: usize) -> bool {
        self.nodes[one].home.is_some() && self.nodes[one].home == self.nodes[other].home
    }

    pub(crate) fn id(&self, node: usize) -> PeerId {
        self.nodes[node].config.me
    }

    /// The newest segment that was made.
    pub(crate) fn newest(&self) -> u64 {
        self.headers.keys().next_back().copied().unwrap_or_default()
    }

    pub(crate) fn stats(&self, node: usize) -> Stats {
        let node = &self.nodes[node];
        node.engine.stats(node.local(self.now))
    }

    /// What every node did, a line each, for a test that failed.
    pub(crate) fn table(&self) -> String {
        let line = |node: usize| {
            let Stats { played, lost, stalls, stalled, bytes_in, substreams, .. } =
                self.stats(node);
            let stats = self.stats(node);
            let mb = |bytes: u64| bytes as f64 / 1e6;
            let feeds: Vec<String> = substreams
                .iter()
                .map(|s| format!("{}<{}", s.index, self.by_id[&s.parent]))
                .collect();
            format!(
                "{node} {:?} start {:?} played {played} lost {lost} stalls {stalls} {stalled:?} {:?} \
                 in {:.1}/{:.1}/{:.1} out {:.1} twice {:.2} control {:.2} moved {} {:?} pushed {} \
                 partners {} standby {} [{}] bad {:?} parted {:?}",
                self.nodes[node].config.role,
                stats.startup,
                stats.stall_causes,
                mb(bytes_in.headend),
                mb(bytes_in.repeater),
                mb(bytes_in.viewer),
                mb(stats.bytes_out.viewer + stats.bytes_out.repeater),
                mb(stats.duplicate_bytes),
                mb(stats.control_bytes),
                stats.failovers,
                stats.failover_max,
                stats.pushed,
                stats.partners,
                stats.standby,
                feeds.join(" "),
                self.nodes[node].bad(),
                self.nodes[node].partings,
            )
        };
        let lines: Vec<String> = (0..self.nodes.len()).map(line).collect();
        format!("at {}\n{}", self.now, lines.join("\n"))
    }

    /// Stops a node without notice: its partners find out after `idle`.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
        let partners = std::mem::take(&mut self.nodes[node].links);
        for other in partners {
            self.at(self.now + micros(self.idle), Event::Part { from: node, to: other });
        }
    }

    /// Runs until `until`, microseconds of virtual time.
    pub(crate) fn run_to(&mut self, until: Duration) {
        let until = micros(until);
        while let Some(&Reverse((at, sequence))) = self.events.peek() {
            if at > until {
                break;
            }
            self.events.pop();
            self.now = self.now.max(at);
            if let Some(event) = self.due.remove(&sequence) {
                self.happen(event);
            }
        }
        self.now = until;
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_to(Duration::from_micros(self.now) + time);
    }

    /// Gives a node an input now.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        if self.watch == Some(node) {
            match &input {
                Input::Shard { from, arrival } => {
                    let (number, index) = (arrival.header.number, arrival.index);
                    eprintln!("{}   {node} <- {from:?} {number} {index}", self.now);
                }
                Input::Timeout | Input::Delivery { .. } => {}
                _ => eprintln!("{}   {node} <- {input:?}", self.now),
            }
        }
        if !self.nodes[node].alive {
            return;
        }
        let local = self.nodes[node].local(self.now);
        self.nodes[node].engine.handle_input(local, input);
        self.drain(node);
    }

    fn at(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence)));
        self.due.insert(self.sequence, event);
    }

    fn chance(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { u64::from(self.rng.next_u32()) % bound }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Input { to, input } => self.input(to, *input),
            Event::Shard { to, from, arrival, bad } => {
                let linked = self.nodes[to].links.contains(&from);
                if !self.nodes[to].alive || !linked {
                    return;
                }
                let from = self.id(from);
                if bad {
                    self.input(to, Input::BadShard { from });
                } else {
                    self.nodes[to].store(&arrival);
                    self.input(to, Input::Shard { from, arrival });
                }
            }
            Event::Wake { node } => {
                // Only the last one set counts.
                if self.nodes[node].wake == Some(self.now) {
                    self.nodes[node].wake = None;
                    self.input(node, Input::Timeout);
                }
            }
            Event::Leave { node } => self.leave(node),
            Event::Publish { node } => self.publish(node),
            Event::Dial { from, to } => self.dial(from, to),
            Event::Part { from, to } => {
                self.nodes[to].links.retain(|&link| link != from);
                let peer = self.id(from);
                self.input(to, Input::Disconnected { peer });
            }
        }
    }

    fn publish(&mut self, node: usize) {
        let segment = micros(self.channel.segment);
        self.at(self.now + segment, Event::Publish { node });
        let running = self.channel.gap.is_none_or(|(from, to)| self.now < from || self.now >= to);
        if !self.nodes[node].alive || !running {
            return;
        }
        // Sealed when its last picture is in.
        let capture = EPOCH + self.now - segment;
        let header = self.channel.header(capture);
        self.headers.insert(header.number, header);
        self.nodes[node].store_all(&header);
        let shard_bytes = self.channel.shard_bytes();
        self.input(node, Input::Published { header, shard_bytes });
    }

    fn dial(&mut self, from: usize, to: PeerId) {
        if !self.nodes[from].alive {
            return;
        }
        let target = self.by_id.get(&to).copied();
        let open = target.filter(|&to| {
            // Whom nobody can reach reaches servers only.
            let met = self.nodes[from].reachable || self.nodes[to].config.role != Role::Viewer;
            self.nodes[to].alive && self.nodes[to].reachable && met
        });
        let Some(target) = open else {
            let error = ConnectError::Unreachable;
            self.input(from, Input::NotConnected { peer: to, error });
            return;
        };
        if self.nodes[from].links.contains(&target) {
            return;
        }
        self.nodes[from].links.push(target);
        self.nodes[target].links.push(from);
        for (at, other) in [(from, target), (target, from)] {
            let config = &self.nodes[other].config;
            let info = PeerInfo {
                role: config.role,
                location: config.location,
                rtt: self.latency * 2,
                addrs: Vec::from_iter(
                    Some(self.nodes[other].addr(other)).filter(|_| self.nodes[other].reachable),
                ),
                household: self.of_one_home(from, target),
            };
            let peer = config.me;
            self.input(at, Input::Connected { peer, info });
        }
    }

    /// Rendezvous' answer: up to 30 peers, nearest first.
    fn candidates(&mut self, to: usize, after: u64) {
        if !self.rendezvous {
            return;
        }
        let location = self.nodes[to].config.location;
        let mut peers: Vec<_> = (0..self.nodes.len())
            .filter(|&other| other != to && self.nodes[other].alive)
            .map(|other| PeerHint {
                peer: self.id(other),
                role: self.nodes[other].config.role,
                location: self.nodes[other].config.location,
                addrs: Vec::from_iter(
                    Some(self.nodes[other].addr(other)).filter(|_| self.nodes[other].reachable),
                ),
                age_s: 0,
            })
            .collect();
        peers.sort_by_key(|hint| (hint.role == Role::Viewer, location.nearness(&hint.location)));
        peers.truncate(30);
        let input = Box::new(Input::Candidates { peers });
        self.at(self.now + after, Event::Input { to, input });
    }

    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].engine.poll_output() {
            self.note(node, &output);
            self.carry_out(node, output);
        }
        self.schedule(node);
    }

    fn schedule(&mut self, node: usize) {
        let Some((at, _)) = self.nodes[node].engine.next_timeout() else { return };
        let at = self.nodes[node].global(at).max(self.now);
        if self.nodes[node].wake.is_none_or(|set| at < set) {
            self.nodes[node].wake = Some(at);
            self.at(at, Event::Wake { node });
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let travel = micros(self.latency) + self.chance(micros(self.jitter));
        match output {
            Output::Connect { peer, .. } => {
                self.at(self.now + 3 * travel, Event::Dial { from: node, to: peer });
            }
            Output::Disconnect { peer, reason } => {
                let other = self.by_id[&peer];
                self.nodes[node].partings.push((peer, reason, self.now));
                self.nodes[node].links.retain(|&link| link != other);
                self.nodes[other].links.retain(|&link| link != node);
                self.at(self.now + travel, Event::Part { from: node, to: other });
            }
            Output::Send { to, message } => {
                let to = self.by_id[&to];
                if self.nodes[node].mute || !self.nodes[to].links.contains(&node) {
                    return;
                }
                // Messages between two nodes keep their order.
                let key = (node, to);
                let last = self.nodes[node].last_message.get(&to).copied().unwrap_or(0);
                let at = (self.now + travel).max(last + 1);
                self.nodes[node].last_message.insert(key.1, at);
                let from = self.id(node);
                let input = Box::new(Input::Message { from, message });
                self.at(at, Event::Input { to, input });
            }
            Output::SendShard { to, shard, layers, deadline, urgency } => {
                let header = self.headers[&shard.number];
                assert!(
                    self.nodes[node].holds(&header, shard.index),
                    "node {node} sends {shard:?} without holding it"
                );
                self.sequence += 1;
                let queued = Queued { to, shard, layers, deadline, urgency, at: self.now };
                if self.of_one_home(node, self.by_id[&to]) {
                    return self.deliver(node, queued, self.now);
                }
                self.nodes[node].queue.insert((urgency, self.sequence), queued);
                self.leave(node);
            }
            Output::Play { number, layers, due } => {
                let due = self.nodes[node].global(due);
                let played = Played { number, layers: Some(layers), due, at: self.now };
                self.nodes[node].played.push(played);
            }
            Output::Miss { number, .. } => {
                let played = Played { number, layers: None, due: self.now, at: self.now };
                self.nodes[node].played.push(played);
            }
            Output::Forget { before } => self.nodes[node].forget(before),
            Output::FindPeers => self.candidates(node, 2 * travel),
            Output::Cancel { to, substreams } => {
                let queue = &mut self.nodes[node].queue;
                queue.retain(|(urgency, _), queued| {
                    *urgency != Urgency::Push
                        || queued.to != to
                        || !substreams.contains(queued.shard.index)
                });
            }
        }
    }

    /// Sends what is queued in the uplink, the most urgent first, as fast as it goes.
    fn leave(&mut self, node: usize) {
        while self.now >= self.nodes[node].uplink_free {
            let Some((_, queued)) = self.nodes[node].queue.pop_first() else { return };
            let left = self.now + self.nodes[node].transmission(self.channel.shard_bytes());
            if self.nodes[node].local(left) <= queued.deadline {
                self.nodes[node].uplink_free = left;
                self.at(left, Event::Leave { node });
            }
            self.deliver(node, queued, left);
        }
    }

    /// A shard has left at that time, or is dropped because it would have been late.
    fn deliver(&mut self, node: usize, queued: Queued, left: u64) {
        let Queued { to: peer, shard, layers, deadline, urgency, at } = queued;
        let bytes = self.channel.shard_bytes();
        let late = self.nodes[node].local(left) > deadline;
        let delivery = match late {
            true => Delivery::Dropped,
            false => Delivery::Sent(Duration::from_micros(left - at)),
        };
        let lost = self.chance(1000) < u64::from(self.loss);
        let held_back = self.nodes[node].mute || self.nodes[node].withholds;
        if !late && !lost && !held_back {
            let header = self.headers[&shard.number];
            let arrival = Arrival { header, index: shard.index, layers, bytes };
            let (to, bad) = (self.by_id[&peer], self.nodes[node].lies);
            let travel = match self.of_one_home(node, to) {
                true => 1_000,
                false => micros(self.latency) + self.chance(micros(self.jitter)),
            };
            self.at(left + travel, Event::Shard { to, from: node, arrival, bad });
        }
        let input = Box::new(Input::Delivery { to: peer, shard, urgency, delivery });
        self.at(left, Event::Input { to: node, input });
    }

    fn note(&mut self, node: usize, output: &Output) {
        if self.watch == Some(node) && !matches!(output, Output::SendShard { .. }) {
            eprintln!("{} {node} {output:?}", self.now);
        }
        if let Some(trace) = &mut self.trace {
            for byte in format!("{} {node} {output:?}", self.now).bytes() {
                *trace = (*trace ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

/// A place: subset, AS and country by number.
pub(crate) fn place(asn: u32) -> Location {
    Location { subset: Some(asn), asn: Some(asn), country: "CH".parse().ok() }
}
