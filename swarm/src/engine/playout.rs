//! Playing: capture time + the channel's delay on the platform's clock, the same moment for all viewers.

use std::time::Duration;

use segment::LayerSet;

use super::Engine;
use crate::{Cause, Output, Time, TimeoutReason};

/// How long a start may catch up with the playout point before what is missing is skipped.
const CATCH_UP: Duration = Duration::from_millis(1500);

/// What is due so soon after a start began may still be on its way in the burst.
const CATCHING: Duration = Duration::from_millis(500);

/// Where a viewer is in the channel.
#[derive(Debug, Default)]
pub(super) struct Playout {
    /// The next segment to give out; none before the first.
    pub(super) next: Option<u64>,
    /// When playing began.
    began: Time,
    /// Since when the picture is frozen because nothing newer is known.
    frozen: Option<Time>,
    /// Whether the last segment could not be played whole.
    stalled: bool,
    /// Capture and end of the one playing, microseconds since 1970.
    playing: Option<u64>,
}

impl Engine {
    /// Gives out all that is due, in order.
    pub(super) fn play(&mut self) {
        if !self.is_viewer() || self.clock.is_none() {
            return;
        }
        if self.playout.next.is_none() {
            self.begin();
        }
        while let Some(number) = self.playout.next {
            if let Some((first, last)) = self.window.gap
                && (first..=last).contains(&number)
            {
                self.skip_gap(number, last.saturating_add(1));
                continue;
            }
            let Some(due) = self.due(number) else { return };
            if self.now < due {
                self.timers.set(TimeoutReason::Playout, due);
                return;
            }
            let rebuilt = self.window.get(number).map(|slot| (slot.rebuilt(), slot.needs_parity()));
            match rebuilt {
                Some((layers, parity)) if layers.full => self.give(number, layers, parity, due),
                _ if self.catching_up(due) => return,
                Some((layers, _)) if layers.essential => self.give(number, layers, true, due),
                None if self.window.newest().is_none_or(|newest| newest < number) => {
                    self.playout.frozen.get_or_insert(due);
                    return;
                }
                _ => self.miss(number),
            }
        }
    }

    /// Whether a start still waits for a segment that was due before it began, or right then.
    fn catching_up(&mut self, due: Time) -> bool {
        let until = self.playout.began + CATCH_UP;
        let waits = self.now < until && due <= self.playout.began + CATCHING;
        if waits {
            self.timers.set(TimeoutReason::Playout, until);
        }
        waits
    }

    /// Begins with the latest random access point at or before the playout point. One after it can wait until it is due:
    /// an earlier one may still be on its way.
    fn begin(&mut self) {
        let Some(platform) = self.platform() else { return };
        let point = platform.saturating_sub(self.config.playout_delay.as_micros() as u64);
        let whole =
            self.window.iter().filter(|(_, slot)| slot.random_access && slot.rebuilt().full);
        let (before, after): (Vec<_>, Vec<_>) =
            whole.map(|(number, slot)| (number, slot.capture)).partition(|&(_, at)| at <= point);
        if let Some(&(first, _)) = before.last() {
            self.playout.next = Some(first);
            self.playout.began = self.now;
        } else if let Some(due) = after.first().and_then(|&(number, _)| self.due(number)) {
            self.timers.set(TimeoutReason::Playout, due);
        }
    }

    fn give(&mut self, number: u64, layers: LayerSet, parity: bool, due: Time) {
        self.counters.played += 1;
        if layers.full {
            self.counters.rebuilt += u64::from(parity);
            if self.thawed(number) {
                self.playout.stalled = false;
            }
        } else {
            self.stall(number, self.config.segment);
        }
        self.out.push_back(Output::Play { number, layers, due });
        self.playout.playing = self.window.capture_of(number);
        self.playout.next = Some(number.saturating_add(1));
    }

    /// A picture that was frozen goes on; a frozen moment counts as a stall even if nothing was skipped.
    fn thawed(&mut self, number: u64) -> bool {
        if let Some(since) = self.playout.frozen.take() {
            let frozen = self.now.since(since);
            self.stall(number, frozen);
        }
        true
    }

    fn miss(&mut self, number: u64) {
        self.playout.frozen = None;
        let cause = self.cause(number);
        self.stall(number, self.config.segment);
        self.counters.lost += 1;
        self.out.push_back(Output::Miss { number, cause });
        self.playout.next = Some(number.saturating_add(1));
    }

    /// Notes time that could not be played whole; a run of it is one stall.
    fn stall(&mut self, number: u64, time: Duration) {
        let cause = self.cause(number);
        self.stall_for(cause, time);
    }

    fn stall_for(&mut self, cause: Cause, time: Duration) {
        self.counters.stalled += time;
        if !self.playout.stalled {
            self.playout.stalled = true;
            self.counters.stalls += 1;
            *self.counters.stall_causes.entry(cause).or_default() += 1;
        }
    }

    /// The source made nothing between: playing goes on after it.
    fn skip_gap(&mut self, from: u64, next: u64) {
        let segments = (next - from).min(u64::from(u32::MAX)) as u32;
        self.playout.frozen = None;
        self.stall_for(Cause::SourceGap, self.config.segment.saturating_mul(segments));
        self.playout.next = Some(next);
    }

    /// Capture to playout now, and how far what plays is behind the newest segment.
    pub(super) fn playing_at(&self, now: Time) -> (Duration, Duration) {
        let Some((playing, clock)) = self.playout.playing.zip(self.clock) else {
            return (Duration::ZERO, Duration::ZERO);
        };
        let platform = now.0.saturating_add_signed(clock);
        let delay = self.config.playout_delay.as_micros() as u64;
        let end = playing.saturating_add(self.config.segment.as_micros() as u64);
        let position = platform.saturating_sub(delay).min(end);
        let newest = self.window.newest_capture().unwrap_or(playing);
        (
            Duration::from_micros(platform.saturating_sub(position)),
            Duration::from_micros(newest.saturating_sub(playing)),
        )
    }

    /// Milliseconds from capture to arrival here, for the newest segment.
    pub(super) fn lag_ms(&self) -> u32 {
        let seen = self.window.newest_capture().zip(self.window.edge_at());
        let Some(((capture, at), clock)) = seen.zip(self.clock) else { return 0 };
        (at.0.saturating_add_signed(clock).saturating_sub(capture) / 1000).min(60_000) as u32
    }
}
