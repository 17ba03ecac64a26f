//! Checks tickets, ranks peers by nearness, keeps the live map.
//!
//! - [`rank`] and [`map`] are pure: who is offered to whom, and what is known of everyone. The
//!   simulator uses them as they are.
//! - [`hub`] is where sessions meet: what nodes ask, what they are answered and told.
//! - [`shared`] makes one map of those of several servers.
//! - [`session`] carries frames of one node over QUIC, [`http`] serves people and machines,
//!   [`account`] speaks with auth, [`server`] holds it all together.

pub mod account;
pub mod admission;
pub mod config;
pub mod console;
pub mod grant;
pub mod http;
pub mod hub;
pub mod map;
pub mod metrics;
pub mod rank;
mod reflectors;
mod server;
pub mod session;
pub mod shared;
pub mod webhooks;

pub use config::Config;
pub use server::{Server, run};
