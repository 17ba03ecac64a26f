//! The limit on what a node sends: one bucket for all connections, which take turns.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

/// What may be sent at once after a pause, as time at the full rate.
const BURST: Duration = Duration::from_millis(50);

/// The limit; waiting connections get a shard's turn each, in the order in which they came.
pub(crate) struct Egress(Option<Mutex<Bucket>>);

struct Bucket {
    /// Bytes per second.
    rate: f64,
    /// When all that was sent so far has passed at this rate.
    free_at: Instant,
}

/// The right to send one shard.
pub(crate) struct Turn<'a>(Option<MutexGuard<'a, Bucket>>);

impl Egress {
    /// `limit` in bits per second; `None`: no limit.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self(limit.map(|bits| {
            Mutex::new(Bucket { rate: bits.max(8) as f64 / 8.0, free_at: Instant::now() })
        }))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let Some(bucket) = &self.0 else { return Turn(None) };
        let bucket = bucket.lock().await;
        sleep_until(bucket.free_at).await;
        Turn(Some(bucket))
    }
}

impl Turn<'_> {
    /// Ends the turn with this many bytes.
    pub(crate) fn spend(self, bytes: usize) {
        if let Some(mut bucket) = self.0 {
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let took = Duration::from_secs_f64(bytes as f64 / bucket.rate);
            bucket.free_at = bucket.free_at.max(earliest) + took;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_held_and_shared_evenly() {
        let egress = Egress::new(Some(8_000_000));
        let send = async |count: &mut usize, bytes: usize| loop {
            egress.turn().await.spend(bytes);
            *count += bytes;
        };
        let (mut small, mut large) = (0, 0);
        let run = async { tokio::join!(send(&mut small, 10_000), send(&mut large, 10_000)) };
        let _ = tokio::time::timeout(Duration::from_secs(10), run).await;
        let total = small + large;
        assert!((10_000_000..10_200_000).contains(&total), "{total}");
        assert!(small.abs_diff(large) <= 10_000, "{small} {large}");
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
