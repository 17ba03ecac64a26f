//! What the tests share: clips, running channels, and tools that look at streams.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use headend::config::{Channel, Video};
use headend::media::Media;
use segment::Cut;

/// Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A small picture, quickly encoded.
pub(crate) fn small(fps: u32) -> Video {
    Video {
        width: 320,
        height: 180,
        fps,
        bitrate_kbit: 400,
        encoder: Some("x264enc".into()),
        preset: "ultrafast".into(),
    }
}

/// A channel with a small picture.
pub(crate) fn channel(source: headend::config::Source) -> Channel {
    Channel {
        id: "test".into(),
        name: "Test & <Channel>".into(),
        source,
        video: small(25),
        ..Channel::default()
    }
}

/// Starts a channel without a state folder. A library that says it was misused ends the test.
pub(crate) fn start(channel: Channel) -> Media {
    gstreamer::glib::log_set_always_fatal(gstreamer::glib::LogLevels::LEVEL_CRITICAL);
    Media::start(channel, None).unwrap()
}

/// The next segment.
pub(crate) fn next(media: &mut Media) -> Cut {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Ok(cut) = media.cuts.try_recv() {
            return cut;
        }
        assert!(Instant::now() < until, "no segment came: {:?}", media.stats);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// So many segments.
pub(crate) fn take(media: &mut Media, count: usize) -> Vec<Cut> {
    (0..count).map(|_| next(media)).collect()
}

/// So many segments, from the next random access point on.
pub(crate) fn take_clean(media: &mut Media, count: usize) -> Vec<Cut> {
    let mut cuts = until(media, |cut, _| cut.random_access);
    cuts.drain(..cuts.len() - 1);
    cuts.extend(take(media, count - 1));
    cuts
}

/// Segments until one satisfies, that one included.
pub(crate) fn until(media: &mut Media, mut enough: impl FnMut(&Cut, &Media) -> bool) -> Vec<Cut> {
    let deadline = Instant::now() + PATIENCE;
    let mut cuts = Vec::new();
    loop {
        let cut = next(media);
        let stop = enough(&cut, media);
        cuts.push(cut);
        if stop {
            return cuts;
        }
        assert!(Instant::now() < deadline, "it did not happen: {:?}", media.stats);
    }
}

/// The bytes of all.
pub(crate) fn join(cuts: &[Cut]) -> Vec<u8> {
    cuts.iter().flat_map(|cut| cut.ts.to_vec()).collect()
}

/// Numbers grow by one, captures by about the segments' durations, and everything is whole packets.
pub(crate) fn check_joined(cuts: &[Cut]) {
    for pair in cuts.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1);
        let step = pair[1].capture as i64 - pair[0].capture as i64;
        let stated = i64::from(pair[0].duration_ms) * 1000;
        assert!((step - stated).abs() <= 2_500, "capture moved {step}, duration {stated}");
    }
    for cut in cuts {
        assert_eq!(cut.ts.len() % 188, 0);
        assert!(cut.ts.chunks(188).all(|packet| packet[0] == 0x47));
    }
}

/// Runs a tool; its standard output. It must succeed and say nothing on standard error.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    assert!(errors.trim().is_empty(), "{program} {arguments:?} says: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Decodes everything with ffmpeg, which must find nothing wrong.
pub(crate) fn ffmpeg_decodes(path: &Path) {
    let path = path.to_str().unwrap();
    // Times stay as they are: frames are not fitted to a constant rate.
    let times = ["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"];
    let input = ["-nostdin", "-v", "error", "-xerror", "-i", path];
    tool("ffmpeg", &[&input[..], &times, &["-f", "null", "-"]].concat());
}

