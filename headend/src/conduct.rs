//! The conductor of an encoded channel: one picture at each beat, from the source or from the slate.
//!
//! The encoder sees pictures and sound without a gap whatever the source does, so the output is one
//! stream with random access points where they should be. A run of a source is laid on the timeline
//! with its first picture; what comes after stays where its own time stamps put it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use gstreamer as gst;

use crate::cancel::Cancel;
use crate::clock::{Clock, HZ};
use crate::config::Channel;
use crate::encode::{Encoder, RATE};
use crate::feed::{Feed, Picture, Sound};
use crate::pipeline::Error;
use crate::source::Lane;
use crate::source::choose::Chooser;
use crate::stats::Stats;

/// How long sound may be behind its picture before silence takes its place.
const SOUND_PATIENCE: Duration = Duration::from_millis(300);
/// Sound that is off by less stays as it is: 20 ms, below what an ear notices against a picture.
const SOUND_TOLERANCE: i64 = RATE as i64 / 50;
/// After so much without a picture in its place, time stamps have jumped. Nanoseconds.
const ASTRAY: i64 = 2_000_000_000;
/// How often sources are judged while one is waited for.
const SLICE: Duration = Duration::from_millis(50);
/// How much longer a source is waited for if another could take over: the slate is not shown in between.
const RELIEF: Duration = Duration::from_millis(300);
/// An encoder so far behind will not catch up.
const HOPELESS: Duration = Duration::from_secs(4);

/// Keeps the beat of one channel.
#[derive(Debug)]
pub struct Conductor<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// Its media time.
    pub clock: Clock,
    /// Where pictures and sound go: one for each rendition.
    pub encoders: &'a [Encoder],
    /// What is shown when there is nothing.
    pub slate: gst::Buffer,
    /// Its sources, the most wanted first.
    pub lanes: &'a [Lane<Feed>],
    /// Its figures.
    pub stats: &'a Arc<Stats>,
    /// Asks for the end.
    pub cancel: &'a Cancel,
}

/// A run on the timeline.
#[derive(Debug)]
struct Run {
    feed: Feed,
    /// Nanoseconds from the run's time to media time since its base.
    offset: Option<i64>,
    next: Option<Picture>,
    sounds: VecDeque<Sound>,
    sound_is_late: bool,
    /// Whether it ever had a picture.
    seen: bool,
    /// Pictures in a row, or beats, at which none was in its place.
    astray: u32,
}

/// What the source has for a beat.
enum Beat {
    Picture(gst::Buffer),
    /// It has sound only.
    Radio,
    /// Its next picture is for a later beat.
    Later,
    /// Nothing came in time.
    Nothing,
    Ended,
}

impl Run {
    fn new(feed: Feed) -> Self {
        Self {
            feed,
            offset: None,
            next: None,
            sounds: VecDeque::new(),
            sound_is_late: false,
            seen: false,
            astray: 0,
        }
    }

    /// The source takes over at `at`: what waited for its turn is let go of but for the newest.
    fn take_over(&mut self, at: i64) {
        let mut waiting: Vec<_> = self.next.take().into_iter().collect();
        waiting.extend(self.feed.pictures.try_iter());
        self.sounds.extend(self.feed.sounds.try_iter());
        (self.offset, self.astray, self.sound_is_late) = (None, 0, false);
        if let Some(newest) = waiting.pop() {
            self.offset = Some(at - newest.at);
            self.next = Some(newest);
        } else {
            // Sound alone: its newest, too.
            self.sounds.drain(..self.sounds.len().saturating_sub(4));
        }
    }

