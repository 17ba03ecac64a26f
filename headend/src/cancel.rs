//! A flag that ends threads, and queues that heed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

/// How long a blocked thread may overlook a cancellation.
const NAP: Duration = Duration::from_millis(50);

/// Asks threads to end. Clones share one flag; a child ends with its parent.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
}

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag of a part: set with this one, or alone.
    pub fn child(&self) -> Self {
        Self { flag: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }

    /// Asks for the end.
    pub fn set(&self) {
        self.flag.store(true, Relaxed);
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.flag.load(Relaxed) || self.parent.as_ref().is_some_and(|parent| parent.is_set())
    }

    /// Sleeps until then. Returns whether it was not cancelled.
    pub fn sleep_until(&self, until: Instant) -> bool {
        loop {
            if self.is_set() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
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
