//! How connections are heard: QUIC's own congestion controller with an ear.
//!
//! Each connection keeps CUBIC for what only it meets (a receiver's slow line). What the acknowledgements say of the
//! queue goes to the node's one controller.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

use super::Uplink;
use crate::tcp::Watching;

/// Whom a home uploads to is asked to acknowledge every second packet at once: such an acknowledgement is held back by
/// nothing, and says how long the way is.
pub(crate) const AT_ONCE: u32 = 2;
/// One that comes alone is acknowledged after this. Shorter would be one acknowledgement for each packet.
pub(crate) const LATER: Duration = Duration::from_millis(8);
/// An acknowledgement says that it was held back by less than this; before the other side has heard our wish, it may be by
/// 25 ms.
const HELD_BACK: Duration = Duration::from_millis(40);
/// The other side's timer is late by less than this.
const TIMER: Duration = Duration::from_millis(6);
/// It is by this at least: it is no finer, and goes off after it.
const STEP: Duration = Duration::from_millis(2);
/// Less than this is nothing.
const NOTHING: Duration = Duration::from_micros(20);

/// Makes controllers that tell an uplink what they hear.
pub(crate) struct PoliteConfig {
    /// What each connection does by itself.
    pub(crate) inner: Arc<dyn ControllerFactory + Send + Sync>,
    pub(crate) uplink: Arc<Uplink>,
    /// Lasts as long as the connection.
    pub(crate) _watching: Option<Watching>,
}

impl ControllerFactory for PoliteConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let inner = self.inner.clone().build(now, current_mtu);
        Box::new(Polite::new(inner, self.uplink.clone()))
    }
}

/// One connection's controller.
struct Polite {
    inner: Box<dyn Controller>,
    uplink: Arc<Uplink>,
    id: u64,
    bytes: u64,
    trips: Trips,
    /// What it meets is nothing of the uplink's. Copies share it.
    silent: Arc<AtomicBool>,
    /// Whether that was told.
    forgotten: bool,
}

/// The uplink is to hear nothing of a connection any more.
pub(super) fn silence(connection: &quinn::Connection) {
    if let Ok(polite) = connection.congestion_state().into_any().downcast::<Polite>() {
        // What was heard so far is forgotten with the next acknowledgement.
        polite.silent.store(true, Ordering::Relaxed);
    }
}

impl Polite {
    fn new(inner: Box<dyn Controller>, uplink: Arc<Uplink>) -> Self {
        let (id, silent) = (uplink.enter(), Arc::default());
        Self { inner, uplink, id, bytes: 0, trips: Trips::default(), silent, forgotten: false }
    }
}

impl Drop for Polite {
    fn drop(&mut self) {
        self.uplink.leave(self.id);
    }
}

impl fmt::Debug for Polite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Polite")
    }
}

