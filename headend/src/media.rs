//! The media part of a channel: from its source to cut segments, on threads of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use segment::Cut;
use service::config::SecretText;
use tokio::sync::mpsc;

use crate::assemble::{Outlet, interleave};
use crate::cancel::Cancel;
use crate::clock::{self, Clock, Skew, millis};
use crate::conduct::Conductor;
use crate::config::{Channel, Mode, Source};
use crate::cut::{Cutter, Item, Rule};
use crate::encode::{self, Encoder, Making};
use crate::feed::feed;
use crate::numbers::Numbers;
use crate::pass::Passer;
use crate::pipeline::Error;
use crate::recall::Recall;
use crate::slate::{Maker, Wanted};
use crate::source::health::Health;
use crate::source::{self, Lane};
use crate::splice::Splicer;
use crate::stats::Stats;
use crate::still;

/// Segments that may wait for the sealer: 4 s of the usual 250 ms. One that finds the queue full is
/// dropped and counted.
pub const QUEUE: usize = 16;
/// Buffers of a live source that is passed through that may wait: four seconds of 10 Mbit/s in packets of
/// 1316 bytes, so that a source that stands by has a random access point among them. While it is full,
/// what is live and plays is held by the network's own buffers.
const STREAM_QUEUE: usize = 4096;
/// Those of a file, which waits itself: 2 MiB at most.
const FILE_QUEUE: usize = 32;
/// The longest pause before a failed channel begins anew.
const LONGEST: Duration = Duration::from_secs(10);

