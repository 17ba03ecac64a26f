//! A small picture of what a channel shows, for the operator: made only when somebody looks.

use std::time::Duration;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer_app::{AppSink, AppSrc};
use link::protocol::MAX_PREVIEW;

use crate::pipeline::{Error, Pipeline};

/// Of the picture, pixels; its height follows from the source's shape.
const WIDTH: u32 = 480;
/// A decoder that has given nothing by then gives nothing at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Decodes the first picture of a segment that begins at a random access point, and gives it as JPEG of at most
/// [`MAX_PREVIEW`] bytes. Blocks for some tens of milliseconds.
///
/// # Errors
/// If there is no picture in it that can be decoded here.
pub fn preview(ts: Bytes) -> Result<Vec<u8>, Error> {
    for quality in [80, 50, 20] {
        let jpeg = picture(ts.clone(), quality)?;
        if jpeg.len() <= MAX_PREVIEW {
            return Ok(jpeg);
        }
    }
    Err(Error::Stalled("the picture is too large to be shown"))
}

fn picture(ts: Bytes, quality: u32) -> Result<Vec<u8>, Error> {
    let pipeline = Pipeline::parse(&format!(
        "appsrc name=in format=bytes caps=video/mpegts,systemstream=true,packetsize=188 \
         ! decodebin ! deinterlace ! videoconvert ! videoscale \
         ! video/x-raw,width={WIDTH},pixel-aspect-ratio=1/1 ! jpegenc quality={quality} \
         ! appsink name=out sync=false max-buffers=1"
    ))?;
    let source: AppSrc = pipeline.element("in")?;
    let sink: AppSink = pipeline.element("out")?;
    pipeline.play()?;
    let fed = source.push_buffer(gst::Buffer::from_slice(ts)).and_then(|_| source.end_of_stream());
    // An element that failed tells why on the bus.
    let sample = fed.ok().and_then(|_| {
        sink.try_pull_sample(gst::ClockTime::try_from(PATIENCE).unwrap_or(gst::ClockTime::MAX))
    });
    pipeline.poll(Duration::ZERO)?;
    let none = Error::Stalled("there is no picture in it");
    let buffer = sample.and_then(|sample| sample.buffer_owned()).ok_or(none.clone())?;
    Ok(buffer.map_readable().map_err(|_| none)?.to_vec())
}
