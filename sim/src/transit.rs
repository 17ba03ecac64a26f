//! The ways between autonomous systems: each system has one out and one in, with a queue in front.
//!
//! Nodes of all threads send over them, so they are reckoned as a fluid: what was offered within a window is summed, which
//! gives the same in any order, and delays what is offered two windows later.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::setting::STEP;

/// Steps of a window: 10 ms.
const WINDOW: u64 = 10;
/// A queue holds so many windows of its way's capacity (100 ms); what is more is lost.
const BUFFER: u64 = 10;

/// Out and in, of every system.
type Ways = Vec<[AtomicU64; 2]>;

/// See the module.
pub(crate) struct Transit {
    /// Bytes that a way carries in a window.
    carries: u64,
    /// Bytes offered, by window.
    offered: [Ways; 4],
    /// How long a queue takes (microseconds) and below it the share that is lost (millionths), by window.
    state: [Ways; 2],
    queues: Mutex<Vec<[u64; 2]>>,
}

/// What befalls a shard on its way from one system to another.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Crossing {
    /// Microseconds that it waits.
    pub(crate) waits: u64,
    /// Share of packets that are lost.
    pub(crate) lost: f64,
}

impl Transit {
    /// Ways of `capacity` bits per second for so many systems.
    pub(crate) fn new(systems: u32, capacity: u64) -> Self {
        let ways = || (0..systems).map(|_| Default::default()).collect::<Ways>();
        Self {
            carries: (capacity * STEP * WINDOW / 8_000_000).max(1),
            offered: [ways(), ways(), ways(), ways()],
            state: [ways(), ways()],
            queues: Mutex::new(vec![[0; 2]; systems as usize]),
        }
    }

    /// Sends `bytes` from one system to another; numbers that are none of the systems have no limit.
    pub(crate) fn cross(&self, now: u64, from: u32, to: u32, bytes: u32) -> Crossing {
        let window = now / STEP / WINDOW;
        let (offered, state) =
            (&self.offered[(window % 4) as usize], &self.state[(window % 2) as usize]);
        let mut crossing = Crossing::default();
        for (system, way) in [(from, 0), (to, 1)] {
            let place = (system as usize).wrapping_sub(1);
            let Some((offered, state)) = offered.get(place).zip(state.get(place)) else { continue };
            offered[way].fetch_add(bytes.into(), Ordering::Relaxed);
            let state = state[way].load(Ordering::Relaxed);
            crossing.waits += state >> 32;
            let lost = (state & 0xffff_ffff) as f64 / 1e6;
            crossing.lost = 1.0 - (1.0 - crossing.lost) * (1.0 - lost);
        }
        crossing
    }

    /// To be called by one thread in each step: reckons, while a window goes on, with what was offered in the one before.
    pub(crate) fn step(&self, step: u64) {
        let window = step / WINDOW;
        if step % WINDOW != WINDOW - 1 || window == 0 {
            return;
        }
        let offered = &self.offered[((window - 1) % 4) as usize];
        let state = &self.state[((window + 1) % 2) as usize];
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for (queue, (offered, state)) in queues.iter_mut().zip(offered.iter().zip(state)) {
            for way in 0..2 {
                let came = offered[way].swap(0, Ordering::Relaxed);
                let waits = (queue[way] + came).saturating_sub(self.carries);
                queue[way] = waits.min(self.carries * BUFFER);
                let lost = (waits - queue[way]) * 1_000_000 / came.max(1);
                let micros = queue[way] * STEP * WINDOW / self.carries;
                state[way].store(micros << 32 | lost.min(1_000_000), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers `rate` bits per second for a second; gives the last crossing.
    fn after_a_second(transit: &Transit, rate: u64) -> Crossing {
        let mut last = Crossing::default();
        for step in 0..1_000 {
            last = transit.cross(step * STEP, 1, 2, (rate / 8_000) as u32);
            transit.step(step);
        }
        last
    }

    #[test]
    fn below_capacity_nothing_waits() {
        assert_eq!(after_a_second(&Transit::new(2, 80_000_000), 72_000_000), Crossing::default());
    }

    #[test]
    fn above_it_queues_fill_and_the_rest_is_lost() {
        let Crossing { waits, lost } = after_a_second(&Transit::new(2, 80_000_000), 160_000_000);
        // The way out of one and the way into the other.
        assert_eq!(waits, 200_000);
        assert!((0.74..0.76).contains(&lost), "{lost}");
    }

    #[test]
    fn the_operator_has_no_limit() {
        let transit = Transit::new(2, 1_000_000);
        for step in 0..1_000 {
            let crossing = transit.cross(step * STEP, 64_500, 64_501, 1_000_000);
            assert_eq!(crossing, Crossing::default());
            transit.step(step);
        }
    }
}
