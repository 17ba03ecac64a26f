//! One source among several: its runs, one after the other, while it plays and while it stands by.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};

use super::health::Health;
use crate::cancel::Cancel;

/// How long a blocked thread may overlook that its live source plays no longer.
const NAP: Duration = Duration::from_millis(50);
/// How long one with a file may overlook that it is no longer wanted.
const LONG_NAP: Duration = Duration::from_millis(300);

/// Where the runs of one source come from.
#[derive(Debug)]
pub struct Lane<F> {
    /// How it fares.
    pub health: Arc<Health>,
    /// Its runs.
    pub runs: Receiver<F>,
}

/// Hands an item on. A source that plays, or that can wait, waits for room; one that is live and stands by pushes the
/// oldest out, so that what waits is always the newest. `oldest`: the other end of `out`. Returns whether it went.
pub fn hand<T>(
    out: &Sender<T>,
    oldest: &Receiver<T>,
    health: &Health,
    cancel: &Cancel,
    mut item: T,
) -> bool {
    while !cancel.is_set() {
        item = if health.is_live() && !health.is_active() {
            match out.try_send(item) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => {
                    let _pushed_out = oldest.try_recv();
                    back
                }
            }
        } else {
            match out.send_timeout(item, if health.is_live() { NAP } else { LONG_NAP }) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(back)) => back,
            }
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Channel, Source};

    #[test]
    fn what_stands_by_keeps_the_newest() {
        let source = Source::Udp { address: ([127, 0, 0, 1], 1).into(), interface: None };
        let health = Health::new(&Channel::default(), &source);
        let (out, oldest) = crossbeam_channel::bounded(3);
        let cancel = Cancel::new();
        for item in 0..10 {
            assert!(hand(&out, &oldest, &health, &cancel, item));
        }
        assert_eq!(oldest.try_iter().collect::<Vec<_>>(), [7, 8, 9]);
    }

    #[test]
    fn a_file_waits_until_it_is_cancelled() {
        let source = Source::File { path: "x".into() };
        let health = Health::new(&Channel::default(), &source);
        let (out, oldest) = crossbeam_channel::bounded(1);
        let cancel = Cancel::new();
        assert!(hand(&out, &oldest, &health, &cancel, 1));
        let ends = cancel.clone();
        std::thread::scope(|scope| {
            let blocked = scope.spawn(|| hand(&out, &oldest, &health, &cancel, 2));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!blocked.is_finished());
            ends.set();
            assert!(!blocked.join().unwrap());
        });
        assert_eq!(oldest.try_iter().collect::<Vec<_>>(), [1]);
    }
}
