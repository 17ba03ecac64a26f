//! What all parts of a run read and none changes: who there is, and the network between them.

use std::net::SocketAddr;
use std::time::Duration;

use segment::{Header, Layer, LayerHeader, LayerSet, Root};
use swarm::{Config, Serve};
use ticket::{Nearness, PeerId, Role};

use crate::chance::{hash, mix, unit};
use crate::population::{self, Manner, Nat, Profile};
use crate::scenario::{Fails, Scenario};

/// When the platform's clock stood at the beginning: microseconds since 1970.
pub(crate) const EPOCH: u64 = 1_800_000_000_000_000;
/// A connection without a packet is dead after this, as in `link`.
pub(crate) const IDLE: u64 = 6_000_000;
/// No two nodes are nearer than this: what one does in a step of this length, no other can know in it.
pub(crate) const STEP: u64 = 1_000;
/// Headers of QUIC, UDP and IP, for each byte of a shard, in thousandths.
const HEADERS: u64 = 45;
/// Bytes of a packet that carry a shard.
const PACKET: u32 = 1_250;
/// A line is in a burst of losses for this long, microseconds.
const BURST: u64 = 200_000;
/// How late an acknowledgement may be, as in `link`: a loss is noticed later by this.
const ACK: u64 = 25_000;
/// One way through a server's own line, microseconds.
const SERVER_LINE: u64 = 300;
/// Bytes of a shard beside media: proof, header and signature.
const PROOF: u32 = 300;

/// What is fixed for a run.
pub(crate) struct Setting {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<Profile>,
    pub(crate) segment: u64,
    pub(crate) delay: u64,
    pub(crate) end: u64,
    /// Bytes of a shard: of a segment with a random access point, and of the others.
    shards: [u32; 2],
    cuts: Vec<Cut>,
    /// When servers of rendezvous are away: from, to, and those below this number.
    away: Vec<(u64, u64, u8)>,
    /// Of the source's clock: a segment lasts so many thousand-millionths longer.
    drift: i64,
    /// Latency of the four kinds of way, microseconds.
    ways: [u64; 4],
    lines: Vec<Line>,
    loss: f64,
}

/// A line of the scenario in the units of the run.
struct Line {
    latency: u64,
    jitter: u64,
    loss: f64,
    burst_time: f64,
    burst_loss: f64,
}

/// A system that is cut off.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) asn: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

fn micros(duration: service::config::Duration) -> u64 {
    duration.get().as_micros() as u64
}

impl Setting {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Self {
        let nodes = population::draw(&scenario, seed);
        let of = |fails| scenario.outage.iter().filter(move |outage| outage.fails == fails);
        let span = |outage: &crate::scenario::Outage| {
            (micros(outage.at), micros(outage.at) + micros(outage.lasts))
        };
        let cut = |outage| {
            let (from, to) = span(outage);
            Cut { asn: outage.system, from, to }
        };
        let away = |outage: &crate::scenario::Outage| {
            let (from, to) = span(outage);
            let servers = f64::from(scenario.rendezvous.servers) * outage.share;
            (from, to, servers.ceil() as u8)
        };
        let network = &scenario.network;
        let lines = scenario.access.iter().map(|line| Line {
            latency: micros(line.latency),
            jitter: micros(line.jitter),
            loss: line.loss,
            burst_time: line.burst_time,
            burst_loss: line.burst_loss,
        });
        Self {
            segment: micros(scenario.channel.segment),
            delay: micros(scenario.channel.delay),
            end: micros(scenario.duration),
            shards: shards(&scenario),
            cuts: of(Fails::System).map(cut).collect(),
            away: of(Fails::Rendezvous).map(away).collect(),
            drift: (scenario.channel.drift * 1e3) as i64,
            ways: [network.subset, network.system, network.country, network.far].map(micros),
            lines: lines.collect(),
            loss: network.loss,
            nodes,
            seed,
            scenario,
        }
    }

    /// The region of a node: those of one home are in one.
    pub(crate) fn region(&self, node: u32, regions: u32) -> u32 {
        self.profile(node).home % regions
    }

    pub(crate) fn profile(&self, node: u32) -> &Profile {
        &self.nodes[node as usize]
    }

