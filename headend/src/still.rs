//! The slate's picture: the channel's name on a plain ground.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

use crate::config::Video;
use crate::encode::picture_caps;
use crate::pipeline::{Error, Pipeline};

/// Text as Pango's markup, which text overlays read.
pub fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether text can be drawn: GStreamer's Pango plugin comes in a package of its own. Pictures made
/// here carry no text without it.
pub fn can_write() -> bool {
    crate::pipeline::init().is_ok() && gst::ElementFactory::find("textoverlay").is_some()
}

/// Writes a channel's name into the element `name` of a description that has one if [`can_write`].
///
/// # Errors
/// If it has none.
pub fn write_name(pipeline: &Pipeline, name: &str) -> Result<(), Error> {
    if can_write() {
        pipeline.element::<gst::Element>("name")?.set_property("text", markup(name));
    }
    Ok(())
}

/// The part of a pipeline that draws `pictures` of them.
pub fn description(video: &Video, pictures: u32) -> String {
    let size = (video.height / 12).clamp(8, 96);
    let text = if can_write() {
        format!(
            "! textoverlay name=name halignment=center valignment=center \
               font-desc=\"Sans {size}\" auto-resize=false"
        )
    } else {
        String::new()
    };
    format!(
        "videotestsrc num-buffers={pictures} pattern=solid-color foreground-color=0xff1b2a41 \
         ! {} {text}",
        picture_caps(video)
    )
}

/// Draws it.
///
/// # Errors
/// If GStreamer lacks a plugin.
pub fn draw(video: &Video, name: &str) -> Result<gst::Buffer, Error> {
    let drawing = description(video, 1);
    let pipeline = Pipeline::parse(&format!("{drawing} ! appsink name=sink sync=false"))?;
    write_name(&pipeline, name)?;
    let sink: AppSink = pipeline.element("sink")?;
    pipeline.play()?;
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(20));
    pipeline.poll(Duration::ZERO)?;
    let buffer = sample.and_then(|sample| sample.buffer_owned());
    buffer.ok_or(Error::Stalled("slate was not drawn"))
}
