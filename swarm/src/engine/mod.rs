//! The state machine.

use crate::{Config, Input, Output, Stats, Time, TimeoutReason};

/// One node's part in one swarm.
pub struct Engine {
    _config: Config,
}

impl Engine {
    /// An engine that begins at `now`. The same seed and inputs give the same outputs.
    pub fn new(config: Config, seed: u64, now: Time) -> Self {
        let _ = (seed, now);
        Self { _config: config }
    }

    /// Takes one input at `now`, which never goes back.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        let _ = (now, input);
        todo!()
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// When to call with [`Input::Timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Time, TimeoutReason)> {
        todo!()
    }

    /// What was counted, as of `now`.
    pub fn stats(&self, now: Time) -> Stats {
        let _ = now;
        todo!()
    }
}
