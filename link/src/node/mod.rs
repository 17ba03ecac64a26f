//! Peers of any number of swarms over one endpoint.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segment::{ChannelKey, Coding, Header, SwarmId};
use swarm::{Cause, PeerHint, Serve};
use ticket::{ChannelTicket, Identity, KeySet, Location, PeerId, Role};

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

/// Peers of any number of swarms over one endpoint.
#[derive(Clone)]
pub struct Node {
    _config: Arc<NodeConfig>,
}

/// One swarm that the node takes part in. Dropping it leaves the swarm.
pub struct Swarm {
    _private: (),
}

impl Node {
    /// Binds the socket and begins to accept peers.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub async fn start(config: NodeConfig) -> std::io::Result<Self> {
        Ok(Self { _config: Arc::new(config) })
    }

    /// This node's name.
    pub fn id(&self) -> PeerId {
        todo!()
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// The endpoint, for the session with rendezvous on the same socket.
    pub fn endpoint(&self) -> &crate::Endpoint {
        todo!()
    }

    /// The ticket that this node shows to peers from now on, and where it says the node is.
    pub fn set_ticket(&self, token: String, location: Location) {
        let _ = (token, location);
        todo!()
    }

    /// The platform (the tickets' audience), for who did not know it at the start.
    pub fn set_platform(&self, platform: String) {
        let _ = platform;
        todo!()
    }

    /// The keys that peers' tickets are checked with.
    pub fn set_key_set(&self, keys: KeySet) {
        let _ = keys;
        todo!()
    }

    /// The platform's clock: microseconds since 1970 minus this process's monotonic clock, see [`Node::monotonic`].
    pub fn set_clock(&self, offset: i64) {
        let _ = offset;
        todo!()
    }

    /// This process's monotonic clock as engines see it, microseconds.
    pub fn monotonic(&self) -> u64 {
        todo!()
    }

    /// Drops the peers whose tickets name these sessions (`jti`), and refuses them from now on.
    pub fn revoke(&self, sessions: &[String]) {
        let _ = sessions;
        todo!()
    }

    /// Takes part in a swarm.
    pub fn join(&self, spec: JoinSpec) -> Swarm {
        let _ = spec;
        todo!()
    }

    /// What was counted.
    pub fn stats(&self) -> NodeStats {
        todo!()
    }

    /// Leaves all swarms, tells peers and closes the socket.
    pub async fn shutdown(&self) {
        todo!()
    }
}

impl Swarm {
    /// Headend only: the shards of a sealed segment, all N, in order of index.
    pub fn publish(&self, shards: Vec<segment::Shard>) {
        let _ = shards;
        todo!()
    }

    /// Viewer only: the next segment, in order of number, when it is due.
    /// `None` once the swarm was left. If nobody takes them, the oldest are dropped.
    pub async fn next(&mut self) -> Option<Played> {
        todo!()
    }

    /// Peers to try, nearest first.
    pub fn candidates(&self, peers: Vec<PeerHint>) {
        let _ = peers;
        todo!()
    }

    /// Waits until the engine wants more peers.
    pub async fn wants_peers(&self) {
        todo!()
    }

    /// What may be sent in this swarm from now on, bits per second.
    pub fn set_uplink(&self, rate: Option<u64>) {
        let _ = rate;
        todo!()
    }

    /// The most sub-streams pushed at one time in this swarm from now on; children above it are let go.
    pub fn set_max_pushed(&self, most: Option<u32>) {
        let _ = most;
        todo!()
    }

    /// Whom to feed from now on.
    pub fn set_serve(&self, serve: Serve) {
        let _ = serve;
        todo!()
    }

    /// What was counted, as of about a second ago at most.
    pub fn stats(&self) -> SwarmStats {
        todo!()
    }
}
