//! The driver of a channel that is passed through: it tells the splicer what the time is.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::assemble::Outlet;
use crate::cancel::Cancel;
use crate::clock::{self, Clock};
use crate::config::Channel;
use crate::cut::{Cutter, Item};
use crate::recall::Recall;
use crate::slate::Wanted;
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
    /// Runs of the source.
    pub runs: &'a Receiver<Receiver<Vec<u8>>>,
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

impl Passer<'_> {
    /// Runs until cancelled.
    pub fn run(&self, splicer: &mut Splicer<'_>, cutter: &mut Cutter, outlet: &mut Outlet<'_>) {
        let lost_after = Duration::from_millis(self.channel.lost_after_ms.into());
        let paced = !self.channel.source.is_live();
        let mut run: Option<Receiver<Vec<u8>>> = None;
        let base = self.clock.base();
        let mut anchor =
            Anchor { at: self.clock.instant(base), media: base, skew: self.clock.skew() };
        let mut earliest = Earliest::new();
        let mut wanted = None;
        let mut kept = splicer.tracks();
        while !self.cancel.is_set() {
            splicer.not_before(self.clock.now());
            match self.receive(&mut run) {
                Some(Ok(bytes)) => splicer.push(&bytes),
                Some(Err(())) => {
                    splicer.end_run(paced);
                    // A file goes on with its next run; what is live may stay away.
                    if !paced && !splicer.on_slate() {
                        splicer.lose();
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
                    let due = self.clock.instant(unit.dts);
                    if paced && !self.cancel.sleep_until(due) {
                        return;
                    }
                    if unit.pid == lead {
                        let skew = if paced {
                            self.clock.skew()
                        } else {
                            earliest.of(clock::wall_micros() - clock::to_micros(unit.dts))
                        };
                        anchor = Anchor { at: Instant::now(), media: unit.dts, skew };
                        self.stats.set_source_up(true);
                        self.stats.pictures.fetch_add(1, Relaxed);
                    }
                }
                outlet.push(cutter, item, || anchor.skew);
            }
            if !splicer.on_slate() && anchor.at.elapsed() > lost_after {
                splicer.lose();
            }
            if splicer.on_slate() {
                self.stats.set_source_up(false);
                earliest = Earliest::new();
                let elapsed = i64::try_from(anchor.at.elapsed().as_micros()).unwrap_or(0);
                splicer.show(anchor.media + clock::from_micros(elapsed));
                for item in splicer.take() {
                    outlet.push(cutter, item, || anchor.skew);
                }
            }
        }
    }

    /// The next bytes; that a run has ended; or nothing for a beat.
    fn receive(&self, run: &mut Option<Receiver<Vec<u8>>>) -> Option<Result<Vec<u8>, ()>> {
        let Some(current) = run else {
            *run = self.runs.recv_timeout(BEAT).ok();
            return None;
        };
        match current.recv_timeout(BEAT) {
            Ok(bytes) => Some(Ok(bytes)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                *run = None;
                Some(Err(()))
            }
        }
    }
}
