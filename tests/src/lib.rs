//! What the whole-system tests share beside the stage: judging what was received.

mod change;
pub mod clip;
pub mod media;
pub mod peer;
pub mod street;
