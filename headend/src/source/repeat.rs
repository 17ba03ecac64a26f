//! Run after run of a source.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::cancel::Cancel;
use crate::pipeline::{End, Error};
use crate::stats::Stats;

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
    stats: &Arc<Stats>,
    cancel: &Cancel,
) {
    let mut pause = FIRST;
    while !cancel.is_set() {
        let (sink, feed) = open();
        if !cancel.send(runs, feed) {
            return;
        }
        let began = Instant::now();
        let trouble = match run(sink) {
            Ok(End::Cancelled) => return,
            Ok(End::Finished) => None,
            Ok(End::Empty) => Some("source has no pictures and no sound".to_owned()),
            Ok(End::Idle) => {
                stats.set_trouble(Some("source fell silent".into()));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if began.elapsed() > GOOD {
            pause = FIRST;
        }
        if let Some(trouble) = trouble {
            tracing::warn!(%trouble, again_in = ?pause, "source failed");
            stats.set_trouble(Some(trouble));
            if !cancel.sleep(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST);
        }
    }
}
