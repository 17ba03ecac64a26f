//! Where UDP is blocked: the datagrams of QUIC through TCP.
//!
//! A tunnel is a TCP connection with TLS 1.3 on which both ends prove the identities that they prove in QUIC, and which
//! carries datagrams: two bytes of length, big endian, and the datagram. Everything above (connections, streams, tickets,
//! messages) is the same and does not notice: a connection that was begun over UDP goes on through a tunnel and comes back,
//! as if its client had changed its address (RFC 9000 section 9). TCP's order holds up what comes after a lost packet;
//! that is the price.
//!
//! - [`line`]: one tunnel's bytes.
//! - [`Table`]: which addresses are reached through a tunnel; the socket asks it.
//! - [`listen`]: tunnels that others open (rendezvous, repeaters, headend).
//! - [`watch`]: a viewer's eye on the addresses it talks to: when UDP stays silent, a tunnel is opened; when UDP works
//!   again, it is left.

mod line;
mod listen;
mod silence;
mod table;
mod watch;

pub(crate) use self::line::tune;
pub(crate) use self::listen::listen;
pub(crate) use self::table::Table;
pub use self::table::is_tunnel;
pub(crate) use self::watch::{Dial, Watch, Watching};

/// Ports that are tried beside that of UDP: one that firewalls let pass, and one that is nobody else's.
const PORTS: [u16; 2] = [443, 7443];
/// The longest datagram that is carried, bytes.
const LONGEST: usize = 1_500;

#[cfg(test)]
mod tests;
