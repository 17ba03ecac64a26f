//! `braidcast`, the viewer's program.

use std::process::ExitCode;

fn main() -> ExitCode {
    client::command::main()
}