/// A running channel. Dropping it ends it.
#[derive(Debug)]
pub struct Media {
    /// The segments of its first rendition, in order.
    pub cuts: mpsc::Receiver<Cut>,
    /// Those of the others, in the order of the ladder; the same numbers and times.
    pub further: Vec<mpsc::Receiver<Cut>>,
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
        let (cuts_in, cuts): (Vec<_>, Vec<_>) =
            channel.ladder().iter().map(|_| mpsc::channel(QUEUE)).unzip();
        let mut cuts = cuts.into_iter();
        let first = cuts.next().unwrap_or_else(|| mpsc::channel(1).1);
        let stats = Arc::new(Stats::new(&channel));
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
        Ok(Self { cuts: first, further: cuts.collect(), stats, cancel, thread: Some(thread) })
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
    cuts: Vec<mpsc::Sender<Cut>>,
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
        let phase = clock::phase(&channel.id, segment);
        let clock = Clock::starting_at(numbers.first(segment, multiple), segment, phase);
        let ladder = channel.ladder();
        let (mut encoders, mut made) = (Vec::new(), Vec::new());
        for (rendition, video, audio) in &ladder {
            let (video_in, video_out) = bounded(8);
            let (audio_in, audio_out) = bounded(32);
            let making = Making { input: &channel.video, video: video.as_ref(), audio, gop };
            let encoder = Encoder::start(making, clock.base(), (video_in, audio_in), &cancel)?;
            tracing::info!(rendition, video = encoder.names.0, audio = encoder.names.1, "encoding");
            encoders.push(encoder);
            made.push((video_out, audio_out));
        }
        let (runs_in, lanes) = lanes(stats);
        let span = tracing::Span::current();
        let (channel, cancel, lanes, stats) = (&*channel, &cancel, &lanes[..], &*stats);
        thread::scope(|scope| {
            for ((source, lane), out) in channel.sources().zip(lanes).zip(runs_in) {
                let span = span.clone();
                scope.spawn(move || {
                    let _in = span.enter();
                    let decode = |sink| {
                        let end = source::decode(channel, source, &lane.health, sink, cancel);
                        end.map_err(|error| error.without(&secrets(source)))
                    };
                    source::repeat(feed, decode, &out, &lane.health, cancel);
                });
            }
            let mut numbers = Some(numbers);
            let outputs = cuts.iter().zip(&stats.outputs);
            for (((_, picture, _), (video, audio)), (cuts, output)) in
                ladder.iter().zip(made).zip(outputs)
            {
                let numbers = numbers.take();
                let span = span.clone();
                scope.spawn(move || {
                    let _in = span.enter();
                    let skew = Skew::new(clock.skew());
                    let mut outlet = Outlet { cuts, numbers, stats, output, skew };
                    let (rule, tracks) = match picture {
                        Some(_) => (Rule::Grid, encode::tracks()),
                        None => (Rule::Sound { fps: channel.video.fps }, encode::sound_tracks()),
                    };
                    let alone = picture.is_none();
                    let mut cutter = Cutter::new(segment, rule);
                    cutter.push(Item::Tracks(tracks));
                    interleave(&video, &audio, |mut unit| {
                        // A decoder can start at any sound.
                        unit.random_access |= alone;
                        outlet.push(&mut cutter, Item::Unit(unit), || clock.skew());
                    });
                });
            }
            let conductor =
                Conductor { channel, clock, encoders: &encoders, slate, lanes, stats, cancel };
            let result = conductor.run();
            cancel.set();
            // Closes the queues that the assembler reads.
            drop(encoders);
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
        let phase = clock::phase(&channel.id, segment);
        let clock = Clock::starting_at(numbers.first(segment, multiple), segment, phase);
        let (runs_in, lanes) = lanes(stats);
        let (slates, wanted) = bounded::<Wanted>(4);
        let (Some(cuts), Some(output)) = (cuts.first(), stats.outputs.first()) else {
            return Err(Error::Stalled("there is no rendition"));
        };
        let skew = Skew::new(clock.skew());
        let mut outlet = Outlet { cuts, numbers: Some(numbers), stats, output, skew };
        let span = tracing::Span::current();
        let (channel, maker, recall, cancel) = (&*channel, &maker, &*recall, &cancel);
        let lanes = &lanes[..];
        thread::scope(|scope| {
            for ((source, lane), out) in channel.sources().zip(lanes).zip(runs_in) {
                let span = span.clone();
                scope.spawn(move || {
                    let _in = span.enter();
                    let open = || {
                        let most = if source.is_live() { STREAM_QUEUE } else { FILE_QUEUE };
                        let (chunks, chunks_out) = bounded(most);
                        ((chunks, chunks_out.clone()), chunks_out)
                    };
                    let read = |ends| {
                        let end = source::stream(channel, source, &lane.health, ends, cancel);
                        end.map_err(|error| error.without(&secrets(source)))
                    };
                    source::repeat(open, read, &out, &lane.health, cancel);
                });
            }
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
            let slates_in = &slates;
            let passer = Passer { channel, clock, lanes, slates: slates_in, recall, stats, cancel };
            passer.run(&mut splicer, &mut cutter, &mut outlet);
            cancel.set();
            // Ends the maker of slates.
            drop(slates);
            Ok(())
        })
    }
}

/// What must not be told of a source. One that cannot be read was not used either.
fn secrets(source: &Source) -> Vec<SecretText> {
    let mut secrets: Vec<_> =
        source.secrets().into_iter().filter_map(|(_, secret)| secret.read().ok()).collect();
    // As addresses write them.
    let mut url = url::Url::parse("http://host").ok();
    for index in 0..secrets.len() {
        let encoded = url.as_mut().and_then(|url| {
            url.set_password(Some(secrets[index].expose())).ok()?;
            url.password().map(|text| SecretText::from(text.to_owned()))
        });
        secrets.extend(encoded);
    }
    secrets
}

/// A place in line for each source: the ends that their threads fill, and the others.
fn lanes<F>(stats: &Stats) -> (Vec<Sender<F>>, Vec<Lane<F>>) {
    let lane = |health: &Arc<Health>| {
        let (out, runs) = bounded(1);
        (out, Lane { health: health.clone(), runs })
    };
    stats.sources.iter().map(lane).unzip()
}
