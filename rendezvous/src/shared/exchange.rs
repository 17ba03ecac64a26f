//! The task that speaks and listens on the bus.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use redis::aio::MultiplexedConnection;
use service::Stop;
use service::status::Need;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::message::{Envelope, Message};
use super::peers::Others;
use super::seal::Seal;
use super::{Bus, Error, PATIENCE};
use crate::hub::{Hub, Parcel};
use crate::map::{Change, Instance};

/// How often changes are told.
const TELL: Duration = Duration::from_millis(250);
/// Without changes, something is said each so many times.
const PULSE: u32 = 4;
/// Changes in one message: some 100 KiB.
const CHUNK: usize = 500;
/// Changes that enter the map at once: nodes wait for so long.
const SIP: usize = 100;
/// Pause before the bus is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// This server's part in the exchange.
pub struct Exchange {
    hub: Arc<Hub>,
    me: Instance,
    bus: Bus,
    seal: Seal,
    need: Need,
    parcels: mpsc::Receiver<Parcel>,
    others: Others,
    term: u64,
    number: u64,
}

impl Exchange {
    /// A server that is not on the bus yet. `parcels` is what the hub has for nodes elsewhere.
    pub fn new(
        hub: Arc<Hub>,
        me: Instance,
        bus: Bus,
        seal: Seal,
        need: Need,
        parcels: mpsc::Receiver<Parcel>,
    ) -> Self {
        let others = Others::default();
        Self { hub, me, bus, seal, need, parcels, others, term: 0, number: 0 }
    }

    /// Speaks and listens until the stop; comes back to the bus as often as it is lost.
    pub async fn run(mut self, stop: Stop) {
        loop {
            let error = tokio::select! {
                () = stop.requested() => return,
                ended = self.converse(&stop) => match ended {
                    Ok(()) => return,
                    Err(error) => error,
                },
            };
            self.need.missing(format!("the bus of the shared map cannot be used: {error}"));
            self.hub.metrics().shared_lost.inc();
            // Changes meanwhile are told with everything else; what is for others' nodes is lost.
            self.hub.hold();
            tokio::select! {
                () = stop.requested() => return,
                () = sleep(PAUSE) => {}
            }
            while self.parcels.try_recv().is_ok() {}
        }
    }

