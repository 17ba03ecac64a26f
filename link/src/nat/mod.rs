//! Homes as they are: behind routers that translate addresses and let in only what was asked for.
//!
//! Three state machines without sockets, clocks or random numbers of their own, and the task that drives them:
//! - [`classify`] finds out how far a node can be reached, from what reflectors at rendezvous see (RFC 5780);
//! - [`meeting`] finds a way to one other viewer, by connectivity checks (ICE, RFC 8445);
//! - [`Reach::meets`] knows which two can never meet, so that nobody tries.
//!
//! There is no relay: who cannot be met is not needed, because repeaters feed everybody.

mod access;
mod broker;
mod classify;
mod hosts;
#[cfg(test)]
mod kernel_tests;
mod mapping;
#[cfg(test)]
mod mapping_tests;
mod meeting;
pub mod reflect;
#[cfg(test)]
#[path = "../../../tests/src/street.rs"]
#[allow(unreachable_pub, reason = "it is a file of the system tests")]
mod street;
mod stun;
#[cfg(test)]
mod world;
#[cfg(test)]
mod world_tests;

pub(crate) use self::access::is_local;
pub use self::access::{Access, Reach, same_home};
pub(crate) use self::broker::Send as SendStun;
pub(crate) use self::broker::{Broker, Setup, Way};
pub use self::hosts::network;
pub(crate) use self::hosts::{is_at_home, source};
