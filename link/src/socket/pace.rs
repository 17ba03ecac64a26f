//! The pacer of a node whose uplink is its home's: whatever QUIC's connections do, no burst of more than two packets
//! leaves at one time.
//!
//! Shards come at the uplink's rate already ([`crate::uplink`]). What is left for here: packets that are sent again, and
//! what a connection held back while its window was full; ten packets at one time from each connection, as quinn paces.
//! Short packets (acknowledgements, what engines say) pass at once and are not counted: they are few, and what comes in
//! hangs on them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use quinn::udp::Transmit;
use tokio::time::{Sleep, sleep};

use super::gate::{Gate, Waiter};
use super::now;
use crate::uplink::{Bucket, Uplink};

/// Shorter ones pass at once, bytes.
const SHORT: usize = 400;
/// Of a pause no more is saved up than for one packet, bytes; the second is a debt.
const DEPTH: f64 = 1_500.0;
/// Faster than shards come, so that they never wait here too,
const AHEAD: f64 = 1.5;
/// and never slower than this, bytes per second: handshakes and what engines say is not held up when shards are.
const LEAST: f64 = 125_000.0;
/// Datagrams that are handed to the system at one time.
const AT_ONCE: usize = 2;

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

    fn with<T>(&self, act: impl FnOnce(&mut Bucket) -> T) -> T {
        act(&mut self.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate for Pace {
    fn try_pass(&self, transmit: &Transmit<'_>) -> bool {
        let bytes = transmit.contents.len();
        if bytes < SHORT {
            return true;
        }
        let rate = (self.uplink.rate() * AHEAD).max(LEAST);
        self.with(|bucket| {
            bucket.set_rate(now(), rate);
            let open = bucket.open(now()).is_ok();
            if open {
                bucket.spend(bytes);
            }
            open
        })
    }

    /// Uploads do: long packets that no handshake is in (RFC 9000 section 17.2).
    fn yields(&self, transmit: &Transmit<'_>) -> bool {
        let handshake = transmit.contents.first().is_none_or(|first| first & 0x80 != 0);
        transmit.contents.len() >= SHORT && !handshake
    }

    fn give_back(&self, transmit: &Transmit<'_>) {
        if transmit.contents.len() >= SHORT {
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
    use std::time::Duration;

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
