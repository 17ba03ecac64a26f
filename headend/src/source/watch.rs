//! Whether a source has fallen silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// When something last arrived. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    start: Instant,
    last_ms: Arc<AtomicI64>,
}

impl Watch {
    /// Nothing has arrived yet.
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last_ms: Arc::new(AtomicI64::new(-1)) }
    }

    /// Something arrived.
    pub(super) fn touch(&self) {
        let ms = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.last_ms.store(ms, Relaxed);
    }

    /// Whether anything came.
    pub(super) fn touched(&self) -> bool {
        self.last_ms.load(Relaxed) >= 0
    }

    /// Whether something came, and then nothing for so long.
    pub(super) fn fell_silent(&self, after: Duration) -> bool {
        let last = self.last_ms.load(Relaxed);
        let Ok(last) = u64::try_from(last) else { return false };
        self.start.elapsed() > Duration::from_millis(last) + after
    }
}
