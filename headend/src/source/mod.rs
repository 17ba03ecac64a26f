//! Sources: each run of one, until it ends or is lost, and their repetition.

mod decoded;
mod reader;
mod repeat;
mod stream;
mod watch;

pub use decoded::decode;
pub use repeat::repeat;
pub use stream::stream;
