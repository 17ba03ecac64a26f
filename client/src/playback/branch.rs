//! The branches of a pipeline behind the demultiplexer: picture, sound, subtitles. Decoders are chosen by rank, hardware
//! first where there is some.

use std::sync::{Arc, Mutex};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use tokio::sync::watch;

use super::captions::Captions;
use super::picture::picture;
use super::tables::{Kind, Track};
use super::{Loudness, Picture};

/// The name of the element that gives sound to a device.
pub(super) const SOUND_SINK: &str = "sound-sink";
const LOUDNESS: &str = "loudness";
/// After so many elements behind the decoder the overlay follows.
const OVER: usize = 2;

/// Pictures later than this are not shown: the next is due.
const LATEST: gst::ClockTime = gst::ClockTime::from_mseconds(60);
/// What may wait in front of a decoder.
const WAITING: gst::ClockTime = gst::ClockTime::from_seconds(3);

/// What is to be played of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// The picture's PID.
    pub(super) picture: Option<u16>,
    /// The sound's PID.
    pub(super) sound: Option<u16>,
    /// The subtitles.
    pub(super) subtitles: Option<Track>,
    /// The service of captions in the picture, from 1.
    pub(super) captions: Option<u8>,
    /// Whether the first of each is wanted, because nothing is known of the stream.
    pub(super) any: bool,
    /// Whether sound is to go nowhere.
    pub(super) silent: bool,
    /// Whether the first picture is shown when it is there, not when it is due.
    pub(super) early: bool,
}

/// Takes pictures to the screen.
type Show = Arc<dyn Fn(Picture) + Send + Sync>;
/// Is told of the services of captions whenever there is another.
pub(super) type Captioned = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Builds branches as the demultiplexer finds streams.
pub(super) struct Branches {
    wanted: Wanted,
    /// What writes over the picture, if anything is to be written. It is in the pipeline from the beginning: subtitles may be
    /// found before the picture.
    overlay: Option<gst::Element>,
    loudness: watch::Receiver<Loudness>,
    show: Show,
    captioned: Captioned,
}

