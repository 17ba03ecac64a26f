//! The output timeline: 90 kHz ticks since 1970, and how it lies against the clocks of the machine.
//!
//! Media time is what segment numbers and time stamps follow. It starts at the wall clock and then
//! advances by counting; [`Skew`] says how far the wall clock is from it by now.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ticks in a second (ISO/IEC 13818-1, the unit of PTS and DTS).
pub const HZ: i64 = 90_000;

/// Ticks in this many milliseconds.
pub const fn millis(ms: u32) -> i64 {
    ms as i64 * 90
}

/// Microseconds to ticks, rounded down.
pub const fn from_micros(us: i64) -> i64 {
    us * 9 / 100
}

/// Ticks to microseconds, rounded down.
pub const fn to_micros(ticks: i64) -> i64 {
    ticks * 100 / 9
}

/// Nanoseconds to ticks, rounded to the nearest.
pub const fn from_nanos(ns: i64) -> i64 {
    (ns * 9 + 50_000).div_euclid(100_000)
}

/// Microseconds since 1970 on this machine's clock.
pub fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// How long after the wall clock's grid the segments of this channel begin, less than a segment of so many ticks: those of
/// many channels would else all be sent at the same moment. The same after every start.
pub fn phase(channel: &str, segment: i64) -> Duration {
    let mut hasher = DefaultHasher::new();
    channel.hash(&mut hasher);
    Duration::from_micros(hasher.finish() % to_micros(segment).unsigned_abs().max(1))
}

/// Where a channel's media time begins, tied to a clock that never steps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: i64,
    at: Instant,
}

impl Clock {
    /// Media time starts with segment `first` of `segment` ticks, `phase` after the moment when the wall clock shows its
    /// beginning, or now if that moment has passed or is far ahead.
    pub fn starting_at(first: u64, segment: i64, phase: Duration) -> Self {
        let base = i64::try_from(first).unwrap_or(i64::MAX / HZ).saturating_mul(segment);
        let phase = i64::try_from(phase.as_micros()).unwrap_or(0);
        let ahead = to_micros(base) + phase - wall_micros();
        // A number kept from before a clock was set back may lie hours ahead: do not wait for it.
        let wait = if (0..2_000_000).contains(&ahead) { ahead.unsigned_abs() } else { 0 };
        Self { base, at: Instant::now() + Duration::from_micros(wait) }
    }

    /// The first tick.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// Media time now; before [`base`](Self::base) if it has not begun.
    pub fn now(&self) -> i64 {
        let now = Instant::now();
        let elapsed = match now.checked_duration_since(self.at) {
            Some(late) => i64::try_from(late.as_micros()).unwrap_or(i64::MAX / HZ),
            None => -i64::try_from((self.at - now).as_micros()).unwrap_or(0),
        };
        self.base + from_micros(elapsed)
    }

    /// When media time will be `ticks`.
    pub fn instant(&self, ticks: i64) -> Instant {
        let us = to_micros(ticks - self.base);
        if us >= 0 {
            self.at + Duration::from_micros(us.unsigned_abs())
        } else {
            self.at.checked_sub(Duration::from_micros(us.unsigned_abs())).unwrap_or(self.at)
        }
    }

    /// Microseconds to add to media time to get the wall clock, as of now.
    pub fn skew(&self) -> i64 {
        wall_micros() - to_micros(self.now())
    }
}

/// The distance from media time to the wall clock, followed slowly: capture times drift with a
/// source's clock but hardly ever jump.
#[derive(Clone, Copy, Debug)]
pub struct Skew {
    us: i64,
}

/// The most that one step of [`Skew::steer`] moves, microseconds: 0.4 % at four segments a second,
/// far more than any quartz drifts.
const STEP: i64 = 1_000;
/// Pictures that come so much later than their capture time says would miss their playout: the
/// capture time jumps. Microseconds.
const JUMP: i64 = 500_000;
/// Pictures that come early do no harm, so only a clock that was set back makes it jump back.
const JUMP_BACK: i64 = -2_000_000;

impl Skew {
    /// Starts at this distance, microseconds.
    pub fn new(us: i64) -> Self {
        Self { us }
    }

    /// Moves towards `target`, once a segment. Returns the jump if it was too far to drift there.
    pub fn steer(&mut self, target: i64) -> Option<i64> {
        let distance = target - self.us;
        if !(JUMP_BACK..=JUMP).contains(&distance) {
            self.us = target;
            return Some(distance);
        }
        self.us += distance.clamp(-STEP, STEP);
        None
    }

    /// The capture time of the picture at `ticks` of media time, microseconds since 1970.
    pub fn capture(&self, ticks: i64) -> u64 {
        u64::try_from(to_micros(ticks) + self.us).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_nanoseconds_agree_at_whole_frames() {
        for frame in 0..10_000i64 {
            assert_eq!(from_nanos(frame * 1_000_000_000 / 24), frame * 3750);
        }
    }

    #[test]
    fn drift_is_followed_a_millisecond_at_a_time_and_a_set_clock_at_once() {
        let mut skew = Skew::new(0);
        assert_eq!(skew.steer(100_000), None);
        assert_eq!(skew.capture(HZ), 1_001_000);
        assert_eq!(skew.steer(-1_000_000), None, "early pictures make no jump");
        assert_eq!(skew.capture(HZ), 1_000_000);
        assert_eq!(skew.steer(600_000), Some(600_000));
        assert_eq!(skew.steer(-3_600_000_000), Some(-3_600_600_000));
    }

    #[test]
    fn channels_begin_all_over_a_segment() {
        let segment = millis(250);
        let mut at = [0; 5];
        for channel in 0..200 {
            let phase = phase(&format!("channel-{channel}"), segment);
            assert_eq!(phase, super::phase(&format!("channel-{channel}"), segment));
            at[(phase.as_micros() / 50_000) as usize] += 1;
        }
        assert!(at.iter().all(|count| (20..80).contains(count)), "{at:?}");
    }

    #[test]
    fn a_clock_begins_at_its_first_segment() {
        let segment = millis(250);
        let now = u64::try_from(from_micros(wall_micros()) / segment).unwrap();
        let clock = Clock::starting_at(now + 4, segment, Duration::ZERO);
        assert!(clock.now() < clock.base(), "the first segment lies ahead");
        assert!(clock.skew().abs() < 1_000, "media time is wall time");
        let later = Clock::starting_at(now + 4, segment, Duration::from_millis(125));
        assert!((later.skew() - 125_000).abs() < 1_000, "wall time is ahead by the phase");
        let kept = Clock::starting_at(now + 1_000_000, segment, Duration::ZERO);
        assert!(kept.now() >= kept.base(), "a number far ahead is not waited for");
    }
}
