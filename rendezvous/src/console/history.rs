//! The last half hour of a few figures.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use swarm::Time;

use crate::map::Summary;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// Samples that are kept: half an hour.
const KEPT: usize = 180;

/// A moment.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Sample {
    pub(super) viewers: f64,
    pub(super) offload: f64,
    pub(super) stalls: f64,
    pub(super) lag_ms: f64,
    pub(super) startup_ms: f64,
}

/// The last half hour.
#[derive(Default)]
pub struct History {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    samples: VecDeque<Sample>,
    last: Option<Time>,
    stalls: u64,
}

impl History {
    /// Looks at the swarms, if it is time to.
    pub fn look(&self, now: Time, swarms: impl FnOnce() -> Vec<Summary>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.last.is_some_and(|last| now.since(last) < EVERY) {
            return;
        }
        let swarms = swarms();
        let total = Total::of(&swarms);
        let new = total.stalls.saturating_sub(inner.stalls);
        let first = inner.last.is_none();
        inner.stalls = total.stalls;
        inner.last = Some(now);
        inner.samples.push_back(Sample {
            viewers: total.viewers as f64,
            offload: total.offload.unwrap_or_default(),
            stalls: if first { 0.0 } else { new as f64 },
            lag_ms: f64::from(total.lag_ms.unwrap_or_default()),
            startup_ms: f64::from(total.startup_ms.unwrap_or_default()),
        });
        if inner.samples.len() > KEPT {
            inner.samples.pop_front();
        }
    }

    pub(super) fn of(&self, what: impl Fn(&Sample) -> f64) -> Vec<f64> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.samples.iter().map(what).collect()
    }

    /// Stalls of the last five minutes.
    pub(super) fn stalls(&self) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.samples.iter().rev().take(30).map(|sample| sample.stalls as u64).sum()
    }
}

/// All swarms together.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Total {
    pub(super) viewers: u64,
    pub(super) repeaters: u64,
    pub(super) stalls: u64,
    pub(super) received: crate::map::ByRole,
    pub(super) offload: Option<f64>,
    pub(super) lag_ms: Option<u32>,
    pub(super) startup_ms: Option<u32>,
}

impl Total {
    /// Medians and offload are weighted by viewers.
    pub(super) fn of(swarms: &[Summary]) -> Self {
        let mut total = Self::default();
        for swarm in swarms {
            total.viewers += swarm.nodes.viewer;
            // Renditions of one channel have the same repeaters.
            total.repeaters = total.repeaters.max(swarm.nodes.repeater);
            total.stalls += swarm.stalls;
            total.received.headend += swarm.received.headend;
            total.received.repeater += swarm.received.repeater;
            total.received.viewer += swarm.received.viewer;
        }
        let mean = |value: &dyn Fn(&Summary) -> Option<f64>| -> Option<f64> {
            let (mut sum, mut weight) = (0.0, 0.0);
            for swarm in swarms {
                if let Some(value) = value(swarm) {
                    sum += value * swarm.nodes.viewer as f64;
                    weight += swarm.nodes.viewer as f64;
                }
            }
            (weight > 0.0).then(|| sum / weight)
        };
        total.offload = mean(&|swarm| swarm.offload);
        total.lag_ms = mean(&|swarm| swarm.lag_ms.map(f64::from)).map(|ms| ms as u32);
        total.startup_ms = mean(&|swarm| swarm.startup_ms.map(f64::from)).map(|ms| ms as u32);
        total
    }
}
