//! Peers of any number of swarms over one endpoint.
//!
//! One task, the driver, owns the engines; each connection has tasks that read and write. The owners'
//! handles post to the driver's mail.

#[cfg(test)]
pub(crate) mod bench;
mod budget;
mod clock;
mod conn;
mod dial;
mod driver;
mod egress;
mod event;
mod hello;
mod intake;
mod mail;
mod outbox;
mod part;
mod pipe;
mod policy;
mod standing;
mod store;
mod under_way;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segment::{ChannelKey, Coding, Header, SwarmId};
use swarm::{Begin, Cause, PeerHint, Serve};
use ticket::{ChannelTicket, Identity, KeySet, Location, PeerId, Role};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::clock::Clock;
pub(crate) use self::dial::first as dial_first;
use self::driver::Driver;
use self::egress::Egress;
pub(crate) use self::mail::Shared;
use self::mail::{Limits, Mail, Membership};
use self::policy::Policy;
#[cfg(feature = "fuzzing")]
pub(crate) use self::wire::fuzz_peer_frame;
use crate::nat::{Broker, Reach, Setup};
use crate::uplink::{Uplink, UplinkState};
use crate::{Endpoint, Purpose};

/// Whether a peer with this ticket, that connects from this address, may connect to this node.
pub type Admit = Arc<dyn Fn(&ChannelTicket, SocketAddr) -> bool + Send + Sync>;

/// A node's configuration.
#[derive(Clone)]
pub struct NodeConfig {
    /// Its key pair.
    pub identity: Arc<Identity>,
    /// The UDP address to bind.
    pub bind: SocketAddr,
    /// What it does.
    pub role: Role,
    /// The platform (the tickets' audience). Empty: not known yet, no peer is let in; the session learns it from auth
    /// and calls [`Node::set_platform`].
    pub platform: String,
    /// The most connections at one time.
    pub max_connections: usize,
    /// The most media that is sent over all swarms, bits per second.
    pub max_egress: Option<u64>,
    /// Who may connect, beside having a ticket.
    pub admit: Option<Admit>,
    /// How a viewer meets others.
    pub meeting: Meeting,
}

/// How a viewer meets others. Other roles, and viewers on loopback, need no help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meeting {
    /// Whether the home's router is asked for a port (PCP, NAT-PMP, UPnP).
    pub port_mapping: bool,
    /// Takes from repeaters and headends only: no viewer learns its address.
    pub servers_only: bool,
}

impl Default for Meeting {
    fn default() -> Self {
        Self { port_mapping: true, servers_only: false }
    }
}

/// What is needed to join a swarm.
#[derive(Clone, Debug)]
pub struct JoinSpec {
    /// The swarm.
    pub swarm: SwarmId,
    /// The channel's id, as tickets name it.
    pub channel: String,
    /// The channel's public key.
    pub key: ChannelKey,
    /// The rendition's code.
    pub coding: Coding,
    /// T.
    pub segment: Duration,
    /// D.
    pub playout_delay: Duration,
    /// What may be sent in this swarm, bits per second; `None`: no limit known.
    pub uplink: Option<u64>,
    /// The most sub-streams pushed at one time in this swarm.
    pub max_pushed: Option<u32>,
    /// Whom to feed.
    pub serve: Serve,
    /// The most spare sub-streams.
    pub max_spares: u8,
}

/// A segment as it comes to be played, or does not. In order of number.
#[derive(Clone, Debug)]
pub enum Played {
    /// A segment, sealed.
    Segment {
        /// Its header.
        header: Header,
        /// The essential layer's sealed bytes, if the rendition has one and it could be rebuilt.
        essential: Option<Bytes>,
        /// The full layer's sealed bytes, if it could be rebuilt.
        full: Option<Bytes>,
        /// When it is due; in the past while a start catches up.
        due: tokio::time::Instant,
    },
    /// Nothing of this segment came in time.
    Missed {
        /// The segment.
        number: u64,
        /// Why.
        cause: Cause,
    },
}

/// What a node has counted, over all swarms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeStats {
    /// Connections to peers now.
    pub connections: u32,
    /// Bytes received on the socket, transport headers included.
    pub wire_in: u64,
    /// Bytes sent on the socket, transport headers included.
    pub wire_out: u64,
    /// Peers refused for their ticket.
    pub refused: u64,
    /// Peers dropped for misbehaving.
    pub dropped: u64,
}

/// A swarm's counters.
pub type SwarmStats = swarm::Stats;

/// Peers of any number of swarms over one endpoint. The node ends when its last clone is dropped.
#[derive(Clone)]
pub struct Node {
    endpoint: Endpoint,
    policy: Arc<Policy>,
    clock: Arc<Clock>,
    egress: Arc<Egress>,
    mail: Arc<Mail>,
    role: Role,
    broker: Option<Arc<Broker>>,
    _life: Arc<DropGuard>,
}

/// One swarm that the node takes part in. Dropping it leaves the swarm.
pub struct Swarm {
    id: SwarmId,
    shared: Arc<Shared>,
    mail: Arc<Mail>,
}

