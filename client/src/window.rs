//! A plain window: the channel's transport stream into a GStreamer pipeline with the system's own picture and sound
//! sinks. It knows nothing of guides, keys or menus; what has those is built beside it on the same [`Player`].
//!
//! [`Player`]: crate::player::Player

use std::sync::Arc;

use futures::StreamExt as _;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::channel::Running;

/// What may wait in front of the demultiplexer, bytes; the oldest is dropped.
const QUEUE: u64 = 8 << 20;

/// Why there is no window (any more).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer cannot be used, or lacks an element.
    #[error("GStreamer cannot show a picture: {0}")]
    Unusable(#[from] glib::BoolError),
    /// GStreamer cannot be used.
    #[error("GStreamer cannot be used: {0}")]
    Absent(#[from] glib::Error),
    /// The pipeline does not start.
    #[error("the picture cannot be shown: {0}")]
    Start(#[from] gst::StateChangeError),
    /// The pipeline failed.
    #[error("the picture cannot be shown any more: {0}")]
    Failed(String),
}

/// Whether there is a display to open a window on.
pub fn is_possible() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Shows `channel` until the user closes the window or the channel ends.
///
/// # Errors
/// If there is no way to show it.
pub async fn show(channel: Arc<Running>) -> Result<(), Error> {
    gst::init()?;
    let (pipeline, source) = pipeline()?;
    let bus = pipeline.bus().ok_or_else(|| Error::Failed("it has no bus".into()))?;
    // The state is set on another thread: opening a sink may take a while.
    let started = pipeline.clone();
    let started = tokio::task::spawn_blocking(move || started.set_state(gst::State::Playing)).await;
    let stopped = Stopped(pipeline);
    match started {
        Ok(result) => drop(result?),
        Err(panicked) => return Err(Error::Failed(panicked.to_string())),
    }
    let reader = channel.hub().read();
    let feed = async {
        while let Some(ts) = reader.next().await {
            if source.push_buffer(gst::Buffer::from_slice(ts)).is_err() {
                // The bus tells why.
                return std::future::pending().await;
            }
        }
    };
    let ended = tokio::select! {
        () = feed => Ok(()),
        ended = messages(&bus) => ended,
    };
    drop(stopped);
    ended
}

/// Until the pipeline ends.
async fn messages(bus: &gst::Bus) -> Result<(), Error> {
    let mut messages = bus.stream();
    while let Some(message) = messages.next().await {
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Error(error) => {
                let closed = error.error().matches(gst::ResourceError::NotFound)
                    && error.error().message().contains("closed");
                return if closed { Ok(()) } else { Err(Error::Failed(error.error().to_string())) };
            }
            gst::MessageView::Warning(warning) => {
                tracing::warn!(warning = %warning.error(), "while showing the picture");
            }
            _ => {}
        }
    }
    Ok(())
}

fn pipeline() -> Result<(gst::Pipeline, gst_app::AppSrc), glib::BoolError> {
    let caps = gst::Caps::builder("video/mpegts")
        .field("systemstream", true)
        .field("packetsize", crate::ts::PACKET as i32)
        .build();
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .is_live(true)
        .do_timestamp(true)
        .format(gst::Format::Time)
        .max_bytes(QUEUE)
        .leaky_type(gst_app::AppLeakyType::Downstream)
        .build();
    let parse = gst::ElementFactory::make("tsparse").property("set-timestamps", true).build()?;
    let decode = gst::ElementFactory::make("decodebin3").build()?;
    let pipeline = gst::Pipeline::with_name("braidcast");
    pipeline.add_many([source.upcast_ref(), &parse, &decode])?;
    gst::Element::link_many([source.upcast_ref(), &parse, &decode])?;
    let weak = pipeline.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(error) = sink(&pipeline, pad) {
            tracing::warn!(%error, pad = %pad.name(), "cannot be shown");
        }
    });
    Ok((pipeline, source))
}

/// Shows what a new pad of the decoder gives: the first picture, the first sound.
fn sink(pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), glib::BoolError> {
    let (kind, elements) = match pad.name().split('_').next() {
        Some("video") => ("picture", ["queue", "videoconvert", "videoscale", "autovideosink"]),
        Some("audio") => ("sound", ["queue", "audioconvert", "audioresample", "autoaudiosink"]),
        _ => return Ok(()),
    };
    if pipeline.by_name(kind).is_some() {
        return Ok(());
    }
    let elements = elements
        .iter()
        .map(|name| gst::ElementFactory::make(name).build())
        .collect::<Result<Vec<_>, _>>()?;
    let branch = gst::Bin::with_name(kind);
    branch.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    let entry = elements.first().and_then(|queue| queue.static_pad("sink"));
    let entry = entry.ok_or_else(|| glib::bool_error!("a queue has a sink pad"))?;
    let ghost = gst::GhostPad::with_target(&entry)?;
    branch.add_pad(&ghost)?;
    pipeline.add(&branch)?;
    branch.sync_state_with_parent()?;
    pad.link(&ghost).map_err(|error| glib::bool_error!("cannot link the {kind}: {error}"))?;
    Ok(())
}

/// Stops the pipeline when it goes away; a pipeline that plays must not be dropped.
struct Stopped(gst::Pipeline);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = self.0.set_state(gst::State::Null) {
            tracing::debug!(%error, "the pipeline did not stop");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_is_made_of_what_the_system_has() {
        gst::init().unwrap();
        let (pipeline, source) = pipeline().unwrap();
        assert_eq!(source.max_bytes(), QUEUE);
        assert!(source.is_live());
        drop(Stopped(pipeline));
    }
}
