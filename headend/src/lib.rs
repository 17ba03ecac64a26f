//! The headend: takes a source in, encodes or passes through, cuts into segments, and hands them on.
//!
//! [`media::Media`] is the media part of one channel: it knows neither keys nor peers. [`station::Station`] seals
//! its segments and publishes them; [`run`] is the whole program.

mod admin;
pub mod assemble;
pub mod cancel;
pub mod clock;
mod command;
pub mod conduct;
pub mod config;
pub mod cut;
mod edit;
pub mod encode;
pub mod feed;
pub mod media;
mod metrics;
mod monitor;
pub mod numbers;
mod orders;
pub mod pass;
pub mod pipeline;
pub mod preview;
mod program;
pub mod recall;
mod reload;
mod roster;
mod run;
pub mod slate;
pub mod source;
pub mod splice;
pub mod station;
pub mod stats;
pub mod still;
pub mod ts;
pub mod unit;

pub use command::{Channel as ChannelCommand, Command, run as administer};
pub use program::{Config, Further, Http, Limits, Serve};
pub use run::run;
