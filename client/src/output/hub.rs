//! One channel's pieces to any number of readers, none of which can hold up the channel or another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Piece, Queue};
use crate::ts::Splicer;

/// What may wait for one reader, bytes: 8 s of a channel of 8 Mbit/s.
const QUEUE: usize = 8 << 20;
/// A reader that has taken nothing for this long is let go.
const STUCK: Duration = Duration::from_secs(10);
/// So much from the last random access point on is kept for those who come, bytes.
const BACKLOG: usize = 8 << 20;
/// After so much media without a random access point a new reader is given what there is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands pieces to readers.
#[derive(Debug, Default)]
pub struct Hub {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces from the last random access point on.
    backlog: VecDeque<Arc<Piece>>,
    backlog_bytes: usize,
    readers: Vec<Port>,
    closed: bool,
}

/// The hub's end of a reader.
#[derive(Debug)]
struct Port {
    queue: Arc<Queue>,
    splicer: Splicer,
    /// Media left out while it waits for a random access point; `None` if it does not wait.
    waiting: Option<Duration>,
    /// Whether something was left out since the last piece that it got.
    gap: bool,
}

/// A reader's end. Dropping it takes the reader out of the hub.
#[derive(Debug)]
pub struct Reader {
    queue: Arc<Queue>,
}

impl Hub {
    /// Hands a piece to all readers.
    ///
    /// Policy for slow readers: one whose queue is full loses pieces up to the next random access point that fits, where
    /// its stream goes on with marks of discontinuity; one that takes nothing for 10 s is let go.
    pub fn publish(&self, piece: Piece) {
        let piece = Arc::new(piece);
        let mut state = self.lock();
        state.readers.retain_mut(|port| port.offer(&piece));
        if piece.random_access {
            state.backlog.clear();
            state.backlog_bytes = 0;
        }
        if state.backlog_bytes + piece.ts.len() > BACKLOG {
            state.backlog.clear();
            state.backlog_bytes = 0;
        } else if piece.random_access || !state.backlog.is_empty() {
            state.backlog_bytes += piece.ts.len();
            state.backlog.push_back(piece);
        }
    }

    /// A reader that begins at the last random access point, or at the next if that is too far back. Of a hub that is
    /// closed, one that ends at once.
    pub fn read(&self) -> Reader {
        self.read_with(QUEUE)
    }

    fn read_with(&self, limit: usize) -> Reader {
        let queue = Arc::new(Queue::new(limit));
        let mut port = Port {
            queue: queue.clone(),
            splicer: Splicer::default(),
            waiting: Some(Duration::ZERO),
            gap: false,
        };
        let mut state = self.lock();
        if state.closed {
            queue.close();
        } else if state.backlog.iter().all(|piece| port.offer(piece)) {
            state.readers.push(port);
        }
        Reader { queue }
    }

    /// The pieces from the last random access point on.
    pub(crate) fn backlog(&self) -> Vec<Arc<Piece>> {
        self.lock().backlog.iter().cloned().collect()
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        let mut state = self.lock();
        state.readers.retain(|port| !port.queue.is_closed());
        state.readers.len()
    }

    /// Ends all readers after what they have got.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.backlog.clear();
        state.readers.drain(..).for_each(|port| port.queue.close());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    /// Gives the piece to the reader, or leaves it out. `false` if the reader is gone.
    fn offer(&mut self, piece: &Piece) -> bool {
        if self.queue.is_closed() {
            return false;
        }
        self.gap |= piece.gap;
        if let Some(waited) = &mut self.waiting {
            if !piece.random_access && *waited < PATIENCE {
                *waited += piece.duration;
                return self.lives();
            }
            self.waiting = None;
        }
        let ts = self.splicer.splice(&piece.ts, self.gap, piece.whole);
        self.gap = false;
        if ts.is_empty() || self.queue.push(ts).is_ok() {
            return true;
        }
        tracing::info!(
            piece = piece.number,
            "a reader is too slow: it goes on at a later random access point"
        );
        self.waiting = Some(Duration::ZERO);
        self.gap = true;
        self.lives()
    }

    fn lives(&self) -> bool {
        let stuck = self.queue.stuck() >= STUCK;
        if stuck {
            tracing::info!("a reader has taken nothing for {} s: it is let go", STUCK.as_secs());
            self.queue.abandon();
        }
        !stuck
    }
}

impl Reader {
    /// The next bytes: whole packets. `None` if the channel was left or the reader was let go.
    pub async fn next(&self) -> Option<Bytes> {
        self.queue.pop().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::piece;

    async fn numbers(reader: &Reader, count: usize) -> Vec<u8> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let bytes = reader.next().await.unwrap();
            numbers.push(*bytes.last().unwrap());
        }
        numbers
    }

    #[tokio::test]
    async fn a_reader_begins_at_the_last_random_access_point_and_follows() {
        let hub = Hub::default();
        (1..7).for_each(|number| hub.publish(piece(number)));
        let reader = hub.read();
        hub.publish(piece(7));
        assert_eq!(numbers(&reader, 4).await, [4, 5, 6, 7]);
        hub.close();
        assert_eq!(reader.next().await, None);
        assert_eq!(hub.read().next().await, None);
    }

    #[tokio::test]
    async fn a_stream_without_random_access_points_begins_at_last() {
        let hub = Hub::default();
        let reader = hub.read();
        let pieces = (1..=30).map(|number| Piece { random_access: false, ..piece(number) });
        pieces.for_each(|piece| hub.publish(piece));
        assert_eq!(numbers(&reader, 1).await, [21]);
    }

    #[tokio::test]
    async fn a_slow_reader_goes_on_at_a_random_access_point_with_a_mark() {
        let hub = Hub::default();
        let slow = hub.read_with(3 * piece(0).ts.len());
        let quick = hub.read();
        for number in 0..10 {
            hub.publish(piece(number));
            assert_eq!(numbers(&quick, 1).await, [number as u8]);
        }
        assert_eq!(numbers(&slow, 3).await, [0, 1, 2], "3 did not fit, nor did 4 and 8");
        for number in 10..14 {
            hub.publish(piece(number));
        }
        let resumed = slow.next().await.unwrap();
        assert_eq!(resumed[3] & 0x30, 0x20, "a packet of adaptation field alone");
        assert_eq!(resumed[5] & 0x80, 0x80, "that is marked");
        assert_eq!(*resumed.last().unwrap(), 12);
        assert_eq!(numbers(&slow, 1).await, [13]);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let hub = Hub::default();
        let reader = hub.read();
        assert_eq!(hub.readers(), 1);
        drop(reader);
        hub.publish(piece(0));
        assert_eq!(hub.readers(), 0);
    }
}
