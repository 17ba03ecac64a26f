//! Accounts, packages, nodes, sessions, locations and keys: who may do what, from where.
//!
//! Auth knows nothing of media and of who plays what. It signs short-lived user tickets, which
//! everybody else checks offline with the published key set. What must last is in one SQL
//! database ([`Store`]); everything in memory is rebuilt from it.

mod address;
mod app;
mod apply;
pub mod cli;
mod clock;
mod config;
mod guide;
mod hasher;
mod http;
mod limits;
mod location;
mod metrics;
mod names;
mod published;
mod random;
mod refresh;
mod server;
mod sign_in;
pub mod store;
mod watch;

pub use apply::{Seed, apply};
pub use clock::Clock;
pub use config::{
    Config, Database, GuideFeed, Http, Limits, Locations, Megabytes, Proxy, Sessions,
};
pub use guide::Source as GuideSource;
pub use http::openapi;
pub use location::{Locator, Place};
pub use server::{Running, start};
pub use store::Store;
