//! What a channel does, counted: read by metrics and health.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// Figures of one channel. Written by its threads, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    /// Whether pictures come from the source, rather than from the slate.
    pub source_up: AtomicBool,
    /// Pictures that left.
    pub pictures: AtomicU64,
    /// Bytes of segments cut.
    pub bytes: AtomicU64,
    /// Segments cut.
    pub segments: AtomicU64,
    /// Segments dropped because the queue behind the cutter was full.
    pub dropped: AtomicU64,
    /// Times that the source was lost.
    pub losses: AtomicU64,
    /// Times that the channel's media part failed and began anew.
    pub restarts: AtomicU64,
    /// How far the media part is behind its clock, microseconds.
    pub lag_us: AtomicI64,
    /// Number of the newest segment.
    pub newest: AtomicU64,
    /// Why the source is away, or the channel is failing.
    trouble: Mutex<Option<String>>,
}

impl Stats {
    /// Notes whether the source is there. Counts a loss.
    pub fn set_source_up(&self, up: bool) {
        if self.source_up.swap(up, Relaxed) && !up {
            self.losses.fetch_add(1, Relaxed);
        }
        if up {
            self.set_trouble(None);
        }
    }

    /// Notes what is wrong.
    pub fn set_trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = why;
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
