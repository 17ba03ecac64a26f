//! What one connection has to send leaves in pieces as large as the system takes.
//!
//! quinn hands over ten packets at a time, and gives the turn to others after twenty. A server's child gets a hundred at
//! once. So whoever drives a connection is run here until it has nothing more to send, and what it hands over meanwhile is
//! gathered: one visit of a connection, and one call for some forty packets. Only what quinn lets anybody bring, its runtime
//! and its socket, is used for it.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use quinn::udp::Transmit;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};

use super::Socket;
use super::batch::Batch;

/// Turns of twenty packets that a connection has in one visit: then others are served.
const TURNS: usize = 16;

thread_local! {
    /// The visit that this thread is at: what it has gathered.
    static VISIT: RefCell<Option<Batch>> = const { RefCell::new(None) };
    /// Memory of the last visit, for the next.
    static SPARE: RefCell<Batch> = const { RefCell::new(Batch::new()) };
}

/// Gathers this with what the present visit has to send, if there is one; `None`: it is to be sent by itself.
pub(super) fn gather(socket: &Socket, transmit: &Transmit<'_>) -> Option<io::Result<()>> {
    VISIT.with_borrow_mut(|visit| visit.as_mut()?.add(socket, transmit))
}

/// quinn's runtime on tokio, for what sends through one socket.
#[derive(Debug)]
pub(crate) struct Visits {
    socket: Arc<Socket>,
}

impl Visits {
    pub(crate) fn new(socket: Arc<Socket>) -> Self {
        Self { socket }
    }
}

impl Runtime for Visits {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(Driven::new(future, self.socket.clone()));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// What drives a connection, visited.
struct Driven {
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
    socket: Arc<Socket>,
    /// What the system had no room for.
    held: Option<Batch>,
    /// Waits for room.
    poller: Option<Pin<Box<dyn UdpPoller>>>,
    wakes: Arc<Wakes>,
    /// Of `wakes`.
    waker: Waker,
}

impl Driven {
    fn new(inner: Pin<Box<dyn Future<Output = ()> + Send>>, socket: Arc<Socket>) -> Self {
        let wakes = Arc::<Wakes>::default();
        let waker = wakes.clone().into();
        Self { inner, socket, held: None, poller: None, wakes, waker }
    }

    /// Hands over what is held; ready once nothing is.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(mut batch) = self.held.take() {
            if batch.flush(&self.socket).is_ok() {
                SPARE.set(batch);
                break;
            }
            self.held = Some(batch);
            let poller = self.poller.get_or_insert_with(|| self.socket.clone().create_io_poller());
            // An error shows again, where quinn sees it.
            if poller.as_mut().poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.poller = None;
        Poll::Ready(())
    }

    /// One turn; whether it is over for good, and whether it sent something and wants another.
    fn turn(&mut self) -> (Poll<()>, bool) {
        let before = VISIT.with_borrow(|visit| visit.as_ref().map_or(0, Batch::gathered));
        self.wakes.begin();
        let polled = self.inner.as_mut().poll(&mut Context::from_waker(&self.waker));
        let again = self.wakes.end();
        let after = VISIT.with_borrow(|visit| visit.as_ref().map_or(0, Batch::gathered));
        if again && after == before {
            // It gives way to others, with nothing sent.
            self.wakes.pass_on();
        }
        (polled, again && after != before)
    }
}

impl Future for Driven {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.poll_held(cx).is_pending() {
            // What is behind it could not be sent either.
            return Poll::Pending;
        }
        this.wakes.set_outer(cx.waker());
        VISIT.set(Some(SPARE.take()));
        let mut polled = Poll::Pending;
        let mut more = true;
        for _ in 0..TURNS {
            (polled, more) = this.turn();
            if polled.is_ready() || !more {
                break;
            }
        }
        this.held = VISIT.take();
        if this.poll_held(cx).is_ready() && more {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

/// Tells a wake in the middle of a turn, which asks for another, from one that comes from outside.
#[derive(Default)]
struct Wakes {
    state: AtomicU8,
    outer: Mutex<Option<Waker>>,
}

const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const AGAIN: u8 = 2;

impl Wakes {
    fn set_outer(&self, waker: &Waker) {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        if !outer.as_ref().is_some_and(|outer| outer.will_wake(waker)) {
            *outer = Some(waker.clone());
        }
    }

    fn begin(&self) {
        self.state.store(INSIDE, Ordering::Release);
    }

    /// Whether a wake came since the beginning.
    fn end(&self) -> bool {
        self.state.swap(OUTSIDE, Ordering::AcqRel) == AGAIN
    }

    fn pass_on(&self) {
        if let Some(outer) = &*self.outer.lock().unwrap_or_else(PoisonError::into_inner) {
            outer.wake_by_ref();
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let order = Ordering::AcqRel;
        match self.state.compare_exchange(INSIDE, AGAIN, order, Ordering::Acquire) {
            Ok(_) | Err(AGAIN) => {}
            Err(_) => self.pass_on(),
        }
    }
}

#[cfg(test)]
#[path = "visit_tests.rs"]
mod tests;