impl Branches {
    /// From now on, what `demux` finds and is wanted gets its branch.
    pub(super) fn attach(
        pipeline: &gst::Pipeline,
        demux: &gst::Element,
        wanted: Wanted,
        loudness: watch::Receiver<Loudness>,
        show: impl Fn(Picture) + Send + Sync + 'static,
        captioned: Captioned,
    ) {
        let overlay = overlay(&wanted).and_then(|overlay| {
            overlay.iter().try_for_each(|overlay| pipeline.add(overlay)).map(|()| overlay)
        });
        let overlay = overlay.unwrap_or_else(|error| {
            tracing::warn!(%error, "subtitles cannot be shown");
            None
        });
        let branches = Self { wanted, overlay, loudness, show: Arc::new(show), captioned };
        let weak = pipeline.downgrade();
        // Sinks show by the clock at once; the pipeline does not wait until all of them have something.
        pipeline.connect_deep_element_added(|_, _, element| {
            if element.find_property("async").is_some() && element.find_property("sync").is_some() {
                element.set_property("async", false);
            }
        });
        demux.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            if let Err(error) = branches.found(&pipeline, pad) {
                tracing::warn!(%error, pad = %pad.name(), "cannot be played");
            }
        });
    }

    fn found(&self, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        // kind_PROGRAMME_PID
        let name = pad.name();
        let pid = name.rsplit('_').next().and_then(|pid| u16::from_str_radix(pid, 16).ok());
        let first = |kind: &str, branch: &str| {
            self.wanted.any && name.starts_with(kind) && pipeline.by_name(branch).is_none()
        };
        if pid.is_some() && pid == self.wanted.picture || first("video", "picture") {
            from_zero(pad);
            self.picture(pipeline, pad)
        } else if pid.is_some() && pid == self.wanted.sound || first("audio", "sound") {
            from_zero(pad);
            self.sound(pipeline, pad)
        } else if let Some(track) = self.wanted.subtitles.as_ref().filter(|t| Some(t.pid) == pid) {
            from_zero(pad);
            let overlay = self.overlay.as_ref();
            let overlay =
                overlay.ok_or_else(|| glib::bool_error!("there is no picture to put them on"))?;
            subtitles(pipeline, pad, track, overlay)
        } else {
            Ok(())
        }
    }

    fn picture(&self, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        let queue = queue("picture")?;
        let decode = decoder(pad)?;
        let decoded = gst::ElementFactory::make("queue")
            .property("max-size-buffers", 3_u32)
            .property("max-size-bytes", 0_u32)
            .property("max-size-time", 0_u64)
            .build()?;
        let convert = gst::ElementFactory::make("videoconvert").property("n-threads", 2_u32);
        // What is not interlaced passes over the second.
        let mut elements =
            vec![decoded.clone(), make("deinterlace")?, convert.build()?, self.screen()?.upcast()];
        pipeline.add_many([&queue, &decode])?;
        pipeline.add_many(&elements)?;
        if let Some(overlay) = &self.overlay {
            elements.insert(OVER, overlay.clone());
        }
        gst::Element::link_many(&elements)?;
        queue.link(&decode)?;
        on_decoded(&decode, &decoded);
        if let Some(pad) = decoded.static_pad("src") {
            self.caption(&pad, self.overlay.clone());
        }
        start(&[&queue, &decode], &elements)?;
        link(pad, &queue)
    }

    /// Looks after the captions that come with pictures through `pad`: tells which there are, and writes those that are wanted
    /// over the picture that they came with.
    fn caption(&self, pad: &gst::Pad, overlay: Option<gst::Element>) {
        let wanted = self.wanted.captions.zip(overlay);
        let captioned = self.captioned.clone();
        let state = Mutex::new((Captions::default(), 0, String::new()));
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
            let mut state = super::lock(&state);
            let (captions, known, written) = &mut *state;
            for meta in buffer.iter_meta::<gst_video::VideoCaptionMeta>() {
                if meta.caption_type() == gst_video::VideoCaptionType::Cea708Raw {
                    captions.take(meta.data());
                }
            }
            let services = captions.services();
            if services.len() > *known {
                *known = services.len();
                captioned(&services);
            }
            if let Some((service, overlay)) = &wanted {
                let text = captions.text(*service);
                if text != *written {
                    write(overlay, &text);
                    *written = text;
                }
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The end of the picture's branch.
    fn screen(&self) -> Result<gst_app::AppSink, glib::BoolError> {
        let caps = gst::Caps::builder("video/x-raw").field("format", "BGRA").build();
        let show = self.show.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(picture) =
                    sample.buffer().zip(sample.caps()).and_then(|(b, c)| picture(b, c))
                {
                    show(picture);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let sink = gst_app::AppSink::builder()
            .caps(&caps)
            .max_buffers(2)
            .drop(true)
            .sync(true)
            .callbacks(callbacks)
            .build();
        sink.set_property("async", false);
        sink.set_property("qos", true);
        sink.set_property("max-lateness", LATEST.nseconds() as i64);
        if !self.wanted.early {
            return Ok(sink);
        }
        let show = self.show.clone();
        let pad = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("a sink has a pad"))?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let first = info.buffer().zip(pad.current_caps());
            if let Some(picture) = first.and_then(|(buffer, caps)| picture(buffer, &caps)) {
                show(picture);
            }
            gst::PadProbeReturn::Remove
        });
        Ok(sink)
    }

    fn sound(&self, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        let queue = queue("sound")?;
        pipeline.add(&queue)?;
        queue.sync_state_with_parent()?;
        link(pad, &queue)?;
        let decode = decoder(pad)?;
        let (loudness, silent) = (self.loudness.clone(), self.wanted.silent);
        // Opening a device may take a while, and the picture must not wait for it.
        pipeline.call_async(move |pipeline| {
            let build = || -> Result<(), glib::BoolError> {
                let volume = gst::ElementFactory::make("volume").name(LOUDNESS).build()?;
                let sink = if silent { "fakesink" } else { "autoaudiosink" };
                let sink = gst::ElementFactory::make(sink).name(SOUND_SINK).build()?;
                if silent {
                    sink.set_property("sync", true);
                }
                let elements =
                    [make("audioconvert")?, make("audioresample")?, volume.clone(), sink];
                pipeline.add(&decode)?;
                pipeline.add_many(&elements)?;
                gst::Element::link_many(&elements)?;
                on_decoded(&decode, &elements[0]);
                start(&[&decode], &elements)?;
                queue.link(&decode)?;
                // It may have changed meanwhile.
                apply(&volume, *loudness.borrow());
                Ok(())
            };
            if let Err(error) = build() {
                tracing::warn!(%error, "sound cannot be played");
            }
        });
        Ok(())
    }
}

/// Sets how loud the pipeline is, if it has sound.
pub(super) fn set_loudness(pipeline: &gst::Pipeline, loudness: Loudness) {
    if let Some(volume) = pipeline.by_name(LOUDNESS) {
        apply(&volume, loudness);
    }
}

/// People hear about the cube root of the amplitude.
fn apply(volume: &gst::Element, loudness: Loudness) {
    volume.set_property("volume", loudness.volume.clamp(0.0, 1.0).powi(3));
    volume.set_property("mute", loudness.muted);
}

