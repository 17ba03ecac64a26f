//! A run: regions step by step, rendezvous, and samples for the curves.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::Duration;

use crate::How;
use crate::audit::{self, Audit};
use crate::event::Mail;
use crate::histogram::round;
use crate::post::{Ask, Post};
use crate::region::Region;
use crate::rendezvous::Rendezvous;
use crate::scenario::Scenario;
use crate::setting::{STEP, Setting};
use crate::tally::{Lately, Tally, micros};
use crate::transit::Transit;

/// One point of the report's curves.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Sample {
    /// Virtual seconds.
    pub at: f64,
    /// Viewers present.
    pub viewers: u32,
    /// Viewers that came since the sample before.
    pub joins: u64,
    /// Start times of those who started since then, milliseconds: median and 95th percentile.
    pub startup_ms: [f64; 2],
    /// Capture to the K-th shard since then, milliseconds: median and 99th percentile.
    pub arrival_lag_ms: [f64; 2],
    /// Bytes to viewers since then, by sender: headend, repeaters, viewers.
    pub bytes: [u64; 3],
    /// Share of the bytes between viewers that stayed in their system.
    pub same_as_share: f64,
    /// Share of the viewing time since then that was stalled.
    pub stalled_share: f64,
}

/// What a run gives.
pub(crate) struct Outcome {
    pub(crate) setting: Arc<Setting>,
    /// How far it got, virtual microseconds.
    pub(crate) end: u64,
    pub(crate) tally: Tally,
    pub(crate) samples: Vec<Sample>,
    pub(crate) audit: Audit,
    /// What engines took, over all threads, if it was measured.
    pub(crate) engines: Duration,
}

/// How far a run is, for who waits.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Virtual seconds done.
    pub done: f64,
    /// Of so many.
    pub of: f64,
    /// Viewers present.
    pub viewers: u32,
    /// Events handled.
    pub events: u64,
}

/// Runs a scenario; the outcome does not depend on the number of threads.
pub(crate) fn run(
    scenario: Scenario,
    seed: u64,
    how: How,
    progress: &mut dyn FnMut(Progress),
) -> Outcome {
    let setting = Arc::new(Setting::new(scenario, seed));
    let threads = how.threads.clamp(1, 64);
    let capacity = setting.scenario.transit.capacity;
    let systems = setting.scenario.places.systems;
    let transit = capacity.map(|rate| Arc::new(Transit::new(systems, rate.bits_per_second())));
    let region = |region| {
        let post = Post::new(&setting, transit.clone(), region, threads, how);
        Region::new(post, region, threads)
    };
    let regions: Vec<Region<'_>> = (0..threads).map(region).collect();
    let rendezvous = Rendezvous::new(setting.clone());
    let mut world = World {
        setting: &setting,
        regions,
        rendezvous,
        transit,
        samples: Vec::new(),
        audit: Audit::default(),
        before: [0; 2],
    };
    let steps = setting.end / STEP;
    let every = (micros(setting.scenario.sample.get()) / STEP).max(1);
    let mut step = 0;
    while step < steps && !how.stop.is_some_and(|stop| stop.load(Relaxed)) {
        // Short stretches, so that whoever waits sees it move.
        let until = (step + 1_000_000 / STEP).min(steps).min((step / every + 1) * every);
        world.stretch(step, until);
        step = until;
        if step.is_multiple_of(every) || step == steps {
            world.sample(step * STEP);
        }
        progress(world.progress(step * STEP));
    }
    let end = step * STEP;
    let (tally, samples, audit, engines) = world.finish(end);
    Outcome { setting, end, tally, samples, audit, engines }
}

struct World<'a> {
    setting: &'a Setting,
    regions: Vec<Region<'a>>,
    rendezvous: Rendezvous,
    transit: Option<Arc<Transit>>,
    samples: Vec<Sample>,
    audit: Audit,
    /// Microseconds stalled and watched until the sample before.
    before: [u64; 2],
}

