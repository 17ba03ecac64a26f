//! Who may come in.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use link::nat::{Access, Reach};
use link::protocol::{Event, Refusal, Request, VERSION};
use ticket::{Error, PeerId, Role, UserTicket};

use super::monitor::on_air;
use super::trust::revoked;
use super::{Hub, Outbox, REVOKED_AT_ONCE, Seat, entitled};
use crate::map::Node;

/// The most addresses that are kept of a node.
const ADDRESSES: usize = 4;
/// The longest name of a program that is kept, bytes.
const SOFTWARE: usize = 64;

/// How far a node can be reached whose UDP is blocked.
pub(super) const NOWHERE: Reach = Reach { v4: Access::None, v6: Access::None, servers_only: false };

/// A node that was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Who.
    pub peer: PeerId,
    /// On which of its connections.
    pub connection: u64,
    /// What it does.
    pub role: Role,
}

/// Why a node is not let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It may not.
    Refused(Refusal, String),
    /// Its ticket names a key that is not known here: worth a look whether auth has a new one.
    UnknownKey,
    /// Nothing is known of the platform's keys yet: it should come back.
    NotReady,
}

impl Hub {
    /// The first frame of the node `peer`, which is seen at `observed`. If it may come in, its
    /// outbox holds the welcome.
    ///
    /// # Errors
    /// Why it may not.
    pub fn hello(
        &self,
        peer: PeerId,
        observed: SocketAddr,
        hello: &Request,
        outbox: &Outbox,
    ) -> Result<Caller, Denied> {
        let Request::Hello { version, ticket, advertise, software } = hello else {
            return Err(Denied::Refused(Refusal::Version, "the first frame must be Hello".into()));
        };
        if *version != VERSION {
            let reason = format!("version {version} is not spoken here, only {VERSION}");
            return Err(Denied::Refused(Refusal::Version, reason));
        }
        let ticket = self.check(peer, ticket)?;
        if ticket.role == Role::Rendezvous {
            let reason = "rendezvous servers do not sign in at each other";
            return Err(Denied::Refused(Refusal::Role, reason.into()));
        }
        let node = Node {
            peer,
            role: ticket.role,
            location: ticket.loc,
            addrs: addresses(ticket.role, advertise, observed),
            seen: observed.ip().to_canonical(),
            // Whose UDP is blocked cannot be connected to; the others find out more.
            reach: if link::is_tunnel(observed) { NOWHERE } else { Reach::default() },
            software: software.chars().filter(|c| !c.is_control()).take(SOFTWARE).collect(),
        };
        self.seat(node, observed, ticket, outbox)
    }

    /// Whether a user ticket names a signer that is not known here, perhaps because it is new.
    pub fn unknown_signer(&self, peer: PeerId, token: &str) -> bool {
        self.check(peer, token) == Err(Denied::UnknownKey)
    }

    /// Checks a user ticket offline.
    pub(super) fn check(&self, peer: PeerId, token: &str) -> Result<UserTicket, Denied> {
        let trust = self.trust().ok_or(Denied::NotReady)?;
        let now = self.seconds();
        // Who comes back while auth is away cannot have a fresh one.
        let grace = if self.auth_away() { self.limits.renew_for.as_secs() } else { 0 };
        let ticket =
            UserTicket::check_lapsed(token, &trust.keys, &trust.platform, peer, now, grace);
        let ticket = ticket.map_err(|error| match error {
            Error::UnknownKey => Denied::UnknownKey,
            error => Denied::Refused(Refusal::Ticket, error.to_string()),
        })?;
        match self.lock().revoked.reason(&ticket.jti) {
            Some(reason) => Err(Denied::Refused(Refusal::Revoked, revoked(reason))),
            None => Ok(ticket),
        }
    }