/// What writes over the picture, if there is one and anything is to be written.
fn overlay(wanted: &Wanted) -> Result<Option<gst::Element>, glib::BoolError> {
    if wanted.picture.is_none() && !wanted.any {
        return Ok(None);
    }
    let overlay = match wanted.subtitles.as_ref().map(|track| track.kind) {
        Some(Kind::Subtitles) => make("dvbsuboverlay")?,
        None if wanted.captions.is_none() => return Ok(None),
        _ => gst::ElementFactory::make("textoverlay")
            .property("wait-text", false)
            .property_from_str("font-desc", "Sans Semi-Bold 22")
            .property("shaded-background", true)
            .build()?,
    };
    Ok(Some(overlay))
}

/// Brings subtitles to what writes them over the picture.
fn subtitles(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    track: &Track,
    overlay: &gst::Element,
) -> Result<(), glib::BoolError> {
    let mut elements = vec![queue("texts")?];
    if let Kind::Teletext(page) = track.kind {
        let decode = gst::ElementFactory::make("teletextdec")
            .property("page", i32::from(page))
            .property("subtitles-mode", true)
            // Its default ends lines with a backslash and an n.
            .property("subtitles-template", "%s\n");
        elements.extend([decode.build()?, writer(overlay).upcast()]);
    }
    pipeline.add_many(&elements)?;
    gst::Element::link_many(&elements)?;
    if track.kind == Kind::Subtitles {
        elements[0].link_pads(Some("src"), overlay, Some("text_sink"))?;
    }
    // What comes before the picture waits in it.
    overlay.sync_state_with_parent()?;
    start(&[], &elements)?;
    link(pad, &elements[0])
}

/// Writes each page over the picture when it is due. It stays until the next: pages have no end of their own.
fn writer(overlay: &gst::Element) -> gst_app::AppSink {
    let overlay = overlay.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some(page) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                // It ends with a zero.
                let text = String::from_utf8_lossy(&page);
                write(&overlay, text.trim_matches(|c: char| c == '\0' || c.is_whitespace()));
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    // What the decoder calls UTF-8 alone has no more than the subtitle; its markup draws the whole page.
    let caps = gst::Caps::builder("text/x-raw").field("format", "utf-8").build();
    gst_app::AppSink::builder().caps(&caps).sync(true).async_(false).callbacks(callbacks).build()
}

/// Sets what stands over the picture. The overlay takes it for markup.
fn write(overlay: &gst::Element, text: &str) {
    overlay.set_property("text", glib::markup_escape_text(text).as_str());
}

fn make(name: &str) -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make(name).build()
}

fn queue(name: &str) -> Result<gst::Element, glib::BoolError> {
    gst::ElementFactory::make("queue")
        .name(name)
        .property("max-size-buffers", 0_u32)
        .property("max-size-bytes", 16_u32 << 20)
        .property("max-size-time", WAITING.nseconds())
        .build()
}

/// Decodes what `pad` gives.
fn decoder(pad: &gst::Pad) -> Result<gst::Element, glib::BoolError> {
    let decode = gst::ElementFactory::make("decodebin");
    match pad.current_caps() {
        Some(caps) => decode.property("sink-caps", caps).build(),
        None => decode.build(),
    }
}

/// Links what `decode` gives to `next`, once it is known.
fn on_decoded(decode: &gst::Element, next: &gst::Element) {
    let next = next.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let Some(entry) = next.upgrade().and_then(|next| next.static_pad("sink")) else { return };
        if !entry.is_linked()
            && let Err(error) = pad.link(&entry)
        {
            tracing::warn!(%error, "a decoder gives what cannot be shown");
        }
    });
}

/// From the end of the branch to its beginning, so that nothing comes to what does not run yet.
fn start(first: &[&gst::Element], then: &[gst::Element]) -> Result<(), glib::BoolError> {
    for element in then.iter().rev().chain(first.iter().rev().copied()) {
        element.sync_state_with_parent()?;
    }
    Ok(())
}

fn link(pad: &gst::Pad, next: &gst::Element) -> Result<(), glib::BoolError> {
    let entry = next.static_pad("sink");
    let entry = entry.ok_or_else(|| glib::bool_error!("a queue has a way in"))?;
    pad.link(&entry).map_err(|error| glib::bool_error!("cannot link: {error}"))?;
    Ok(())
}

/// Lets time run from the stream's first clock reference, not from this stream's first picture or sound.
fn from_zero(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        let Some(event) = info.event() else { return gst::PadProbeReturn::Ok };
        if let gst::EventView::Segment(segment) = event.view()
            && let Some(time) = segment.segment().downcast_ref::<gst::ClockTime>()
        {
            let mut time = time.clone();
            time.set_base(time.start());
            let moved = gst::event::Segment::builder(&time)
                .seqnum(event.seqnum())
                .running_time_offset(event.running_time_offset())
                .build();
            info.data = Some(gst::PadProbeData::Event(moved));
        }
        gst::PadProbeReturn::Ok
    });
}