impl World<'_> {
    fn stretch(&mut self, from: u64, until: u64) {
        if let [region] = &mut self.regions[..] {
            for step in from..until {
                region.step(step);
                self.rendezvous.step(step);
                self.transit.iter().for_each(|transit| transit.step(step));
                region.post.asks.drain(..).for_each(|ask| self.rendezvous.take(ask));
                self.rendezvous.out.drain(..).for_each(|mail| region.post.receive(mail));
            }
        } else {
            let common = (&mut self.rendezvous, self.transit.as_deref());
            together(self.setting, &mut self.regions, common, from..until);
        }
    }

    fn progress(&self, now: u64) -> Progress {
        Progress {
            done: now as f64 / 1e6,
            of: self.setting.end as f64 / 1e6,
            viewers: self.viewers(),
            events: self.regions.iter().map(|region| region.post.tally.events).sum(),
        }
    }

    fn viewers(&self) -> u32 {
        self.regions.iter().map(|region| region.viewers).sum()
    }

    fn sample(&mut self, now: u64) {
        let mut lately = Lately::default();
        let [mut stalled, mut watched] = [0; 2];
        let mut viewers = 0;
        for region in &mut self.regions {
            lately.merge(&std::mem::take(&mut region.post.tally.lately));
            for record in &region.post.tally.viewers {
                stalled += record.stalled();
                watched += record.watched();
            }
            for (_, node) in region.nodes().filter(|(_, node)| node.is_viewer()) {
                let [s, w] = node.stalled(self.setting, now);
                stalled += s;
                watched += w;
                viewers += 1;
            }
        }
        let nodes = self.regions.iter().flat_map(Region::nodes);
        audit::look(self.setting, nodes, now, &mut self.audit);
        let [stalled_before, watched_before] =
            std::mem::replace(&mut self.before, [stalled, watched]);
        let ms = |histogram: &crate::histogram::Histogram, share| {
            round(histogram.quantile(share) as f64 / 1000.0)
        };
        self.samples.push(Sample {
            at: now as f64 / 1e6,
            viewers,
            joins: lately.joins,
            startup_ms: [0.5, 0.95].map(|share| ms(&lately.starts, share)),
            arrival_lag_ms: [0.5, 0.99].map(|share| ms(&lately.lag, share)),
            bytes: lately.bytes,
            same_as_share: share(lately.between[1], lately.between[0]),
            stalled_share: share(
                stalled.saturating_sub(stalled_before),
                watched.saturating_sub(watched_before),
            ),
        });
    }

    fn finish(mut self, now: u64) -> (Tally, Vec<Sample>, Audit, Duration) {
        let mut tally = Tally::new(self.setting.scenario.places.systems);
        let mut engines = Duration::ZERO;
        for region in &mut self.regions {
            engines += region.post.watch.sum;
            tally.merge(region.finish(now));
        }
        // In an order that does not depend on the regions.
        tally.viewers.sort_by_key(|record| (record.node, record.joined));
        tally.servers.sort_by_key(|record| (record.node, record.joined));
        (tally, self.samples, self.audit, engines)
    }
}

/// A part of a whole, 0 if there is nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { round(part as f64 / whole as f64) }
}

/// Mail between threads: what was written in odd steps, and in even ones.
struct Boxes {
    mail: Vec<[Mutex<Vec<Mail>>; 2]>,
    asks: [Mutex<Vec<Ask>>; 2],
}

fn open<T>(lock: &Mutex<Vec<T>>) -> std::sync::MutexGuard<'_, Vec<T>> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread for each region. What is written in a step is read after it, before the next: nothing is nearer than that.
fn together(
    setting: &Setting,
    regions: &mut [Region<'_>],
    (rendezvous, transit): (&mut Rendezvous, Option<&Transit>),
    steps: Range<u64>,
) {
    let threads = regions.len() as u32;
    let boxes = Boxes {
        mail: regions.iter().map(|_| Default::default()).collect(),
        asks: Default::default(),
    };
    let barrier = Barrier::new(regions.len());
    let mut rendezvous = Some(rendezvous);
    std::thread::scope(|scope| {
        for (me, region) in regions.iter_mut().enumerate() {
            let (boxes, barrier) = (&boxes, &barrier);
            let mut rendezvous = rendezvous.take();
            let steps = steps.clone();
            scope.spawn(move || {
                for step in steps {
                    let side = (step % 2) as usize;
                    region.step(step);
                    for (mail, to) in region.post.out.iter_mut().zip(&boxes.mail) {
                        if !mail.is_empty() {
                            open(&to[side]).append(mail);
                        }
                    }
                    if !region.post.asks.is_empty() {
                        open(&boxes.asks[side]).append(&mut region.post.asks);
                    }
                    if let Some(rendezvous) = &mut rendezvous {
                        rendezvous.step(step);
                        transit.iter().for_each(|transit| transit.step(step));
                        for mail in rendezvous.out.drain(..) {
                            let to = setting.region(mail.event.to, threads);
                            open(&boxes.mail[to as usize][side]).push(mail);
                        }
                    }
                    barrier.wait();
                    open(&boxes.mail[me][side])
                        .drain(..)
                        .for_each(|mail| region.post.receive(mail));
                    if let Some(rendezvous) = &mut rendezvous {
                        open(&boxes.asks[side]).drain(..).for_each(|ask| rendezvous.take(ask));
                    }
                }
            });
        }
    });
}
