//! `braidcast-sim`: runs scenarios and plans for them.

use std::process::ExitCode;

use clap::Parser;

mod command;

fn main() -> ExitCode {
    // Engines are many small pieces all over the memory.
    service::take_large_pages(false);
    let arguments = command::Arguments::parse();
    service::logs::init(&arguments.common);
    service::exit(arguments.run())
}
