//! The pacer of a node whose uplink is its home's: whatever QUIC's connections do, no burst of more than two packets
//! leaves at one time.
//!
//! Shards come at the uplink's rate already ([`crate::uplink`]). What is left for here: packets that are sent again, and
//! what a connection held back while its window was full; ten packets at one time from each connection, as quinn paces.
//! Short packets (acknowledgements, what engines say) pass at once and are not counted: they are few, and what comes in
//! hangs on them. What goes to a viewer of the same home takes no uplink, and passes too.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::Transmit;
use tokio::time::{Sleep, sleep};

use super::gate::{Gate, Waiter};
use super::now;
use crate::uplink::{Bucket, Uplink};

/// Shorter ones pass at once, bytes.
const SHORT: usize = 400;
/// Of a pause no more is saved up than for one packet, bytes; the second is a debt.
const DEPTH: f64 = 1_500.0;
/// Or for so long, where that is more: the timer's step.
const STEP: Duration = Duration::from_millis(1);
/// Faster than shards come, so that they never wait here too,
const AHEAD: f64 = 1.5;
/// and never slower than this, bytes per second: handshakes and what engines say is not held up when shards are.
const LEAST: f64 = 125_000.0;
/// Datagrams that are handed to the system at one time.
const AT_ONCE: usize = 2;

thread_local! {
    /// Whether the packet that this thread tried last was turned back. quinn asks whether it may send before it says what;
    /// only who was just turned back has to wait then, and the answer comes in the same turn of the same thread.
    static TURNED_BACK: Cell<bool> = const { Cell::new(false) };
}

/// The pacer.
#[derive(Debug)]
pub(crate) struct Pace {
    uplink: Arc<Uplink>,
    bucket: Mutex<Bucket>,
}

impl Pace {
    pub(crate) fn new(uplink: Arc<Uplink>) -> Self {
        let bucket = Mutex::new(Bucket::new(now(), LEAST, DEPTH));
        Self { uplink, bucket }
    }

    /// Whether this takes uplink that is to be spread.
    fn counts(&self, transmit: &Transmit<'_>) -> bool {
        transmit.contents.len() >= SHORT && !self.uplink.is_at_home(transmit.destination)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate for Pace {
    fn try_pass(&self, transmit: &Transmit<'_>) -> bool {
        if !self.counts(transmit) {
            return true;
        }
        let rate = (self.uplink.rate() * AHEAD).max(LEAST);
        let open = self.with(|bucket| {
            bucket.set_rate(now(), rate);
            bucket.set_depth(DEPTH / 2.0, STEP);
            let open = bucket.open(now());
            if open.is_ok() {
                bucket.spend(transmit.contents.len());
            }
            open
        });
        TURNED_BACK.set(open.is_err());
        open.inspect_err(|wait| self.uplink.holds_up(*wait)).is_ok()
    }

    /// Uploads do: long packets that no handshake is in (RFC 9000 section 17.2).
    fn yields(&self, transmit: &Transmit<'_>) -> bool {
        let handshake = transmit.contents.first().is_none_or(|first| first & 0x80 != 0);
        transmit.contents.len() >= SHORT && !handshake
    }

    fn give_back(&self, transmit: &Transmit<'_>) {
        if self.counts(transmit) {
            self.with(|bucket| bucket.give_back(transmit.contents.len()));
        }
    }

    fn waiter(self: Arc<Self>) -> Pin<Box<dyn Waiter>> {
        Box::pin(Wait { pace: self, sleep: Mutex::new(None) })
    }

    fn max_segments(&self) -> usize {
        AT_ONCE
    }
}

/// One connection that waits.
#[derive(Debug)]
struct Wait {
    pace: Arc<Pace>,
    /// Behind a lock only because quinn shares its pollers between threads.
    sleep: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl Waiter for Wait {
    fn poll_open(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let slot = this.sleep.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(sleep) = slot {
                std::task::ready!(sleep.as_mut().poll(cx));
                *slot = None;
            } else if !TURNED_BACK.take() {
                return Poll::Ready(());
            }
            match this.pace.with(|bucket| bucket.open(now())) {
                Ok(()) => return Poll::Ready(()),
                Err(wait) => *slot = Some(Box::pin(sleep(wait))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn transmit(contents: &[u8]) -> Transmit<'_> {
        Transmit {
            destination: ([127, 0, 0, 1], 9).into(),
            ecn: None,
            contents,
            segment_size: None,
            src_ip: None,
        }
    }

    /// Ten packets of one connection, as quinn hands them over: two at a time.
    #[tokio::test(start_paused = true)]
    async fn a_burst_is_spread_and_short_packets_pass_it() {
        let pace = Arc::new(Pace::new(Uplink::new(Some(5_000_000))));
        let (long, short) = (vec![0; 2_500], vec![0; 60]);
        let mut waiter = pace.clone().waiter();
        let begun = now();
        for _ in 0..5 {
            while !pace.try_pass(&transmit(&long)) {
                assert!(pace.try_pass(&transmit(&short)));
                poll_fn(|cx| waiter.as_mut().poll_open(cx)).await;
            }
        }
        let took = now() - begun;
        // At LEAST: the uplink is not known yet.
        assert!(took >= Duration::from_millis(60) && took < Duration::from_millis(110), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_costs_nothing() {
        let pace = Arc::new(Pace::new(Uplink::new(None)));
        let long = vec![0; 2_500];
        for _ in 0..10 {
            assert!(pace.try_pass(&transmit(&long)));
            pace.give_back(&transmit(&long));
        }
        assert!(pace.try_pass(&transmit(&long)));
        assert!(!pace.try_pass(&transmit(&long)));
    }
}
