//! Congestion control of servers' connections: CUBIC (RFC 9438), and a bound below it for a line that has become thin.
//!
//! CUBIC gives up three tenths of its window for each round trip with a loss, however much was lost. A window that filled
//! 20 Mbit/s is ten of those away from what 1 Mbit/s needs, and until then most of what is sent is lost and sent again, while
//! what a viewer needs next waits behind it. So where more is lost in a round trip than arrives, the window becomes what did
//! arrive. From there it grows by a quarter for each round trip until CUBIC's own window is reached again. A line on which
//! nothing arrives for a moment is no thin line, and bounds nothing.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// Packets that have to arrive for a line to be thin and not dead; and twice as many are never too many.
const ARRIVED: u64 = 4;
/// The bound grows by one part of this for each round trip.
const GROWTH: u64 = 4;
/// Nothing for so long, and the line was dead: what was lost meanwhile does not say how thin it is.
const DEAD: Duration = Duration::from_millis(400);
/// What is left of it after a round trip with a loss (as CUBIC).
const LEFT: (u64, u64) = (7, 10);

/// Makes [`Bounded`].
pub(crate) struct BoundedConfig {
    pub(crate) cubic: Arc<CubicConfig>,
}

impl ControllerFactory for BoundedConfig {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let inner = self.cubic.clone().build(now, mtu);
        Box::new(Bounded {
            inner,
            mtu: mtu.into(),
            round: Round::new(now, 0),
            bound: None,
            cut: now,
            heard: now,
        })
    }
}

/// CUBIC with a bound.
struct Bounded {
    inner: Box<dyn Controller>,
    mtu: u64,
    round: Round,
    bound: Option<u64>,
    /// When that was set or made less: what was sent before says nothing of it.
    cut: Instant,
    /// When something arrived last.
    heard: Instant,
}

/// What became of packets in one round trip, bytes.
#[derive(Clone, Copy)]
struct Round {
    began: Instant,
    arrived: u64,
    lost: u64,
    /// What arrived in the one before: the end of a burst is known to be lost only when something newer has arrived.
    before: u64,
}

impl Round {
    fn new(began: Instant, before: u64) -> Self {
        Self { began, arrived: 0, lost: 0, before }
    }
}

impl Bounded {
    /// A packet that was sent then has arrived.
    fn arrive(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool) {
        if now - std::mem::replace(&mut self.heard, now) > DEAD {
            (self.round, self.cut) = (Round::new(now, 0), now);
        } else if sent > self.round.began {
            self.round = Round::new(now, self.round.arrived);
        }
        self.round.arrived += bytes;
        if let Some(bound) = &mut self.bound
            && !app_limited
        {
            *bound += bytes / GROWTH;
            self.bound = self.bound.filter(|bound| *bound < self.inner.window());
        }
    }

    /// Some packets are lost, the last of which was sent then.
    fn lose(&mut self, now: Instant, sent: Instant, bytes: u64) {
        self.round.lost += bytes;
        if sent <= self.cut {
            return;
        }
        let Round { arrived, lost, before, .. } = self.round;
        let arrived = arrived.max(before);
        let least = 2 * ARRIVED * self.mtu;
        if lost > arrived && arrived >= ARRIVED * self.mtu {
            self.bound = Some(arrived.max(least));
        } else if let Some(bound) = &mut self.bound {
            *bound = (*bound * LEFT.0 / LEFT.1).max(least);
        } else {
            return;
        }
        self.cut = now;
        self.round = Round::new(now, 0);
    }
}

impl Controller for Bounded {
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
        self.arrive(now, sent, bytes, app_limited);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
        self.lose(now, sent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
        self.mtu = new_mtu.into();
    }

    fn window(&self) -> u64 {
        let window = self.inner.window();
        self.bound.map_or(window, |bound| bound.min(window))
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.inner.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let Self { mtu, round, bound, cut, heard, .. } = *self;
        Box::new(Self { inner: self.inner.clone_box(), mtu, round, bound, cut, heard })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1_400;
    const WINDOW: u64 = 256 << 10;

    fn controller(now: Instant) -> Bounded {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(WINDOW);
        let inner = Arc::new(cubic).build(now, MTU as u16);
        Bounded { inner, mtu: MTU, round: Round::new(now, 0), bound: None, cut: now, heard: now }
    }

    /// A round trip, of whose packets so many arrive; the time after it.
    fn round(bounded: &mut Bounded, sent: Instant, arrive: u64, lost: u64) -> Instant {
        let now = sent + Duration::from_millis(50);
        for _ in 0..arrive {
            bounded.arrive(now, sent, MTU, false);
        }
        if lost > 0 {
            bounded.on_congestion_event(now, sent, false, lost * MTU);
        }
        now + Duration::from_millis(1)
    }

    #[test]
    fn a_line_that_has_become_thin_gets_what_it_carries_at_once() {
        let start = Instant::now();
        let mut bounded = controller(start);
        let now = round(&mut bounded, start + Duration::from_millis(1), 20, 100);
        assert_eq!(bounded.window(), 20 * MTU);
        // It grows again, by a quarter each time.
        let now = round(&mut bounded, now, 20, 0);
        assert_eq!(bounded.window(), 25 * MTU);
        // A few that are lost cost it as much as CUBIC.
        let mut now = round(&mut bounded, now, 24, 1);
        assert!((20 * MTU..25 * MTU).contains(&bounded.window()), "{}", bounded.window());
        for _ in 0..20 {
            let packets = bounded.window() / MTU;
            now = round(&mut bounded, now, packets, 0);
        }
        assert_eq!(bounded.bound, None);
    }

    #[test]
    fn the_end_of_a_burst_may_be_known_to_be_lost_a_round_trip_later() {
        let start = Instant::now();
        let mut bounded = controller(start);
        let sent = start + Duration::from_millis(1);
        let now = round(&mut bounded, sent, 20, 2);
        assert_eq!(bounded.bound, None);
        // One that was sent again has arrived.
        bounded.arrive(now + Duration::from_millis(50), now, MTU, false);
        bounded.lose(now + Duration::from_millis(50), sent, 80 * MTU);
        assert_eq!(bounded.window(), 20 * MTU);
    }

    #[test]
    fn some_loss_or_a_line_that_is_dead_for_a_moment_is_left_to_cubic() {
        let start = Instant::now();
        for (arrive, lost) in [(100, 90), (3, 100), (0, 100)] {
            let mut bounded = controller(start);
            let sent = start + Duration::from_millis(1);
            round(&mut bounded, sent, arrive, lost);
            assert_eq!(bounded.bound, None, "{arrive} {lost}");
            assert!(bounded.window() >= WINDOW * 7 / 10);
        }
        // All that was sent in four seconds is known to be lost when the line is back.
        let mut bounded = controller(start);
        let sent = start + Duration::from_millis(1);
        let mut now = round(&mut bounded, sent, 20, 0);
        now += Duration::from_secs(4);
        round(&mut bounded, now, 5, 0);
        bounded.lose(now + Duration::from_millis(50), now, 100 * MTU);
        assert_eq!(bounded.bound, None);
    }
}
