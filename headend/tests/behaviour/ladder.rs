//! Several renditions of one channel: the same segments at the same times, so that a viewer can go from one to another at
//! any random access point and lose neither a picture nor a sound.

use std::time::{Duration, Instant};

use crate::common::{self, PATIENCE, check_joined, check_stream, join};
use headend::config::{Audio, Rendition, Rung, Source};
use headend::media::Media;
use headend::ts::demux::{Demuxer, Event};
use headend::ts::pes;
use headend::unit::Kind;
use segment::Cut;

fn channel() -> headend::config::Channel {
    let mut channel = common::channel(Source::Test);
    let audio = Audio { bitrate_kbit: 64 };
    let rung = Rung { width: 160, height: 90, bitrate_kbit: 100 };
    channel.renditions = vec![
        Rendition { name: "low".into(), video: Some(rung), audio: audio.clone() },
        Rendition { name: "sound".into(), video: None, audio },
    ];
    channel
}

/// As many segments of every rendition.
fn take(media: &mut Media, count: usize) -> Vec<Vec<Cut>> {
    let until = Instant::now() + PATIENCE;
    let mut cuts = vec![Vec::new(); 3];
    while cuts.iter().any(|cuts| cuts.len() < count) {
        cuts[0].extend(media.cuts.try_recv());
        cuts[1].extend(media.further[0].try_recv());
        cuts[2].extend(media.further[1].try_recv());
        assert!(Instant::now() < until, "{:?}", media.stats);
        std::thread::sleep(Duration::from_millis(5));
    }
    cuts.iter_mut().for_each(|cuts| cuts.truncate(count));
    cuts
}

/// Time stamps of the sound, or of the pictures, of one segment.
fn times(cut: &Cut, of: Kind) -> Vec<u64> {
    let (mut demuxer, mut events) = (Demuxer::new(None), Vec::new());
    demuxer.push(&cut.ts, &mut events);
    demuxer.flush(&mut events);
    let (mut pid, mut times) = (None, Vec::new());
    for event in events {
        match event {
            Event::Map(map) => {
                pid = map.tracks.iter().find(|track| track.kind == of).map(|track| track.pid);
            }
            Event::Pes { pid: from, pes, .. } if Some(from) == pid => {
                times.extend(pes::parse(&pes).unwrap().pts);
            }
            Event::Pes { .. } => {}
        }
    }
    times
}

#[test]
fn renditions_are_cut_alike() {
    let mut media = common::start(channel());
    let ladder = take(&mut media, 16);
    media.stop();
    for cuts in &ladder {
        check_joined(cuts);
    }
    let [main, low, sound] = &ladder[..] else { panic!() };
    for index in 0..16 {
        let (main, low, sound) = (&main[index], &low[index], &sound[index]);
        assert_eq!((main.number, main.number), (low.number, sound.number));
        assert_eq!(main.random_access, low.random_access);
        assert_eq!(main.random_access, main.number % 4 == 0);
        assert!(sound.random_access, "sound can be entered anywhere");
        assert!(main.capture.abs_diff(low.capture) < 20_000);
        assert!(main.capture.abs_diff(sound.capture) < 50_000);
        assert_eq!(times(main, Kind::Video), times(low, Kind::Video));
        assert!(times(sound, Kind::Video).is_empty());
        let heard = times(main, Kind::Audio);
        assert_eq!(heard, times(low, Kind::Audio), "segment {}", main.number);
        assert_eq!(heard, times(sound, Kind::Audio), "segment {}", main.number);
        assert!(heard.len() >= 8, "{heard:?}");
    }
    for cuts in [main, low] {
        check_stream(&join(cuts));
    }
    let bytes = |cuts: &[Cut]| cuts.iter().map(|cut| cut.ts.len()).sum::<usize>();
    assert!(bytes(low) < bytes(main) && bytes(sound) < bytes(low));
}