impl Node {
    /// Binds the socket and begins to accept peers: once it has a ticket and a key set.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub async fn start(config: NodeConfig) -> std::io::Result<Self> {
        // A viewer's uplink is its household's. On loopback there is none: what looks like a queue there is a processor
        // that is busy with others.
        let shares_home = config.role == Role::Viewer && !config.bind.ip().is_loopback();
        let uplink = shares_home.then(|| Uplink::new(config.max_egress));
        let (endpoint, stun) = Endpoint::bind_behind(
            config.bind,
            config.identity.clone(),
            &[Purpose::Peers],
            uplink.as_ref(),
        )?;
        let Meeting { port_mapping, servers_only } = config.meeting;
        let broker = shares_home.then(|| {
            Broker::start(Setup {
                me: endpoint.id(),
                local: endpoint.local_addr(),
                stun,
                send: endpoint.stun_sender(),
                port_mapping,
                servers_only,
            })
        });
        let (platform, role) = (config.platform.clone(), config.role);
        let admit = match config.admit.clone() {
            Some(admit) if servers_only => Some(Arc::new(move |ticket: &ChannelTicket, from| {
                ticket.role != Role::Viewer && admit(ticket, from)
            }) as Admit),
            None if servers_only => {
                Some(Arc::new(|ticket: &ChannelTicket, _| ticket.role != Role::Viewer) as Admit)
            }
            admit => admit,
        };
        let policy = Arc::new(Policy::new(endpoint.id(), platform, admit));
        let clock = Arc::new(Clock::new());
        let egress = match uplink {
            Some(uplink) => Arc::new(Egress::polite(uplink)),
            None => Arc::new(Egress::new(config.max_egress)),
        };
        let mail = Arc::new(Mail::default());
        let stop = CancellationToken::new();
        let driver = Driver::new(
            Arc::new(config),
            endpoint.clone(),
            policy.clone(),
            clock.clone(),
            egress.clone(),
            mail.clone(),
            broker.clone(),
            stop.clone(),
        );
        tokio::spawn(driver.run());
        let _life = Arc::new(stop.drop_guard());
        Ok(Self { endpoint, policy, clock, egress, mail, role, broker, _life })
    }

    /// This node's name.
    pub fn id(&self) -> PeerId {
        self.endpoint.id()
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    /// What finds ways to other viewers; viewers that are not on loopback only.
    pub(crate) fn broker(&self) -> Option<&Arc<Broker>> {
        self.broker.as_ref()
    }

    /// How far this node can be reached, as far as it has found out; viewers only.
    pub fn reach(&self) -> Option<Reach> {
        self.broker.as_ref().map(|broker| *broker.reach().borrow())
    }

    /// The endpoint, for the session with rendezvous on the same socket.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The ticket that this node shows to peers from now on, and where it says the node is. Partners
    /// are told at once.
    pub fn set_ticket(&self, token: String, location: Location) {
        self.policy.set_ticket(token, location);
        self.mail.post(|letters| letters.ticket = true);
    }

    /// The platform (the tickets' audience), for who did not know it at the start.
    pub fn set_platform(&self, platform: String) {
        self.policy.set_platform(platform);
    }

    /// The keys that peers' tickets are checked with.
    pub fn set_key_set(&self, keys: KeySet) {
        self.policy.set_key_set(keys);
    }

    /// The platform's clock: microseconds since 1970 minus this process's monotonic clock, see
    /// [`Node::monotonic`]. Until it is set, the system's clock is taken for it.
    pub fn set_clock(&self, offset: i64) {
        self.clock.set_offset(offset);
        self.mail.post(|letters| letters.clock = true);
    }

    /// This process's monotonic clock as engines see it, microseconds.
    pub fn monotonic(&self) -> u64 {
        self.clock.now().0
    }

    /// The platform's name; empty if neither the configuration nor a session has told it.
    pub fn platform(&self) -> Arc<str> {
        self.policy.platform()
    }

    pub(crate) fn name_platform(&self, platform: &str) {
        self.policy.name_platform(platform);
    }

    /// The platform's clock as it stands, see [`Node::set_clock`].
    pub fn clock_offset(&self) -> i64 {
        self.clock.offset()
    }

    /// The most media that is sent over all swarms from now on, bits per second; 0: nothing.
    pub fn set_max_egress(&self, limit: Option<u64>) {
        self.egress.set(limit);
    }

    /// What is known of the uplink; viewers only.
    pub fn uplink(&self) -> Option<UplinkState> {
        self.egress.uplink().map(|uplink| uplink.state())
    }

    /// The uplink is another one: what was learnt of the old is forgotten. `carried` is what it carried when the node
    /// was last in this network, bits per second, if that is known. Viewers only.
    pub fn set_uplink(&self, carried: Option<u64>) {
        if let Some(uplink) = self.egress.uplink() {
            uplink.reset(carried);
        }
    }

    /// Drops the peers whose tickets name these sessions (`jti`), and refuses them from now on.
    pub fn revoke(&self, sessions: &[String]) {
        self.policy.revoke(sessions);
        self.mail.post(|letters| letters.revoked = true);
    }

    /// Takes part in a swarm. If the node is in it already, the older part ends.
    pub fn join(&self, spec: JoinSpec) -> Swarm {
        let id = spec.swarm;
        let JoinSpec { uplink, max_pushed, serve, .. } = spec;
        let shared = Arc::new(Shared::new(Limits { uplink, max_pushed, serve }));
        let membership = Membership::Join(Box::new(spec), shared.clone());
        self.mail.post(|letters| letters.swarms.push(membership));
        Swarm { id, shared, mail: self.mail.clone() }
    }

    /// What was counted, as of about a quarter of a second ago at most.
    pub fn stats(&self) -> NodeStats {
        self.mail.stats()
    }

    /// Leaves all swarms, tells peers and closes the socket.
    pub async fn shutdown(&self) {
        if let Some(broker) = &self.broker {
            broker.leave().await;
        }
        let (done, wait) = oneshot::channel();
        self.mail.post(|letters| letters.shutdown.push(done));
        // An error means that it was over already.
        let _ = wait.await;
    }
}

