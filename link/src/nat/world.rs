//! A world of networks behind routers, on a virtual clock: what the routers of homes and providers do to datagrams.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How a router translates addresses (RFC 4787 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Translation {
    /// One place outside for each inside, whoever is sent to.
    Alike,
    /// Another port for each destination, one after the other.
    ByDestination,
    /// The same by chance.
    Random,
    /// Nothing passes.
    Blocked,
}

/// What a router lets in (section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    Nothing,
    Address,
    AddressAndPort,
}

/// A router: IPv4 is translated, IPv6 (where it has it) only filtered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    pub(super) translation: Option<Translation>,
    pub(super) filter: Filter,
    pub(super) hairpin: bool,
}

type Network = usize;

struct Standing {
    router: Router,
    inside: Network,
    outside: Network,
    ip: IpAddr,
    /// Ports outside, by whom inside and (where it matters) by whom outside.
    ports: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    next: u16,
    sent: BTreeSet<(SocketAddr, SocketAddr)>,
}

/// A datagram.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

enum Arrival {
    Router(usize, Datagram),
    Host(Datagram),
}

#[derive(Default)]
pub(super) struct World {
    routers: Vec<Standing>,
    hosts: Vec<(Network, IpAddr)>,
    on_the_way: BTreeMap<(Instant, u64), Arrival>,
    count: u64,
    networks: Network,
    /// Datagrams are late by up to `JITTER` and one in fifty is lost, by chance from this seed.
    pub(super) rough: Option<u64>,
}

/// The internet.
pub(super) const INTERNET: Network = 0;
/// From end to end.
pub(super) const WAY: Duration = Duration::from_millis(40);
/// What is added to it at most where the world is rough.
const JITTER: Duration = Duration::from_millis(20);

impl World {
    /// A network behind a new router, whose own address in `outside` is `ip`.
    pub(super) fn behind(&mut self, router: Router, outside: Network, ip: &str) -> Network {
        self.networks += 1;
        let (inside, ip) = (self.networks, ip.parse().unwrap());
        let next = 20_000 + self.routers.len() as u16 * 1000;
        let (ports, sent) = Default::default();
        self.routers.push(Standing { router, inside, outside, ip, ports, next, sent });
        inside
    }

    pub(super) fn host(&mut self, network: Network, ip: &str) -> IpAddr {
        let ip = ip.parse().unwrap();
        self.hosts.push((network, ip));
        ip
    }

    fn network_of(&self, ip: IpAddr) -> Network {
        self.hosts.iter().find(|(_, own)| *own == ip).unwrap().0
    }

    /// A host that is named by its own address sends something.
    pub(super) fn send(&mut self, now: Instant, datagram: Datagram) {
        let mut datagram = datagram;
        let mut network = self.network_of(datagram.from.ip());
        loop {
            let to = datagram.to.ip();
            if self.hosts.contains(&(network, to)) {
                return self.later(now, Arrival::Host(datagram));
            }
            let inward = self.routers.iter().position(|standing| {
                let own = standing.ip == to && standing.router.translation.is_some();
                let routed = to.is_ipv6() && self.hosts.contains(&(standing.inside, to));
                standing.outside == network && (own || routed)
            });
            if let Some(router) = inward {
                return self.later(now, Arrival::Router(router, datagram));
            }
            let outward = self.routers.iter().position(|standing| standing.inside == network);
            let Some(router) = outward else { return };
            let standing = &mut self.routers[router];
            if !standing.out(&mut datagram) {
                return;
            }
            if standing.ip == to {
                if standing.router.hairpin {
                    self.later(now, Arrival::Router(router, datagram));
                }
                return;
            }
            network = standing.outside;
        }
    }

    fn later(&mut self, now: Instant, arrival: Arrival) {
        let mut at = now + WAY;
        if let Some(rough) = &mut self.rough {
            // A linear congruential generator (Knuth's MMIX).
            *rough = rough
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let chance = (*rough >> 33) as u32;
            if chance.is_multiple_of(50) {
                return;
            }
            at += JITTER * (chance % 997) / 997;
        }
        self.count += 1;
        self.on_the_way.insert((at, self.count), arrival);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    /// What has arrived by now, at the host of its destination.
    pub(super) fn arrived(&mut self, now: Instant) -> Vec<Datagram> {
        let mut arrived = Vec::new();
        while let Some(entry) = self.on_the_way.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Arrival::Host(datagram) => arrived.push(datagram),
                Arrival::Router(router, datagram) => arrived.extend(self.inward(router, datagram)),
            }
        }
        arrived
    }

    fn inward(&mut self, mut router: usize, mut datagram: Datagram) -> Option<Datagram> {
        loop {
            let standing = &self.routers[router];
            if !standing.inward(&mut datagram) {
                return None;
            }
            let (inside, to) = (standing.inside, datagram.to.ip());
            if self.hosts.contains(&(inside, to)) {
                return Some(datagram);
            }
            router =
                self.routers.iter().position(|next| next.outside == inside && next.ip == to)?;
        }
    }
}

impl Standing {
    fn out(&mut self, datagram: &mut Datagram) -> bool {
        let Datagram { from, to, .. } = datagram;
        if from.is_ipv4() {
            let key = match self.router.translation {
                None => return false,
                Some(Translation::Blocked) => return false,
                Some(Translation::Alike) => (*from, None),
                Some(Translation::ByDestination | Translation::Random) => (*from, Some(*to)),
            };
            let random = self.router.translation == Some(Translation::Random);
            let next = &mut self.next;
            let port = *self.ports.entry(key).or_insert_with(|| {
                // Steps without a pattern, but the same in each run.
                *next = if random {
                    (*next).wrapping_mul(25_173).wrapping_add(13_849) | 1024
                } else {
                    *next + 1
                };
                *next
            });
            *from = SocketAddr::new(self.ip, port);
        }
        self.sent.insert((*from, *to));
        true
    }

    fn inward(&self, datagram: &mut Datagram) -> bool {
        let Datagram { from, to, .. } = datagram;
        let known = match self.router.filter {
            Filter::Nothing => true,
            Filter::Address => {
                self.sent.iter().any(|(own, other)| own == to && other.ip() == from.ip())
            }
            Filter::AddressAndPort => self.sent.contains(&(*to, *from)),
        };
        if !known {
            return false;
        }
        if to.is_ipv6() {
            return true;
        }
        let port = to.port();
        let inside =
            self.ports.iter().find(|(_, own)| **own == port).map(|((inside, _), _)| *inside);
        match inside {
            Some(inside) => {
                *to = inside;
                true
            }
            None => false,
        }
    }
}
