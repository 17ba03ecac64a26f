//! Captions on their whole way: with encoded pictures, through a transport stream and a decoder, onto the picture.

use std::time::{Duration, Instant};

use cea608_types::tables::Control;
use futures::StreamExt as _;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gtk::prelude::TextureExtManual as _;

use super::captions::tests::triplets;
use super::*;

/// Of the pictures, pixels.
pub(super) const WIDTH: usize = 320;
/// Of the pictures, pixels.
pub(super) const HEIGHT: usize = 180;
const LIMIT: Duration = Duration::from_secs(60);

/// So many pictures after they began captions are said again, as channels do it: a busy machine leaves pictures out.
const AGAIN: usize = 5;

/// Two seconds of dark pictures, encoded, through `then` (elements in the notation of `gst-launch-1.0`). `mark` may hang
/// something on each.
pub(super) fn dark(then: &str, mark: impl Fn(u64, &mut gst::BufferRef)) -> Vec<gst::Sample> {
    gst::init().unwrap();
    let pipeline = format!(
        "appsrc name=in format=time ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse \
         config-interval=-1 ! {then} ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let format = gst_video::VideoFormat::I420;
    let info = gst_video::VideoInfo::builder(format, WIDTH as u32, HEIGHT as u32)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    source.set_caps(Some(&info.to_caps().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    let frame = gst::ClockTime::from_mseconds(40);
    for number in 0..50_u64 {
        let mut pixels = vec![16; WIDTH * HEIGHT];
        pixels.resize(info.size(), 128);
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(frame * number);
        writable.set_duration(frame);
        mark(number, writable);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let samples = std::iter::from_fn(|| sink.pull_sample().ok()).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// The bytes of a sample.
pub(super) fn bytes(sample: &gst::Sample) -> Vec<u8> {
    sample.buffer().unwrap().map_readable().unwrap().to_vec()
}

/// Dark pictures with captions.
fn stream() -> Vec<u8> {
    let script = triplets(&[
        Err(Control::RollUp2),
        Err(Control::CarriageReturn),
        Ok("WORDS IN THE PICTURE"),
    ]);
    let samples = dark("mpegtsmux alignment=7", |number, buffer| {
        if let Some(triplet) = script.get(number as usize % AGAIN) {
            let kind = gst_video::VideoCaptionType::Cea708Raw;
            gst_video::VideoCaptionMeta::add(buffer, kind, triplet);
        }
    });
    samples.iter().flat_map(bytes).collect()
}

/// How many bright pixels a picture has.
fn bright(picture: &Picture) -> usize {
    let texture = &picture.texture;
    let mut pixels = vec![0; 4 * WIDTH * HEIGHT];
    texture.download(&mut pixels, 4 * WIDTH);
    pixels
        .as_chunks::<4>()
        .0
        .iter()
        .filter(|pixel| pixel[..3].iter().all(|&part| part > 180))
        .count()
}

/// What was seen of a stream.
pub(super) struct Seen {
    /// The tracks that were told last.
    pub(super) tracks: Vec<Track>,
    /// Which of them are the subtitles that are shown.
    pub(super) subtitles: Option<usize>,
    /// The most bright pixels of a picture.
    pub(super) most: usize,
    /// Those of the last picture.
    pub(super) last: usize,
}

/// Plays a stream.
pub(super) async fn play(ts: Vec<u8>, subtitles: &[&str]) -> Seen {
    let (slot, mut pictures) = Slot::new();
    let (mut playback, mut events) = Playback::new(Handle::current(), slot.clone());
    let chunk = Chunk {
        ts: ts.into(),
        position: 0,
        duration: Duration::from_secs(2),
        due: None,
        whole: true,
        switched: false,
    };
    // It stays open, as a channel does.
    let feed = futures::stream::iter([chunk]).chain(futures::stream::pending()).boxed();
    let subtitles = subtitles.iter().map(|&code| code.to_owned()).collect();
    let choice = Choice { sound: Vec::new(), subtitles, silent: true };
    playback.start(1, feed, choice, false);
    let mut seen = Seen { tracks: Vec::new(), subtitles: None, most: 0, last: 0 };
    let begun = Instant::now();
    let mut last = None;
    // Two seconds of pictures, then none.
    while last.is_none_or(|last: Instant| last.elapsed() < Duration::from_secs(2)) {
        assert!(begun.elapsed() < LIMIT, "{:?}", seen.tracks);
        tokio::select! {
            Some(()) = pictures.next() => if let Some(picture) = slot.take() {
                seen.last = bright(&picture);
                seen.most = seen.most.max(seen.last);
                last = Some(Instant::now());
            },
            Some((_, event)) = events.next() => match event {
                Event::Tracks { all, subtitles, .. } => {
                    (seen.tracks, seen.subtitles) = (all, subtitles);
                }
                Event::Failed(why) => panic!("{why}"),
                _ => {}
            },
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_are_found_and_shown_if_they_are_wanted() {
    let ts = stream();
    let seen = play(ts.clone(), &[]).await;
    let kinds: Vec<_> = seen.tracks.iter().map(|track| track.kind).collect();
    assert_eq!((kinds, seen.subtitles), (vec![Kind::Picture, Kind::Captions(1)], None));
    assert_eq!(seen.most, 0, "nothing is written over the picture");
    let seen = play(ts, &["cc1"]).await;
    assert_eq!(seen.subtitles, Some(1));
    assert!(seen.most > 50, "words are written over the picture: {}", seen.most);
}
