//! Sends shards as a node does, without an engine. Tests of the uplink only.

use std::sync::Arc;

use bytes::Bytes;
use segment::SwarmId;
use swarm::{ShardRef, Time, Urgency};
use tokio::sync::mpsc;

use super::clock::Clock;
use super::egress::Egress;
use super::event::Event;
use super::outbox::{Outbox, Waiting};
use super::pipe::ShardWriter;
use super::wire::shard_head;
use crate::uplink::Uplink;

/// What the connections of a node share.
pub(crate) struct Sender {
    egress: Arc<Egress>,
    clock: Arc<Clock>,
}

/// The queue of one connection.
pub(crate) struct Queue(Arc<Outbox>);

impl Sender {
    pub(crate) fn new(uplink: Option<Arc<Uplink>>) -> Self {
        let egress = Arc::new(uplink.map_or_else(|| Egress::new(None), Egress::polite));
        Self { egress, clock: Arc::new(Clock::new()) }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Sends what is queued; tells of each shard.
    pub(crate) fn serve(&self, quic: quinn::Connection, events: mpsc::Sender<Event>) -> Queue {
        let outbox = Arc::new(Outbox::default());
        let writer = ShardWriter {
            id: 1,
            household: None,
            quic,
            outbox: outbox.clone(),
            egress: self.egress.clone(),
            clock: self.clock.clone(),
            events,
        };
        tokio::spawn(writer.run());
        Queue(outbox)
    }

    pub(crate) fn waiting(
        &self,
        swarm: SwarmId,
        shard: ShardRef,
        bytes: usize,
        deadline: Time,
        urgency: Urgency,
    ) -> Waiting {
        let (head, wire) = (shard_head(swarm), Bytes::from(vec![0; bytes]));
        Waiting { swarm, shard, head, wire, deadline, urgency, since: self.now() }
    }
}

impl Queue {
    pub(crate) fn shard(&self, waiting: Waiting) {
        self.0.shard(waiting);
        self.0.wake();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting()
    }
}
