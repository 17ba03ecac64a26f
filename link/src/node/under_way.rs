//! Shards of one connection that QUIC was handed and that have not arrived yet.
//!
//! A burst costs one look, not one for each shard: shards arrive in about the order in which they were handed over, so
//! only the first is watched, and one timer stands for the deadlines of all.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use quinn::SendStream;
use segment::SwarmId;
use swarm::Time;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::ReusableBoxFuture;

use super::clock::Clock;
use super::outbox::Waiting;
use super::wire::Close;

/// Places that are kept for the next burst; a start took more.
const PLACES: usize = 16;

/// The shards, in the order in which they were handed over.
pub(crate) struct UnderWay {
    shards: VecDeque<(SendStream, Waiting)>,
    bytes: usize,
    /// Ends when the first has arrived; of use only while `watched`.
    first: ReusableBoxFuture<'static, ()>,
    watched: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires; no deadline of those under way is before.
    due: Option<Time>,
}

/// What has become of some.
#[derive(Default)]
pub(crate) struct Settled {
    pub(crate) arrived: Vec<Waiting>,
    /// Their deadlines passed: they were taken back, which leaves room for what is still of use.
    pub(crate) late: Vec<Waiting>,
}

impl UnderWay {
    pub(crate) fn new() -> Self {
        Self {
            shards: VecDeque::new(),
            bytes: 0,
            first: ReusableBoxFuture::new(std::future::ready(())),
            watched: false,
            timer: Box::pin(sleep_until(Instant::now())),
            due: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Bytes under way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A shard was handed over, and its stream finished.
    pub(crate) fn add(&mut self, stream: SendStream, waiting: Waiting, clock: &Clock) {
        self.bytes += waiting.wire.len();
        if self.due.is_none_or(|due| waiting.deadline < due) {
            self.set_timer(waiting.deadline, clock);
        }
        self.shards.push_back((stream, waiting));
    }

    fn set_timer(&mut self, due: Time, clock: &Clock) {
        self.due = Some(due);
        self.timer.as_mut().reset(clock.instant(due));
    }

    /// Waits until the first have arrived, or the deadline of some has passed. Nothing is lost if it is dropped.
    pub(crate) async fn settled(&mut self, clock: &Clock) -> Settled {
        poll_fn(|cx| self.poll_settled(cx, clock)).await
    }

    fn poll_settled(&mut self, cx: &mut Context<'_>, clock: &Clock) -> Poll<Settled> {
        let mut settled = Settled::default();
        while let Some((stream, _)) = self.shards.front() {
            if !self.watched {
                let stopped = stream.stopped();
                self.first.set(async move { drop(stopped.await) });
                self.watched = true;
            }
            if self.first.poll(cx).is_pending() {
                break;
            }
            self.watched = false;
            if let Some((_, waiting)) = self.shards.pop_front() {
                self.bytes -= waiting.wire.len();
                settled.arrived.push(waiting);
            }
        }
        if self.shards.is_empty() {
            self.shards.shrink_to(PLACES);
        }
        while self.due.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.take_late(clock, &mut settled.late);
        }
        if settled.arrived.is_empty() && settled.late.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(settled)
    }

    /// Takes back all shards of these swarms: whoever had them sent is gone, and is told nothing.
    pub(crate) fn take_back(&mut self, swarms: &[SwarmId]) {
        for _ in 0..self.shards.len() {
            let Some((mut stream, waiting)) = self.shards.pop_front() else { break };
            if swarms.contains(&waiting.swarm) {
                let _ = stream.reset(Close::Idle.code());
                self.bytes -= waiting.wire.len();
            } else {
                self.shards.push_back((stream, waiting));
            }
        }
        // The first may be another one.
        self.watched = false;
    }

    /// Takes back what is late, and sets the timer for the rest.
    fn take_late(&mut self, clock: &Clock, late: &mut Vec<Waiting>) {
        let now = clock.now();
        if self.shards.front().is_some_and(|(_, waiting)| waiting.deadline <= now) {
            self.watched = false;
        }
        for _ in 0..self.shards.len() {
            let Some((mut stream, waiting)) = self.shards.pop_front() else { break };
            if waiting.deadline <= now {
                let _ = stream.reset(Close::Idle.code());
                self.bytes -= waiting.wire.len();
                late.push(waiting);
            } else {
                self.shards.push_back((stream, waiting));
            }
        }
        match self.shards.iter().map(|(_, waiting)| waiting.deadline).min() {
            Some(next) => self.set_timer(next, clock),
            None => self.due = None,
        }
    }
}