/// Decodes everything with GStreamer, as a player of a live stream does; numbers of pictures and of
/// sound buffers.
pub(crate) fn gstreamer_decodes(path: &Path) -> (u64, u64) {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
    let decoder = gst::ElementFactory::make("decodebin").build().unwrap();
    let parse =
        gst::ElementFactory::make("tsparse").property("set-timestamps", true).build().unwrap();
    pipeline.add_many([&source, &parse, &decoder]).unwrap();
    gst::Element::link_many([&source, &parse, &decoder]).unwrap();
    let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let sinks = Arc::new(Mutex::new(BTreeMap::new()));
    let (weak, seen, kept) = (pipeline.downgrade(), counts.clone(), sinks.clone());
    decoder.connect_pad_added(move |_, pad| {
        let pipeline = weak.upgrade().unwrap();
        let sink = gst::ElementFactory::make("fakesink").property("sync", false).build().unwrap();
        sink.set_property("async", false);
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        let name = pad.query_caps(None).structure(0).unwrap().name().to_string();
        let count = seen[usize::from(!name.starts_with("video"))].clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        kept.lock().unwrap().insert(pad.name().to_string(), sink);
    });
    // A programme may be replaced by another; its pads then go without an end of stream.
    let weak = pipeline.downgrade();
    decoder.connect_pad_removed(move |_, pad| {
        let (Some(pipeline), Some(sink)) =
            (weak.upgrade(), sinks.lock().unwrap().remove(pad.name().as_str()))
        else {
            return;
        };
        pipeline.remove(&sink).unwrap();
        let _ = sink.set_state(gst::State::Null);
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    let ended = message.as_ref().is_some_and(|m| m.type_() == gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(ended, "gstreamer says: {message:?}");
    (counts[0].load(Ordering::Relaxed), counts[1].load(Ordering::Relaxed))
}

/// Decoding times of the packets of a stream (`v` or `a`), seconds, in order of the file.
pub(crate) fn decoding_times(path: &Path, stream: &str) -> Vec<f64> {
    let path = path.to_str().unwrap();
    let entries = ["-show_entries", "packet=dts_time", "-of", "csv=p=0", path];
    let out =
        tool("ffprobe", &[&["-v", "error", "-select_streams", stream][..], &entries].concat());
    let time = |line: &str| line.trim_matches([',', ' ']).parse().ok();
    out.lines().filter_map(time).collect()
}

/// Width and height of a picture, as `ffprobe` writes them.
pub(crate) fn picture_size(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let entries = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", path];
    tool("ffprobe", &entries).trim().to_owned()
}

/// A clip made for a test: `seconds` of a moving picture with a tone.
pub(crate) fn make_clip(path: &Path, seconds: u32, fps: u32, codecs: &[&str]) {
    let video = format!("testsrc2=size=320x180:rate={fps}:duration={seconds}");
    let audio = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let inputs =
        ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &video, "-f", "lavfi", "-i"];
    let arguments = [&inputs[..], &[&audio], codecs, &[path.to_str().unwrap()]].concat();
    let output = Command::new("ffmpeg").args(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The real clip that set-up keeps, if it is there.
pub(crate) fn real_clip() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/clip.mp4");
    path.is_file().then_some(path)
}

/// H.264 with pictures out of order, AAC, and AC-3 as a second sound track.
pub(crate) const H264: &[&str] = &[
    "-map",
    "0:v",
    "-map",
    "1:a",
    "-map",
    "1:a",
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-g",
    "25",
    "-bf",
    "2",
    "-c:a:0",
    "aac",
    "-c:a:1",
    "ac3",
    "-metadata:s:a:0",
    "language=deu",
    "-metadata:s:a:1",
    "language=eng",
];
/// H.265 with open groups of pictures, and MPEG-1 layer 2.
pub(crate) const H265: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "keyint=25:bframes=2:log-level=none",
    "-c:a",
    "mp2",
];

/// Continuity counters of every identifier go on without a step.
pub(crate) fn check_counters(ts: &[u8]) {
    let mut last = std::collections::BTreeMap::new();
    for chunk in ts.as_chunks::<188>().0 {
        let packet = headend::ts::packet::Packet::parse(chunk).unwrap();
        assert!(!packet.payload().is_empty());
        if let Some(before) = last.insert(packet.pid(), packet.continuity()) {
            assert_eq!(packet.continuity(), (before + 1) & 15, "identifier {}", packet.pid());
        }
    }
}

/// Clock references grow, and are never behind the decoding time that they belong to.
pub(crate) fn check_clock(ts: &[u8]) {
    let mut last = None;
    for chunk in ts.as_chunks::<188>().0 {
        let packet = headend::ts::packet::Packet::parse(chunk).unwrap();
        let Some(pcr) = packet.pcr() else { continue };
        let base = (pcr / 300) as i64;
        if let Some(before) = last {
            let step = base - before;
            assert!(step > 0 && step < 90_000, "clock moved by {step}");
        }
        last = Some(base);
        let header = headend::ts::pes::parse(packet.payload()).unwrap();
        let dts = header.dts.or(header.pts).unwrap() as i64;
        assert!(dts > base && dts - base < 5 * 90_000, "clock {base}, decoding {dts}");
    }
}

/// Checks of a whole stream: packets, counters, clock, both decoders, and times that grow.
/// Returns the numbers of pictures and of sound buffers that GStreamer decoded.
pub(crate) fn check_stream(ts: &[u8]) -> (u64, u64) {
    check_counters(ts);
    check_clock(ts);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.ts");
    std::fs::write(&path, ts).unwrap();
    ffmpeg_decodes(&path);
    for stream in ["v:0", "a:0"] {
        let times = decoding_times(&path, stream);
        assert!(times.len() > 10, "{stream}: {}", times.len());
        for pair in times.windows(2) {
            let step = pair[1] - pair[0];
            assert!(step > 0.0, "{stream}: step of {step} s at {}", pair[0]);
        }
    }
    gstreamer_decodes(&path)
}
