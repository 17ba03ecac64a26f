//! When the engine wants to be woken: one moment for each reason.

use crate::{Time, TimeoutReason};

const REASONS: [TimeoutReason; 7] = [
    TimeoutReason::Playout,
    TimeoutReason::Repair,
    TimeoutReason::Parents,
    TimeoutReason::Announce,
    TimeoutReason::Probe,
    TimeoutReason::Peers,
    TimeoutReason::Forget,
];

#[derive(Debug, Default)]
pub(super) struct Timers([Option<Time>; REASONS.len()]);

impl Timers {
    /// Wakes at `at`, whatever was set.
    pub(super) fn set(&mut self, reason: TimeoutReason, at: Time) {
        self.0[reason as usize] = Some(at);
    }

    /// Wakes at `at` or when it was set to before, whichever is first.
    pub(super) fn arm(&mut self, reason: TimeoutReason, at: Time) {
        let slot = &mut self.0[reason as usize];
        *slot = Some(slot.map_or(at, |set| set.min(at)));
    }

    /// Does not wake before `at`, if it is set to wake at all.
    pub(super) fn defer(&mut self, reason: TimeoutReason, at: Time) {
        let slot = &mut self.0[reason as usize];
        *slot = slot.map(|set| set.max(at));
    }

    pub(super) fn next(&self) -> Option<(Time, TimeoutReason)> {
        REASONS.iter().filter_map(|&reason| Some((self.0[reason as usize]?, reason))).min()
    }

    /// Takes out the earliest that is due at `now`.
    pub(super) fn take_due(&mut self, now: Time) -> Option<TimeoutReason> {
        let (at, reason) = self.next()?;
        (at <= now).then(|| {
            self.0[reason as usize] = None;
            reason
        })
    }
}
