//! The driver of a channel that is passed through: it tells the splicer what the time is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::assemble::Outlet;
use crate::cancel::Cancel;
use crate::clock::{self, Clock};
use crate::config::{Channel, Source};
use crate::cut::{Cutter, Item};
use crate::recall::Recall;
use crate::slate::Wanted;
use crate::source::choose::Chooser;
use crate::source::{Chunk, Lane};
use crate::splice::Splicer;
use crate::stats::Stats;

/// How often the slate is carried on.
const BEAT: Duration = Duration::from_millis(20);

/// Everything that one such channel needs.
#[derive(Debug)]
pub struct Passer<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// Its media time.
    pub clock: Clock,
    /// Its sources, the most wanted first.
    pub lanes: &'a [Lane<Receiver<Chunk>>],
    /// Slates to be made.
    pub slates: &'a Sender<Wanted>,
    /// Keeps the source's tracks.
    pub recall: &'a Recall,
    /// Its figures.
    pub stats: &'a Arc<Stats>,
    /// Asks for the end.
    pub cancel: &'a Cancel,
}

/// How media time lay against the machine's clock when the source last spoke.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    media: i64,
    /// Wall clock less media time, microseconds.
    skew: i64,
}

impl Anchor {
    /// Media time now.
    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.at.elapsed().as_micros()).unwrap_or(0);
        self.media + clock::from_micros(elapsed)
    }

    /// When media time is so much.
    fn when(&self, media: i64) -> Instant {
        let ahead = clock::to_micros((media - self.media).max(0));
        self.at + Duration::from_micros(ahead.unsigned_abs())
    }
}

/// The earliest that pictures come against their media time, over the last seconds: what delays some
/// of them on the way (a burst, a busy machine) is left out.
#[derive(Debug)]
struct Earliest {
    since: Instant,
    now: i64,
    before: i64,
}

/// How long one of the two halves of [`Earliest`] is collected.
const HALF: Duration = Duration::from_secs(5);

impl Earliest {
    fn new() -> Self {
        Self { since: Instant::now(), now: i64::MAX, before: i64::MAX }
    }

    fn of(&mut self, skew: i64) -> i64 {
        if self.since.elapsed() > HALF {
            *self = Self { before: self.now, ..Self::new() };
        }
        self.now = self.now.min(skew);
        self.now.min(self.before)
    }
}

/// Units of a file that are due within this part of a segment go out together: waking for each would cost more than the work
/// on it. A segment is whole only after it has begun, however early in its window it is cut.
const BEATS: i64 = 4;

/// When a unit of a file goes out, of segments of so many ticks: with the first of its part of a segment, so up to that much
/// early.
fn beat(dts: i64, segment: i64) -> i64 {
    let every = (segment / BEATS).max(1);
    dts.div_euclid(every) * every
}

/// The run of one source, and what of it goes out first.
#[derive(Debug, Default)]
struct Run {
    chunks: Option<Receiver<Chunk>>,
    backlog: VecDeque<Chunk>,
}

/// When the units of a run go out.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// As they come.
    Free,
    /// On the channel's clock.
    Clock,
    /// As the media time went on before this run took over: it may have been taken from a moment ago.
    After(Anchor),
}

/// What the source before may have left open without the slate in between.
const GAP: Duration = Duration::from_millis(200);
/// How much longer a source is waited for if another could take over.
const RELIEF: Duration = Duration::from_millis(300);