    /// The name of node `node`; the number can be read from it.
    pub(crate) fn id(&self, node: u32) -> PeerId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&mix(self.seed ^ (u64::from(node) + 1) << 20).to_le_bytes());
        id[28..].copy_from_slice(&node.to_le_bytes());
        PeerId(id)
    }

    /// The number of a node.
    pub(crate) fn number(id: &PeerId) -> u32 {
        let [.., a, b, c, d] = id.0;
        u32::from_le_bytes([a, b, c, d])
    }

    /// The configuration of a node's engine, as the programs set it.
    pub(crate) fn config(&self, node: u32) -> Config {
        let profile = self.profile(node);
        let channel = &self.scenario.channel;
        let viewer = profile.role == Role::Viewer;
        let alone = population::repeater_sizes(&self.scenario).0 == 0;
        Config {
            me: self.id(node),
            role: profile.role,
            location: profile.location,
            n: channel.n,
            k: channel.k,
            essential_k: channel.essential_k,
            segment: Duration::from_micros(self.segment),
            playout_delay: Duration::from_micros(self.delay),
            uplink: profile.lends,
            max_pushed: profile.max_pushed,
            serve: match profile.role {
                Role::Headend if !alone => Serve::Repeaters,
                _ if profile.manner == Manner::FreeRider => Serve::Nobody,
                _ => Serve::All,
            },
            max_spares: if viewer { self.scenario.viewers.max_spares } else { 2 },
            max_partners: if viewer { 40 } else { 4_000 },
            keep: Duration::from_micros(self.delay + 4_000_000),
        }
    }

    /// Segments that may be under way at one time: those of the delay, and some more.
    pub(crate) fn in_view(&self) -> usize {
        ((self.delay + 2_000_000) / self.segment) as usize + 1
    }

    /// The first segment that is captured wholly within the run.
    pub(crate) fn first(&self) -> u64 {
        EPOCH / self.segment
    }

    /// When a segment's capture began, virtual microseconds; before the beginning: 0. Numbers follow the source's clock,
    /// which drifts; capture times are true, as the headend steers them.
    pub(crate) fn captured(&self, number: u64) -> u64 {
        let media = (number * self.segment).saturating_sub(EPOCH);
        media.saturating_add_signed((media as i128 * i128::from(self.drift) / 1_000_000_000) as i64)
    }

    fn random_access(&self, number: u64) -> bool {
        number.is_multiple_of(self.scenario.channel.access_every)
    }

    /// Bytes of one shard of a segment.
    pub(crate) fn shard_bytes(&self, number: u64) -> u32 {
        self.shards[usize::from(!self.random_access(number))]
    }

    /// The header of a segment, made up.
    pub(crate) fn header(&self, number: u64) -> Header {
        let channel = &self.scenario.channel;
        let media = (self.shard_bytes(number) - PROOF) * u32::from(channel.k);
        let sound = media / 20;
        let layer = |layer, k, len| LayerHeader { layer, k, len };
        Header {
            number,
            capture: EPOCH + self.captured(number),
            duration_ms: (self.segment / 1000) as u16,
            epoch: 1,
            random_access: self.random_access(number),
            n: channel.n,
            essential: Some(layer(Layer::Essential, channel.essential_k, sound)),
            full: layer(Layer::Full, channel.k, media - sound),
            root: Root([number as u8; 16]),
        }
    }

    /// Microseconds that `bytes` take at `rate` bits per second.
    pub(crate) fn transmission(bytes: u32, rate: Option<u64>) -> u64 {
        let bits = u64::from(bytes) * 8 * (1000 + HEADERS) / 1000;
        rate.map_or(0, |rate| bits * 1_000_000 / rate.max(1))
    }

    fn line(&self, node: u32) -> Option<&Line> {
        self.lines.get(usize::from(self.profile(node).line?))
    }

    /// One way between two nodes without chance, microseconds.
    pub(crate) fn latency(&self, a: u32, b: u32) -> u64 {
        if self.housemates(a, b) {
            return STEP;
        }
        let nearness = self.profile(a).location.nearness(&self.profile(b).location);
        let way = self.ways[nearness as usize];
        let pair = hash(self.seed, u64::from(a.min(b)), u64::from(a.max(b)), 1);
        let spread = (way as f64 * self.scenario.network.spread * unit(pair)) as u64;
        let line = |node| self.line(node).map_or(SERVER_LINE, |line| line.latency);
        (way + spread + line(a) + line(b)).max(STEP)
    }

    /// The ways from a node to a server of rendezvous and back: one may be longer than the other.
    pub(crate) fn to_rendezvous(&self, node: u32, server: u8) -> [u64; 2] {
        let line = self.line(node).map_or(SERVER_LINE, |line| line.latency);
        let way = (micros(self.scenario.rendezvous.latency) + line) as f64;
        let pair = unit(hash(self.seed, node.into(), server.into(), 6)) * 2.0 - 1.0;
        let more = way * self.scenario.rendezvous.asymmetry * pair;
        [way + more, way - more].map(|way| (way as u64).max(STEP))
    }

    /// The same with jitter.
    pub(crate) fn ask(&self, node: u32, server: u8, now: u64, token: u32) -> [u64; 2] {
        let drawn = hash(self.seed, node.into(), now, u64::from(token) << 8 | 7);
        let [there, back] = self.to_rendezvous(node, server);
        [there + self.jitter(node, drawn), back + self.jitter(node, drawn >> 16)]
    }

    /// What is added by chance: three times a square has the mean of one and a tail.
    fn jitter(&self, node: u32, drawn: u64) -> u64 {
        let mean = self.line(node).map_or(100, |line| line.jitter);
        let square = ((drawn & 0xffff) * (drawn & 0xffff)) >> 16;
        (mean * 3 * square) >> 16
    }

    /// One way now, with jitter and with what it takes to send lost packets again. `token` tells sendings apart.
    pub(crate) fn travel(&self, from: u32, to: u32, now: u64, bytes: u32, token: u64) -> u64 {
        self.travel_with(from, to, now, bytes, token, 0.0)
    }

    /// The same where transit loses this share of packets.
    pub(crate) fn travel_with(
        &self,
        from: u32,
        to: u32,
        now: u64,
        bytes: u32,
        token: u64,
        lost_on_transit: f64,
    ) -> u64 {
        let latency = self.latency(from, to);
        let mut drawn = hash(self.seed, u64::from(from) << 32 | u64::from(to), now, token);
        if self.housemates(from, to) {
            return latency;
        }
        let mut took = latency + self.jitter(from, drawn) + self.jitter(to, drawn >> 16);
        let kept = (1.0 - self.loss) * (1.0 - lost_on_transit);
        let loss = 1.0 - kept * (1.0 - self.losing(from, now)) * (1.0 - self.losing(to, now));
        let mut packets = bytes.div_ceil(PACKET);
        for _ in 0..6 {
            drawn = mix(drawn.wrapping_add(1));
            packets = lost(packets, loss, drawn);
            if packets == 0 {
                break;
            }
            took += latency * 9 / 4 + ACK;
        }
        took
    }

    /// Share of packets that a node's line loses now.
    fn losing(&self, node: u32, now: u64) -> f64 {
        let Some(line) = self.line(node) else { return 0.0 };
        let burst = line.burst_time > 0.0
            && unit(hash(self.seed, u64::from(node), now / BURST, 2)) < line.burst_time;
        if burst { line.burst_loss } else { line.loss }
    }

    pub(crate) fn nat(&self, node: u32) -> Nat {
        self.profile(node).nat
    }

    /// The cut between two nodes now, if there is one.
    pub(crate) fn cut(&self, a: u32, b: u32, now: u64) -> Option<Cut> {
        if self.cuts.is_empty() {
            return None;
        }
        let asn = |node| self.profile(node).location.asn;
        let (a, b) = (asn(a), asn(b));
        self.cuts.iter().copied().find(|cut| {
            (cut.from..cut.to).contains(&now) && (a == Some(cut.asn)) != (b == Some(cut.asn))
        })
    }

    /// The cut between a node and the rest, now.
    pub(crate) fn cut_off(&self, node: u32, now: u64) -> bool {
        let asn = self.profile(node).location.asn;
        self.cuts.iter().any(|cut| asn == Some(cut.asn) && (cut.from..cut.to).contains(&now))
    }

    pub(crate) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Since when a server of rendezvous is away, if it is.
    pub(crate) fn away_since(&self, server: u8, now: u64) -> Option<u64> {
        let hit =
            |&&(from, to, below): &&(u64, u64, u8)| server < below && (from..to).contains(&now);
        self.away.iter().find(hit).map(|(from, _, _)| *from)
    }

    /// How often all servers of rendezvous have been started anew by now.
    pub(crate) fn restarts(&self, now: u64) -> usize {
        let servers = self.scenario.rendezvous.servers;
        self.away.iter().filter(|(_, to, below)| *to <= now && *below >= servers).count()
    }

    /// Whether two nodes are behind the same line.
    pub(crate) fn housemates(&self, a: u32, b: u32) -> bool {
        let home = self.profile(a).home;
        a != b && self.profile(a).shares_line && home == self.profile(b).home
    }

    /// Every layer of the channel.
    pub(crate) fn layers() -> LayerSet {
        LayerSet::ALL
    }
}

