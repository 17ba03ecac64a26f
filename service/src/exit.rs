//! How a program ends.

use std::process::ExitCode;

use crate::config;

/// Exit code for a result: 0 done, 1 failed while running, 2 wrong usage or configuration (the
/// chain of causes holds a [`config::Error`]).
pub fn code(result: &anyhow::Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) if error.chain().any(|cause| cause.is::<config::Error>()) => 2,
        Err(_) => 1,
    }
}

/// Prints the error, if there is one, with its causes on standard error, and gives the exit code
/// of [`code`].
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    let code = code(&result);
    if let Err(error) = result {
        eprintln!("error: {error:#}");
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_configuration_error_anywhere_in_the_chain_gives_two() {
        let wrong: Result<(), _> = Err(config::Error::single("x.toml", "http.listen", "is empty"));
        assert_eq!(code(&wrong.context("cannot start").context("really")), 2);
        assert_eq!(code(&Err(anyhow::anyhow!("lost the database"))), 1);
        assert_eq!(code(&Ok(())), 0);
    }
}
