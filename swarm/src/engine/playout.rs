//! Playing: capture time + the channel's delay on the platform's clock, the same moment for all viewers.

use std::time::Duration;

use segment::LayerSet;

use super::Engine;
use crate::{Cause, Output, Time, TimeoutReason};

/// How long a start may catch up with the playout point before what is missing is skipped.
const CATCH_UP: Duration = Duration::from_millis(1500);

/// A start that has taken so long does with a run that has holes.
const GIVEN_UP: Duration = Duration::from_secs(3);

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
    /// Up to when frozen time was counted: what comes late after it, one by one, was late for the same time.
    thawed: Time,
    /// Whether the last segment could not be played whole.
    stalled: bool,
    /// Capture and end of the one playing, microseconds since 1970.
    playing: Option<u64>,
}

impl Playout {
    /// Begins with this segment.
    pub(super) fn begin_at(&mut self, number: u64, now: Time) {
        (self.next, self.began) = (Some(number), now);
    }
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
                    let since = due.max(self.playout.thawed);
                    self.playout.frozen.get_or_insert(since);
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

    /// Begins at the latest random access point from which all is whole up to the playout point; or at one after it, as soon
    /// as that is due.
    fn begin(&mut self) {
        let Some(platform) = self.platform() else { return };
        let point = platform.saturating_sub(self.config.playout_delay.as_micros() as u64);
        let mut first = None;
        let mut broken = None;
        let mut before = None;
        let mut after = None;
        for (number, slot) in self.window.iter() {
            if slot.capture > point {
                let begins = slot.random_access && slot.rebuilt().full;
                after = after.or(begins.then_some(number));
                continue;
            }
            // A segment that is not there breaks the run, as one does that is not whole.
            let unbroken = slot.rebuilt().full && before.is_none_or(|before| before + 1 == number);
            before = Some(number);
            if slot.random_access && slot.rebuilt().full {
                broken = Some(number);
            }
            first = match slot.rebuilt().full {
                true if slot.random_access => Some(number),
                true if unbroken => first,
                _ => None,
            };
        }
        // What plays now may be the last one before the point, or not be known yet.
        let covered =
            before.and_then(|last| self.window.capture_of(last + 1)).is_some_and(|end| end > point);
        // What nobody has is not waited for.
        let patient = self.now.since(self.began) < GIVEN_UP;
        let broken = broken.filter(|_| !patient);
        if let Some(first) = first.filter(|_| covered).or(broken) {
            self.playout.begin_at(first, self.now);
            self.counters.startup = Some(self.now.since(self.began));
        } else if let Some(due) = after.and_then(|number| self.due(number)) {
            self.timers.set(TimeoutReason::Playout, due);
        }
    }

    fn give(&mut self, number: u64, layers: LayerSet, parity: bool, due: Time) {
        self.counters.played += 1;
        // Who was told where to begin has only begun now.
        self.counters.startup.get_or_insert(self.now.since(self.began));
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
            self.playout.thawed = self.now;
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

    /// For how long the picture has been frozen that has not gone on yet, and whether that is a stall of its own. It is
    /// counted while it lasts; its cause is known when it is over.
    pub(super) fn frozen(&self, now: Time) -> (Duration, bool) {
        let frozen = self.playout.frozen.map_or(Duration::ZERO, |since| now.since(since));
        (frozen, !frozen.is_zero() && !self.playout.stalled)
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

    /// Milliseconds from capture to arrival here: the mean of the newest segments.
    pub(super) fn lag_ms(&self) -> u32 {
        self.lag.map_or(0, |us| (us / 1000) as u32)
    }

    /// Notes how long after its capture a segment newer than all before began to come: a moving mean, for a single one says
    /// little.
    pub(super) fn note_lag(&mut self) {
        let seen = self.window.newest_capture().zip(self.window.edge_at());
        let Some(((capture, at), clock)) = seen.zip(self.clock) else { return };
        let lag = at.0.saturating_add_signed(clock).saturating_sub(capture).min(60_000_000);
        self.lag = Some(self.lag.map_or(lag, |mean| (mean * 7 + lag) / 8));
    }
}