impl Passer<'_> {
    /// Runs until cancelled.
    pub fn run(&self, splicer: &mut Splicer<'_>, cutter: &mut Cutter, outlet: &mut Outlet<'_>) {
        let lost_after = Duration::from_millis(self.channel.lost_after_ms.into());
        let mut runs: Vec<Run> = self.lanes.iter().map(|_| Run::default()).collect();
        let mut chooser = Chooser::new(self.channel);
        let mut pace = self.usual(0);
        splicer.end_run_before(false, self.channel.source.programme());
        let base = self.clock.base();
        let mut anchor =
            Anchor { at: self.clock.instant(base), media: base, skew: self.clock.skew() };
        let mut earliest = Earliest::new();
        let mut wanted = None;
        let mut kept = splicer.tracks();
        let segment = clock::millis(self.channel.segment_ms);
        while !self.cancel.is_set() {
            splicer.not_before(self.clock.now());
            self.stand_by(&mut runs, chooser.active());
            if let Some(index) = chooser.look(Instant::now(), &self.stats.sources) {
                self.stats.turned();
                let tables = splicer.tracks().is_empty();
                pace = if tables { self.usual(index) } else { Pace::After(anchor) };
                self.turn(&mut runs[index], index, splicer, anchor);
            }
            let index = chooser.active();
            let live = self.lanes[index].health.is_live();
            match self.receive(&mut runs[index], &self.lanes[index]) {
                Some(Ok(chunk)) => splicer.push(&chunk.bytes),
                Some(Err(())) => {
                    splicer.end_run(!live);
                    // A file goes on with its next run; what is live may stay away.
                    if live && !splicer.on_slate() && !self.stats.has_relief() {
                        splicer.lose();
                    }
                    if live {
                        pace = Pace::Free;
                    }
                }
                None => {}
            }
            let tracks = splicer.tracks();
            let now = Wanted::of(&tracks);
            if now.is_some() && now != wanted {
                wanted = now;
                // A full queue is asked again when codecs change again.
                let _ = wanted.clone().map(|wanted| self.slates.try_send(wanted));
            }
            if tracks != kept {
                self.recall.save(&tracks);
                kept = tracks;
            }
            let from_source = !splicer.on_slate();
            let lead = splicer.lead_pid();
            for item in splicer.take() {
                if let (Item::Unit(unit), true) = (&item, from_source) {
                    let due = match pace {
                        Pace::Free => None,
                        Pace::Clock => Some(self.clock.instant(beat(unit.dts, segment))),
                        Pace::After(anchor) => Some(anchor.when(unit.dts)),
                    };
                    if due.is_some_and(|due| !self.cancel.sleep_until(due)) {
                        return;
                    }
                    if unit.pid == lead {
                        let skew = match pace {
                            Pace::Clock => self.clock.skew(),
                            _ => earliest.of(clock::wall_micros() - clock::to_micros(unit.dts)),
                        };
                        let at = match pace {
                            Pace::Clock => self.clock.instant(unit.dts),
                            _ => Instant::now(),
                        };
                        anchor = Anchor { at, media: unit.dts, skew };
                        self.stats.set_source_up(true);
                        self.stats.pictures.fetch_add(1, Relaxed);
                    }
                }
                outlet.push(cutter, item, || anchor.skew);
            }
            let patience = if self.stats.has_relief() { lost_after + RELIEF } else { lost_after };
            if !splicer.on_slate() && anchor.at.elapsed() > patience {
                splicer.lose();
            }
            if splicer.on_slate() {
                self.stats.set_source_up(false);
                earliest = Earliest::new();
                splicer.show(anchor.now());
                for item in splicer.take() {
                    outlet.push(cutter, item, || anchor.skew);
                }
            }
        }
    }

    /// The pace of a source with which nothing came before.
    fn usual(&self, index: usize) -> Pace {
        let live = self.lanes.get(index).is_none_or(|lane| lane.health.is_live());
        if live { Pace::Free } else { Pace::Clock }
    }

    /// Takes the newest run of each source that stands by.
    fn stand_by(&self, runs: &mut [Run], active: usize) {
        for (index, (lane, run)) in self.lanes.iter().zip(runs).enumerate() {
            if index != active {
                run.backlog.clear();
                lane.runs.try_iter().for_each(|chunks| run.chunks = Some(chunks));
            }
        }
    }

    /// Another source takes over: from its last random access point that leaves no gap behind what went out; without
    /// such a one from its next, and the slate until then.
    fn turn(&self, run: &mut Run, index: usize, splicer: &mut Splicer<'_>, anchor: Anchor) {
        let live = self.lanes.get(index).is_none_or(|lane| lane.health.is_live());
        let programme = self.channel.sources().nth(index).and_then(Source::programme);
        splicer.end_run_before(false, programme);
        let open = clock::to_micros((anchor.now() - splicer.next()).max(0));
        let open = Duration::from_micros(open.unsigned_abs());
        let since = Instant::now().checked_sub(open).unwrap_or(anchor.at);
        let mut waiting: VecDeque<_> = run.chunks.iter().flat_map(Receiver::try_iter).collect();
        if live {
            let before = waiting.iter().rposition(|chunk| chunk.entry && chunk.at <= since);
            let entry = before.or_else(|| waiting.iter().position(|chunk| chunk.entry));
            let at = entry.and_then(|entry| waiting.get(entry)).map(|chunk| chunk.at);
            if at.is_none_or(|at| at.saturating_duration_since(since) > GAP) {
                splicer.lose();
            }
            for chunk in waiting.drain(..entry.unwrap_or(waiting.len())) {
                splicer.prime(&chunk.bytes);
            }
        }
        run.backlog = waiting;
    }

    /// The next bytes; that a run has ended; or nothing for a beat.
    fn receive(&self, run: &mut Run, lane: &Lane<Receiver<Chunk>>) -> Option<Result<Chunk, ()>> {
        if let Some(chunk) = run.backlog.pop_front() {
            return Some(Ok(chunk));
        }
        let Some(chunks) = &run.chunks else {
            run.chunks = lane.runs.recv_timeout(BEAT).ok();
            return None;
        };
        match chunks.recv_timeout(BEAT) {
            Ok(chunk) => Some(Ok(chunk)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                run.chunks = None;
                Some(Err(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_together_goes_out_together_and_never_late() {
        let segment = clock::millis(250);
        let due = 7 * segment..11 * segment;
        assert!(due.clone().all(|dts| (0..segment / 4).contains(&(dts - beat(dts, segment)))));
        let mut beats: Vec<_> = due.map(|dts| beat(dts, segment)).collect();
        beats.dedup();
        assert_eq!(beats.len(), 16);
        assert!(
            (7..11).all(|number| beats.contains(&(number * segment))),
            "a segment's end waits for nothing"
        );
    }
}