    fn seat(
        &self,
        node: Node,
        observed: SocketAddr,
        ticket: UserTicket,
        outbox: &Outbox,
    ) -> Result<Caller, Denied> {
        let (now, time) = (self.now(), self.wall());
        let trust = self.trust().ok_or(Denied::NotReady)?;
        let (granted, expires) = self.granter.grant(&ticket, time / 1_000_000);
        let mut state = self.lock();
        let back = state.seats.contains_key(&node.peer);
        if state.seats.len() >= self.limits.sessions && !back {
            return Err(Denied::Refused(Refusal::Limit, "this rendezvous is full".into()));
        }
        let state = &mut *state;
        // Later than any here, and than the node's last one anywhere, whatever the clocks say.
        let before = state.map.connection_of(node.peer).unwrap_or_default();
        state.connections = time.max(state.connections + 1).max(before + 1);
        let caller = Caller { peer: node.peer, connection: state.connections, role: ticket.role };
        outbox.push(Event::Welcome {
            ticket: granted,
            observed,
            key_set: trust.keys.to_json(),
            line_up: entitled(&state.map.line_up(), &ticket),
            time,
        });
        if let Some(reflectors) = &state.reflectors {
            outbox.push(Event::Reflectors(reflectors.clone()));
        }
        if ticket.role == Role::Viewer {
            let schedules: Vec<_> = state.map.monitor().schedules(now).collect();
            for some in on_air(&schedules, &ticket) {
                outbox.push(some);
            }
        }
        let revoked = state.revoked.newest(REVOKED_AT_ONCE);
        if !revoked.is_empty() {
            outbox.push(Event::Revoked(revoked));
        }
        let (location, software) = (node.location, node.software.clone());
        if let Some(old) = state.seats.get(&caller.peer) {
            let role = old.ticket.role;
            let old = Caller { peer: caller.peer, connection: old.connection, role };
            self.leaves(state, &old);
        }
        state.map.arrive(now, caller.connection, node);
        if caller.role == Role::Viewer {
            state.map.belongs(caller.peer, &ticket.sub);
        }
        let seat = Seat {
            connection: caller.connection,
            renew_until: now + self.limits.renew_for,
            ticket,
            expires,
            outbox: outbox.clone(),
            tunnelled: link::is_tunnel(observed),
            location,
            software,
            since: time / 1_000_000,
            watching: BTreeMap::new(),
        };
        if let Some(old) = state.seats.insert(caller.peer, seat) {
            // Not told why: it would take it for its own end.
            old.outbox.close();
        }
        Ok(caller)
    }
}

/// Where a node can be reached: what it says, else where it is seen. A viewer on the internet may
/// only name its own address (with another port), so that nobody can send a swarm to a stranger.
fn addresses(role: Role, advertised: &[SocketAddr], observed: SocketAddr) -> Vec<SocketAddr> {
    let tunnelled = link::is_tunnel(observed);
    let observed = SocketAddr::new(observed.ip().to_canonical(), observed.port());
    let local = match observed.ip() {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    };
    let believed = |addr: &&SocketAddr| {
        let ip = addr.ip().to_canonical();
        let usable = !ip.is_unspecified() && !ip.is_multicast() && addr.port() != 0;
        usable && (role != Role::Viewer || local || ip == observed.ip())
    };
    let mut addrs: Vec<SocketAddr> =
        advertised.iter().filter(believed).take(ADDRESSES).copied().collect();
    // Whose UDP is blocked cannot be connected to.
    if addrs.is_empty() && !tunnelled {
        addrs.push(observed);
    }
    addrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_cannot_name_a_strangers_address() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let seen = addr("198.51.100.7:4000");
        let say = |role, said: &[&str]| {
            addresses(role, &said.iter().map(|text| addr(text)).collect::<Vec<_>>(), seen)
        };
        assert_eq!(say(Role::Viewer, &["203.0.113.5:443"]), [seen]);
        let forwarded = addr("198.51.100.7:9000");
        assert_eq!(say(Role::Viewer, &["203.0.113.5:443", "198.51.100.7:9000"]), [forwarded]);
        assert_eq!(say(Role::Repeater, &["203.0.113.5:443"]), [addr("203.0.113.5:443")]);
        assert_eq!(say(Role::Repeater, &["0.0.0.0:443", "203.0.113.5:0", "224.0.0.1:5"]), [seen]);
        let many: Vec<String> = (1..20).map(|port| format!("203.0.113.5:{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(say(Role::Headend, &many).len(), ADDRESSES);
        let inside = addresses(Role::Viewer, &[forwarded], addr("172.17.0.3:4000"));
        assert_eq!(inside, [forwarded]);
        assert_eq!(addresses(Role::Viewer, &[], addr("[::ffff:198.51.100.7]:4000")), [seen]);
    }
}
