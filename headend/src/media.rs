//! The media part of a channel: from its source to cut segments, on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use segment::Cut;
use tokio::sync::mpsc;

use crate::assemble::{Outlet, interleave};
use crate::cancel::Cancel;
use crate::clock::{Clock, Skew, millis};
use crate::conduct::Conductor;
use crate::config::{Channel, Mode};
use crate::cut::{Cutter, Item, Rule};
use crate::encode::{self, Encoder};
use crate::feed::feed;
use crate::numbers::Numbers;
use crate::pass::Passer;
use crate::pipeline::Error;
use crate::recall::Recall;
use crate::slate::{Maker, Wanted};
use crate::source;
use crate::splice::Splicer;
use crate::stats::Stats;
use crate::still;

/// Segments that may wait for the sealer: 4 s of the usual 250 ms. One that finds the queue full is
/// dropped and counted.
pub const QUEUE: usize = 16;
/// Buffers of a source that is passed through that may wait: a second of 10 Mbit/s in packets of
/// 1316 bytes. While it is full, a file waits, and what is live is held by the network's own buffers.
const STREAM_QUEUE: usize = 1024;
/// The longest pause before a failed channel begins anew.
const LONGEST: Duration = Duration::from_secs(10);

/// A running channel. Dropping it ends it.
#[derive(Debug)]
pub struct Media {
    /// Its segments, in order.
    pub cuts: mpsc::Receiver<Cut>,
    /// Its figures.
    pub stats: Arc<Stats>,
    cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Media {
    /// Starts a channel. Whatever fails in it is retried with a pause that doubles, and told by
    /// [`Stats`]. `state`: the folder where segment numbers are kept.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(channel: Channel, state: Option<PathBuf>) -> std::io::Result<Self> {
        let (cuts_in, cuts) = mpsc::channel(QUEUE);
        let stats = Arc::new(Stats::default());
        let cancel = Cancel::new();
        let part = Part {
            numbers: Numbers::open(state.as_deref(), &channel.id),
            recall: Recall::open(state.as_deref(), &channel.id),
            channel,
            cuts: cuts_in,
            stats: stats.clone(),
            cancel: cancel.clone(),
        };
        let span = tracing::info_span!("channel", id = %part.channel.id);
        let thread = thread::Builder::new()
            .name(format!("media {}", part.channel.id))
            .spawn(move || span.in_scope(|| part.run()))?;
        Ok(Self { cuts, stats, cancel, thread: Some(thread) })
    }

    /// Ends it; returns when its threads and pipelines are gone. Blocks for a moment.
    pub fn stop(&mut self) {
        self.cancel.set();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

struct Part {
    channel: Channel,
    numbers: Numbers,
    recall: Recall,
    cuts: mpsc::Sender<Cut>,
    stats: Arc<Stats>,
    cancel: Cancel,
}

impl Part {
    fn run(mut self) {
        if !still::can_write() {
            tracing::warn!("gstreamer has no textoverlay: pictures made here carry no text");
        }
        let mut pause = Duration::from_millis(250);
        while !self.cancel.is_set() {
            let began = Instant::now();
            let run = || match self.channel.mode {
                Mode::Encode => self.encoded(),
                Mode::PassThrough => self.passed_through(),
            };
            // GStreamer's bindings panic where an element is not what it is taken for; that is the end
            // of this run only. Nothing of it is used afterwards but the numbers, whole after each step.
            let run =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Error::Stalled("panicked")));
            let Err(error) = run else { break };
            tracing::error!(%error, again_in = ?pause, "channel failed");
            self.stats.set_source_up(false);
            self.stats.set_trouble(Some(error.to_string()));
            self.stats.restarts.fetch_add(1, Relaxed);
            if began.elapsed() > LONGEST {
                pause = Duration::from_millis(250);
            }
            self.cancel.sleep(pause);
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// One run of a channel that is encoded.
    fn encoded(&mut self) -> Result<(), Error> {
        let Self { channel, numbers, cuts, stats, .. } = self;
        let cancel = self.cancel.child();
        let segment = millis(channel.segment_ms);
        let slate = still::draw(&channel.video, &channel.name)?;
        let gop = channel.video.fps * channel.gop_ms / 1000;
        let multiple = u64::from(channel.gop_ms / channel.segment_ms);
        let clock = Clock::starting_at(numbers.first(segment, multiple), segment);
        let (video_in, video) = bounded(8);
        let (audio_in, audio) = bounded(32);
        let out = (video_in, audio_in);
        let encoder =
            Encoder::start(&channel.video, &channel.audio, gop, clock.base(), out, &cancel)?;
        tracing::info!(video = encoder.names.0, audio = encoder.names.1, "encoding");
        let (runs_in, runs) = bounded(1);
        let mut outlet = Outlet { cuts, numbers, stats, skew: Skew::new(clock.skew()) };
        let span = tracing::Span::current();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _in = span.enter();
                let decode = |sink| source::decode(channel, sink, &cancel);
                source::repeat(feed, decode, &runs_in, stats, &cancel);
            });
            scope.spawn(|| {
                let _in = span.enter();
                let mut cutter = Cutter::new(segment, Rule::Grid);
                cutter.push(Item::Tracks(encode::tracks()));
                interleave(&video, &audio, |unit| {
                    outlet.push(&mut cutter, Item::Unit(unit), || clock.skew());
                });
            });
            let conductor = Conductor {
                channel,
                clock,
                encoder: &encoder,
                slate,
                runs: &runs,
                stats,
                cancel: &cancel,
            };
            let result = conductor.run();
            cancel.set();
            // Closes the queues that the assembler reads.
            drop(encoder);
            result
        })
    }

    /// One run of a channel that is passed through.
    fn passed_through(&mut self) -> Result<(), Error> {
        let Self { channel, numbers, recall, cuts, stats, .. } = self;
        let stats = &*stats;
        let cancel = self.cancel.child();
        let segment = millis(channel.segment_ms);
        let maker = Maker::new(channel.video.clone(), channel.name.clone());
        maker.make(&Wanted::usual())?;
        let multiple = u64::from((1000 / channel.segment_ms).max(1));
        let clock = Clock::starting_at(numbers.first(segment, multiple), segment);
        let (runs_in, runs) = bounded(1);
        let (slates, wanted) = bounded::<Wanted>(4);
        let mut outlet = Outlet { cuts, numbers, stats, skew: Skew::new(clock.skew()) };
        let span = tracing::Span::current();
        let (channel, maker, recall, cancel) = (&*channel, &maker, &*recall, &cancel);
        thread::scope(|scope| {
            let in_source = span.clone();
            scope.spawn(move || {
                let _in = in_source.enter();
                let read = |out| source::stream(channel, out, cancel);
                source::repeat(|| bounded(STREAM_QUEUE), read, &runs_in, stats, cancel);
            });
            let in_slates = span.clone();
            scope.spawn(move || {
                let _in = in_slates.enter();
                for wanted in wanted {
                    if let Err(error) = maker.make(&wanted) {
                        tracing::warn!(%error, "no slate in the source's codecs");
                    }
                }
            });
            let mut splicer = Splicer::new(maker, segment, clock.base());
            if let Some(map) = recall.load() {
                splicer.expect(&map);
            }
            let mut cutter = Cutter::new(segment, Rule::Window);
            let (runs, slates_in) = (&runs, &slates);
            let passer = Passer { channel, clock, runs, slates: slates_in, recall, stats, cancel };
            passer.run(&mut splicer, &mut cutter, &mut outlet);
            cancel.set();
            // Ends the maker of slates.
            drop(slates);
            Ok(())
        })
    }
}
