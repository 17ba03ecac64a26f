//! What waits to be sent to one node.

use std::sync::{Arc, OnceLock};

use link::protocol::{Event, Refusal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most events that wait for one node. A node that lets more gather is dropped: it can come
/// back and is told everything again.
const WAITING: usize = 256;
/// While there is room for fewer, nothing more is read from the node.
const ROOM: usize = 64;

/// Where events for one node are left. Clones share one queue.
#[derive(Clone)]
pub struct Outbox {
    events: mpsc::Sender<Event>,
    end: Arc<End>,
}

/// The other side of an [`Outbox`].
pub struct Inbox {
    /// What to send, in order.
    pub events: mpsc::Receiver<Event>,
    /// When and why to end.
    pub end: Arc<End>,
}

/// The end of a session, decided here.
#[derive(Default)]
pub struct End {
    token: CancellationToken,
    why: OnceLock<Option<(Refusal, String)>>,
}

impl Outbox {
    /// An empty one, and its other side.
    pub fn new() -> (Self, Inbox) {
        let (events, waiting) = mpsc::channel(WAITING);
        let end = Arc::new(End::default());
        (Self { events, end: end.clone() }, Inbox { events: waiting, end })
    }

    /// Leaves an event. Gives whether the node keeps up; one that does not is dropped.
    pub fn push(&self, event: Event) -> bool {
        match self.events.try_send(event) {
            // Closed: the session is over, and nobody waits for this.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                let first = !self.end.token.is_cancelled();
                self.end.request(None);
                !first
            }
        }
    }

    /// Waits until the node has taken enough for its next request to be read, so that its own
    /// questions never make it one that does not keep up. Cancel safe.
    pub async fn room(&self) {
        // Err means that the session is over.
        let _ = self.events.reserve_many(ROOM).await;
    }

    /// Ends the session without a word.
    pub fn close(&self) {
        self.end.request(None);
    }

    /// Ends the session; the node is told the reason.
    pub fn refuse(&self, refusal: Refusal, reason: impl Into<String>) {
        self.end.request(Some((refusal, reason.into())));
    }
}

impl End {
    fn request(&self, why: Option<(Refusal, String)>) {
        // The first reason counts.
        let _ = self.why.set(why);
        self.token.cancel();
    }

    /// Waits for the end, and gives what the node is to be told. Cancel safe.
    pub async fn requested(&self) -> Option<Event> {
        self.token.cancelled().await;
        let (refusal, reason) = self.why.get().cloned().flatten()?;
        Some(Event::Refused { refusal, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_does_not_keep_up_is_dropped_without_words() {
        let (outbox, inbox) = Outbox::new();
        for received in 0..WAITING as u64 {
            assert!(outbox.push(Event::Clock { sent: 0, received }));
        }
        assert!(!outbox.push(Event::Clock { sent: 0, received: 0 }));
        assert!(outbox.push(Event::Clock { sent: 0, received: 0 }), "it is counted once");
        outbox.refuse(Refusal::Revoked, "too late for a reason");
        assert_eq!(inbox.end.requested().await, None);
    }
}
