//! Orderly stop on SIGINT and SIGTERM.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells all parts of a program that it should end. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
}

impl Stop {
    /// A stop that only [`Stop::request`] triggers; for tests and for parts of a program.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that SIGINT or SIGTERM triggers. A second signal ends the program at once with exit
    /// code 1, for the case that the orderly way hangs. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::new();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let token = stop.token.clone();
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if first {
                    tracing::info!("stopping; a second signal ends the program at once");
                    token.cancel();
                }
            }
            std::process::exit(1);
        });
        Ok(stop)
    }

    /// Asks everything to end. Asking twice does no harm.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Waits until the end is asked for. Cancel safe.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Whether the end was asked for.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// A stop for a part: ends with this one, but can be requested alone.
    pub fn part(&self) -> Self {
        Self { token: self.token.child_token() }
    }

    /// The same as a token, for libraries that take one.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNALLED: &str = "SERVICE_TEST_SIGNALLED";

    /// What the program does that the test below starts and signals: the same test, told so by its
    /// environment.
    #[tokio::main(flavor = "current_thread")]
    async fn hang_when_asked_to_stop() {
        let stop = Stop::on_signals().unwrap();
        println!("\nlistening");
        stop.requested().await;
        println!("\nasked to stop");
        std::future::pending::<()>().await;
    }

    #[test]
    fn one_signal_asks_and_the_second_ends_the_program() {
        use std::{
            io::{BufRead, BufReader},
            process::{Command, Stdio},
        };
        if std::env::var_os(SIGNALLED).is_some() {
            return hang_when_asked_to_stop();
        }
        let name = "stop::tests::one_signal_asks_and_the_second_ends_the_program";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(SIGNALLED, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let signal = |name: &str| {
            let id = child.id().to_string();
            assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        };
        assert!(lines.any(|line| line == "listening"));
        signal("-TERM");
        assert!(lines.any(|line| line == "asked to stop"));
        signal("-INT");
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }

    #[tokio::test]
    async fn a_part_ends_with_the_whole_but_not_the_reverse() {
        let whole = Stop::new();
        let one = whole.part();
        let other = whole.part();
        one.request();
        one.requested().await;
        assert!(!whole.is_requested() && !other.is_requested());
        whole.request();
        other.requested().await;
        assert!(other.is_requested());
    }
}
