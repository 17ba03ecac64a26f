//! One run of a source that is decoded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use super::hand;
use super::health::Health;
use super::look::{self, Look};
use super::reader::reader;
use super::watch::Watch;
use crate::cancel::Cancel;
use crate::config::{Channel, Source};
use crate::encode::{picture_caps, sound_caps};
use crate::feed::{Feed, Picture, Sink, Sound};
use crate::pipeline::{End, Error, Pipeline, bytes, on_samples, running_time};
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
    let run = Run { channel, pictures, sounds, oldest, health, watch: watched, cancel };
    let pipeline = match reader(source)? {
        None => run.test_picture()?,
        Some(reader) => run.decoder(&reader)?,
    };
    pipeline.play()?;
    let after = Duration::from_millis(channel.lost_after_ms.into());
    // A file that waits for room is not silent, and never becomes another.
    let live = source.is_live() && *source != Source::Test;
    let end = pipeline.wait(cancel, || live && watch.fell_silent(after))?;
    Ok(if end == End::Finished && !watch.touched() { End::Empty } else { end })
}

struct Run<'a> {
    channel: &'a Channel,
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

    fn decoder(&self, reader: &gst::Element) -> Result<Pipeline, Error> {
        let pipeline = Pipeline::empty()?;
        let build = |error: gst::glib::BoolError| Error::Build(error.to_string());
        let decoder = gst::ElementFactory::make("decodebin").build().map_err(build)?;
        pipeline.inner().add_many([reader, &decoder]).map_err(build)?;
        reader.link(&decoder).map_err(build)?;
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
        let weak = pipeline.inner().downgrade();
        // Whichever of the two the source turns out to have; the other is closed in the end.
        let waiting = Arc::new(Mutex::new((Some(picture), Some(sound))));
        let unused = waiting.clone();
        decoder.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let media = caps.structure(0).map_or("", |s| s.name().as_str());
            let mut waiting = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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
        });
        let (pictures, sounds) = (self.pictures.clone(), self.sounds.clone());
        decoder.connect_no_more_pads(move |_| {
            let unused = unused.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if unused.0.is_some() {
                close(&pictures);
            }
            if unused.1.is_some() {
                close(&sounds);
            }
        });
        Ok(pipeline)
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

/// A bin of the described elements, and the sink in it.
fn branch(description: &str) -> Result<(gst::Bin, AppSink), Error> {
    let bin = gst::parse::bin_from_description(description, true)
        .map_err(|error| Error::Build(error.to_string()))?;
    let sink = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
    let sink = sink.ok_or_else(|| Error::Build("branch has no sink".into()))?;
    Ok((bin, sink))
}
