//! Sources: each run of one, until it ends or is lost, their repetition, and which of several plays.

pub mod choose;
mod decoded;
pub mod health;
mod inspect;
mod lane;
mod look;
mod reader;
mod repeat;
mod rtmp;
mod schedule;
mod stream;
mod watch;

pub use decoded::decode;
pub use lane::{Lane, hand};
pub use repeat::repeat;
pub use stream::{Chunk, stream};
