//! Every kind of home with every other: what is found out, who is tried, and who meets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ticket::PeerId;

use super::classify::Classifier;
use super::meeting::{Meetings, Output};
use super::reflect::{Reflector, Voice, reflect};
use super::street::{KINDS, Kind};
use super::world::{Datagram, Filter, INTERNET, Router, Translation, WAY, World};
use super::{Access, Reach, is_local, same_home};
use crate::protocol::{Candidate, CandidateKind, Introduction};

const PORT: u16 = 5000;

const CONE: Router = Router {
    translation: Some(Translation::Alike),
    filter: Filter::AddressAndPort,
    hairpin: false,
};
const SYMMETRIC: Router = Router { translation: Some(Translation::ByDestination), ..CONE };

/// One viewer, and its side of the protocol.
struct Viewer {
    peer: PeerId,
    hosts: Vec<IpAddr>,
    meetings: Meetings,
    looks: Vec<Classifier>,
    reach: Reach,
    seen: Vec<SocketAddr>,
    found: Option<(Instant, SocketAddr)>,
    given_up: Option<Instant>,
}

struct Stage {
    now: Instant,
    world: World,
    reflectors: Vec<Reflector>,
    viewers: Vec<Viewer>,
    /// Introductions on their way.
    letters: BTreeMap<(Instant, u64), (usize, PeerId, Introduction)>,
    random: u8,
    checks: usize,
}

