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
}

fn main() -> ExitCode {
    let Arguments { common } = Arguments::parse();
    service::logs::init(&common);
    service::exit(start(&common))
}

fn start(common: &Common) -> anyhow::Result<()> {
    let Some(config) = common.configuration::<headend::Config>()? else { return Ok(()) };
    tokio::runtime::Runtime::new()?
        .block_on(async { headend::run(config, common.config.clone(), Stop::on_signals()?).await })
}
