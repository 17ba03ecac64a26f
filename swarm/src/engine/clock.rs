//! The platform's clock as the node knows it, and what is due when.

use super::Engine;
use crate::Time;

impl Engine {
    pub(super) fn clock(&mut self, offset: i64) {
        self.clock = Some(offset);
        self.maybe_start();
        self.play();
    }

    /// Now on the platform's clock, microseconds since 1970.
    pub(super) fn platform(&self) -> Option<u64> {
        Some(self.now.0.saturating_add_signed(self.clock?))
    }

    /// A moment on the platform's clock as the node's.
    pub(super) fn local(&self, platform: u64) -> Option<Time> {
        Some(Time(platform.saturating_add_signed(self.clock?.checked_neg()?)))
    }

    /// The newest segment that there can be if somebody says that it is `told`: by the newest that was proven, and the time
    /// since its capture.
    pub(super) fn believable(&self, told: u64) -> u64 {
        let proven = self.window.newest().zip(self.window.newest_capture()).zip(self.platform());
        let Some(((newest, capture), platform)) = proven else { return told };
        let segment = (self.config.segment.as_micros() as u64).max(1);
        told.min(newest.saturating_add(platform.saturating_sub(capture) / segment))
    }

    /// The newest segment that is likely to have been made, if `next` is to be played within the channel's delay: numbers
    /// are segments since 1970.
    pub(super) fn newest_from(&self, next: u64) -> u64 {
        let segment = (self.config.segment.as_micros() as u64).max(1);
        let delay = self.config.playout_delay.as_micros() as u64 / segment;
        let made = self.platform().map_or(next, |platform| (platform / segment).saturating_sub(1));
        made.clamp(next, next.saturating_add(delay))
    }

    /// When a segment is due to be played, on the node's clock.
    pub(super) fn due(&self, number: u64) -> Option<Time> {
        let capture = self.window.capture_of(number)?;
        self.local(capture.saturating_add(self.config.playout_delay.as_micros() as u64))
    }

    /// When a segment is of no more use to players: when it is due, else the delay after it was first seen.
    pub(super) fn deadline(&self, number: u64) -> Time {
        self.due(number).unwrap_or_else(|| {
            let seen = self.window.get(number).map_or(self.now, |slot| slot.first);
            seen + self.config.playout_delay
        })
    }
}
