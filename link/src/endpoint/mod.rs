//! One UDP socket, and QUIC connections on it whose both ends have proved their identity.

mod congestion;
mod network;
mod tls;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use quinn::{
    ClientConfig, ServerConfig, TokioRuntime, TransportConfig, TransportErrorCode, VarInt,
};
use rustls::pki_types::CertificateDer;
use ticket::{Identity, PeerId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::network::{Change, Network};
use self::tls::Tls;
use self::transport::End;
pub(crate) use self::transport::STREAMS;
use crate::nat::{SendStun, Way};
use crate::socket::{Fittings, Gate, Meter, Pace, Socket, Stun, Visits};
use crate::tcp::{self, Dial, Table, Watch};
use crate::uplink::Uplink;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(4);
/// With this many inbound handshakes under way, addresses are validated first.
const CROWDED: usize = 32;
/// With this many, further ones are refused.
const FULL: usize = 1024;
/// The longest reason that is taken from a peer, bytes.
const MAX_REASON: usize = 200;
/// How an endpoint that closes ends its connections.
pub(crate) const LEAVING: VarInt = VarInt::from_u32(0);

/// What a connection is for; negotiated as ALPN (RFC 7301), so that versions can differ later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Between peers of swarms.
    Peers,
    /// Between a node and rendezvous.
    Rendezvous,
}

impl Purpose {
    /// The ALPN name.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Purpose::Peers => b"braidcast/1",
            Purpose::Rendezvous => b"braidcast-rendezvous/1",
        }
    }
}

/// Why a connection did not come about, or ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nobody answered, or a node that takes no connections now.
    #[error("no answer")]
    Unreachable,
    /// Somebody else answered than was expected.
    #[error("another node answers at this address")]
    OtherPeer,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(String),
}

impl From<quinn::ConnectionError> for ConnectionError {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Quic;
        match error {
            Quic::ApplicationClosed(close) => Self::Refused(reason(&close.reason)),
            // A node without room, or one that is closing: nothing was looked at.
            Quic::ConnectionClosed(close)
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
            {
                Self::Unreachable
            }
            Quic::ConnectionClosed(close) => Self::Refused(close.error_code.to_string()),
            Quic::TransportError(error) => Self::Refused(error.to_string()),
            Quic::VersionMismatch => Self::Refused("no common version".into()),
            Quic::Reset | Quic::TimedOut | Quic::LocallyClosed | Quic::CidsExhausted => {
                Self::Unreachable
            }
        }
    }
}

/// An address as others write it: IPv4 on a socket of both families shows as IPv6.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// What a peer says, fit to be logged and shown: short, without control characters.
pub(crate) fn reason(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_REASON)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The key in a certificate.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_certificate(bytes: &[u8]) -> Option<PeerId> {
    tls::peer_of(&[CertificateDer::from(bytes)]).ok()
}

/// One UDP socket with QUIC on it, for both directions and all purposes.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

struct Shared {
    quic: quinn::Endpoint,
    local: SocketAddr,
    identity: Arc<Identity>,
    tls: Tls,
    transport: Arc<TransportConfig>,
    uplink: Option<Arc<Uplink>>,
    meter: Arc<Meter>,
    /// The socket of now.
    socket: RwLock<Arc<Socket>>,
    /// Inbound handshakes under way.
    handshakes: Arc<AtomicUsize>,
    /// Where UDP is blocked.
    tunnels: Arc<Table>,
    /// A viewer's eye on whom it talks to.
    watch: OnceLock<Arc<Watch>>,
    /// Tells when the node has come into another network.
    moved: tokio::sync::watch::Sender<()>,
    /// Ends what the endpoint has begun.
    end: DropGuard,
}

/// An established connection to a peer that has proved its identity.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: PeerId,
    /// What for.
    pub purpose: Purpose,
    /// The transport.
    pub quic: quinn::Connection,
}

impl Connection {
    fn new(quic: quinn::Connection) -> Result<Self, ConnectionError> {
        let unproved = || ConnectionError::Refused("no proof of identity".into());
        let chain = quic.peer_identity().and_then(|any| any.downcast::<Chain>().ok());
        let peer = chain.and_then(|chain| tls::peer_of(&chain).ok()).ok_or_else(unproved)?;
        let data = quic.handshake_data().and_then(|any| any.downcast::<HandshakeData>().ok());
        let purpose = data
            .and_then(|data| data.protocol)
            .and_then(|alpn| {
                [Purpose::Peers, Purpose::Rendezvous].into_iter().find(|p| p.alpn() == alpn)
            })
            .ok_or_else(unproved)?;
        Ok(Self { peer, purpose, quic })
    }
}

