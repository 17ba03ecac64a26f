//! `braidcast-sim`: runs scenarios and plans for them.

use std::process::ExitCode;

use clap::Parser;

mod command;

fn main() -> ExitCode {
    take_large_pages();
    let arguments = command::Arguments::parse();
    service::logs::init(&arguments.common);
    service::exit(arguments.run())
}

/// Starts this program anew with memory in pages of 2 MiB, where the system gives them: engines are many small pieces all
/// over the memory, and looking up where each lies takes a fifth of the time otherwise. The C library reads that from the
/// environment, once. Whoever has set it decides.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn take_large_pages() {
    use std::os::unix::process::CommandExt;

    const TUNABLES: &str = "GLIBC_TUNABLES";
    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        let mut again = std::process::Command::new(program);
        // It gives an error or does not come back; without large pages all is the same, but slower.
        let _ = again.arg0(name).args(arguments).env(TUNABLES, "glibc.malloc.hugetlb=1").exec();
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn take_large_pages() {}
