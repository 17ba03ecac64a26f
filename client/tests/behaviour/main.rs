//! What users of the viewer rely on, one behaviour per file. Segments come from a station that the tests make.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

mod command_line;
mod desktop;
mod hls;
mod ladder;
mod losses;
mod players;
mod recording;
mod station;
mod zapping;
