//! The headend: takes a source in, encodes or passes through, cuts into segments, and hands them on.
//!
//! [`media::Media`] is the media part of one channel: it knows neither keys nor peers.

pub mod assemble;
pub mod cancel;
pub mod clock;
pub mod conduct;
pub mod config;
pub mod cut;
pub mod encode;
pub mod feed;
pub mod media;
pub mod numbers;
pub mod pass;
pub mod pipeline;
pub mod slate;
pub mod source;
pub mod splice;
pub mod stats;
pub mod still;
pub mod ts;
pub mod unit;