fn addr(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

impl Stage {
    fn new() -> Self {
        let mut world = World::default();
        let mut reflectors = Vec::new();
        for ip in ["203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2"] {
            let ip = world.host(INTERNET, ip);
            reflectors.push(Reflector { first: addr(ip, 3478), second: addr(ip, 3479) });
        }
        let (viewers, letters) = Default::default();
        Self { now: Instant::now(), world, reflectors, viewers, letters, random: 0, checks: 0 }
    }

    /// A viewer behind what a kind of home has; `number` is 1 to 9 and tells homes apart.
    fn home(&mut self, home: Kind, number: u8) {
        let outside = format!("198.51.100.{number}");
        let inside = format!("192.168.{number}.2");
        let global = format!("2001:db8:{number}::2");
        let with = |filter| Router { filter, ..CONE };
        let router = match home {
            Kind::None => {
                let ip = self.world.host(INTERNET, &outside);
                return self.viewer(vec![ip]);
            }
            Kind::FullCone => with(Filter::Nothing),
            Kind::AddressRestricted => with(Filter::Address),
            Kind::PortRestricted | Kind::Carrier | Kind::CarrierSymmetric => CONE,
            Kind::Symmetric | Kind::Dual => SYMMETRIC,
            Kind::SymmetricRandom => Router { translation: Some(Translation::Random), ..CONE },
            Kind::Ipv6 => Router { translation: None, ..CONE },
            Kind::Blocked => Router { translation: Some(Translation::Blocked), ..CONE },
        };
        let lan = match home {
            Kind::Carrier | Kind::CarrierSymmetric => {
                let carrier = if home == Kind::Carrier { CONE } else { SYMMETRIC };
                let provider = self.world.behind(carrier, INTERNET, &outside);
                self.world.behind(router, provider, &format!("100.64.0.{number}"))
            }
            _ => self.world.behind(router, INTERNET, &outside),
        };
        let mut hosts = Vec::new();
        if home != Kind::Ipv6 {
            hosts.push(self.world.host(lan, &inside));
        }
        if matches!(home, Kind::Ipv6 | Kind::Dual) {
            hosts.push(self.world.host(lan, &global));
        }
        self.viewer(hosts);
    }

    fn viewer(&mut self, hosts: Vec<IpAddr>) {
        let number = self.viewers.len() as u8 + 1;
        let mut seed = number;
        let random = move |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(37).wrapping_add(11);
                *byte = seed;
            }
        };
        let peer = PeerId([number; 32]);
        let looks = [true, false].map(|ipv4| {
            let of_family = |ip: &IpAddr| ip.is_ipv4() == ipv4;
            let hosts: Vec<_> = hosts.iter().copied().filter(of_family).collect();
            let reflectors = self.reflectors.iter().copied();
            let reflectors = reflectors.filter(|all| of_family(&all.first.ip())).collect();
            Classifier::new(self.now, reflectors, hosts, PORT, &mut || {
                self.random += 1;
                [self.random; 12]
            })
        });
        self.viewers.push(Viewer {
            peer,
            hosts,
            meetings: Meetings::new(peer, Box::new(random)),
            looks: looks.into(),
            reach: Reach::default(),
            seen: Vec::new(),
            found: None,
            given_up: None,
        });
    }

    /// Lets everything happen that is due, and goes on to the next moment.
    fn step(&mut self) {
        let now = self.now;
        for datagram in self.world.arrived(now) {
            self.deliver(datagram);
        }
        while let Some(entry) = self.letters.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, peer, introduction) = entry.remove();
            self.viewers[to].meetings.introduced(now, peer, introduction);
        }
        for at in 0..self.viewers.len() {
            self.look(at);
            self.viewers[at].meetings.pass(now);
            while let Some(output) = self.viewers[at].meetings.poll() {
                self.act(at, output);
            }
        }
        let each = self.viewers.iter_mut().flat_map(|viewer| {
            let looks = viewer.looks.iter().filter_map(Classifier::timeout).min();
            [looks, viewer.meetings.timeout()]
        });
        let timer = each.flatten().min();
        let letter = self.letters.keys().next().map(|(at, _)| *at);
        let next = [timer, letter, self.world.next()].into_iter().flatten().min();
        self.now = next.unwrap_or(now + WAY).max(now + Duration::from_micros(100));
    }

    fn look(&mut self, at: usize) {
        let (now, viewer) = (self.now, &mut self.viewers[at]);
        for look in &mut viewer.looks {
            let finding = look.pass(now, &mut || {
                self.random += 1;
                [self.random; 12]
            });
            let Some(host) = viewer.hosts.first() else { continue };
            if let Some(finding) = finding {
                let seen = finding.seen;
                if seen.unwrap_or(addr(*host, 0)).is_ipv4() {
                    viewer.reach.v4 = finding.access;
                } else {
                    viewer.reach.v6 = finding.access;
                }
                viewer.seen.extend(seen);
            }
            let sent: Vec<_> = look.transmits().collect();
            for (to, bytes) in sent {
                let own = viewer.hosts.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
                let from = addr(*own.unwrap(), PORT);
                self.world.send(now, Datagram { from, to, bytes });
            }
        }
    }

    fn act(&mut self, at: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Transmit { to, bytes } => {
                self.checks += 1;
                let own = self.viewers[at].hosts.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
                let from = addr(*own.unwrap(), PORT);
                self.world.send(now, Datagram { from, to, bytes });
            }
            Output::Signal { to, mut introduction } => {
                let (from, to) = (at, self.viewers.iter().position(|v| v.peer == to).unwrap());
                let outside = |v: usize| self.viewers[v].seen.first().map(|seen| seen.ip());
                if let (Some(a), Some(b)) = (outside(from), outside(to)) {
                    introduction.keep_fit(a, b);
                }
                let key = (now + 2 * WAY, self.letters.len() as u64 + 1000 * at as u64);
                self.letters.insert(key, (to, self.viewers[from].peer, introduction));
            }
            Output::Found { addr, .. } => self.viewers[at].found = Some((now, addr)),
            Output::NotFound { .. } => self.viewers[at].given_up = Some(now),
        }
    }

    fn deliver(&mut self, datagram: Datagram) {
        let Datagram { from, to, bytes } = datagram;
        if to.port() != PORT {
            let Some((voice, answer)) = reflect(from, &bytes) else { return };
            let ips: Vec<_> = self.reflectors.iter().map(|all| all.first.ip()).collect();
            let other = ips.iter().find(|ip| **ip != to.ip() && ip.is_ipv4() == to.is_ipv4());
            let voice = match voice {
                Voice::Same => to,
                Voice::Silent => addr(to.ip(), 3480),
                Voice::Other => addr(*other.unwrap(), 3480),
            };
            return self.world.send(self.now, Datagram { from: voice, to: from, bytes: answer });
        }
        let now = self.now;
        let viewer = self.viewers.iter_mut().find(|viewer| viewer.hosts.contains(&to.ip()));
        let Some(viewer) = viewer else { return };
        if !viewer.looks.iter_mut().any(|look| look.heard(&bytes)) {
            viewer.meetings.heard(now, from, to, &Bytes::from(bytes));
        }
    }

    /// Until everybody knows how far it can be reached.
    fn classify(&mut self) {
        while self.viewers.iter().any(|v| v.looks.iter().any(|look| look.timeout().is_some())) {
            self.step();
        }
        for viewer in &mut self.viewers {
            for (ipv4, access) in [(true, &mut viewer.reach.v4), (false, &mut viewer.reach.v6)] {
                if !viewer.hosts.iter().any(|ip| ip.is_ipv4() == ipv4) {
                    *access = Access::None;
                }
            }
            let mut places: Vec<_> = viewer.hosts.iter().map(|ip| addr(*ip, PORT)).collect();
            places.sort_by_key(SocketAddr::is_ipv4);
            let seen = viewer.seen.iter();
            let seen = seen.map(|addr| Candidate { kind: CandidateKind::Seen, addr: *addr });
            viewer.meetings.set_addresses(places, seen.collect());
        }
    }

    fn is_same_home(&self) -> bool {
        let seen = |at: usize| self.viewers[at].seen.first().map(|seen| seen.ip());
        seen(0).zip(seen(1)).is_some_and(|(a, b)| same_home(a, b))
    }

    fn may_meet(&self) -> bool {
        self.viewers[0].reach.meets(&self.viewers[1].reach, self.is_same_home())
    }

    /// The first asks for the second; how long it took, and what it will dial.
    fn meet(&mut self) -> Option<(Duration, SocketAddr)> {
        let (begun, second) = (self.now, self.viewers[1].peer);
        self.checks = 0;
        self.viewers[0].meetings.meet(begun, second);
        while self.viewers[0].found.is_none() && self.viewers[0].given_up.is_none() {
            self.step();
        }
        let (at, way) = self.viewers[0].found?;
        Some((at - begun, way))
    }
}

