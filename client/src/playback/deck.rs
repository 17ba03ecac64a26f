//! One pipeline that plays one feed.
//!
//! **Time.** The demultiplexer counts from the stream's first clock reference (PCR), which belongs to the first chunk.
//! The pipeline's zero is set by hand: live, to the instant at which that chunk is due, plus [`MARGIN`]; so everybody's
//! picture is at the same delay whatever their start took, and what a start has to catch up is decoded and passed over.
//! The first picture is shown as soon as it is decoded, before its time. Behind live, the zero is now.
//!
//! **Another rendition** is another pipeline, in time with the one before, which plays out what it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::branch::{Branches, Captioned, Wanted};
use super::tables::{Finder, Kind, Track};
use super::{Choice, Chunk, Error, Event, Feed, Loudness, Place, Slot, choose, lock};

/// From the instant when a chunk is due to its picture: for decoding, and for chunks that come a little late.
const MARGIN: Duration = Duration::from_millis(150);
/// What may wait in front of the demultiplexer, bytes.
const QUEUE: u64 = 2 << 20;
/// Without a programme map after so many bytes, whatever comes first is played.
const LOOKING: usize = 2 << 20;
/// How often a full queue is looked at.
const FULL: Duration = Duration::from_millis(15);
/// A picture that stands so long although data come is begun anew.
const STUCK: Duration = Duration::from_secs(4);
/// So far may the stream's clock be from the platform's before the picture is moved.
const DRIFT: Duration = Duration::from_millis(120);

/// What to play with.
pub(super) struct Order {
    pub(super) choice: Choice,
    pub(super) slot: Slot,
    pub(super) tell: Arc<dyn Fn(Event) + Send + Sync>,
    pub(super) loudness: watch::Receiver<Loudness>,
    pub(super) paused: watch::Receiver<bool>,
    pub(super) place: Arc<Mutex<Place>>,
    pub(super) stop: CancellationToken,
}

/// Why a pipeline ended.
enum End {
    /// The feed has ended or was stopped.
    Feed,
    /// The sound's device failed.
    Sound,
    /// Nothing moves: begin anew.
    Stuck,
    /// Another stream begins with this chunk.
    Switched(Chunk),
}

/// A pipeline that plays out what it has while the next one begins.
struct Leaving {
    _deck: Deck,
    until: Instant,
}

/// Plays `feed` until it ends or is stopped.
pub(super) async fn play(mut order: Order, mut feed: Feed) {
    let stop = order.stop.clone();
    let played = tokio::select! {
        played = again(&mut order, &mut feed) => played,
        () = stop.cancelled() => return,
    };
    (order.tell)(match played {
        Ok(()) => Event::Ended,
        Err(error) => Event::Failed(error.to_string()),
    });
}

/// One pipeline after another until the feed ends.
async fn again(order: &mut Order, feed: &mut Feed) -> Result<(), Error> {
    let mut held = Vec::new();
    let mut leaving = None;
    loop {
        let (end, deck) = once(order, feed, held, leaving.take()).await?;
        held = Vec::new();
        match end {
            End::Feed => return Ok(()),
            End::Sound => {
                order.choice.silent = true;
                (order.tell)(Event::Sound(false));
            }
            End::Stuck => tracing::info!("the picture stood: its pipeline is begun anew"),
            End::Switched(chunk) => {
                let until = lock(&order.place).when(chunk.position);
                leaving = deck.zip(until).map(|(_deck, until)| Leaving { _deck, until });
                held = vec![chunk];
            }
        }
    }
}

