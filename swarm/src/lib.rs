//! The peer protocol of one swarm as a sans-IO state machine: who feeds whom, repair, admission by
//! uplink, playout deadlines.
//!
//! An [`Engine`] is driven by [`Engine::handle_input`], drained by [`Engine::poll_output`] and woken at
//! [`Engine::next_timeout`]. It holds no media bytes, no socket, no clock and no source of chance
//! but its seed: the same inputs give the same outputs on every machine. The shell keeps the shards
//! that it proved, and sends those that the engine names.

mod codec;
mod config;
mod engine;
mod input;
mod message;
mod output;
mod stats;
mod substreams;
mod time;

pub use codec::DecodeError;
pub use config::{Config, Serve};
pub use engine::Engine;
pub use input::{Arrival, Begin, ConnectError, Delivery, Input, PeerInfo};
pub use message::{Availability, Grant, Message, Offer, PeerHint, Reach, Refusal, ShardRef, Shed};
pub use output::{Cause, Offence, Output, Parting, Urgency};
pub use stats::{ByRole, Failover, Loss, Moves, ParentStats, Stats};
pub use substreams::Substreams;
pub use time::{Time, TimeoutReason};
