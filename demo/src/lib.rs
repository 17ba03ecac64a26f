//! A whole platform on one machine, made of the real programs: for the demonstration and for the system tests.
//!
//! On loopback, addresses stand for networks: 127.0.1.0/24, 127.0.2.0/24, ... are subsets, ASes and countries of
//! their own in the operator's prefix table, so that nearness is real.

mod figures;
mod plan;
mod program;
mod stage;
mod viewer;

pub use figures::{Bytes, Figures, Parent, Segments, Wire};
pub use plan::{Channel, Plan, Repeater, Source};
pub use program::{Program, tail};
pub use stage::{ADMIN_TOKEN, CHANNEL_SECRET, PASSWORD, Stage, USER, clip};
pub use viewer::{Viewer, Watch};
