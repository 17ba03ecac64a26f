//! The repeater: takes sub-streams in and fans them out. It holds no content key, so what it carries
//! is noise to it, and it can check every shard, so it passes on nothing that was altered.

mod carrier;
mod config;
mod drain;
mod hours;
mod metrics;
mod page;
mod run;
mod share;

pub use config::{Config, Http, Limits, Login, Serve};
pub use hours::{Hours, ParseError, Time};
pub use run::run;
