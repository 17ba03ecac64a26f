//! The tasks that serve one connection. They end with it.

use std::sync::Arc;
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use swarm::{Delivery, Urgency};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::clock::Clock;
use super::egress::Egress;
use super::event::{Delivered, Event};
use super::outbox::{Outbox, Waiting};
use super::under_way::{Settled, UnderWay};
use super::wire::{Close, MAX_FRAME, PeerFrame};
use crate::protocol::FrameError;
use crate::protocol::frame::read_within;
use crate::uplink::AtHome;

/// Handed to QUIC beyond what its congestion window takes: half of that, within these, bytes. So it never idles, and on a
/// thin line nothing waits long where it can be neither ordered nor dropped.
const SLACK: (usize, usize) = (16 << 10, 64 << 10);
/// A repair whose deadline is nearer than this need not be polite, within a budget.
const URGENT: Duration = Duration::from_millis(400);
/// What QUIC needs of a packet: its own header with the connection's id, the stream's, and the seal.
const PACKET_HEAD: usize = 44;
/// What an acknowledgement may be late, as set for all connections.
const ACK_DELAY: Duration = Duration::from_millis(25);

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
    /// What is sent stays in the home: it takes no uplink.
    pub(crate) household: Option<AtHome>,
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
        let mut under_way = UnderWay::new();
        loop {
            // What QUIC cannot send yet stays in our queue: there it is ordered, and can be dropped.
            let window = self.quic.stats().path.cwnd as usize;
            let room = window + (window / 2).clamp(SLACK.0, SLACK.1);
            let next = async {
                let Some(waiting) = self.next().await? else { return Some(None) };
                let stream = self.send(&waiting).await?;
                if stream.is_none() {
                    self.outbox.settled(std::iter::once(&waiting));
                }
                Some(stream.map(|stream| (stream, waiting)))
            };
            tokio::pin!(next);
            // While a shard waits or is being handed over, those before it are still watched.
            let handed = loop {
                let free = under_way.bytes() < room;
                tokio::select! {
                    settled = under_way.settled(&self.clock), if !under_way.is_empty() => {
                        if self.settled(settled).await.is_none() {
                            return;
                        }
                    }
                    // What nobody wants any more would hold up the receiver's line.
                    gone = self.outbox.forgotten() => under_way.take_back(&gone),
                    handed = &mut next, if free => break handed,
                }
            };
            match handed {
                None => return,
                Some(None) => {}
                Some(Some((stream, waiting))) => under_way.add(stream, waiting, &self.clock),
            }
        }
    }

    /// Tells what has become of shards.
    async fn settled(&self, settled: Settled) -> Option<()> {
        self.outbox.settled(settled.arrived.iter().chain(&settled.late));
        // From the queue to the wire: without the way there and back.
        let (now, way) = (self.clock.now(), self.quic.rtt() + ACK_DELAY);
        let sent = |waiting: &Waiting| Delivery::Sent(now.since(waiting.since).saturating_sub(way));
        let arrived = settled.arrived.iter().map(|waiting| delivered(waiting, sent(waiting)));
        let late = settled.late.iter().map(|waiting| delivered(waiting, Delivery::Dropped));
        self.tell(arrived.chain(late).collect()).await
    }

    /// The next shard that may be sent; the outer `None` once all is over.
    async fn next(&self) -> Option<Option<Waiting>> {
        if !self.outbox.wait_shard().await {
            return None;
        }
        let turn = self.egress.turn().await;
        // Half of a round trip, which grows where the receiver or its line is overloaded.
        let (next, late) = self.outbox.take_shard(self.clock.now(), self.quic.rtt() / 2);
        turn.spend(next.as_ref().map_or(0, |waiting| waiting.wire.len()));
        if !late.is_empty() {
            let late = late.iter().map(|waiting| delivered(waiting, Delivery::Dropped));
            self.tell(late.collect()).await?;
        }
        Some(next)
    }

    /// Hands a shard to QUIC; the outer `None` if the connection is gone.
    async fn send(&self, waiting: &Waiting) -> Option<Option<SendStream>> {
        let deadline = self.clock.instant(waiting.deadline);
        let mut stream = match timeout_at(deadline, self.quic.open_uni()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => return None,
            Err(_) => {
                self.tell(vec![delivered(waiting, Delivery::Dropped)]).await?;
                return Some(None);
            }
        };
        let _ = stream.set_priority(match waiting.urgency {
            Urgency::Repair => 2,
            Urgency::Push => 1,
            // In the order in which our own queue gives them.
            Urgency::Start if self.egress.uplink().is_none() => 1,
            Urgency::Start => 0,
        });
        match timeout_at(deadline, self.write(&mut stream, waiting)).await {
            Ok(Ok(())) => {
                let _ = stream.finish();
                Some(Some(stream))
            }
            // The receiver does not want it: as good as sent.
            Ok(Err(quinn::WriteError::Stopped(_))) => {
                let waited = self.clock.now().since(waiting.since);
                self.tell(vec![delivered(waiting, Delivery::Sent(waited))]).await?;
                Some(None)
            }
            Ok(Err(_)) => None,
            Err(_) => {
                let _ = stream.reset(Close::Idle.code());
                self.tell(vec![delivered(waiting, Delivery::Dropped)]).await?;
                Some(None)
            }
        }
    }

    /// Hands all of a shard over: at once, or as the uplink lets it.
    async fn write(
        &self,
        stream: &mut SendStream,
        waiting: &Waiting,
    ) -> Result<(), quinn::WriteError> {
        let (head, mut wire) = (waiting.head.clone(), waiting.wire.clone());
        let Some(uplink) = self.egress.uplink() else {
            return stream.write_all_chunks(&mut [head, wire]).await;
        };
        let remote = self.quic.remote_address();
        if self.household.as_ref().is_some_and(|at_home| at_home.covers(remote)) {
            return stream.write_all_chunks(&mut [head, wire]).await;
        }
        let left = waiting.deadline.since(self.clock.now());
        let mut lane = uplink.lane(waiting.urgency == Urgency::Repair && left < URGENT).await;
        let payload = usize::from(self.quic.stats().path.current_mtu).saturating_sub(PACKET_HEAD);
        let portion = lane.portion(payload.max(head.len() + 1));
        let first = wire.split_to(wire.len().min(portion - head.len()));
        lane.pass(head.len() + first.len()).await;
        stream.write_all_chunks(&mut [head, first]).await?;
        while !wire.is_empty() {
            let next = wire.split_to(wire.len().min(lane.portion(payload)));
            lane.pass(next.len()).await;
            stream.write_chunk(next).await?;
        }
        Ok(())
    }

    async fn tell(&self, shards: Vec<Delivered>) -> Option<()> {
        self.events.send(Event::Delivered { id: self.id, shards }).await.ok()
    }
}

fn delivered(waiting: &Waiting, delivery: Delivery) -> Delivered {
    let Waiting { swarm, shard, urgency, .. } = *waiting;
    Delivered { swarm, shard, urgency, delivery }
}