/// How a home shows itself.
pub(super) fn shows_as(home: Kind) -> (Access, Access) {
    match home {
        Kind::None | Kind::FullCone => (Access::Open, Access::None),
        Kind::AddressRestricted => (Access::AddressRestricted, Access::None),
        Kind::PortRestricted | Kind::Carrier => (Access::PortRestricted, Access::None),
        Kind::Symmetric | Kind::SymmetricRandom | Kind::CarrierSymmetric => {
            (Access::Symmetric, Access::None)
        }
        Kind::Ipv6 => (Access::None, Access::PortRestricted),
        Kind::Dual => (Access::Symmetric, Access::PortRestricted),
        Kind::Blocked => (Access::Unknown, Access::None),
    }
}

#[test]
fn each_kind_of_home_is_told() {
    for home in KINDS {
        let mut stage = Stage::new();
        stage.home(home, 1);
        stage.classify();
        let reach = stage.viewers[0].reach;
        assert_eq!((reach.v4, reach.v6), shows_as(home), "{home:?}");
    }
}

/// Two homes, of which all is known.
fn pair(a: Kind, b: Kind) -> Stage {
    let mut stage = Stage::new();
    stage.home(a, 1);
    stage.home(b, 2);
    stage.classify();
    for viewer in &mut stage.viewers {
        // The shell sees that nothing answers.
        if viewer.reach.v4 == Access::Unknown {
            viewer.reach.v4 = Access::None;
        }
    }
    stage
}

/// What is known beforehand is what happens: those who may meet do, and soon; those who may not could not.
#[test]
fn every_pair_does_as_was_foretold() {
    let mut slowest = Duration::ZERO;
    for (i, a) in KINDS.into_iter().enumerate() {
        for b in KINDS.into_iter().skip(i) {
            for (a, b) in [(a, b), (b, a)] {
                let mut stage = pair(a, b);
                let foretold = stage.may_meet();
                let met = stage.meet();
                assert_eq!(met.is_some(), foretold, "{a:?} asks {b:?}: {met:?}");
                if let Some((took, way)) = met {
                    slowest = slowest.max(took);
                    assert!(took < Duration::from_millis(1000), "{a:?} asks {b:?}: {took:?}");
                    assert!(stage.checks < 60, "{a:?} asks {b:?}: {} checks", stage.checks);
                    let both = |home| matches!(home, Kind::Ipv6 | Kind::Dual);
                    assert_eq!(way.is_ipv6(), both(a) && both(b), "IPv6 goes first");
                }
            }
        }
    }
    // 160 ms are the way to rendezvous, the other, and back.
    assert!(slowest >= 4 * WAY);
}

