//! A reader of the cache.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::index::{Entry, Place};
use super::{Chunk, Position, Shared, Start};
use crate::ts::Splicer;

/// After so much media without a random access point a reader at the edge is given what there is.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was due longer ago is not live.
const LIVE: Duration = Duration::from_secs(3);

/// Reads from one place on, as fast as it is asked; at the live edge it waits.
pub struct Source {
    shared: Arc<Shared>,
    next: u64,
    splicer: Splicer,
    /// Whether something was left out before the next piece.
    gap: bool,
    /// Media passed over while it waits for a random access point; `None` once it has begun.
    waiting: Option<Duration>,
}

impl Source {
    pub(super) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let next = shared.lock().start(start);
        let (splicer, gap) = (Splicer::default(), false);
        Self { shared, next, splicer, gap, waiting: Some(Duration::ZERO) }
    }

    /// The next segment; `None` once the channel was left. What was evicted meanwhile is passed over: the stream then goes
    /// on, marked, at the oldest random access point there is. Cancel safe.
    pub async fn next(&mut self) -> Option<Chunk> {
        loop {
            let entry = self.entry().await?;
            self.gap |= entry.gap || entry.switched;
            if let Some(waited) = &mut self.waiting
                && !entry.random_access
                && *waited < PATIENCE
            {
                *waited += entry.duration;
                self.next += 1;
                continue;
            }
            let ts = match entry.place() {
                Place::Memory(bytes) => Some(bytes),
                Place::Disk(file, offset) => read(file, offset, entry.len).await,
                Place::Lost => None,
            };
            self.next += 1;
            let Some(ts) = ts else {
                // Half pictures are of no use: on with the next random access point.
                (self.gap, self.waiting) = (true, Some(Duration::ZERO));
                continue;
            };
            self.waiting = None;
            let gap = std::mem::take(&mut self.gap);
            return Some(Chunk {
                ts: self.splicer.splice(&ts, gap, entry.whole),
                position: entry.position,
                due: entry.due.filter(|due| due.elapsed() < LIVE),
                duration: entry.duration,
                random_access: entry.random_access,
                gap,
                whole: entry.whole,
                switched: entry.switched,
            });
        }
    }

    /// Where the next segment begins, if it is there already.
    pub fn position(&self) -> Option<Position> {
        self.shared.lock().get(self.next).map(|entry| entry.position)
    }

    /// Waits for the next entry.
    async fn entry(&mut self) -> Option<Entry> {
        let shared = self.shared.clone();
        loop {
            let arrived = shared.arrived.notified();
            {
                let index = shared.lock();
                if self.next < index.first() {
                    self.next = index.first();
                    (self.gap, self.waiting) = (true, Some(Duration::ZERO));
                }
                if let Some(entry) = index.get(self.next) {
                    return Some(entry.clone());
                }
            }
            if shared.closed.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = arrived => {}
                () = shared.closed.cancelled() => {}
            }
        }
    }
}

async fn read(file: Arc<std::fs::File>, offset: u64, len: usize) -> Option<Bytes> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).map(|()| Bytes::from(bytes))
    });
    match read.await {
        Ok(Ok(bytes)) => Some(bytes),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the time-shift cache cannot be read: a piece is passed over");
            None
        }
        Err(_) => None,
    }
}
