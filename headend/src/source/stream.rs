//! One run of a source that is passed through: its bytes as a transport stream.

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::hand;
use super::health::Health;
use super::inspect::Inspector;
use super::reader::{Input, reader};
use super::watch::Watch;
use crate::cancel::Cancel;
use crate::config::{Channel, Source};
use crate::pipeline::{End, Error, OFTEN, Pipeline, on_samples};
use crate::ts::packet::{Packet, SIZE, SYNC};
use crate::ts::pes;
use crate::unit::H264;

/// Tracks of what is live are found one by one, and each that is added to a transport stream makes another programme of
/// it: so long is waited until all are there.
const SETTLED: Duration = Duration::from_secs(1);

/// Bytes of a source.
#[derive(Debug)]
pub struct Chunk {
    /// When they came.
    pub at: Instant,
    /// Whether a picture begins in them at which a decoder can start.
    pub entry: bool,
    /// The bytes, cut anywhere, where the source has left them.
    pub bytes: gst::MappedBuffer<gst::buffer::Readable>,
}

/// Hands over one run of a source, until it ends, fails, or (a live source) falls silent.
///
/// # Errors
/// If it cannot be opened.
pub fn stream(
    channel: &Channel,
    source: &Source,
    health: &Arc<Health>,
    (out, oldest): (Sender<Chunk>, Receiver<Chunk>),
    cancel: &Cancel,
) -> Result<End, Error> {
    let reader = reader(source)?
        .ok_or_else(|| Error::Build("a test picture cannot be passed through".into()))?;
    let pipeline = Pipeline::empty()?;
    let sink = AppSink::builder().name("sink").sync(false).async_(false).max_buffers(64).build();
    let watch = Watch::new();
    let touched = watch.clone();
    let queue = Arc::new(Mutex::new(Some(out)));
    let at_end = queue.clone();
    let (stopped, healthy) = (cancel.clone(), health.clone());
    let packets = match source {
        Source::File { path } => is_transport_stream(path),
        other => other.is_transport_stream(),
    };
    let settles = !packets && source.is_live();
    // What is seen decides only where another source can take over.
    let looks = health.looks() && !channel.backups.is_empty();
    let inspector = if looks { Some(Inspector::start(health)?) } else { None };
    let mut first = None;
    let take = move |sample: gst::Sample| {
        touched.touch();
        healthy.touch();
        if settles && first.get_or_insert_with(Instant::now).elapsed() < SETTLED {
            return true;
        }
        let out = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let (Some(out), Some(buffer)) = (out, sample.buffer_owned()) else { return false };
        // Memory that cannot be read holds nothing.
        let Ok(bytes) = buffer.into_mapped_buffer_readable() else { return true };
        if let Some(inspector) = &inspector {
            inspector.see(&bytes);
        }
        let entry = healthy.is_live() && begins_picture(&bytes);
        let chunk = Chunk { at: Instant::now(), entry, bytes };
        hand(&out, &oldest, &healthy, &stopped, chunk)
    };
    on_samples(&sink, take, move || {
        at_end.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    });
    let unusable = Arc::new(AtomicBool::new(false));
    // What comes in bursts goes on at its own pace.
    sink.set_property("sync", matches!(source, Source::Hls { .. }));
    reader.input.enter(pipeline.inner())?;
    super::schedule::listen(source, &reader.input, health);
    let sink: &gst::Element = sink.upcast_ref();
    pipeline.inner().add(sink).map_err(refused)?;
    if packets {
        reader.input.element().link(sink).map_err(refused)?;
    } else {
        remux(&pipeline, &reader.input, sink, &unusable)?;
    }
    pipeline.play()?;
    let after = Duration::from_millis(channel.lost_after_ms.into());
    let live = source.is_live();
    let enough = || live && watch.fell_silent(after) || unusable.load(Relaxed);
    // Nobody waits for the end of a file.
    let end = pipeline.wait(cancel, if live { OFTEN } else { 3 * OFTEN }, enough)?;
    if unusable.load(Relaxed) {
        return Err(Error::Build("source has no track that can be passed through".into()));
    }
    Ok(if end == End::Finished && !watch.touched() { End::Empty } else { end })
}

/// Whether a picture at which a decoder can start begins in some packets. Bytes that hold no packets have none.
fn begins_picture(bytes: &[u8]) -> bool {
    let in_step = |skip: &usize| bytes[*skip..].chunks(SIZE).all(|packet| packet[0] == SYNC);
    let Some(skip) = (0..SIZE.min(bytes.len())).find(in_step) else { return false };
    let packets = bytes[skip..].as_chunks::<SIZE>().0.iter().filter_map(Packet::parse);
    packets.filter(Packet::starts_unit).any(|packet| {
        let payload = packet.payload();
        // Streams 0xe0 to 0xef are pictures (ISO/IEC 13818-1, table 2-22).
        let picture =
            payload.starts_with(&[0, 0, 1]) && payload.get(3).is_some_and(|id| id >> 4 == 0xe);
        let begins = |kind| pes::begins_decoding(kind, payload.get(9..).unwrap_or_default());
        picture && (packet.random_access() || begins(H264))
    })
}