    /// The picture for the beat at `at`, which lasts `step` (nanoseconds).
    fn picture(&mut self, at: i64, step: i64, until: Instant) -> Beat {
        loop {
            if self.next.is_none() {
                self.next = match self.feed.pictures.recv_deadline(until) {
                    Ok(picture) => Some(picture),
                    Err(RecvTimeoutError::Timeout) => return Beat::Nothing,
                    Err(RecvTimeoutError::Disconnected) => return self.without_picture(at, until),
                };
            }
            let Some(picture) = self.next.take() else { continue };
            let offset = *self.offset.get_or_insert(at - picture.at);
            let due = picture.at + offset;
            let early = due >= at + step / 2;
            let late = due < at - step / 2;
            self.astray = if early || late { self.astray + 1 } else { 0 };
            if self.astray as i64 * step > ASTRAY {
                // Its time stamps jumped: lay it on the timeline anew.
                self.offset = Some(at - picture.at);
                self.astray = 0;
            } else if late {
                continue;
            } else if early {
                self.next = Some(picture);
                return Beat::Later;
            }
            self.seen = true;
            return Beat::Picture(picture.buffer);
        }
    }

    /// No pictures are left: the end, unless sound goes on alone.
    fn without_picture(&mut self, at: i64, until: Instant) -> Beat {
        if self.sounds.is_empty() {
            match self.feed.sounds.recv_deadline(until) {
                Ok(sound) => self.sounds.push_back(sound),
                Err(RecvTimeoutError::Timeout) => return Beat::Nothing,
                Err(RecvTimeoutError::Disconnected) => return Beat::Ended,
            }
        }
        if let (None, Some(first)) = (self.offset, self.sounds.front()) {
            self.offset = Some(at - first.at);
        }
        if self.seen { Beat::Later } else { Beat::Radio }
    }

    /// Sound from sample `from` up to `to` of media time, if the run has it.
    fn sound(&mut self, from: i64, to: i64, out: &mut Vec<u8>) {
        let Some(offset) = self.offset else { return };
        let mut at = from;
        let patience = if self.sound_is_late { Duration::ZERO } else { SOUND_PATIENCE };
        let until = Instant::now() + patience;
        while at < to {
            if self.sounds.is_empty() {
                match self.feed.sounds.recv_deadline(until) {
                    Ok(sound) => {
                        self.sound_is_late = false;
                        self.sounds.push_back(sound);
                    }
                    Err(error) => {
                        self.sound_is_late |= error == RecvTimeoutError::Timeout;
                        return;
                    }
                }
            }
            let Some(sound) = self.sounds.front_mut() else { return };
            let start = samples(sound.at + offset);
            let end = start + sound.samples.len() as i64 / 4;
            if end <= at - SOUND_TOLERANCE || sound.samples.is_empty() {
                self.sounds.pop_front();
                continue;
            }
            if start >= to + SOUND_TOLERANCE {
                return;
            }
            if start > at + SOUND_TOLERANCE {
                let gap = (start.min(to) - at).unsigned_abs() as usize;
                out.resize(out.len() + gap * 4, 0);
                at += gap as i64;
                continue;
            }
            let skip = if start < at - SOUND_TOLERANCE { (at - start).unsigned_abs() } else { 0 };
            let skip = (skip as usize * 4).min(sound.samples.len());
            let room = (to - at).unsigned_abs() as usize * 4;
            let take = room.min(sound.samples.len() - skip);
            out.extend(&sound.samples[skip..skip + take]);
            at += take as i64 / 4;
            sound.samples.drain(..skip + take);
            sound.at += i64::try_from((skip + take) as u64 / 4 * 1_000_000_000 / u64::from(RATE))
                .unwrap_or(0);
            if sound.samples.is_empty() {
                self.sounds.pop_front();
            }
        }
    }
}

/// Nanoseconds to samples, to the nearest.
fn samples(ns: i64) -> i64 {
    let rate = i128::from(RATE);
    ((i128::from(ns) * rate + 500_000_000).div_euclid(1_000_000_000)) as i64
}

