//! A queue of bytes from the player, which never waits, to one consumer, which may be slow.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bounded in bytes; what does not fit is refused, and the producer decides.
#[derive(Debug)]
pub struct Queue {
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    taken: Instant,
}

/// There is no room in the queue, or nobody takes from it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

impl Queue {
    /// A queue of at most `limit` bytes. A single item that is larger fits into an empty queue.
    pub fn new(limit: usize) -> Self {
        let state =
            State { items: VecDeque::new(), bytes: 0, closed: false, taken: Instant::now() };
        Self { limit, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Puts `item` at the end.
    ///
    /// # Errors
    /// If there is no room or the queue is closed.
    pub fn push(&self, item: Bytes) -> Result<(), Full> {
        let mut state = self.lock();
        if state.closed || (state.bytes > 0 && state.bytes + item.len() > self.limit) {
            return Err(Full);
        }
        if state.items.is_empty() {
            // Time without anything to take is not the consumer's.
            state.taken = Instant::now();
        }
        state.bytes += item.len();
        state.items.push_back(item);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The next item; `None` once the queue is closed and empty. For one consumer.
    pub async fn pop(&self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.lock();
                if let Some(item) = state.items.pop_front() {
                    state.bytes -= item.len();
                    state.taken = Instant::now();
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Nothing is put in any more; what is in may still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Nothing is put in any more, and what is in is thrown away.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items.clear();
        state.bytes = 0;
        drop(state);
        self.changed.notify_one();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// How long the consumer has not taken anything though there is something.
    pub fn stuck(&self) -> Duration {
        let state = self.lock();
        if state.items.is_empty() { Duration::ZERO } else { state.taken.elapsed() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_the_rest_comes_in_order() {
        let queue = Queue::new(10);
        assert_eq!(queue.push(Bytes::from_static(&[1; 12])), Ok(()), "fits into an empty queue");
        assert_eq!(queue.push(Bytes::from_static(&[2; 1])), Err(Full));
        assert_eq!(queue.pop().await.unwrap().len(), 12);
        assert_eq!(queue.push(Bytes::from_static(&[3; 6])), Ok(()));
        assert_eq!(queue.push(Bytes::from_static(&[4; 4])), Ok(()));
        assert_eq!(queue.push(Bytes::from_static(&[5; 1])), Err(Full));
        queue.close();
        assert_eq!(queue.push(Bytes::new()), Err(Full));
        assert_eq!(queue.pop().await.unwrap()[0], 3);
        assert_eq!(queue.pop().await.unwrap()[0], 4);
        assert_eq!(queue.pop().await, None);
    }

    #[tokio::test]
    async fn a_waiting_consumer_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(10));
        let consumer = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.pop().await, queue.pop().await) }
        });
        tokio::task::yield_now().await;
        queue.push(Bytes::from_static(b"x")).unwrap();
        queue.abandon();
        let (first, second) = consumer.await.unwrap();
        assert!(first.is_none() || first.as_deref() == Some(&b"x"[..]));
        assert_eq!(second, None);
    }
}
