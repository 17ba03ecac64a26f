//! `braidcast-rendezvous`: see the library.

use std::process::ExitCode;

use clap::Parser;
use rendezvous::Config;
use service::Stop;

/// Braidcast's rendezvous: who feeds whom, channel tickets, keys, the live map.
#[derive(Parser)]
#[command(name = "braidcast-rendezvous", version)]
struct Arguments {
    #[command(flatten)]
    common: service::Common,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    service::exit(run(&arguments))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    service::logs::init(&arguments.common);
    let Some(config) = arguments.common.configuration::<Config>()? else { return Ok(()) };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async { rendezvous::run(&config, Stop::on_signals()?).await })
}
