//! How one source of a channel fares, as its own thread sees it: shared with whoever chooses among sources.

use std::sync::Mutex;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8};
use std::time::{Duration, Instant};

pub use link::protocol::SourceState as State;

use crate::config::{Channel, Mode, Source};
use crate::ts::eit::Event;

/// After how long something is wrong; none: never.
#[derive(Clone, Copy, Debug)]
struct Limits {
    lost: Duration,
    frozen: Option<Duration>,
    black: Option<Duration>,
    silent: Option<Duration>,
}

/// The longest time between two pictures that are looked at, where not all are.
const SPARSE: Duration = Duration::from_secs(12);

/// A moment that threads share: milliseconds after a start, or never.
#[derive(Debug)]
struct Moment(AtomicI64);

impl Moment {
    fn never() -> Self {
        Self(AtomicI64::new(-1))
    }

    fn set(&self, ms: i64) {
        self.0.store(ms, Release);
    }

    fn get(&self) -> Option<i64> {
        Some(self.0.load(Acquire)).filter(|ms| *ms >= 0)
    }
}

/// Figures of one source. Written by its thread, read by anyone.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    live: bool,
    /// Whether only some of its pictures are looked at.
    sparse: bool,
    limits: Limits,
    active: AtomicBool,
    /// Its place in [`State::ALL`].
    state: AtomicU8,
    data: Moment,
    picture: Moment,
    moved: Moment,
    bright: Moment,
    sound: Moment,
    loud: Moment,
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
    /// What it says is on, now and next.
    on: Mutex<Vec<Event>>,
}