/// From the wish to the way that QUIC dials, 40 ms to 60 ms each way and one datagram in fifty lost, for each pair that may
/// meet: the median and the 95th percentile of many runs. With `--nocapture` it prints the table of `docs/network.md`.
#[test]
fn they_meet_soon_over_lines_as_they_are() {
    const RUNS: u64 = 100;
    println!("milliseconds to connect, median / 95th percentile of {RUNS} runs");
    for (i, a) in KINDS.into_iter().enumerate() {
        for b in KINDS.into_iter().skip(i) {
            let mut took = Vec::new();
            for seed in 0..RUNS {
                let (a, b) = if seed % 2 == 0 { (a, b) } else { (b, a) };
                let mut stage = pair(a, b);
                if !stage.may_meet() {
                    println!("| {a:?} | {b:?} | not tried |");
                    break;
                }
                stage.world.rough = Some(seed);
                took.extend(stage.meet().map(|(took, _)| took));
            }
            if took.is_empty() {
                continue;
            }
            took.sort();
            let (median, late) = (took[took.len() / 2], took[took.len() * 95 / 100]);
            println!("| {a:?} | {b:?} | {} / {} |", median.as_millis(), late.as_millis());
            assert_eq!(took.len() as u64, RUNS, "{a:?} and {b:?}: some did not meet");
            // The clock is virtual: these do not hang on the machine.
            assert!(median < Duration::from_millis(500), "{a:?} and {b:?}: {median:?}");
            assert!(late < Duration::from_millis(1000), "{a:?} and {b:?}: {late:?}");
        }
    }
}

#[test]
fn two_of_one_home_meet_inside_it() {
    for router in [CONE, SYMMETRIC] {
        let mut stage = Stage::new();
        let lan = stage.world.behind(router, INTERNET, "198.51.100.1");
        for ip in ["192.168.1.2", "192.168.1.3"] {
            let ip = stage.world.host(lan, ip);
            stage.viewer(vec![ip]);
        }
        stage.classify();
        assert!(stage.is_same_home() && stage.may_meet());
        let (_, way) = stage.meet().unwrap();
        assert!(is_local(way.ip()));
    }
}

/// Two homes of one provider are seen at one address: only a router that turns packets round lets them meet.
#[test]
fn two_homes_behind_one_carrier_meet_if_it_turns_packets_round() {
    for hairpin in [true, false] {
        let mut stage = Stage::new();
        let carrier = Router { hairpin, ..CONE };
        let provider = stage.world.behind(carrier, INTERNET, "198.51.100.1");
        for number in [1, 2] {
            let ip = format!("100.64.0.{number}");
            let lan = stage.world.behind(CONE, provider, &ip);
            let ip = stage.world.host(lan, &format!("192.168.{number}.2"));
            stage.viewer(vec![ip]);
        }
        stage.classify();
        assert_eq!(stage.meet().is_some(), hairpin);
    }
}

/// Both want each other at the same moment: one way is found, and one of them dials.
#[test]
fn who_ask_each_other_at_once_meet_once() {
    let mut stage = Stage::new();
    stage.home(Kind::PortRestricted, 1);
    stage.home(Kind::PortRestricted, 2);
    stage.classify();
    let (now, first) = (stage.now, stage.viewers[0].peer);
    stage.viewers[1].meetings.meet(now, first);
    stage.meet().unwrap();
    assert!(stage.viewers[1].found.is_none(), "the other yields");
    // The connection stands.
    let second = stage.viewers[1].peer;
    stage.viewers[1].meetings.met(first);
    stage.viewers[0].meetings.met(second);
    stage.step();
    assert!(stage.viewers[1].given_up.is_some() && stage.viewers[1].found.is_none());
    assert!(stage.viewers.iter_mut().all(|viewer| viewer.meetings.timeout().is_none()));
}

#[test]
fn who_does_not_answer_is_given_up_in_time() {
    let mut stage = Stage::new();
    stage.home(Kind::None, 1);
    stage.home(Kind::Blocked, 2);
    stage.classify();
    let begun = stage.now;
    assert_eq!(stage.meet(), None);
    assert!(stage.viewers[0].given_up.unwrap() - begun < Duration::from_secs(6));
    assert!(stage.viewers[0].meetings.timeout().is_none(), "nothing is left of it");
}
