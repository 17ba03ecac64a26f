//! Looks at a source that is passed through, beside its way: is it frozen, black, silent?
//!
//! Of the picture only those at which a decoder can start are decoded: one or two a second cost a fiftieth of all.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use super::health::Health;
use super::look::{self, Look};
use crate::config::Video;
use crate::encode::sound_caps;
use crate::pipeline::{Error, Pipeline, bytes, on_samples};

/// The picture that is looked at, pixels.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Bytes that wait to be looked at; beyond them the oldest are let go.
const WAITING: u64 = 4 << 20;

/// Looks at one run of a source. Ends when dropped.
#[derive(Debug)]
pub(super) struct Inspector {
    input: AppSrc,
    /// Shut down when dropped.
    _pipeline: Pipeline,
}

impl Inspector {
    /// Begins to look; tells `health` what is seen and heard.
    ///
    /// # Errors
    /// If GStreamer lacks a plugin.
    pub(super) fn start(health: &Arc<Health>) -> Result<Self, Error> {
        let pipeline = Pipeline::parse(&format!(
            "appsrc name=in format=bytes max-bytes={WAITING} leaky-type=downstream \
             caps=video/mpegts,systemstream=true,packetsize=188 ! decodebin name=tracks"
        ))?;
        pipeline.inner().connect_deep_element_added(|_, _, element| {
            let klass = element.factory().and_then(|f| f.metadata("klass").map(str::to_owned));
            if klass.is_some_and(|klass| klass.contains("Decoder") && klass.contains("Video")) {
                entries_only(element);
            }
        });
        let tracks: gst::Element = pipeline.element("tracks")?;
        let (parent, health) = (pipeline.inner().downgrade(), health.clone());
        tracks.connect_pad_added(move |_, pad| {
            let Some(parent) = parent.upgrade() else { return };
            if let Err(error) = take(&parent, pad, &health) {
                tracing::warn!(%error, "a track of the source cannot be looked at");
            }
        });
        let input = pipeline.element("in")?;
        pipeline.play()?;
        Ok(Self { input, _pipeline: pipeline })
    }

    /// Looks at what came next. Never waits.
    pub(super) fn see(&self, ts: &[u8]) {
        // Fails only after an element has: then nothing is seen until the next run.
        let _ = self.input.push_buffer(gst::Buffer::from_slice(ts.to_vec()));
    }
}

/// Lets only pictures at which decoding can begin into a decoder.
///
/// The others are handled, not dropped: the binding frees what is dropped, and GStreamer 1.22 then complains about each
/// that it finds nothing to free.
fn entries_only(decoder: &gst::Element) {
    let Some(pad) = decoder.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| match info.buffer() {
        Some(buffer) if buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) => {
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Looks at one track, or lets it go by.
fn take(pipeline: &gst::Pipeline, pad: &gst::Pad, health: &Arc<Health>) -> Result<(), Error> {
    let refused = |error: gst::glib::BoolError| Error::Build(error.to_string());
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let media = caps.structure(0).map_or("", |structure| structure.name().as_str());
    let sink = "appsink name=sink sync=false async=false max-buffers=8";
    let description = match media {
        "video/x-raw" => format!(
            "queue ! videoconvert ! videoscale \
             ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT} ! {sink}"
        ),
        "audio/x-raw" => {
            format!("queue ! audioconvert ! audioresample ! {} ! {sink}", sound_caps())
        }
        _ => "fakesink sync=false async=false".to_owned(),
    };
    let bin = gst::parse::bin_from_description(&description, true)
        .map_err(|error| Error::Build(error.to_string()))?;
    if let Some(sink) = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok()) {
        let health = health.clone();
        if media == "video/x-raw" {
            let video = Video { width: WIDTH, height: HEIGHT, ..Video::default() };
            let mut look = Look::new(&video);
            let see = move |buffer: &gst::BufferRef| look.picture(&bytes(buffer), &health);
            watch(&sink, see);
        } else {
            watch(&sink, move |buffer| look::sound(&bytes(buffer), &health));
        }
    }
    pipeline.add(&bin).map_err(refused)?;
    bin.sync_state_with_parent().map_err(refused)?;
    let sink = bin.static_pad("sink").ok_or_else(|| Error::Build("branch has no way in".into()))?;
    pad.link(&sink).map(drop).map_err(|error| Error::Build(error.to_string()))
}

fn watch(sink: &AppSink, mut see: impl FnMut(&gst::BufferRef) + Send + 'static) {
    let take = move |sample: gst::Sample| {
        if let Some(buffer) = sample.buffer() {
            see(buffer);
        }
        true
    };
    on_samples(sink, take, || {});
}