type Chain = Vec<CertificateDer<'static>>;

/// An inbound connection whose handshake has not ended.
pub struct Incoming {
    quic: quinn::Incoming,
    _slot: Slot,
}

/// Counts a handshake as long as it lives.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Incoming {
    /// Where it comes from; not validated yet.
    pub fn remote_addr(&self) -> SocketAddr {
        self.quic.remote_address()
    }

    /// Refuses it without a handshake.
    pub fn refuse(self) {
        self.quic.refuse();
    }

    /// Completes the handshake, within 4 s.
    ///
    /// # Errors
    /// If the other end gives up or proves no identity.
    pub async fn establish(self) -> Result<Connection, ConnectionError> {
        let connecting = self.quic.accept()?;
        let quic =
            timeout(HANDSHAKE, connecting).await.map_err(|_| ConnectionError::Unreachable)??;
        Connection::new(quic)
    }
}

impl Endpoint {
    /// Binds to `addr` (port 0: any free one) and accepts connections for `accept`. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub fn bind(addr: SocketAddr, identity: Arc<Identity>, accept: &[Purpose]) -> io::Result<Self> {
        Self::bind_behind(addr, identity, accept, None).map(|(endpoint, _)| endpoint)
    }

    /// As [`Endpoint::bind`], behind an uplink that is shared with a home. Gives the STUN messages that come, too.
    pub(crate) fn bind_behind(
        addr: SocketAddr,
        identity: Arc<Identity>,
        accept: &[Purpose],
        uplink: Option<&Arc<Uplink>>,
    ) -> io::Result<(Self, mpsc::Receiver<Stun>)> {
        let tls = Tls::new(&identity)?;
        let transport = transport::transport(End::Peer, uplink, None, None);
        let pace = uplink.map(|uplink| Arc::new(Pace::new(uplink.clone())) as Arc<dyn Gate>);
        let (fittings, stun) = Fittings::new(pace);
        let meter = fittings.meter.clone();
        let tunnels = fittings.tunnels.clone();
        let socket = Arc::new(Socket::bind(addr, fittings)?);
        let server = if accept.is_empty() {
            None
        } else {
            let mut server = ServerConfig::with_crypto(Arc::new(tls.server(accept)?));
            server.transport_config(match accept {
                [Purpose::Rendezvous] => transport::transport(End::Host, uplink, None, None),
                _ => transport.clone(),
            });
            // What is sent before anybody is known.
            server.incoming_buffer_size(64 << 10).incoming_buffer_size_total(8 << 20);
            server.max_incoming(FULL);
            Some(server)
        };
        // A home's uplink is paced two packets at a time.
        let runtime: Arc<dyn quinn::Runtime> = match uplink {
            Some(_) => Arc::new(TokioRuntime),
            None => Arc::new(Visits::new(socket.clone())),
        };
        let quic = quinn::Endpoint::new_with_abstract_socket(
            transport::endpoint(&identity),
            server,
            socket.clone(),
            runtime,
        )?;
        let local = quic.local_addr()?;
        let handshakes = Arc::new(AtomicUsize::new(0));
        let socket = RwLock::new(socket);
        let shared = Shared {
            quic,
            local,
            identity,
            tls,
            transport,
            uplink: uplink.cloned(),
            meter,
            socket,
            handshakes,
            tunnels,
            watch: OnceLock::new(),
            moved: tokio::sync::watch::Sender::new(()),
            end: CancellationToken::new().drop_guard(),
        };
        let endpoint = Self { shared: Arc::new(shared) };
        if uplink.is_some() {
            endpoint.look_out();
        }
        Ok((endpoint, stun))
    }

    /// The same socket for another identity, which its outbound connections prove; inbound ones still go to the first. A
    /// process that plays many nodes needs no socket for each. Closing one of them closes all.
    ///
    /// # Errors
    /// If no certificate can be made for it.
    pub fn with_identity(&self, identity: Arc<Identity>) -> io::Result<Self> {
        let shared = &self.shared;
        let shared = Shared {
            quic: shared.quic.clone(),
            local: shared.local,
            tls: Tls::new(&identity)?,
            identity,
            transport: shared.transport.clone(),
            uplink: shared.uplink.clone(),
            meter: shared.meter.clone(),
            socket: RwLock::new(self.socket()),
            handshakes: shared.handshakes.clone(),
            tunnels: shared.tunnels.clone(),
            watch: OnceLock::new(),
            moved: tokio::sync::watch::Sender::new(()),
            end: CancellationToken::new().drop_guard(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Who this node is.
    pub fn id(&self) -> PeerId {
        self.shared.identity.id()
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Bytes received and sent on the socket so far: UDP payloads, QUIC's headers included.
    pub fn wire_bytes(&self) -> (u64, u64) {
        self.shared.meter.read()
    }

    /// Connects to `peer` at `addr`, within 4 s.
    ///
    /// # Errors
    /// If nobody, or somebody else, answers there.
    pub async fn connect(
        &self,
        addr: SocketAddr,
        peer: PeerId,
        purpose: Purpose,
    ) -> Result<Connection, ConnectionError> {
        let watching = self.shared.watch.get().map(|watch| watch.enter(addr, peer));
        let end = match purpose {
            Purpose::Peers => End::Peer,
            Purpose::Rendezvous => End::Member,
        };
        let transport = match (watching, end) {
            (None, End::Peer) => self.shared.transport.clone(),
            (watching, end) => {
                transport::transport(end, self.shared.uplink.as_ref(), watching, None)
            }
        };
        self.connect_with(addr, peer, purpose, transport).await
    }

    /// Connects to `peer` over a way that checks have found: UDP works there, and the round trip is known.
    ///
    /// # Errors
    /// If nobody, or somebody else, answers there within 4 s.
    pub(crate) async fn connect_over(
        &self,
        way: Way,
        peer: PeerId,
        purpose: Purpose,
    ) -> Result<Connection, ConnectionError> {
        let transport =
            transport::transport(End::Peer, self.shared.uplink.as_ref(), None, Some(way.rtt));
        self.connect_with(way.addr, peer, purpose, transport).await
    }

    async fn connect_with(
        &self,
        addr: SocketAddr,
        peer: PeerId,
        purpose: Purpose,
        transport: Arc<TransportConfig>,
    ) -> Result<Connection, ConnectionError> {
        let other = Arc::new(AtomicBool::new(false));
        let crypto = self
            .shared
            .tls
            .client(peer, purpose, other.clone())
            .map_err(|error| ConnectionError::Refused(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport);
        // The name is not sent: see `tls`.
        let connecting = self
            .shared
            .quic
            .connect_with(config, addr, "braidcast")
            .map_err(|_| ConnectionError::Unreachable)?;
        match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(quic)) => Connection::new(quic),
            Ok(Err(_)) if other.load(Ordering::Relaxed) => Err(ConnectionError::OtherPeer),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(ConnectionError::Unreachable),
        }
    }

    /// The next inbound connection; `None` once the endpoint is closed. Addresses are validated
    /// (RFC 9000 section 8.1) when the node is under load.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let quic = self.shared.quic.accept().await?;
            let under_way = self.shared.handshakes.load(Ordering::Relaxed);
            if under_way >= FULL {
                quic.refuse();
            } else if under_way >= CROWDED && quic.may_retry() && !quic.remote_address_validated() {
                // Fails only if it was validated already.
                let _ = quic.retry();
            } else {
                return Some(Incoming { quic, _slot: Slot::take(&self.shared.handshakes) });
            }
        }
    }

    /// Takes tunnels through TCP too, for nodes whose UDP is blocked, until the endpoint is dropped; gives the address.
    /// They look for them at the port of UDP, at 443 and at 7443.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn listen_tcp(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let acceptor = self.shared.tls.tunnel_acceptor()?;
        let listener = std::net::TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let local = listener.local_addr()?;
        tokio::spawn(tcp::listen(listener, acceptor, self.shared.tunnels.clone(), self.ending()));
        Ok(local)
    }

    /// Takes tunnels at these ports of the socket's own address, 0 being the socket's own port; those that cannot be
    /// had are passed over. Gives those that were.
    pub fn listen_tcp_at(&self, ports: &[u16]) -> Vec<SocketAddr> {
        let own = self.local_addr();
        let bound = ports.iter().filter_map(|port| {
            let port = if *port == 0 { own.port() } else { *port };
            match self.listen_tcp(SocketAddr::new(own.ip(), port)) {
                Ok(addr) => Some(addr),
                Err(error) => {
                    tracing::debug!(port, %error, "no TCP at this port");
                    None
                }
            }
        });
        let bound: Vec<_> = bound.collect();
        if bound.is_empty() && !ports.is_empty() {
            tracing::warn!("no TCP port could be bound: viewers whose UDP is blocked cannot come");
        }
        bound
    }

    /// Whether something goes through a tunnel now, because UDP seems to be blocked.
    pub fn is_tunnelled(&self) -> bool {
        self.shared.watch.get().is_some_and(|watch| watch.is_blocked())
    }

    /// Tells when the node has come into another network, or has slept.
    pub(crate) fn moved(&self) -> tokio::sync::watch::Receiver<()> {
        self.shared.moved.subscribe()
    }

    /// What sends STUN messages from the socket; it does not keep the endpoint.
    pub(crate) fn stun_sender(&self) -> SendStun {
        let weak = Arc::downgrade(&self.shared);
        Arc::new(move |to, bytes| {
            if let Some(shared) = weak.upgrade()
                && let Err(error) = (Self { shared }).socket().send_stun(to, bytes)
            {
                tracing::trace!(%error, "a check cannot be sent");
            }
        })
    }

    fn ending(&self) -> CancellationToken {
        self.shared.end.token().clone()
    }

    fn socket(&self) -> Arc<Socket> {
        self.shared.socket.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to look whether UDP is blocked, and whether the network is still the same.
    fn look_out(&self) {
        let weak = Arc::downgrade(&self.shared);
        let dialler = weak.clone();
        let dial: Dial = Arc::new(move |addr, peer| {
            let connector = dialler.upgrade().map(|shared| shared.tls.tunnel_connector(peer));
            Box::pin(async move {
                let connector = connector.ok_or(io::ErrorKind::NotConnected)??;
                let stream = TcpStream::connect(addr).await?;
                tcp::tune(&stream);
                // The name is not sent: see `tls`.
                connector.connect(addr.ip().into(), stream).await
            })
        });
        let sender = weak.clone();
        let udp = Arc::new(move |to: SocketAddr, bytes: &[u8]| {
            if let Some(shared) = sender.upgrade() {
                Self { shared }.socket().send_probe(to, bytes);
            }
        });
        if let Some(uplink) = &self.shared.uplink {
            let lateness = uplink.clone().watch_lateness();
            tokio::spawn(self.ending().run_until_cancelled_owned(lateness));
        }
        let watch = Watch::start(self.shared.tunnels.clone(), dial, udp, self.ending());
        let _ = self.shared.watch.set(watch.clone());
        tokio::spawn(self.ending().run_until_cancelled_owned(async move {
            let mut network = Network::new();
            loop {
                sleep(network.pause()).await;
                let Some(somebody) = watch.anybody() else { continue };
                let Some(change) = network.look(somebody) else { continue };
                let Some(shared) = weak.upgrade() else { return };
                let endpoint = Self { shared };
                match change {
                    Change::Another => endpoint.move_on(),
                    Change::Back => {
                        tracing::info!("the network is back");
                        endpoint.speak_up();
                    }
                }
            }
        }));
    }

    /// The network is another one: connections are told (RFC 9000 section 9), tunnels begin anew, and what was learnt of
    /// the uplink is forgotten.
    fn move_on(&self) {
        tracing::info!("the network has changed");
        if let Some(watch) = self.shared.watch.get() {
            watch.reset();
        }
        if let Some(uplink) = &self.shared.uplink {
            uplink.reset(None);
        }
        self.speak_up();
        self.shared.moved.send_replace(());
    }

    /// Says something on every connection, so that none waits for an answer that is overdue.
    fn speak_up(&self) {
        // The same socket: it is bound to no network. quinn takes it for a new one, and speaks up on every connection.
        if let Err(error) = self.shared.quic.rebind_abstract(self.socket()) {
            tracing::debug!(%error, "the socket stays as it was");
        }
    }

    /// Tells all connections `reason`, and waits (at most a second) until they are told.
    pub async fn close(&self, reason: &str) {
        self.shared.quic.close(LEAVING, reason.as_bytes());
        let _ = timeout(Duration::from_secs(1), self.shared.quic.wait_idle()).await;
    }
}
