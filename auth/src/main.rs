//! `braidcast-auth`: see the library.

fn main() -> std::process::ExitCode {
    service::exit(auth::cli::main())
}
