//! What every program shares: configuration, logs, metrics, health, orderly stop.
//!
//! Nothing here knows of media or peers. A program's `main` reads:
//!
//! ```no_run
//! # use clap::Parser;
//! # #[derive(Default, serde::Deserialize)] #[serde(default, deny_unknown_fields)] struct Config {}
//! # impl service::config::Check for Config {}
//! #[derive(Parser)]
//! #[command(version, about)]
//! struct Arguments {
//!     #[command(flatten)]
//!     common: service::Common,
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     let arguments = Arguments::parse();
//!     service::exit((|| {
//!         service::logs::init(&arguments.common);
//!         let Some(_config) = arguments.common.configuration::<Config>()? else { return Ok(()) };
//!         // start a tokio runtime and run
//!         Ok(())
//!     })())
//! }
//! ```

mod announce;
mod common;
pub mod config;
mod exit;
pub mod html;
pub mod logs;
mod memory;
pub mod metrics;
pub mod request;
mod runtime;
pub mod server;
pub mod status;
mod stop;
pub mod tls;

pub use announce::announce;
pub use common::Common;
pub use exit::{code, exit};
pub use memory::take_large_pages;
pub use runtime::runtime;
pub use server::{serve, serve_with};
pub use status::Status;
pub use stop::Stop;
pub use tls::Tls;
