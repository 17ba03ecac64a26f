//! A flag that ends threads, and queues that heed it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

/// How long a thread that waits for room may overlook a cancellation.
const NAP: Duration = Duration::from_millis(50);

/// Asks threads to end. Clones share one flag; a child ends with its parent.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
    /// Wakes whoever sleeps: one for a flag and all its children.
    alarm: Arc<Alarm>,
}

#[derive(Debug, Default)]
struct Alarm {
    /// Held between a look at the flags and sleeping, and while a flag is set.
    bed: Mutex<()>,
    rung: Condvar,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag of a part: set with this one, or alone.
    pub fn child(&self) -> Self {
        let parent = Some(Arc::new(self.clone()));
        Self { flag: Arc::default(), parent, alarm: self.alarm.clone() }
    }

    /// Asks for the end.
    pub fn set(&self) {
        let _bed = self.alarm.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.flag.store(true, Relaxed);
        self.alarm.rung.notify_all();
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.flag.load(Relaxed) || self.parent.as_ref().is_some_and(|parent| parent.is_set())
    }

    /// Sleeps until then. Returns whether it was not cancelled.
    pub fn sleep_until(&self, until: Instant) -> bool {
        let mut bed = self.alarm.bed.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let slept = self.alarm.rung.wait_timeout(bed, left);
            bed = slept.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Sleeps. Returns whether it was not cancelled.
    pub fn sleep(&self, time: Duration) -> bool {
        self.sleep_until(Instant::now() + time)
    }

    /// Sends, waiting for room. Returns whether it went.
    pub fn send<T>(&self, to: &Sender<T>, mut item: T) -> bool {
        loop {
            match to.send_timeout(item, NAP) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(back)) if !self.is_set() => item = back,
                Err(SendTimeoutError::Timeout(_)) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_is_woken_by_the_parent_and_not_by_another_child() {
        let parent = Cancel::new();
        let (one, other) = (parent.child(), parent.child());
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| one.sleep(Duration::from_secs(600)));
            other.set();
            std::thread::sleep(Duration::from_millis(50));
            assert!(!sleeper.is_finished());
            parent.set();
            assert!(!sleeper.join().unwrap());
        });
        assert!(!other.sleep(Duration::from_secs(600)));
        assert!(Cancel::new().sleep(Duration::from_millis(1)));
    }
}
