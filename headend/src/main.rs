//! Takes sources in and seeds them as signed, sealed sub-streams.

use std::process::ExitCode;

use clap::Parser;
use service::{Common, Stop};

/// Takes sources in and seeds them as signed, sealed sub-streams.
#[derive(Debug, Parser)]
#[command(name = "braidcast-headend", version)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Option<headend::Command>,
}

fn main() -> ExitCode {
    // Segments of all channels go through it, each from thread to thread.
    service::take_large_pages();
    let Arguments { common, command } = Arguments::parse();
    service::logs::init(&common);
    service::exit(start(&common, command))
}

fn start(common: &Common, command: Option<headend::Command>) -> anyhow::Result<()> {
    let Some(config) = common.configuration::<headend::Config>()? else { return Ok(()) };
    tokio::runtime::Runtime::new()?.block_on(async {
        match command {
            Some(command) => headend::administer(&config, command).await,
            None => headend::run(config, common.config.clone(), Stop::on_signals()?).await,
        }
    })
}