fn refused(error: gst::glib::BoolError) -> Error {
    Error::Build(error.to_string())
}

/// Whether a file begins with packets.
fn is_transport_stream(path: &Path) -> bool {
    let mut head = [0; SIZE * 5];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.chunks(SIZE).all(|packet| packet[0] == SYNC)
}

/// Puts the tracks of a source, as they are, into a transport stream.
fn remux(
    pipeline: &Pipeline,
    input: &Input,
    sink: &gst::Element,
    unusable: &Arc<AtomicBool>,
) -> Result<(), Error> {
    let mux = gst::ElementFactory::make("mpegtsmux").property("alignment", 7).build();
    let mux = mux.map_err(refused)?;
    pipeline.inner().add(&mux).map_err(refused)?;
    mux.link(sink).map_err(refused)?;
    let tracks = Tracks {
        pipeline: pipeline.inner().downgrade(),
        mux,
        linked: Arc::new(AtomicBool::new(false)),
        unusable: unusable.clone(),
    };
    match input {
        Input::Bytes(element) => tracks.parse(Ok(element)),
        Input::Streams { element } => {
            element.connect_pad_added(move |_, pad| {
                if let Err(error) = tracks.parse(Err(pad)) {
                    tracing::warn!(%error, "a stream of the source cannot be passed through");
                }
            });
            Ok(())
        }
    }
}

/// The tracks of a source, as they are found.
#[derive(Clone)]
struct Tracks {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    mux: gst::Element,
    /// Whether any goes through.
    linked: Arc<AtomicBool>,
    unusable: Arc<AtomicBool>,
}

impl Tracks {
    /// Finds the tracks in what comes out of an element, or of a pad of it.
    fn parse(&self, from: Result<&gst::Element, &gst::Pad>) -> Result<(), Error> {
        let ended = || Error::Build("the run is over".into());
        let pipeline = self.pipeline.upgrade().ok_or_else(ended)?;
        let parser = gst::ElementFactory::make("parsebin").build().map_err(refused)?;
        pipeline.add(&parser).map_err(refused)?;
        let of_pads = self.clone();
        parser.connect_pad_added(move |_, pad| of_pads.take(pad));
        // Only its end tells that no more tracks will come.
        let (linked, unusable) = (self.linked.clone(), self.unusable.clone());
        parser.connect("drained", false, move |_| {
            if !linked.load(Relaxed) {
                unusable.store(true, Relaxed);
            }
            None
        });
        match from {
            Ok(element) => element.link(&parser).map_err(refused),
            Err(pad) => {
                parser.sync_state_with_parent().map_err(refused)?;
                let sink = parser.static_pad("sink").ok_or_else(ended)?;
                pad.link(&sink).map(drop).map_err(|error| Error::Build(error.to_string()))
            }
        }
    }

    /// Passes a track through, if it can be.
    fn take(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(media) = caps.structure(0) else { return };
        let chain = track(media).and_then(|description| {
            gst::parse::bin_from_description(description, true).ok().map(|bin| bin.upcast())
        });
        let ignored = || {
            let fake = gst::ElementFactory::make("fakesink");
            fake.property("sync", false).property("async", false).build().ok()
        };
        let used = chain.is_some();
        let Some(element): Option<gst::Element> = chain.or_else(ignored) else { return };
        let added = pipeline.add(&element).is_ok()
            && (!used || element.link(&self.mux).is_ok())
            && element.sync_state_with_parent().is_ok()
            && element.static_pad("sink").is_some_and(|sink| pad.link(&sink).is_ok());
        if used && added {
            self.linked.store(true, Relaxed);
        } else {
            tracing::warn!(media = %media.name(), "a track of the source cannot be passed through");
        }
    }
}

/// What brings a track into the form that a transport stream wants.
fn track(media: &gst::StructureRef) -> Option<&'static str> {
    Some(match media.name().as_str() {
        "video/x-h264" => "h264parse config-interval=-1 ! queue max-size-time=5000000000",
        "video/x-h265" => "h265parse config-interval=-1 ! queue max-size-time=5000000000",
        "video/mpeg" => "mpegvideoparse ! queue",
        "audio/mpeg" if media.get::<i32>("mpegversion") == Ok(1) => "mpegaudioparse ! queue",
        "audio/mpeg" => "aacparse ! queue",
        "audio/x-ac3" | "audio/x-eac3" => "ac3parse ! queue",
        "subpicture/x-dvb" | "application/x-teletext" => "queue",
        _ => return None,
    })
}
