//! The encoder: raw pictures and sound in, access units out.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::Sender;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};

use crate::cancel::Cancel;
use crate::clock;
use crate::config::{Audio, Video};
use crate::pipeline::{Error, Pipeline, on_samples, running_time};
use crate::ts::pes;
use crate::unit::{AAC, H264, Kind, Track, Unit};

/// Identifier of the picture's track.
pub const VIDEO_PID: u16 = 0x100;
/// Identifier of the sound's track.
pub const AUDIO_PID: u16 = 0x110;

/// Samples of sound in a second, two channels of 16 bits each.
pub const RATE: u32 = 48_000;

/// Encoders of H.264, best first. Hardware writes the picture where it is; x264 is the best of the
/// rest.
const VIDEO: [&str; 7] = [
    "vah264enc",
    "nvh264enc",
    "qsvh264enc",
    "v4l2h264enc",
    "vaapih264enc",
    "x264enc",
    "openh264enc",
];
/// Encoders of AAC, best first.
const AUDIO: [&str; 4] = ["avenc_aac", "fdkaacenc", "voaacenc", "faac"];

/// The tracks of a rendition of sound alone.
pub fn sound_tracks() -> Arc<[Track]> {
    tracks().iter().filter(|track| track.kind == Kind::Audio).cloned().collect()
}

/// The tracks of an encoded channel.
pub fn tracks() -> Arc<[Track]> {
    let video = Track { pid: VIDEO_PID, stream_type: H264, kind: Kind::Video, info: Bytes::new() };
    let audio = Track { pid: AUDIO_PID, stream_type: AAC, kind: Kind::Audio, info: Bytes::new() };
    Arc::new([video, audio])
}

/// The first of these elements that exists and opens its device.
fn best(names: &[&'static str], what: &'static str) -> Result<&'static str, Error> {
    crate::pipeline::init()?;
    let works = |name: &&&str| {
        let Some(factory) = gst::ElementFactory::find(name) else { return false };
        let Ok(element) = factory.create().build() else { return false };
        let works = element.set_state(gst::State::Ready).is_ok();
        let _ = element.set_state(gst::State::Null);
        works
    };
    names.iter().find(works).copied().ok_or(Error::NoneWorks(what))
}

/// The H.264 encoder that will be used, described for a pipeline.
fn video_encoder(video: &Video, gop: u32) -> Result<(String, String), Error> {
    let name = match &video.encoder {
        Some(name) => VIDEO.iter().find(|known| *known == name).copied().ok_or_else(|| {
            Error::Build(format!("encoder {name} is not known; known are {}", VIDEO.join(", ")))
        })?,
        None => best(&VIDEO, "H.264 encoder")?,
    };
    let kbit = video.bitrate_kbit;
    let settings = match name {
        // No pictures out of order, no extra random access points; a buffer of one second.
        "x264enc" => format!(
            "tune=zerolatency speed-preset={} bitrate={kbit} key-int-max={gop} \
             vbv-buf-capacity=1000 byte-stream=true option-string=scenecut=0",
            video.preset
        ),
        "openh264enc" => {
            format!("gop-size={gop} bitrate={} rate-control=bitrate", u64::from(kbit) * 1000)
        }
        "vah264enc" => format!("key-int-max={gop} bitrate={kbit} b-frames=0 rate-control=cbr"),
        "nvh264enc" => format!("gop-size={gop} bitrate={kbit} bframes=0 zerolatency=true"),
        "qsvh264enc" => format!("gop-size={gop} bitrate={kbit} b-frames=0"),
        "vaapih264enc" => format!("keyframe-period={gop} bitrate={kbit} max-bframes=0"),
        _ => format!(
            "extra-controls=\"c,video_bitrate={},video_gop_size={gop},video_b_frames=0,\
             repeat_sequence_header=1\"",
            u64::from(kbit) * 1000
        ),
    };
    Ok((name.into(), settings))
}

/// A running encoder.
#[derive(Debug)]
pub struct Encoder {
    pipeline: Pipeline,
    video: Option<AppSrc>,
    audio: AppSrc,
    fps: u32,
    /// Names of the elements that encode picture and sound.
    pub names: (String, String),
}

/// What an encoder makes.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// The pictures that come in.
    pub input: &'a Video,
    /// Those that go out; none for sound alone.
    pub video: Option<&'a Video>,
    /// The sound.
    pub audio: &'a Audio,
    /// Pictures from one random access point to the next.
    pub gop: u32,
}

/// Caps of a raw picture.
pub fn picture_caps(video: &Video) -> String {
    format!(
        "video/x-raw,format=I420,width={},height={},framerate={}/1,pixel-aspect-ratio=1/1",
        video.width, video.height, video.fps
    )
}

/// Caps of raw sound.
pub fn sound_caps() -> String {
    format!("audio/x-raw,format=S16LE,layout=interleaved,rate={RATE},channels=2")
}