    async fn converse(&mut self, stop: &Stop) -> Result<(), Error> {
        let (mut out, mut subscription) = self.bus.connect().await?;
        let (all, mine) = (self.bus.everyone(), self.bus.only(self.me));
        timeout(PATIENCE, subscription.subscribe(&[&all, &mine]))
            .await
            .map_err(|_| Error::Slow)??;
        let mut messages = subscription.into_on_message();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.term = (since.as_micros() as u64).max(self.term + 1);
        self.number = 0;
        self.others.resume(self.hub.now());
        self.say(&mut out, &all, Message::Ask).await?;
        self.need.ok();

        let mut ticks = interval(TELL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        loop {
            tokio::select! {
                () = stop.requested() => {
                    // Nodes are let go now; others hear of it with this.
                    return self.say(&mut out, &all, Message::Bye).await;
                }
                message = messages.next() => {
                    let message = message.ok_or(Error::Ended)?;
                    let place = message.get_channel_name().to_owned();
                    let sealed = message.get_payload_bytes().to_vec();
                    self.hear(&mut out, &place, sealed).await?;
                }
                Some(Parcel { to, peer, event }) = self.parcels.recv() => {
                    let place = self.bus.only(to);
                    self.say(&mut out, &place, Message::Mail { peer, event }).await?;
                }
                _ = ticks.tick() => {
                    let changes = self.hub.changes();
                    quiet = if changes.is_empty() { quiet + 1 } else { PULSE };
                    if quiet >= PULSE {
                        quiet = 0;
                        self.tell(&mut out, &all, changes).await?;
                    }
                    self.look_after(&mut out).await?;
                }
            }
        }
    }

    async fn say(
        &self,
        out: &mut MultiplexedConnection,
        place: &str,
        message: Message,
    ) -> Result<(), Error> {
        let envelope = Envelope { from: self.me, term: self.term, message };
        let sealed = envelope.seal(&self.seal, place);
        self.hub.metrics().shared_out.inc_by(sealed.len() as u64);
        let said: redis::RedisResult<i64> =
            redis::cmd("PUBLISH").arg(place).arg(sealed).query_async(out).await;
        Ok(said.map(|_heard_by| ())?)
    }

    async fn tell(
        &mut self,
        out: &mut MultiplexedConnection,
        all: &str,
        changes: Vec<Change>,
    ) -> Result<(), Error> {
        let mut chunks = chunks(changes);
        loop {
            let changes = chunks.next().unwrap_or_default();
            self.number += 1;
            self.say(out, all, Message::Changes { number: self.number, changes }).await?;
            if chunks.len() == 0 {
                return Ok(());
            }
        }
    }

    async fn hear(
        &mut self,
        out: &mut MultiplexedConnection,
        place: &str,
        sealed: Vec<u8>,
    ) -> Result<(), Error> {
        self.hub.metrics().shared_in.inc_by(sealed.len() as u64);
        let Ok(Envelope { from, term, message }) = Envelope::open(&self.seal, place, sealed) else {
            self.hub.metrics().shared_broken.inc();
            return Ok(());
        };
        if from == self.me || !self.others.heard(self.hub.now(), from, term) {
            return Ok(());
        }
        match message {
            Message::Changes { number, changes } => {
                self.others.changes(from, number);
                self.absorb(from, changes).await;
            }
            Message::Ask => {
                let place = self.bus.only(from);
                let mut chunks = chunks(self.hub.everything());
                let mut first = true;
                loop {
                    let changes = chunks.next().unwrap_or_default();
                    let (number, last) = (self.number, chunks.len() == 0);
                    let part = Message::Everything { number, first, last, changes };
                    self.say(out, &place, part).await?;
                    first = false;
                    if last {
                        break;
                    }
                }
            }
            Message::Everything { number, first, last, changes } => {
                let told = self.others.everything(from, number, first, last, &changes);
                self.absorb(from, changes).await;
                if let Some(nodes) = told {
                    self.hub.forget(from, Some(&nodes));
                    tracing::debug!(server = ?from, nodes = nodes.len(), "its part of the map is known");
                }
            }
            Message::Mail { peer, event } => self.hub.deliver(peer, event),
            Message::Bye => self.lose(from, "has ended"),
        }
        Ok(())
    }

    async fn absorb(&self, from: Instance, changes: Vec<Change>) {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            self.hub.absorb(from, changes.by_ref().take(SIP));
            tokio::task::yield_now().await;
        }
    }

    async fn look_after(&mut self, out: &mut MultiplexedConnection) -> Result<(), Error> {
        let now = self.hub.now();
        for lost in self.others.lost(now) {
            self.lose(lost, "is silent");
        }
        for other in self.others.unheard(now) {
            let place = self.bus.only(other);
            self.say(out, &place, Message::Ask).await?;
        }
        // Nodes of a new server show tickets that it signed: ours must know its key soon.
        self.hub.expect_signers(self.others.all());
        self.hub.set_speaker(self.others.first().is_none_or(|other| self.me < other));
        self.hub.metrics().shared_servers.set(self.others.count() as i64 + 1);
        Ok(())
    }

    fn lose(&mut self, other: Instance, why: &str) {
        tracing::info!(server = ?other, why, "another rendezvous is no longer there");
        self.others.gone(other);
        self.hub.forget(other, None);
    }
}

fn chunks(changes: Vec<Change>) -> impl ExactSizeIterator<Item = Vec<Change>> {
    let mut rest = changes.into_iter();
    let count = rest.len().div_ceil(CHUNK);
    (0..count).map(move |_| rest.by_ref().take(CHUNK).collect())
}