/// One pipeline. `held` is what was taken of the feed already; `leaving` what plays until then.
async fn once(
    order: &mut Order,
    feed: &mut Feed,
    held: Vec<Chunk>,
    leaving: Option<Leaving>,
) -> Result<(End, Option<Deck>), Error> {
    let mut held = held;
    let Some(tracks) = look(feed, &mut held).await else { return Ok((End::Feed, None)) };
    let Some(first) = held.first() else { return Ok((End::Feed, None)) };
    let sound = choose(&tracks, |kind| kind == Kind::Sound, &order.choice.sound);
    let is_subtitle = |kind| matches!(kind, Kind::Subtitles | Kind::Teletext(_));
    let subtitles = (!order.choice.subtitles.is_empty())
        .then(|| choose(&tracks, is_subtitle, &order.choice.subtitles))
        .flatten();
    let captions = super::wanted_captions(&order.choice.subtitles);
    // No table tells whether there are any.
    let subtitles = subtitles.filter(|_| captions.is_none());
    let wanted = Wanted {
        picture: choose(&tracks, |kind| kind == Kind::Picture, &[]).map(|i| tracks[i].pid),
        sound: sound.map(|i| tracks[i].pid),
        subtitles: subtitles.map(|i| tracks[i].clone()),
        captions,
        any: tracks.is_empty(),
        silent: order.choice.silent,
        early: leaving.is_none(),
    };
    let captioned = told_of_captions(order, tracks, sound, subtitles, wanted.clone());

    let pictures = Arc::new(AtomicU64::new(0));
    let deck = Deck::new(order, wanted, &pictures, captioned)?;
    let zero = match (first.due, &leaving) {
        (Some(due), _) => due + MARGIN,
        (None, Some(leaving)) => leaving.until,
        (None, None) => Instant::now(),
    };
    {
        let mut place = lock(&order.place);
        place.first = first.position;
        place.end = first.position;
        place.since = Some(zero);
        place.paused = None;
    }
    let paused = *order.paused.borrow_and_update();
    deck.begin(zero, paused).await?;
    if paused {
        lock(&order.place).paused = Some(Instant::now());
    }
    let start = (first.position, first.due);
    for chunk in held {
        deck.push(&chunk, start, &order.place);
    }
    let end = deck.follow(order, feed, start, &pictures, leaving).await?;
    Ok((end, Some(deck)))
}

/// Tells the tracks that the tables name, and again whenever captions are seen in the picture.
fn told_of_captions(
    order: &Order,
    tracks: Vec<Track>,
    sound: Option<usize>,
    subtitles: Option<usize>,
    wanted: Wanted,
) -> Captioned {
    let (tell, stop) = (order.tell.clone(), order.stop.clone());
    let told: Captioned = Arc::new(move |services| {
        // A pipeline may have one more picture when something else is played already.
        if stop.is_cancelled() {
            return;
        }
        let mut all = tracks.clone();
        all.extend(services.iter().map(|&service| Track {
            pid: wanted.picture.unwrap_or_default(),
            kind: Kind::Captions(service),
            language: None,
            impaired: false,
        }));
        let captions = wanted.captions.map(Kind::Captions);
        let shown = captions.and_then(|kind| all.iter().position(|track| track.kind == kind));
        tell(Event::Tracks { all, sound, subtitles: subtitles.or(shown) });
    });
    // What was chosen is there from the beginning.
    told(wanted.captions.as_slice());
    told
}

/// Takes chunks until it is known what is in them. `None` if the feed ends before.
async fn look(feed: &mut Feed, held: &mut Vec<Chunk>) -> Option<Vec<Track>> {
    let mut finder = Finder::default();
    let mut bytes = 0;
    let mut seen = 0;
    loop {
        if seen == held.len() {
            held.push(feed.next().await?);
        }
        let chunk = &held[seen];
        seen += 1;
        let found = finder.take(&chunk.ts).map(<[Track]>::to_vec);
        bytes += chunk.ts.len();
        match found {
            Some(tracks) => return Some(tracks),
            None if bytes > LOOKING => return Some(Vec::new()),
            None => {}
        }
    }
}

/// A pipeline. It is stopped when this goes away; one that plays must not be dropped.
struct Deck {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    demux: gst::Element,
    clock: gst::Clock,
    /// Whether it has been stopped: nothing may start it after that, however late it comes.
    stopped: Arc<Mutex<bool>>,
}

