//! The node's monotonic clock, and the platform's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swarm::Time;
use tokio::time::Instant;

/// The origin lies an hour before the start, so that engines may reckon back.
const BEFORE: Duration = Duration::from_secs(3600);

/// Both clocks.
pub(crate) struct Clock {
    start: Instant,
    /// Platform's microseconds since 1970 minus the monotonic ones. Until rendezvous tells it, the
    /// system's clock is believed.
    offset: AtomicI64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset = system.as_micros() as i64 - BEFORE.as_micros() as i64;
        Self { start: Instant::now(), offset: AtomicI64::new(offset) }
    }

    pub(crate) fn now(&self) -> Time {
        Time((BEFORE + self.start.elapsed()).as_micros() as u64)
    }

    /// When it is or was `time`.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        let since = Duration::from_micros(time.0);
        match since.checked_sub(BEFORE) {
            Some(after) => self.start + after,
            None => self.start.checked_sub(BEFORE - since).unwrap_or(self.start),
        }
    }

    pub(crate) fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    pub(crate) fn set_offset(&self, offset: i64) {
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// The platform's seconds since 1970, which tickets are judged by.
    pub(crate) fn platform_seconds(&self) -> u64 {
        let micros = (self.now().0 as i64).saturating_add(self.offset());
        micros.max(0) as u64 / 1_000_000
    }
}
