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

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
const LIMIT: Duration = Duration::from_secs(60);

/// So many pictures after they began captions are said again, as channels do it: a busy machine leaves pictures out.
const AGAIN: usize = 5;

/// Two seconds of dark pictures with captions.
fn stream() -> Vec<u8> {
    let pipeline = "appsrc name=in format=time ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse \
                    config-interval=-1 ! mpegtsmux alignment=7 ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let format = gst_video::VideoFormat::I420;
    let info = gst_video::VideoInfo::builder(format, WIDTH as u32, HEIGHT as u32)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    source.set_caps(Some(&info.to_caps().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    let script = triplets(&[
        Err(Control::RollUp2),
        Err(Control::CarriageReturn),
        Ok("WORDS IN THE PICTURE"),
    ]);
    let frame = gst::ClockTime::from_mseconds(40);
    for number in 0..50_u64 {
        let mut pixels = vec![16; WIDTH * HEIGHT];
        pixels.resize(info.size(), 128);
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(frame * number);
        writable.set_duration(frame);
        if let Some(triplet) = script.get(number as usize % AGAIN) {
            let kind = gst_video::VideoCaptionType::Cea708Raw;
            gst_video::VideoCaptionMeta::add(writable, kind, triplet);
        }
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let mut ts = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        ts.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
    }
    pipeline.set_state(gst::State::Null).unwrap();
    ts
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

/// Plays the stream: the tracks that were told last, and the most bright pixels of a picture.
async fn play(ts: Vec<u8>, subtitles: &[&str]) -> (Vec<Track>, Option<usize>, usize) {
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
    let (mut told, mut most) = ((Vec::new(), None), 0);
    let begun = Instant::now();
    let mut last = None;
    // Two seconds of pictures, then none.
    while last.is_none_or(|last: Instant| last.elapsed() < Duration::from_secs(2)) {
        assert!(begun.elapsed() < LIMIT, "{told:?}");
        tokio::select! {
            Some(()) = pictures.next() => if let Some(picture) = slot.take() {
                most = most.max(bright(&picture));
                last = Some(Instant::now());
            },
            Some((_, event)) = events.next() => match event {
                Event::Tracks { all, subtitles, .. } => told = (all, subtitles),
                Event::Failed(why) => panic!("{why}"),
                _ => {}
            },
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    (told.0, told.1, most)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captions_are_found_and_shown_if_they_are_wanted() {
    gst::init().unwrap();
    let ts = stream();
    let (tracks, chosen, most) = play(ts.clone(), &[]).await;
    let kinds: Vec<_> = tracks.iter().map(|track| track.kind).collect();
    assert_eq!((kinds, chosen), (vec![Kind::Picture, Kind::Captions(1)], None));
    assert_eq!(most, 0, "nothing is written over the picture");
    let (_, chosen, most) = play(ts, &["cc1"]).await;
    assert_eq!(chosen, Some(1));
    assert!(most > 50, "words are written over the picture: {most}");
}