impl Health {
    /// Of a source of this channel. Nothing has come yet.
    pub fn new(channel: &Channel, source: &Source) -> Self {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let some = |after: u32| Some(ms(after)).filter(|after| !after.is_zero());
        let failover = &channel.failover;
        let limits = Limits {
            lost: ms(channel.lost_after_ms),
            frozen: some(failover.frozen_after_ms),
            black: some(failover.black_after_ms),
            silent: some(failover.silent_after_ms),
        };
        Self {
            start: Instant::now(),
            live: source.is_live(),
            sparse: channel.mode == Mode::PassThrough,
            limits,
            active: AtomicBool::new(false),
            state: AtomicU8::new(0),
            data: Moment::never(),
            picture: Moment::never(),
            moved: Moment::never(),
            bright: Moment::never(),
            sound: Moment::never(),
            loud: Moment::never(),
            trouble: Mutex::default(),
            troubled: AtomicBool::new(false),
            on: Mutex::default(),
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether it runs in its own time.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether anyone wants to know of frozen and black pictures and of silence.
    pub fn looks(&self) -> bool {
        let Limits { frozen, black, silent, .. } = self.limits;
        frozen.is_some() || black.is_some() || silent.is_some()
    }

    /// Whether the channel plays it now. One that is live and not played is received and let go of; one that is not
    /// live waits.
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Says whether the channel plays it.
    pub fn set_active(&self, active: bool) {
        let was = self.active.swap(active, Relaxed);
        if active && !was && !self.live {
            // While it waited, nothing moved.
            let now = self.now();
            for moment in [&self.moved, &self.bright, &self.loud] {
                if moment.get().is_some() {
                    moment.set(now);
                }
            }
        }
    }

    /// Something came.
    pub fn touch(&self) {
        self.data.set(self.now());
        if self.troubled.swap(false, Relaxed) {
            *self.lock() = None;
        }
    }

    /// A picture came. `moved`: it differs from the one that was there; `bright`: it is not black.
    pub fn picture(&self, moved: bool, bright: bool) {
        let now = self.now();
        let first = self.picture.get().is_none();
        if moved || first {
            self.moved.set(now);
        }
        if bright || first {
            self.bright.set(now);
        }
        // Last: who judges meanwhile must not take it for one that did not move.
        self.picture.set(now);
    }

    /// Sound came. `loud`: not silence.
    pub fn sound(&self, loud: bool) {
        let now = self.now();
        let first = self.sound.get().is_none();
        self.sound.set(now);
        if loud || first {
            self.loud.set(now);
        }
    }

    /// A run of it is over; what is live is gone until something comes again.
    pub fn ended(&self) {
        if self.live {
            self.data.set(-1);
        }
    }

    /// What it is good for now.
    pub fn judge(&self) -> State {
        let state = self.judge_at(self.now());
        self.state.store(state as u8, Relaxed);
        state
    }

    /// As [`judge`](Self::judge) found last.
    pub fn state(&self) -> State {
        State::ALL.get(usize::from(self.state.load(Relaxed))).copied().unwrap_or(State::Gone)
    }

    fn judge_at(&self, now: i64) -> State {
        let past = |moment: &Moment, after: Duration| {
            let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            moment.get().is_some_and(|at| now - at > after)
        };
        let gone = match self.data.get() {
            None => true,
            Some(_) if self.live => past(&self.data, self.limits.lost),
            // It may wait for room.
            Some(_) => self.troubled.load(Relaxed),
        };
        if gone {
            return State::Gone;
        }
        if !self.live && !self.is_active() {
            return State::Fit;
        }
        let stale =
            |last: &Moment, limit: Option<Duration>| limit.is_some_and(|after| past(last, after));
        // Between two pictures that are looked at nobody knows; none at all is as good as a frozen one.
        let unseen = |last: &Moment, limit: Option<Duration>| {
            let seen = self.picture.get().unwrap_or(now);
            let since = |at: i64| Duration::from_millis((seen - at).max(0).unsigned_abs());
            let long = |after| last.get().is_some_and(|at| since(at) > after);
            limit.is_some_and(|after| long(after) || past(last, after + SPARSE))
        };
        let stale_picture = |last: &Moment, limit: Option<Duration>| {
            if self.sparse { unseen(last, limit) } else { stale(last, limit) }
        };
        if stale_picture(&self.bright, self.limits.black) {
            State::Black
        } else if stale_picture(&self.moved, self.limits.frozen) {
            State::Frozen
        } else if stale(&self.loud, self.limits.silent) {
            State::Silent
        } else {
            State::Fit
        }
    }

    /// Notes why it is away.
    pub fn set_trouble(&self, why: String) {
        *self.lock() = Some(why);
        self.troubled.store(true, Relaxed);
    }

    /// Why it is away, if it said so.
    pub fn trouble(&self) -> Option<String> {
        self.lock().clone()
    }

    /// It says that this is on, now and next.
    pub fn set_on(&self, events: Vec<Event>) {
        *self.on.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = events;
    }

    /// What it said last is on, now and next.
    pub fn on(&self) -> Vec<Event> {
        self.on.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srt() -> Source {
        Source::Udp { address: ([127, 0, 0, 1], 5000).into(), interface: None }
    }

    #[test]
    fn what_is_wrong_is_named_and_time_heals_nothing() {
        let mut channel = Channel::default();
        channel.failover.silent_after_ms = 0;
        let health = Health::new(&channel, &srt());
        assert_eq!(health.judge_at(0), State::Gone);
        health.touch();
        health.picture(true, true);
        health.sound(false);
        let now = health.now();
        assert_eq!(health.judge_at(now), State::Fit);
        assert_eq!(health.judge_at(now + 1_100), State::Gone);
        health.data.set(now + 60_000);
        assert_eq!(health.judge_at(now + 60_000), State::Black);
        health.bright.set(now + 60_000);
        assert_eq!(health.judge_at(now + 60_000), State::Frozen);
        health.moved.set(now + 60_000);
        assert_eq!(health.judge_at(now + 60_000), State::Fit, "silence is not looked at");
        health.ended();
        assert_eq!(health.judge_at(now + 60_000), State::Gone);
    }

    #[test]
    fn between_the_few_pictures_that_are_looked_at_nothing_is_frozen() {
        let channel = Channel { mode: Mode::PassThrough, ..Channel::default() };
        let health = Health::new(&channel, &srt());
        let at = |moment: &Moment, ms| moment.set(ms);
        at(&health.data, 60_000);
        for moment in [&health.picture, &health.moved, &health.bright] {
            at(moment, 40_000);
        }
        assert_eq!(health.judge_at(52_000), State::Fit, "the next was not seen yet");
        at(&health.data, 63_000);
        assert_eq!(health.judge_at(63_000), State::Black, "none comes any more");
        at(&health.picture, 51_000);
        at(&health.bright, 51_000);
        assert_eq!(health.judge_at(52_000), State::Frozen, "one was seen, and nothing moved");
    }

    #[test]
    fn a_file_that_waits_is_fit_and_one_that_fails_is_gone_until_something_comes() {
        let source = Source::File { path: "x".into() };
        let health = Health::new(&Channel::default(), &source);
        assert_eq!(health.judge_at(0), State::Gone);
        health.touch();
        health.picture(true, false);
        health.ended();
        assert_eq!(health.judge_at(3_600_000), State::Fit);
        health.set_active(true);
        assert_eq!(health.judge_at(health.now() + 9_000), State::Fit);
        assert_eq!(health.judge_at(health.now() + 11_000), State::Black);
        health.set_trouble("no such file".into());
        assert_eq!(health.judge_at(health.now()), State::Gone);
        health.touch();
        assert_eq!(health.trouble(), None);
        assert_eq!(health.judge_at(health.now()), State::Fit);
    }
}
