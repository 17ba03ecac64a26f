//! `braidcast-repeater`: carries sub-streams of any channel.

use std::process::ExitCode;

use clap::Parser;
use service::{Common, Stop};

/// Carries sub-streams of any channel on demand, and can neither watch nor alter them.
#[derive(Debug, Parser)]
#[command(name = "braidcast-repeater", version)]
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
    let Some(config) = common.configuration::<repeater::Config>()? else { return Ok(()) };
    service::runtime()?.block_on(async { repeater::run(config, Stop::on_signals()?).await })
}