impl Conductor<'_> {
    /// Runs until cancelled.
    ///
    /// # Errors
    /// If the encoder fails or is far too slow.
    pub fn run(&self) -> Result<(), Error> {
        let fps = i64::from(self.channel.video.fps.max(1));
        let lost_after = Duration::from_millis(self.channel.lost_after_ms.into());
        let mut runs: Vec<Option<Run>> = self.lanes.iter().map(|_| None).collect();
        let mut chooser = Chooser::new(self.channel);
        let mut shown = self.slate.clone();
        let mut on_slate = true;
        let mut sample = 0i64;
        for index in 0i64.. {
            let beat = self.clock.instant(self.clock.base() + index * HZ / fps);
            if !self.cancel.sleep_until(beat) {
                break;
            }
            let lag = beat.elapsed();
            self.stats.lag_us.store(i64::try_from(lag.as_micros()).unwrap_or(i64::MAX), Relaxed);
            if lag > HOPELESS + lost_after {
                return Err(Error::Stalled("the encoder cannot keep up"));
            }
            let at = index * 1_000_000_000 / fps;
            let step = 1_000_000_000 / fps;
            // While the slate is on nothing is waited for; else as long as a source may pause.
            let wait = if on_slate { Duration::ZERO } else { lost_after.saturating_sub(lag / 2) };
            // One that could take over does so just when the other is found to be gone.
            let relief = !on_slate && self.stats.has_relief();
            let wait = if relief { wait + RELIEF } else { wait };
            let until = Instant::now() + wait;
            let beat = self.next(&mut runs, &mut chooser, at, step, until);
            match beat {
                Beat::Picture(picture) => {
                    shown = picture;
                    on_slate = false;
                }
                Beat::Later => {}
                Beat::Radio => {
                    shown = self.slate.clone();
                    on_slate = false;
                }
                Beat::Nothing | Beat::Ended => {
                    shown = self.slate.clone();
                    on_slate = true;
                }
            }
            self.stats.set_source_up(!on_slate);
            for encoder in self.encoders {
                encoder.picture(&shown, index.unsigned_abs())?;
            }
            let to = (index + 1) * i64::from(RATE) / fps;
            let mut sound = Vec::with_capacity((to - sample).unsigned_abs() as usize * 4);
            if let Some(Some(run)) = runs.get_mut(chooser.active()) {
                run.sound(sample, to, &mut sound);
            }
            sound.resize((to - sample).unsigned_abs() as usize * 4, 0);
            for encoder in self.encoders {
                encoder.sound(sound.clone(), sample.unsigned_abs())?;
            }
            sample = to;
            self.stats.pictures.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// What to show at a beat, from the run of the source that plays or, if it has ended, from one that follows; from
    /// another source if that one is no good.
    fn next(
        &self,
        runs: &mut [Option<Run>],
        chooser: &mut Chooser,
        at: i64,
        step: i64,
        until: Instant,
    ) -> Beat {
        loop {
            let turned = chooser.look(Instant::now(), &self.stats.sources);
            for (index, (lane, run)) in self.lanes.iter().zip(&mut *runs).enumerate() {
                // A run that follows means that the one before has ended; what plays goes on to its end.
                if index != chooser.active() || run.is_none() {
                    lane.runs.try_iter().for_each(|feed| *run = Some(Run::new(feed)));
                }
            }
            let index = chooser.active();
            let (Some(run), Some(lane)) = (runs.get_mut(index), self.lanes.get(index)) else {
                return Beat::Nothing;
            };
            if turned.is_some() {
                self.stats.turned();
                if let (Some(run), true) = (run.as_mut(), lane.health.is_live()) {
                    // As of now: while the one before was waited for, beats were missed.
                    let now = crate::clock::to_micros(self.clock.now() - self.clock.base()) * 1000;
                    run.take_over(now.max(at));
                }
            }
            let slice = until.min(Instant::now() + SLICE);
            let beat = match run {
                Some(current) => current.picture(at, step, slice),
                None => match lane.runs.recv_deadline(slice) {
                    Ok(feed) => {
                        *run = Some(Run::new(feed));
                        continue;
                    }
                    Err(_) => Beat::Nothing,
                },
            };
            match beat {
                Beat::Ended => *run = None,
                Beat::Nothing if Instant::now() < until => {}
                beat => return beat,
            }
            if self.cancel.is_set() {
                return Beat::Nothing;
            }
        }
    }
}
