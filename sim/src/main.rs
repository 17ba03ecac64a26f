//! `braidcast-sim`: runs scenarios and plans for them.

use std::process::ExitCode;

use clap::Parser;

mod command;

/// Engines are many small pieces all over the memory: this gives each thread pieces of its own, in large pages (decision 0128).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    service::logs::init(&arguments.common);
    service::exit(arguments.run())
}