impl Deck {
    fn new(
        order: &Order,
        wanted: Wanted,
        pictures: &Arc<AtomicU64>,
        captioned: Captioned,
    ) -> Result<Self, Error> {
        let caps = gst::Caps::builder("video/mpegts")
            .field("systemstream", true)
            .field("packetsize", crate::ts::PACKET as i32)
            .build();
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Bytes)
            .stream_type(gst_app::AppStreamType::Stream)
            .max_bytes(QUEUE)
            .build();
        let demux = gst::ElementFactory::make("tsdemux").build()?;
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &demux])?;
        source.link(&demux)?;
        let clock = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&clock));
        pipeline.set_start_time(gst::ClockTime::NONE);
        let (slot, tell, stop) = (order.slot.clone(), order.tell.clone(), order.stop.clone());
        let (counted, loudness) = (pictures.clone(), order.loudness.clone());
        let shown = move |picture| {
            // A pipeline may have one more picture when something else is played already.
            if stop.is_cancelled() {
                return;
            }
            slot.put(picture);
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                tell(Event::Pictured);
            }
        };
        Branches::attach(&pipeline, &demux, wanted, loudness, shown, captioned);
        Ok(Self { pipeline, source, demux, clock, stopped: Arc::default() })
    }

    /// Starts, so that time zero of the stream is at `zero`.
    async fn begin(&self, zero: Instant, paused: bool) -> Result<(), Error> {
        self.rebase(zero);
        self.set(if paused { gst::State::Paused } else { gst::State::Playing }).await
    }

    /// Opening and stopping devices may take a while: not on this thread.
    async fn set(&self, state: gst::State) -> Result<(), Error> {
        let (pipeline, stopped) = (self.pipeline.clone(), self.stopped.clone());
        // Who waits for this may be gone before it is done.
        let set = move || {
            let stopped = lock(&stopped);
            if *stopped { Ok(()) } else { pipeline.set_state(state).map(drop) }
        };
        match tokio::task::spawn_blocking(set).await {
            Ok(result) => Ok(result?),
            Err(panicked) => Err(Error::Failed(panicked.to_string())),
        }
    }

    fn rebase(&self, zero: Instant) {
        let (now, clock) = (Instant::now(), self.clock.time());
        let ahead = zero.saturating_duration_since(now).as_nanos() as u64;
        let behind = now.saturating_duration_since(zero).as_nanos() as u64;
        let base = (clock.nseconds() + ahead).saturating_sub(behind);
        self.pipeline.set_base_time(gst::ClockTime::from_nseconds(base));
    }

    fn push(&self, chunk: &Chunk, start: (u64, Option<Instant>), place: &Mutex<Place>) {
        lock(place).end = chunk.position + chunk.duration.as_micros() as u64;
        self.adjust(chunk, start);
        // What an ended pipeline does not take is told by its bus.
        let _refused = self.source.push_buffer(gst::Buffer::from_slice(chunk.ts.clone()));
    }

    /// Moves what is shown where the stream's clock and the platform's have come apart.
    fn adjust(&self, chunk: &Chunk, (position, due): (u64, Option<Instant>)) {
        let (Some(first), Some(due)) = (due, chunk.due) else { return };
        let media = chunk.position.saturating_sub(position) as i64 * 1000;
        let real = due.saturating_duration_since(first).as_nanos() as i64;
        for pad in self.demux.src_pads() {
            if (real - media - pad.offset()).unsigned_abs() > DRIFT.as_nanos() as u64 {
                tracing::debug!(drift_ms = (real - media) / 1_000_000, "the picture is moved");
                pad.set_offset(real - media);
            }
        }
    }

    /// Feeds the pipeline until something ends.
    async fn follow(
        &self,
        order: &mut Order,
        feed: &mut Feed,
        start: (u64, Option<Instant>),
        pictures: &AtomicU64,
        mut leaving: Option<Leaving>,
    ) -> Result<End, Error> {
        let bus = self.pipeline.bus();
        let mut messages = match &bus {
            Some(bus) => bus.stream(),
            None => return Err(Error::Failed("a pipeline without a bus".into())),
        };
        let mut moved = (0, Instant::now());
        // Where another stream begins.
        let mut next = None;
        let mut full = tokio::time::interval(FULL);
        full.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let paused = *order.paused.borrow();
            if paused {
                leaving = None;
            } else if let Some(chunk) = next.take() {
                return Ok(End::Switched(chunk));
            }
            let room = self.source.current_level_bytes() < QUEUE;
            let left = leaving.as_ref().map(|leaving| leaving.until);
            tokio::select! {
                biased;
                () = sleep_until(left) => leaving = None,
                changed = order.paused.changed() => {
                    if changed.is_err() {
                        return Ok(End::Feed);
                    }
                    let pause = *order.paused.borrow_and_update();
                    self.pause(pause, &order.place).await?;
                    moved.1 = Instant::now();
                }
                changed = order.loudness.changed() => {
                    if changed.is_err() {
                        return Ok(End::Feed);
                    }
                    let loudness = *order.loudness.borrow_and_update();
                    super::branch::set_loudness(&self.pipeline, loudness);
                }
                message = messages.next() => match message {
                    Some(message) => if let Some(end) = heard(&message, order)? {
                        return Ok(end);
                    },
                    None => return Ok(End::Feed),
                },
                chunk = feed.next(), if room && next.is_none() => {
                    let Some(chunk) = chunk else { return Ok(End::Feed) };
                    if chunk.switched {
                        next = Some(chunk);
                        continue;
                    }
                    let sound_alone = !chunk.whole;
                    self.push(&chunk, start, &order.place);
                    let shown = pictures.load(Ordering::Relaxed);
                    if shown != moved.0 || paused || sound_alone {
                        moved = (shown, Instant::now());
                    } else if shown > 0 && moved.1.elapsed() > STUCK {
                        return Ok(End::Stuck);
                    }
                }
                _ = full.tick(), if !room => {}
            }
        }
    }

    async fn pause(&self, pause: bool, place: &Mutex<Place>) -> Result<(), Error> {
        let now = Instant::now();
        let zero = {
            let mut place = lock(place);
            match (pause, place.paused) {
                (true, None) => {
                    place.paused = Some(now);
                    None
                }
                (false, Some(since)) => {
                    place.paused = None;
                    place.since = place.since.map(|zero| zero + (now - since));
                    place.since
                }
                _ => return Ok(()),
            }
        };
        match zero {
            Some(zero) => {
                self.rebase(zero);
                self.set(gst::State::Playing).await
            }
            None => self.set(gst::State::Paused).await,
        }
    }
}

