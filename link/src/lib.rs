//! The shell that drives `swarm` engines over QUIC: endpoint, identity, tickets on connecting, streams, shard store;
//! and a node's session with the platform (sign-in at auth, rendezvous).
//!
//! Three layers, each usable alone:
//! - [`Endpoint`]: one UDP socket, mutual authentication by Ed25519 identity. Rendezvous uses only this and [`protocol`].
//! - [`Node`]: peers of any number of swarms over one endpoint.
//! - [`Session`]: keeps a node signed in, its ticket and clock fresh, and joins channels by name.

mod endpoint;
#[cfg(test)]
mod home;
pub mod nat;
mod node;
pub mod protocol;
mod session;
mod socket;
mod tcp;
mod uplink;

pub use endpoint::{Connection, ConnectionError, Endpoint, Incoming, Purpose};
pub use node::{Admit, JoinSpec, Meeting, Node, NodeConfig, NodeStats, Played, Swarm, SwarmStats};
pub use session::{Joined, Login, Part, Pulse, Session, SessionConfig, SessionError, SessionState};
pub use tcp::is_tunnel;
pub use uplink::UplinkState;

/// Parsers that are not public, for the fuzz targets.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// A frame between peers: what is read is written back the same.
    pub fn peer_frame(kind: u8, body: &[u8]) {
        crate::node::fuzz_peer_frame(kind, body);
    }

    /// The certificate of a handshake.
    pub fn certificate(bytes: &[u8]) -> Option<ticket::PeerId> {
        crate::endpoint::fuzz_certificate(bytes)
    }
}
