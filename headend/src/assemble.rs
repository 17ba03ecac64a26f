//! From units to sealed-ready segments: order, cutting, capture times, numbers.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use segment::Cut;
use tokio::sync::mpsc;

use crate::clock::Skew;
use crate::cut::{Cutter, Item, Slice};
use crate::numbers::Numbers;
use crate::stats::{Output, Stats};
use crate::unit::Unit;

/// Where a channel's segments leave the media part.
#[derive(Debug)]
pub struct Outlet<'a> {
    /// The queue to the sealer.
    pub cuts: &'a mpsc::Sender<Cut>,
    /// Keeps the numbers; once for all renditions of a channel.
    pub numbers: Option<&'a mut Numbers>,
    /// The channel's figures.
    pub stats: &'a Stats,
    /// The rendition's figures.
    pub output: &'a Output,
    /// Media time against the wall clock.
    pub skew: Skew,
}

impl Outlet<'_> {
    /// Cuts what an item completes and sends it off. `skew`: where [`Skew`] should go. When the queue
    /// is full the segment is dropped: it would be late for everybody.
    pub fn push(&mut self, cutter: &mut Cutter, item: Item, skew: impl Fn() -> i64) {
        for slice in cutter.push(item) {
            if let Some(jump) = self.skew.steer(skew()) {
                tracing::warn!(jump_ms = jump / 1000, "capture time was set to the wall clock");
            }
            self.send(slice);
        }
    }

    fn send(&mut self, slice: Slice) {
        // Kept before it leaves: no number is ever used for two contents on purpose.
        if let Some(Err(error)) = self.numbers.as_mut().map(|n| n.record(slice.number)) {
            self.stats.set_trouble(Some(format!("segment number cannot be kept: {error}")));
        }
        let ms = (slice.end - slice.start + 45) / 90;
        let cut = Cut {
            number: slice.number,
            capture: self.skew.capture(slice.start),
            duration_ms: u16::try_from(ms).unwrap_or(u16::MAX),
            random_access: slice.random_access,
            ts: slice.ts.into(),
        };
        self.output.segments.fetch_add(1, Relaxed);
        self.output.bytes.fetch_add(cut.ts.len() as u64, Relaxed);
        if self.cuts.try_send(cut).is_err() {
            self.output.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// How far sound follows its picture in the stream, ticks: what an encoder of sound needs to deliver.
/// 60 ms. So nothing is waited for, and the order still depends on time stamps alone.
pub const BEHIND: i64 = 5_400;
/// How long one track waits for the other.
const PATIENCE: Duration = Duration::from_millis(500);

/// Two tracks in order of decoding time. Ends when both have ended.
pub fn interleave(video: &Receiver<Unit>, audio: &Receiver<Unit>, mut take: impl FnMut(Unit)) {
    let (mut picture, mut sound) = (None, None);
    let (mut picture_ended, mut sound_ended) = (false, false);
    loop {
        let until = Instant::now() + PATIENCE;
        fetch(video, &mut picture, &mut picture_ended, until);
        fetch(audio, &mut sound, &mut sound_ended, until);
        let first = match (&picture, &sound) {
            (Some(p), Some(s)) if s.dts + BEHIND < p.dts => sound.take(),
            (Some(_), _) => picture.take(),
            (None, _) => sound.take(),
        };
        match first {
            Some(unit) => take(unit),
            None if picture_ended && sound_ended => return,
            None => {}
        }
    }
}

fn fetch(from: &Receiver<Unit>, head: &mut Option<Unit>, ended: &mut bool, until: Instant) {
    if head.is_none() && !*ended {
        match from.recv_deadline(until) {
            Ok(unit) => *head = Some(unit),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => *ended = true,
        }
    }
}