/// Bytes of a shard: of a segment with a random access point, and of the others. Their mean is the bit rate.
fn shards(scenario: &Scenario) -> [u32; 2] {
    let channel = &scenario.channel;
    let bytes =
        channel.bitrate.bits_per_second() as f64 * channel.segment.get().as_secs_f64() / 8.0;
    let mean = bytes / f64::from(channel.k);
    let every = channel.access_every as f64;
    let large = if every > 1.0 { channel.access_weight } else { 1.0 };
    let small = if every > 1.0 { (every - large) / (every - 1.0) } else { 1.0 };
    [large, small].map(|weight| (mean * weight) as u32 + PROOF)
}

/// How many of so many packets are lost: the whole number below or above what is expected, by chance.
fn lost(packets: u32, loss: f64, drawn: u64) -> u32 {
    ((f64::from(packets) * loss + unit(drawn)) as u32).min(packets)
}

/// Where a node is said to be reachable: those behind one line have one address.
pub(crate) fn addr(setting: &Setting, node: u32) -> SocketAddr {
    let home = setting.profile(node).home;
    let [a, b, c, d] = home.to_be_bytes();
    SocketAddr::from(([10 + a, b, c, d], 4000 + (node - home.min(node)) as u16))
}

/// How near two nodes are, as a place in a table.
pub(crate) fn nearness(setting: &Setting, a: u32, b: u32) -> Nearness {
    setting.profile(a).location.nearness(&setting.profile(b).location)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_carry_the_bit_rate() {
        let setting = Setting::new(Scenario::default(), 1);
        let second: u32 = (0..4).map(|number| (setting.shard_bytes(number) - PROOF) * 8).sum();
        assert!((499_000..=500_000).contains(&second), "{second} bytes in a second");
        assert!(setting.shard_bytes(4) > setting.shard_bytes(5));
    }

    #[test]
    fn names_hold_numbers() {
        let setting = Setting::new(Scenario::default(), 1);
        assert_eq!(Setting::number(&setting.id(77)), 77);
        assert_ne!(setting.id(1).short(), setting.id(2).short());
    }

    #[test]
    fn losses_cost_round_trips() {
        let mut scenario = Scenario::default();
        scenario.network.loss = 0.02;
        let setting = Setting::new(scenario, 1);
        let (mut sum, mut worst) = (0, 0);
        for token in 0..10_000 {
            let took = setting.travel(20, 21, 1_000, 15_000, token);
            assert!(took >= setting.latency(20, 21));
            sum += took;
            worst = worst.max(took);
        }
        let round_trip = 2 * setting.latency(20, 21);
        assert!(sum / 10_000 > setting.latency(20, 21) + round_trip / 10);
        assert!(worst > 2 * round_trip);
    }

    #[test]
    fn symmetric_nats_meet_only_open_nodes() {
        assert!(Nat::Strict.meets(Nat::Open) && Nat::Cone.meets(Nat::Cone));
        assert!(!Nat::Strict.meets(Nat::Cone) && !Nat::Strict.meets(Nat::Strict));
    }
}
