//! The one place that all QUIC passes on its way out, whatever the connection: where a pacer for the whole node
//! stands.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn::UdpPoller;
use quinn::udp::Transmit;

/// Decides when QUIC may send. Whoever is turned back waits until the gate is open, and tries again.
pub(crate) trait Gate: Debug + Send + Sync {
    /// Whether this may go now; if so it is counted as gone.
    fn try_pass(&self, transmit: &Transmit<'_>) -> bool;

    /// Whether this is to yield to everything else on its way.
    fn yields(&self, transmit: &Transmit<'_>) -> bool;

    /// What has passed was not sent after all: the system had no room, or no way.
    fn give_back(&self, transmit: &Transmit<'_>);

    /// A fresh waiter, for one connection: each is woken by itself.
    fn waiter(self: Arc<Self>) -> Pin<Box<dyn Waiter>>;

    /// The most datagrams that are handed over at one time.
    fn max_segments(&self) -> usize;
}

/// Waits for a gate on behalf of one connection.
pub(crate) trait Waiter: Debug + Send + Sync {
    /// Ready once it is worth trying again.
    fn poll_open(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// Ready once the gate is open and the system has room.
#[derive(Debug)]
pub(super) struct Poller {
    waiter: Pin<Box<dyn Waiter>>,
    system: Pin<Box<dyn UdpPoller>>,
}

impl Poller {
    pub(super) fn new(gate: Arc<dyn Gate>, system: Pin<Box<dyn UdpPoller>>) -> Self {
        Self { waiter: gate.waiter(), system }
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.waiter.as_mut().poll_open(cx));
        self.system.as_mut().poll_writable(cx)
    }
}
