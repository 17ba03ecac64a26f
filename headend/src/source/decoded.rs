//! One run of a source that is decoded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::hand;
use super::health::Health;
use super::look::{self, Look};
use super::reader::{Input, reader};
use super::watch::Watch;
use crate::cancel::Cancel;
use crate::config::{Channel, Source};
use crate::encode::{picture_caps, sound_caps};
use crate::feed::{Feed, Picture, Sink, Sound};
use crate::pipeline::{End, Error, OFTEN, Pipeline, bytes, on_samples, running_time};
use crate::still;

/// What a run hands out through; taken away when that side of it has ended.
type Outlet<T> = Arc<Mutex<Option<T>>>;

fn close<T>(outlet: &Outlet<T>) {
    outlet.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
}

/// Decodes one run of the channel's source into `sink`, until it ends, fails, or (a live source)
/// falls silent: after a silence everything is built anew, because what comes then may be another
/// stream.
///
/// # Errors
/// If it cannot be opened or decoded.
pub fn decode(
    channel: &Channel,
    source: &Source,
    health: &Arc<Health>,
    sink: Sink,
    cancel: &Cancel,
) -> Result<End, Error> {
    let watch = Watch::new();
    let oldest = sink.oldest;
    let pictures = Arc::new(Mutex::new(Some(sink.pictures)));
    let sounds = Arc::new(Mutex::new(Some(sink.sounds)));
    let watched = watch.clone();
    let run = Run { channel, source, pictures, sounds, oldest, health, watch: watched, cancel };
    let reader = reader(source)?;
    let pipeline = match &reader {
        None => run.test_picture()?,
        Some(reader) => run.decoder(&reader.input)?,
    };
    pipeline.play()?;
    let after = Duration::from_millis(channel.lost_after_ms.into());
    // A file that waits for room is not silent, and never becomes another.
    let live = source.is_live() && *source != Source::Test;
    let end = pipeline.wait(cancel, OFTEN, || live && watch.fell_silent(after))?;
    Ok(if end == End::Finished && !watch.touched() { End::Empty } else { end })
}

struct Run<'a> {
    channel: &'a Channel,
    source: &'a Source,
    pictures: Outlet<crossbeam_channel::Sender<Picture>>,
    sounds: Outlet<crossbeam_channel::Sender<Sound>>,
    oldest: Feed,
    health: &'a Arc<Health>,
    watch: Watch,
    cancel: &'a Cancel,
}

impl Run<'_> {
    fn test_picture(&self) -> Result<Pipeline, Error> {
        let text = if still::can_write() {
            "! clockoverlay time-format=\"%H:%M:%S\" halignment=center valignment=center \
                 font-desc=\"Sans Bold 36\" shaded-background=true \
             ! timeoverlay halignment=right valignment=bottom \
             ! textoverlay name=name halignment=center valignment=top font-desc=\"Sans 24\""
        } else {
            ""
        };
        let pipeline = Pipeline::parse(&format!(
            "videotestsrc is-live=true pattern=smpte ! {} {text} \
             ! appsink name=pictures sync=false max-buffers=4 \
             audiotestsrc is-live=true wave=sine freq=1000 volume=0.1 samplesperbuffer=960 ! {} \
             ! appsink name=sounds sync=false max-buffers=4",
            picture_caps(&self.channel.video),
            sound_caps(),
        ))?;
        still::write_name(&pipeline, &self.channel.name)?;
        self.on_pictures(&pipeline.element("pictures")?);
        self.on_sounds(&pipeline.element("sounds")?);
        Ok(pipeline)
    }

    fn decoder(&self, input: &Input) -> Result<Pipeline, Error> {
        let pipeline = Pipeline::empty()?;
        input.enter(pipeline.inner())?;
        super::schedule::listen(self.source, input, self.health);
        self.choose_programme(&pipeline);
        let (picture, picture_sink) = branch(&format!(
            "queue max-size-buffers=8 max-size-bytes=0 max-size-time=0 ! deinterlace ! videoconvert \
             ! videoscale add-borders=true ! videorate skip-to-first=true ! {} \
             ! appsink name=sink sync=false async=false max-buffers=4",
            picture_caps(&self.channel.video)
        ))?;
        let (sound, sound_sink) = branch(&format!(
            "queue ! audioconvert ! audioresample ! {} \
             ! appsink name=sink sync=false async=false max-buffers=16",
            sound_caps()
        ))?;
        self.on_pictures(&picture_sink);
        self.on_sounds(&sound_sink);
        // What comes in bursts is shown at its own pace.
        let paced = matches!(self.source, Source::Hls { .. });
        for sink in [&picture_sink, &sound_sink] {
            sink.set_property("sync", paced);
        }
        let tracks = Tracks {
            pipeline: pipeline.inner().downgrade(),
            // Whichever of the two the source turns out to have; the other is closed in the end.
            waiting: Arc::new(Mutex::new((Some(picture), Some(sound)))),
            pictures: self.pictures.clone(),
            sounds: self.sounds.clone(),
            undecided: Arc::new(Mutex::new(1)),
        };
        match input {
            Input::Bytes(element) => tracks.decode(Ok(element))?,
            Input::Streams { element } => {
                let of_pads = tracks.clone();
                element.connect_pad_added(move |_, pad| {
                    *lock(&of_pads.undecided) += 1;
                    if let Err(error) = of_pads.decode(Err(pad)) {
                        tracing::warn!(%error, "a stream of the source cannot be used");
                        of_pads.decided();
                    }
                });
                element.connect_no_more_pads(move |_| tracks.decided());
            }
        }
        Ok(pipeline)
    }

    /// Where several programmes come, the one that is wanted.
    fn choose_programme(&self, pipeline: &Pipeline) {
        let Some(programme) = self.source.programme() else { return };
        pipeline.inner().connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|factory| factory.name() == "tsdemux") {
                element.set_property("program-number", i32::from(programme));
            }
        });
    }

    fn on_pictures(&self, sink: &AppSink) {
        let (watch, cancel) = (self.watch.clone(), self.cancel.clone());
        let (health, oldest) = (self.health.clone(), self.oldest.pictures.clone());
        let mut look = Look::new(&self.channel.video);
        self.on(sink, self.pictures.clone(), move |sample, out| {
            watch.touch();
            health.touch();
            let (Some((at, _)), Some(buffer)) = (running_time(&sample), sample.buffer_owned())
            else {
                return true;
            };
            if let (true, Ok(pixels)) = (health.looks(), buffer.map_readable()) {
                look.picture(&pixels, &health);
            }
            hand(out, &oldest, &health, &cancel, Picture { buffer, at })
        });
    }

    fn on_sounds(&self, sink: &AppSink) {
        let (watch, cancel) = (self.watch.clone(), self.cancel.clone());
        let (health, oldest) = (self.health.clone(), self.oldest.sounds.clone());
        self.on(sink, self.sounds.clone(), move |sample, out| {
            watch.touch();
            health.touch();
            let (Some((at, _)), Some(buffer)) = (running_time(&sample), sample.buffer()) else {
                return true;
            };
            let samples = bytes(buffer);
            look::sound(&samples, &health);
            hand(out, &oldest, &health, &cancel, Sound { samples, at })
        });
    }

    fn on<T: Clone + Send + 'static>(
        &self,
        sink: &AppSink,
        outlet: Outlet<T>,
        mut take: impl FnMut(gst::Sample, &T) -> bool + Send + 'static,
    ) {
        let at_end = outlet.clone();
        let take = move |sample: gst::Sample| {
            let out = outlet.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
            out.is_some_and(|out| take(sample, &out))
        };
        on_samples(sink, take, move || close(&at_end));
    }
}

