//! The limit on what a node sends: one bucket for all connections, which take turns. A viewer's is its uplink's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::{Instant, sleep_until};

use crate::uplink::Uplink;

/// What may be sent at once after a pause, as time at the full rate.
const BURST: Duration = Duration::from_millis(50);
/// Stands for no limit.
const UNLIMITED: u64 = u64::MAX;

/// The limit; waiting connections get a shard's turn each, in the order in which they came.
pub(crate) struct Egress {
    /// A viewer's uplink, which has the limit and takes turns by itself.
    uplink: Option<Arc<Uplink>>,
    /// Bits per second.
    rate: AtomicU64,
    changed: Notify,
    /// When all that was sent so far has passed at this rate.
    free_at: Mutex<Instant>,
}

/// The right to send one shard.
pub(crate) struct Turn<'a> {
    rate: f64,
    free_at: Option<MutexGuard<'a, Instant>>,
}

impl Egress {
    /// `limit` in bits per second; `None`: no limit.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        let rate = AtomicU64::new(limit.unwrap_or(UNLIMITED));
        Self { uplink: None, rate, changed: Notify::new(), free_at: Mutex::new(Instant::now()) }
    }

    /// The turns are the uplink's.
    pub(crate) fn polite(uplink: Arc<Uplink>) -> Self {
        Self { uplink: Some(uplink), ..Self::new(None) }
    }

    /// Where shards have to pass beside their turn.
    pub(crate) fn uplink(&self) -> Option<&Arc<Uplink>> {
        self.uplink.as_ref()
    }

    /// Another limit, at once; the debt of the old one is forgiven.
    pub(crate) fn set(&self, limit: Option<u64>) {
        if let Some(uplink) = &self.uplink {
            return uplink.set_most(limit);
        }
        self.rate.store(limit.unwrap_or(UNLIMITED), Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        if self.rate.load(Ordering::Relaxed) == UNLIMITED {
            return Turn { rate: 0.0, free_at: None };
        }
        let mut free_at = self.free_at.lock().await;
        loop {
            let rate = self.rate.load(Ordering::Relaxed);
            if rate == UNLIMITED {
                return Turn { rate: 0.0, free_at: None };
            }
            tokio::select! {
                // Nothing at all may be sent at a rate of 0.
                () = sleep_until(*free_at), if rate > 0 => {
                    return Turn { rate: rate as f64 / 8.0, free_at: Some(free_at) };
                }
                () = self.changed.notified() => *free_at = Instant::now(),
            }
        }
    }
}

impl Turn<'_> {
    /// Ends the turn with this many bytes.
    pub(crate) fn spend(self, bytes: usize) {
        if let Some(mut free_at) = self.free_at {
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let took = Duration::from_secs_f64((bytes as f64 / self.rate).min(1e6));
            *free_at = (*free_at).max(earliest) + took;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(egress: &Egress, count: &mut usize) {
        loop {
            egress.turn().await.spend(10_000);
            *count += 10_000;
            tokio::task::yield_now().await;
        }
    }

    async fn for_seconds(seconds: u64, egress: &Egress) -> (usize, usize) {
        let (mut one, mut other) = (0, 0);
        let run = async { tokio::join!(send(egress, &mut one), send(egress, &mut other)) };
        let _ = tokio::time::timeout(Duration::from_secs(seconds), run).await;
        (one, other)
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_held_and_shared_evenly() {
        let egress = Egress::new(Some(8_000_000));
        let (one, other) = for_seconds(10, &egress).await;
        let total = one + other;
        assert!((10_000_000..10_200_000).contains(&total), "{total}");
        assert!(one.abs_diff(other) <= 10_000, "{one} {other}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_at_zero_until_the_limit_changes() {
        let egress = Egress::new(Some(0));
        assert_eq!(for_seconds(10, &egress).await, (0, 0));
        let change = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            egress.set(Some(8_000_000));
        };
        let ((one, other), ()) = tokio::join!(for_seconds(10, &egress), change);
        assert!((5_000_000..5_200_000).contains(&(one + other)), "{one} {other}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_never_waits() {
        let egress = Egress::new(None);
        let before = Instant::now();
        for _ in 0..1000 {
            egress.turn().await.spend(1 << 20);
        }
        assert_eq!(before, Instant::now());
    }
}