impl Drop for Deck {
    fn drop(&mut self) {
        let (pipeline, stopped) = (self.pipeline.clone(), self.stopped.clone());
        // A device may take its time to close; nobody waits for it.
        std::thread::spawn(move || {
            let mut stopped = lock(&stopped);
            *stopped = true;
            if let Err(error) = pipeline.set_state(gst::State::Null) {
                tracing::debug!(%error, "a pipeline did not stop");
            }
        });
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

fn heard(message: &gst::Message, order: &Order) -> Result<Option<End>, Error> {
    let from_sound = || {
        message.src().is_some_and(|source| source.path_string().contains(super::branch::SOUND_SINK))
    };
    match message.view() {
        gst::MessageView::Eos(_) => Ok(Some(End::Feed)),
        gst::MessageView::Error(error) if from_sound() => {
            tracing::warn!(error = %error.error(), "sound");
            Ok(Some(End::Sound))
        }
        gst::MessageView::Error(error) => {
            tracing::warn!(error = %error.error(), debug = ?error.debug(), "picture");
            Err(Error::Failed(error.error().message().to_owned()))
        }
        gst::MessageView::Warning(warning) => {
            tracing::info!(warning = %warning.error(), "while showing the picture");
            if from_sound() {
                (order.tell)(Event::Sound(false));
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}