impl Encoder {
    /// Starts an encoder. Time stamps of the units are `base` plus running time. Units go to `video_out` and `audio_out`, which hold GStreamer's
    /// threads while they are full.
    ///
    /// # Errors
    /// If no encoder works.
    pub fn start(
        making: Making<'_>,
        base: i64,
        out: (Sender<Unit>, Sender<Unit>),
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let Making { input, video, audio, gop } = making;
        let (pictures, encoder) = match video {
            Some(video) => pictures(input, video, gop)?,
            None => (String::new(), "none".into()),
        };
        let sound_encoder = best(&AUDIO, "AAC encoder")?;
        let description = format!(
            "{pictures} appsrc name=audio format=time is-live=true block=true max-buffers=8 max-bytes=0 \
                 caps=\"{sound}\" \
             ! audioconvert ! {sound_encoder} bitrate={} \
             ! aacparse ! audio/mpeg,mpegversion=4,stream-format=adts \
             ! appsink name=audio_out sync=false async=false max-buffers=8",
            u64::from(audio.bitrate_kbit) * 1000,
            sound = sound_caps(),
        );
        let pipeline = Pipeline::parse(&description)?;
        let mut video_in = None;
        if video.is_some() {
            deliver(&pipeline, "video_out", VIDEO_PID, base, out.0, cancel)?;
            video_in = Some(pipeline.element("video")?);
        }
        deliver(&pipeline, "audio_out", AUDIO_PID, base, out.1, cancel)?;
        let audio_in = pipeline.element("audio")?;
        pipeline.play()?;
        let names = (encoder, sound_encoder.to_owned());
        Ok(Self { pipeline, video: video_in, audio: audio_in, fps: input.fps, names })
    }

    /// Encodes picture number `index`; does nothing for sound alone.
    ///
    /// # Errors
    /// If the encoder failed.
    pub fn picture(&self, picture: &gst::Buffer, index: u64) -> Result<(), Error> {
        let Some(video) = &self.video else { return Ok(()) };
        let at = |index: u64| gst::ClockTime::from_nseconds(scale(index, self.fps));
        // The pixels are shared, only the times are new.
        let mut buffer = picture.copy();
        let times = buffer.make_mut();
        times.set_pts(at(index));
        times.set_dts(gst::ClockTime::NONE);
        times.set_duration(at(index + 1) - at(index));
        self.check(video.push_buffer(buffer))
    }

    /// Encodes sound from sample number `index`: two channels of 16 bits.
    ///
    /// # Errors
    /// If the encoder failed.
    pub fn sound(&self, samples: Vec<u8>, index: u64) -> Result<(), Error> {
        let frames = samples.len() as u64 / 4;
        let mut buffer = gst::Buffer::from_mut_slice(samples);
        if let Some(times) = buffer.get_mut() {
            times.set_pts(gst::ClockTime::from_nseconds(scale(index, RATE)));
            times.set_duration(gst::ClockTime::from_nseconds(scale(frames, RATE)));
        }
        self.check(self.audio.push_buffer(buffer))
    }

    fn check(&self, result: Result<gst::FlowSuccess, gst::FlowError>) -> Result<(), Error> {
        self.pipeline.poll(std::time::Duration::ZERO)?;
        result.map(|_| ()).map_err(|error| Error::Element {
            element: "encoder".into(),
            what: format!("takes no more ({error})"),
        })
    }
}

/// The part of the pipeline that encodes pictures, and the encoder's name.
fn pictures(input: &Video, video: &Video, gop: u32) -> Result<(String, String), Error> {
    let (encoder, settings) = video_encoder(video, gop)?;
    let scale = if (input.width, input.height) == (video.width, video.height) {
        String::new()
    } else {
        format!("! videoscale ! {}", picture_caps(video))
    };
    let description = format!(
        "appsrc name=video format=time is-live=true block=true max-buffers=3 max-bytes=0 \
             caps=\"{}\" \
         {scale} ! videoconvert ! {encoder} {settings} \
         ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au \
         ! appsink name=video_out sync=false async=false max-buffers=8",
        picture_caps(input),
    );
    Ok((description, encoder))
}

/// Nanoseconds of `count` at so many a second.
fn scale(count: u64, per_second: u32) -> u64 {
    let ns = u128::from(count) * 1_000_000_000 / u128::from(per_second.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Sends what arrives at a sink as units.
fn deliver(
    pipeline: &Pipeline,
    sink: &str,
    pid: u16,
    base: i64,
    out: Sender<Unit>,
    cancel: &Cancel,
) -> Result<(), Error> {
    let sink: AppSink = pipeline.element(sink)?;
    let cancel = cancel.clone();
    let take = move |sample: gst::Sample| {
        let (Some((pts, dts)), Some(buffer)) = (running_time(&sample), sample.buffer()) else {
            return true;
        };
        let Ok(map) = buffer.map_readable() else { return true };
        let (pts, dts) = (base + clock::from_nanos(pts), base + clock::from_nanos(dts));
        let video = pid == VIDEO_PID;
        let random_access = video && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let pes = pes::wrap_unit(if video { 0xe0 } else { 0xc0 }, &map, pts != dts);
        cancel.send(&out, Unit { pid, pts, dts, random_access, pes })
    };
    on_samples(&sink, take, || ());
    Ok(())
}