impl Controller for Polite {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
        self.bytes += bytes;
        self.trips.acked(now, sent, rtt.get(), rtt.min());
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
        let bytes = std::mem::take(&mut self.bytes);
        if self.silent.load(Ordering::Relaxed) {
            if !std::mem::replace(&mut self.forgotten, true) {
                self.uplink.leave(self.id);
            }
        } else if bytes > 0 {
            let trip = self.trips.end();
            self.uplink.acked(self.id, now, bytes, trip);
        }
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        if !self.silent.load(Ordering::Relaxed) {
            self.uplink.lost(now, lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let mut copy = Self::new(self.inner.clone_box(), self.uplink.clone());
        copy.silent = self.silent.clone();
        Box::new(copy)
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Round trips without what acknowledgements were held back.
///
/// One that names several packets was sent when the last of them came. A packet that travels alone is acknowledged late, on
/// purpose; the acknowledgement says by how much, and QUIC takes that off before it smooths (RFC 9002 section 5.3):
/// smoothed = 7/8 smoothed + 1/8 sample. Only the smoothed value is to be had here, so the sample is reckoned back from it,
/// one acknowledgement later, and believed only if it lies where it must: below the round trip as it was seen, by no more
/// than can be held back.
///
/// QUIC takes nothing off where less than the least round trip would be left that it ever saw, and what it saw then was held
/// back too, or a handshake, slowed by its arithmetic. All of a slow upload looks then as if a queue stood before it. So what
/// nothing was taken off, and is not longer than such a one can be, counts as that least: it was shorter.
#[derive(Debug, Default)]
pub(super) struct Trips {
    smoothed: Option<Duration>,
    /// The newest packet of the acknowledgement before, if that may have been held back.
    before: Option<Trip>,
    /// Of the one that is being read, and of how many packets.
    newest: Option<Trip>,
    packets: u32,
    sample: Option<Trip>,
}

/// A packet that came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trip {
    pub(super) sent: Instant,
    pub(super) took: Duration,
}

impl Trips {
    /// A packet of the acknowledgement that is being read. `smoothed` and `least` are QUIC's, with all acknowledgements
    /// before this one.
    pub(super) fn acked(
        &mut self,
        now: Instant,
        sent: Instant,
        smoothed: Duration,
        least: Duration,
    ) {
        let trip = now.saturating_duration_since(sent);
        if self.newest.is_none_or(|newest| newest.sent <= sent) {
            self.newest = Some(Trip { sent, took: trip });
        }
        self.packets += 1;
        let Some(old) = self.smoothed.replace(smoothed) else { return };
        if let Some(before) = self.before.take().filter(|_| old != smoothed) {
            let seen = before.took;
            let sample = (8 * smoothed.as_nanos()).saturating_sub(7 * old.as_nanos());
            let sample = Duration::from_nanos(sample.min(u64::MAX.into()) as u64);
            // What is told of the time held back is cut to 8 us, and divisions were rounded down.
            let took = if sample + NOTHING < seen {
                // No more is taken off than we asked for, and timers are late.
                let told = seen.saturating_sub(sample);
                let late = if told.abs_diff(LATER) < NOTHING * 5 { STEP } else { Duration::ZERO };
                let sample = sample.saturating_sub(late).max(least.min(sample));
                Some(sample).filter(|_| told <= HELD_BACK)
            } else if seen < least + LATER + TIMER {
                Some(least.min(seen))
            } else {
                Some(seen)
            };
            self.sample = took.map(|took| Trip { took, ..before });
        }
    }

    /// The acknowledgement is read.
    pub(super) fn end(&mut self) -> Option<Trip> {
        let newest = self.newest.take();
        if std::mem::take(&mut self.packets) >= AT_ONCE {
            (self.before, self.sample) = (None, None);
            return newest;
        }
        self.before = newest;
        self.sample.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// As quinn does it.
    fn smooth(smoothed: &mut Duration, seen: Duration, held: Duration) {
        *smoothed = (7 * *smoothed + (seen - held)) / 8;
    }

    #[test]
    fn what_was_held_back_is_taken_off() {
        let start = Instant::now();
        let (mut trips, mut smoothed) = (Trips::default(), 100 * MS);
        let held = [1, 7, 25, 13, 2, 0, 25];
        let mut before = None;
        for (i, held) in (0u32..).zip(held) {
            let now = start + MS * 1000 * (i + 1);
            let trip = MS * (40 + i);
            trips.acked(now, now - trip - MS * held, smoothed, 30 * MS);
            let sample = trips.end().map(|trip| trip.took);
            let expected = before.map(|(trip, _)| trip);
            let near = |sample: Duration| {
                Some(Duration::from_millis((sample.as_micros() as u64 + 500) / 1000))
            };
            assert_eq!(sample.and_then(near), expected, "{i}");
            smooth(&mut smoothed, trip + MS * held, MS * held);
            before = Some((trip, held));
        }
    }

    #[test]
    fn what_is_acknowledged_at_once_is_believed_at_once() {
        let start = Instant::now();
        let (mut trips, mut smoothed) = (Trips::default(), 100 * MS);
        for i in 0..5 {
            let now = start + MS * 1000 * (i + 1);
            let trip = MS * (40 + i);
            // Two packets; the older was seen to take longer.
            trips.acked(now, now - trip - MS * 10, smoothed, 30 * MS);
            trips.acked(now, now - trip, smoothed, 30 * MS);
            assert_eq!(trips.end().map(|trip| trip.took), Some(trip));
            smooth(&mut smoothed, trip, Duration::ZERO);
        }
    }

    /// quinn takes nothing off where less than its least round trip would be left.
    #[test]
    fn what_nothing_was_taken_off_is_not_taken_for_a_queue() {
        let start = Instant::now();
        let (mut trips, mut smoothed) = (Trips::default(), 2 * MS);
        for i in 0..20 {
            let now = start + MS * 100 * (i + 1);
            trips.acked(now, now - MS * 10, smoothed, 3 * MS);
            assert_eq!(trips.end().map(|trip| trip.took), (i > 0).then_some(MS * 3), "{i}");
            smooth(&mut smoothed, 10 * MS, Duration::ZERO);
        }
        // One that is longer was not held back at all.
        trips.acked(start + MS * 5000, start + MS * 4950, smoothed, 3 * MS);
        trips.end().map(|trip| trip.took);
        smooth(&mut smoothed, 50 * MS, Duration::ZERO);
        trips.acked(start + MS * 6000, start + MS * 5990, smoothed, 3 * MS);
        assert!(
            trips.end().map(|trip| trip.took).is_some_and(|trip| trip.abs_diff(50 * MS) < NOTHING)
        );
    }

    #[test]
    fn what_stays_in_the_home_is_not_heard() {
        let uplink = Uplink::new(None);
        let inner = Arc::new(quinn::congestion::CubicConfig::default());
        let start = Instant::now();
        // Its queue would be the uplink's.
        let mut home = Polite::new(inner.build(start, 1200), uplink.clone());
        home.uplink.acked(home.id, start, 1200, Some(Trip { sent: start, took: MS }));
        assert_eq!(uplink.state().queue, Some(Duration::ZERO));
        let copy = home.clone_box().into_any().downcast::<Polite>().unwrap();
        copy.silent.store(true, Ordering::Relaxed);
        drop(copy);
        for packet in 1..9 {
            let now = start + MS * 20 * packet;
            home.bytes = 1200;
            home.trips.sample = Some(Trip { sent: start, took: MS });
            home.on_end_acks(now, 0, false, Some(packet.into()));
        }
        assert_eq!(uplink.state().queue, None, "it was heard, or what was heard is still there");
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let now = Instant::now() + MS * 5000;
        let mut trips = Trips::default();
        trips.acked(now, now - 50 * MS, 100 * MS, MS);
        assert_eq!(trips.end().map(|trip| trip.took), None);
        // Another path: smoothing began anew.
        trips.acked(now, now - 50 * MS, 20 * MS, MS);
        assert_eq!(trips.end().map(|trip| trip.took), None);
        // Nothing was learnt in between.
        trips.acked(now, now - 50 * MS, 20 * MS, MS);
        assert_eq!(trips.end().map(|trip| trip.took), None);
    }
}
