//! The viewer: joins a channel, takes its segments when they are due, opens them and hands the transport stream to
//! outputs: a file, players on the local address (MPEG-TS and HLS), a window.
//!
//! There is no user interface in here but the command line and the page of the local address. Who feeds whom is
//! [`link`]'s and `swarm`'s business; this crate neither knows peers nor decodes pictures.
//!
//! From the bottom up: [`ts`] keeps a stream valid over losses; [`output`] takes pieces to files, readers and HLS;
//! [`channel`] runs channels and shares them among users; [`player`] is the one channel that the viewer has chosen;
//! [`local`] is the local address; [`headless`] plays on the wall clock without a picture; `window` (a feature) shows one.

pub mod account;
mod bus;
pub mod channel;
pub mod choices;
pub mod command;
mod draft;
mod good_peers;
pub mod guide;
pub mod headless;
pub mod local;
pub mod output;
mod persisted;
pub mod platform;
#[cfg(feature = "window")]
pub mod playback;
pub mod player;
pub mod problem;
pub mod settings;
pub mod sharing;
pub mod stats;
pub mod television;
pub mod timeshift;
pub mod ts;
mod uplinks;
pub mod vault;
mod viewer;
#[cfg(feature = "window")]
pub mod window;

mod error;

pub use error::Error;
