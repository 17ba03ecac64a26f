//! Sources: each run of one, until it ends or is lost, and their repetition.

mod decoded;
mod reader;
mod repeat;

pub use decoded::decode;
pub use repeat::repeat;
