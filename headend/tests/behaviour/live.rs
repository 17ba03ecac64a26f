//! Live sources, really sent by GStreamer: UDP to one and to many, SRT both ways; passed through and
//! encoded; each is stopped in the middle and returns.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::common;
use crate::common::{H264, check_joined, check_stream, join, make_clip, take, until};
use gstreamer as gst;
use gstreamer::prelude::*;
use headend::config::{Mode, Source};

/// A sender that stops when dropped.
pub(crate) struct Sender(gst::Pipeline);

impl Sender {
    pub(crate) fn start(clip: &Path, sink: &str) -> Self {
        gst::init().unwrap();
        let description = format!(
            "filesrc name=file ! tsparse set-timestamps=true alignment=7 ! queue ! {sink} sync=true"
        );
        let element = gst::parse::launch(&description).unwrap();
        let pipeline = element.downcast::<gst::Pipeline>().unwrap();
        pipeline.by_name("file").unwrap().set_property("location", clip);
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn clip(folder: &Path, codecs: &[&str]) -> PathBuf {
    let path = folder.join("clip.ts");
    make_clip(&path, 60, 25, codecs);
    path
}

/// Slate, source, slate, source; what came out is one stream.
fn survives(source: Source, mode: Mode, sink: &str, codecs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), codecs);
    let mut channel = common::channel(source);
    channel.mode = mode;
    let mut media = common::start(channel);
    let up = |_: &_, media: &headend::media::Media| media.stats.source_up.load(Relaxed);
    let down = |_: &_, media: &headend::media::Media| !media.stats.source_up.load(Relaxed);

    let mut cuts = take(&mut media, 4);
    assert!(!media.stats.source_up.load(Relaxed));
    let sender = Sender::start(&clip, sink);
    cuts.extend(until(&mut media, up));
    cuts.extend(take(&mut media, 8));
    drop(sender);
    let stopped = Instant::now();
    cuts.extend(until(&mut media, down));
    // Two seconds, but for a machine that is busy with other things.
    assert!(stopped.elapsed().as_secs() < 10, "slate after {:?}", stopped.elapsed());
    cuts.extend(take(&mut media, 6));
    let sender = Sender::start(&clip, sink);
    cuts.extend(until(&mut media, up));
    cuts.extend(take(&mut media, 8));
    drop(sender);
    media.stop();
    assert_eq!(media.stats.restarts.load(Relaxed), 0);
    assert_eq!(media.stats.outputs[0].dropped.load(Relaxed), 0);
    assert!(media.stats.losses.load(Relaxed) >= 1);
    check_joined(&cuts);
    check_stream(&join(&cuts));
}

#[test]
fn udp_to_one_is_passed_through() {
    let port = free_port();
    let source = Source::Udp { address: local(port), interface: None };
    let sink = format!("udpsink host=127.0.0.1 port={port}");
    survives(source, Mode::PassThrough, &sink, H264);
}

#[test]
fn udp_to_many_is_encoded() {
    let port = free_port();
    let address = SocketAddr::from(([239, 255, 77, 1], port));
    let source = Source::Udp { address, interface: Some("lo".into()) };
    let sink = format!("udpsink host=239.255.77.1 port={port} multicast-iface=lo");
    survives(source, Mode::Encode, &sink, H264);
}

#[test]
fn srt_that_calls_in_is_passed_through() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passphrase");
    std::fs::write(&file, "a long enough secret\n").unwrap();
    let passphrase = Some(service::config::Secret::File(file));
    let source = Source::SrtListener { address: local(port), latency_ms: 120, passphrase };
    let sink = format!(
        "srtsink uri=srt://127.0.0.1:{port}?mode=caller latency=120 \
         passphrase=\"a long enough secret\" wait-for-connection=true"
    );
    survives(source, Mode::PassThrough, &sink, H264);
}

#[test]
fn srt_that_is_called_is_passed_through() {
    let port = free_port();
    let source = Source::SrtCaller {
        address: format!("127.0.0.1:{port}"),
        latency_ms: 120,
        passphrase: None,
        stream_id: None,
    };
    let sink = format!("srtsink uri=srt://127.0.0.1:{port}?mode=listener latency=120");
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "mp2"];
    survives(source, Mode::PassThrough, &sink, &codecs);
}
