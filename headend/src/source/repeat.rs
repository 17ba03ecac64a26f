//! Run after run of a source.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::health::Health;
use crate::cancel::Cancel;
use crate::pipeline::{End, Error};

/// The first pause after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(5);
/// A run of this length was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Runs a source again and again. `open` makes both ends of a run, `run` fills one; the other goes to
/// `runs` before the run begins. A run that failed, or gave nothing, is followed by a pause that
/// doubles.
pub fn repeat<S, F>(
    open: impl Fn() -> (S, F),
    run: impl Fn(S) -> Result<End, Error>,
    runs: &Sender<F>,
    health: &Health,
    cancel: &Cancel,
) {
    let mut pause = FIRST;
    let mut said = None;
    while !cancel.is_set() {
        let (sink, feed) = open();
        if !cancel.send(runs, feed) {
            return;
        }
        let began = Instant::now();
        let end = run(sink);
        health.ended();
        let trouble = match end {
            Ok(End::Cancelled) => return,
            Ok(End::Finished) => None,
            Ok(End::Empty) => Some("source has no pictures and no sound".to_owned()),
            Ok(End::Idle) => {
                health.set_trouble("source fell silent".into());
                None
            }
            Err(error) => {
                tracing::debug!(%error, "source failed");
                Some(error.reason())
            }
        };
        if began.elapsed() > GOOD {
            pause = FIRST;
            said = None;
        }
        if let Some(trouble) = trouble {
            // A source that stays away says why once.
            if said.as_ref() != Some(&trouble) {
                tracing::warn!(%trouble, again_in = ?pause, "source failed");
                said = Some(trouble.clone());
            }
            health.set_trouble(trouble);
            if !cancel.sleep(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}
