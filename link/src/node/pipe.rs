//! The tasks that serve one connection. They end with it.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use quinn::{RecvStream, SendStream};
use swarm::{Delivery, Urgency};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::clock::Clock;
use super::egress::Egress;
use super::event::Event;
use super::outbox::{Outbox, Waiting};
use super::wire::{Close, MAX_FRAME, PeerFrame, SHARD};
use crate::protocol::FrameError;
use crate::protocol::frame::read_within;

/// Control frames in.
pub(crate) async fn read_control(id: u64, mut stream: RecvStream, events: mpsc::Sender<Event>) {
    loop {
        let frame = match read_within::<PeerFrame>(&mut stream, MAX_FRAME).await {
            Ok(frame) => frame,
            Err(error) => {
                let broke_protocol = error != FrameError::Ended;
                let _ = events.send(Event::Closed { id, broke_protocol }).await;
                return;
            }
        };
        if events.send(Event::Frame { id, frame }).await.is_err() {
            return;
        }
    }
}

/// Control frames out.
pub(crate) async fn write_control(mut stream: SendStream, outbox: Arc<Outbox>) {
    while let Some(frames) = outbox.next_control().await {
        if stream.write_all(&frames).await.is_err() {
            return;
        }
    }
    let _ = stream.finish();
}

/// Shards out, of one connection: who receives slowly holds up only this.
pub(crate) struct ShardWriter {
    pub(crate) id: u64,
    pub(crate) quic: quinn::Connection,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) events: mpsc::Sender<Event>,
}

impl ShardWriter {
    /// Sends until the connection ends.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.serve() => {}
            _ = self.quic.closed() => {}
        }
    }

    async fn serve(&self) {
        let mut unacknowledged = FuturesUnordered::new();
        loop {
            let next = async {
                let Some(waiting) = self.next().await? else { return Some(None) };
                let stream = self.send(&waiting).await?;
                Some(stream.map(|stream| (stream, self.clock.instant(waiting.deadline))))
            };
            tokio::pin!(next);
            // While a shard is being sent, those before it are still watched.
            let sent = loop {
                tokio::select! {
                    sent = &mut next => break sent,
                    Some(()) = unacknowledged.next(), if !unacknowledged.is_empty() => {}
                }
            };
            match sent {
                None => return,
                Some(None) => {}
                Some(Some((mut stream, deadline))) => unacknowledged.push(async move {
                    if timeout_at(deadline, stream.stopped()).await.is_err() {
                        // What has not left by now is of no use; room for what is.
                        let _ = stream.reset(Close::Idle.code());
                    }
                }),
            }
        }
    }

    /// The next shard that may be sent; the outer `None` once all is over.
    async fn next(&self) -> Option<Option<Waiting>> {
        if !self.outbox.wait_shard().await {
            return None;
        }
        let turn = self.egress.turn().await;
        let (next, late) = self.outbox.take_shard(self.clock.now());
        turn.spend(next.as_ref().map_or(0, |waiting| waiting.wire.len()));
        for waiting in late {
            self.tell(&waiting, Delivery::Dropped).await?;
        }
        Some(next)
    }

    /// Hands a shard to QUIC; the outer `None` if the connection is gone.
    async fn send(&self, waiting: &Waiting) -> Option<Option<SendStream>> {
        let deadline = self.clock.instant(waiting.deadline);
        let mut head = Vec::with_capacity(17);
        head.push(SHARD);
        head.extend(waiting.swarm.0);
        let mut stream = match timeout_at(deadline, self.quic.open_uni()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return None,
            Err(_) => {
                self.tell(waiting, Delivery::Dropped).await?;
                return Some(None);
            }
        };
        let _ = stream.set_priority(match waiting.urgency {
            Urgency::Repair => 2,
            Urgency::Push => 1,
            Urgency::Start => 0,
        });
        let mut parts = [Bytes::from(head), waiting.wire.clone()];
        match timeout_at(deadline, stream.write_all_chunks(&mut parts)).await {
            Ok(Ok(())) => {
                let _ = stream.finish();
                let waited = self.clock.now().since(waiting.since);
                self.tell(waiting, Delivery::Sent(waited)).await?;
                Some(Some(stream))
            }
            // The receiver does not want it: as good as sent.
            Ok(Err(quinn::WriteError::Stopped(_))) => Some(None),
            Ok(Err(_)) => None,
            Err(_) => {
                let _ = stream.reset(Close::Idle.code());
                self.tell(waiting, Delivery::Dropped).await?;
                Some(None)
            }
        }
    }

    async fn tell(&self, waiting: &Waiting, delivery: Delivery) -> Option<()> {
        let Waiting { swarm, shard, .. } = *waiting;
        let event = Event::Delivery { id: self.id, swarm, shard, delivery };
        self.events.send(event).await.ok()
    }
}