/// The tracks of a source, as they are found.
#[derive(Clone)]
struct Tracks {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    waiting: Arc<Mutex<(Option<gst::Bin>, Option<gst::Bin>)>>,
    pictures: Outlet<crossbeam_channel::Sender<Picture>>,
    sounds: Outlet<crossbeam_channel::Sender<Sound>>,
    /// Decoders, and the source itself, that may still find tracks.
    undecided: Arc<Mutex<u32>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Tracks {
    /// Decodes what comes out of an element, or of a pad of it.
    fn decode(&self, from: Result<&gst::Element, &gst::Pad>) -> Result<(), Error> {
        let build = |error: gst::glib::BoolError| Error::Build(error.to_string());
        let ended = || Error::Build("the run is over".into());
        let pipeline = self.pipeline.upgrade().ok_or_else(ended)?;
        let decoder = gst::ElementFactory::make("decodebin").build().map_err(build)?;
        pipeline.add(&decoder).map_err(build)?;
        let (of_pads, in_the_end) = (self.clone(), self.clone());
        decoder.connect_pad_added(move |_, pad| of_pads.take(pad));
        decoder.connect_no_more_pads(move |_| in_the_end.decided());
        match from {
            Ok(element) => element.link(&decoder).map_err(build),
            Err(pad) => {
                decoder.sync_state_with_parent().map_err(build)?;
                let sink = decoder.static_pad("sink").ok_or_else(ended)?;
                pad.link(&sink).map(drop).map_err(|error| Error::Build(error.to_string()))
            }
        }
    }

    /// Uses a decoded track, if it is the first of its kind.
    fn take(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let media = caps.structure(0).map_or("", |s| s.name().as_str());
        let mut waiting = lock(&self.waiting);
        let bin = match media {
            "video/x-raw" => waiting.0.take(),
            "audio/x-raw" => waiting.1.take(),
            _ => None,
        };
        let ignored = || {
            let fake = gst::ElementFactory::make("fakesink");
            fake.property("sync", false).property("async", false).build().ok()
        };
        let Some(element) = bin.map(|bin| bin.upcast::<gst::Element>()).or_else(ignored) else {
            return;
        };
        let linked = pipeline.add(&element).is_ok()
            && element.sync_state_with_parent().is_ok()
            && element.static_pad("sink").is_some_and(|sink| pad.link(&sink).is_ok());
        if !linked {
            tracing::warn!(media, "a track of the source cannot be used");
        }
    }

    /// One that may still have found tracks has found all.
    fn decided(&self) {
        let left = {
            let mut undecided = lock(&self.undecided);
            *undecided = undecided.saturating_sub(1);
            *undecided
        };
        if left == 0 {
            let waiting = lock(&self.waiting);
            if waiting.0.is_some() {
                close(&self.pictures);
            }
            if waiting.1.is_some() {
                close(&self.sounds);
            }
        }
    }
}

/// A bin of the described elements, and the sink in it.
fn branch(description: &str) -> Result<(gst::Bin, AppSink), Error> {
    let bin = gst::parse::bin_from_description(description, true)
        .map_err(|error| Error::Build(error.to_string()))?;
    let sink = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
    let sink = sink.ok_or_else(|| Error::Build("branch has no sink".into()))?;
    Ok((bin, sink))
}
