//! Who one is and what one may do: peer identity, location and nearness, user and channel tickets,
//! key sets. Knows nothing of media, sockets or SQL.

mod error;
mod identity;
mod keyset;
mod location;
mod peer;
mod role;
mod token;

pub use error::Error;
pub use identity::Identity;
pub use keyset::{KeyPurpose, KeySet, PublishedKey};
pub use location::{Country, Location, Nearness};
pub use peer::{PeerId, ShortId};
pub use role::Role;
pub use token::{ChannelTicket, Confirmation, Issuer, MAX_TOKEN, UserTicket};
