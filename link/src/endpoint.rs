//! One UDP socket, and QUIC connections on it whose both ends have proved their identity.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ticket::{Identity, PeerId};

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

/// Why a connection did not come about.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Nobody answered.
    #[error("no answer")]
    Unreachable,
    /// Somebody else answered than was expected.
    #[error("another node answers at this address")]
    OtherPeer,
    /// It was refused.
    #[error("refused: {0}")]
    Refused(String),
}

/// One UDP socket with QUIC on it, for both directions and all purposes.
#[derive(Clone)]
pub struct Endpoint {
    _identity: Arc<Identity>,
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

/// An inbound connection whose handshake has not ended.
pub struct Incoming {
    _private: (),
}

impl Incoming {
    /// Completes the handshake.
    ///
    /// # Errors
    /// If the other end gives up or proves no identity.
    pub async fn establish(self) -> Result<Connection, ConnectionError> {
        todo!()
    }
}

impl Endpoint {
    /// Binds to `addr` (port 0: any free one) and accepts connections for `accept`.
    ///
    /// # Errors
    /// If the socket cannot be bound.
    pub fn bind(addr: SocketAddr, identity: Arc<Identity>, accept: &[Purpose]) -> io::Result<Self> {
        let _ = (addr, accept);
        Ok(Self { _identity: identity })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Connects to `peer` at `addr`.
    ///
    /// # Errors
    /// If nobody, or somebody else, answers there.
    pub async fn connect(
        &self,
        addr: SocketAddr,
        peer: PeerId,
        purpose: Purpose,
    ) -> Result<Connection, ConnectionError> {
        let _ = (addr, peer, purpose);
        todo!()
    }

    /// The next inbound connection; `None` once the endpoint is closed. Addresses are validated (RFC 9000 section 8.1)
    /// when the node is under load.
    pub async fn accept(&self) -> Option<Incoming> {
        todo!()
    }

    /// Tells all connections `reason`, and waits (at most a second) until they are told.
    pub async fn close(&self, reason: &str) {
        let _ = reason;
        todo!()
    }
}