impl Swarm {
    /// Which swarm.
    pub fn id(&self) -> SwarmId {
        self.id
    }

    /// What outlives the handle, for who looks after the swarm.
    pub(crate) fn watch(&self) -> Watch {
        Watch { id: self.id, shared: self.shared.clone(), mail: self.mail.clone() }
    }

    fn post(&self) {
        self.mail.post(|letters| {
            letters.dirty.insert(self.id);
        });
    }

    /// Headend only: the shards of a sealed segment, all N, in order of index.
    pub fn publish(&self, shards: Vec<segment::Shard>) {
        self.shared.publish(shards);
        self.post();
    }

    /// Viewer only: the next segment, in order of number, when it is due.
    /// `None` once the swarm was left. If nobody takes them, the oldest are dropped.
    pub async fn next(&mut self) -> Option<Played> {
        self.shared.next().await
    }

    /// Viewer only, at once after joining: gives out segments from this one on, because what is before is played from
    /// elsewhere.
    pub(crate) fn begin_at(&self, begin: Begin) {
        self.shared.begin_at(begin);
        self.post();
    }

    /// Viewer only: leaves all peers and receives nothing more, so that the line is free; what has come is still played,
    /// and there is no way back but to join anew.
    pub fn rest(&self) {
        let membership = Membership::Rest(self.id, self.shared.clone());
        self.mail.post(|letters| letters.swarms.push(membership));
    }

    /// Peers to try, nearest first.
    pub fn candidates(&self, peers: Vec<PeerHint>) {
        self.shared.candidates(peers);
        self.post();
    }

    /// Waits until the engine wants more peers.
    pub async fn wants_peers(&self) {
        self.shared.wants_peers().await;
    }

    /// What may be sent in this swarm from now on, bits per second.
    pub fn set_uplink(&self, rate: Option<u64>) {
        self.shared.set_uplink(rate);
        self.post();
    }

    /// The most sub-streams pushed at one time in this swarm from now on; children above it are let
    /// go.
    pub fn set_max_pushed(&self, most: Option<u32>) {
        self.shared.set_max_pushed(most);
        self.post();
    }

    /// Whom to feed from now on.
    pub fn set_serve(&self, serve: Serve) {
        self.shared.set_serve(serve);
        self.post();
    }

    /// What was counted, as of about a second ago at most; at viewers as of the last tenth of a second in which something
    /// happened.
    pub fn stats(&self) -> SwarmStats {
        self.shared.stats()
    }

    /// Peers that are good to have, the best first, at most 32, as of about a second ago: to be kept, and given to
    /// [`Swarm::remember`] when the channel is joined again.
    pub fn good_peers(&self) -> Vec<PeerHint> {
        self.shared.good()
    }

    /// Peers that were good in an earlier session: they are tried first.
    pub fn remember(&self, peers: Vec<PeerHint>) {
        if !peers.is_empty() {
            self.shared.remember(peers);
            self.post();
        }
    }
}

/// A swarm as the session sees it: it does not keep it joined.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) id: SwarmId,
    pub(crate) shared: Arc<Shared>,
    mail: Arc<Mail>,
}

impl Watch {
    /// Peers that may be of this home.
    pub(crate) fn neighbours(&self, peers: Vec<PeerHint>) {
        self.shared.neighbours(peers);
        self.mail.post(|letters| {
            letters.dirty.insert(self.id);
        });
    }

    pub(crate) fn candidates(&self, peers: Vec<PeerHint>) {
        self.shared.candidates(peers);
        self.mail.post(|letters| {
            letters.dirty.insert(self.id);
        });
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.shared.left().cancel();
        let membership = Membership::Leave(self.id, self.shared.clone());
        self.mail.post(|letters| letters.swarms.push(membership));
    }
}
