//! A file that is passed through: the same pictures, over and over, without a gap.

use crate::common;
use crate::common::{H264, check_joined, check_stream, join, make_clip, take, until};
use headend::config::{Channel, Mode, Source};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

fn pass(path: &Path) -> Channel {
    let mut channel = common::channel(Source::File { path: path.to_owned() });
    channel.mode = Mode::PassThrough;
    // Longer than the clips, and long enough for a busy machine.
    channel.lost_after_ms = 6_000;
    channel
}

/// A hash of each decoded picture.
fn hashes(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let arguments = ["-nostdin", "-v", "error", "-i", path, "-map", "0:v:0", "-f", "framehash"];
    let arguments = [&arguments[..], &["-fps_mode", "passthrough", "-hash", "md5", "-"]].concat();
    let out = common::tool("ffmpeg", &arguments);
    let hash = |line: &str| line.rsplit(',').next().unwrap().trim().to_owned();
    out.lines().filter(|line| !line.starts_with('#')).map(hash).collect()
}

fn same_pictures(name: &str, codecs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join(name);
    make_clip(&clip, 3, 25, codecs);
    let mut media = common::start(pass(&clip));
    let cuts = take(&mut media, 30);
    check_joined(&cuts);
    assert_eq!(media.stats.losses.load(Relaxed), 0);
    assert_eq!(media.stats.trouble(), None);
    assert!(cuts[0].random_access);
    let ts = join(&cuts);
    check_stream(&ts);
    let path = folder.path().join("out.ts");
    std::fs::write(&path, &ts).unwrap();
    // At the seam of the loop frames of sound may be left out: of AAC one, of others a PES packet.
    let sound = common::decoding_times(&path, "a:0");
    let steps: Vec<_> = sound.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = steps.iter().copied().fold(f64::MAX, f64::min);
    let most = steps.iter().copied().fold(0.0, f64::max);
    assert!(most < 0.1, "a step of {most} s in the sound");
    let whole = steps.iter().filter(|step| **step < least * 1.1).count();
    assert!(whole + 4 >= steps.len(), "{whole} of {} frames of sound in place", steps.len());
    let (source, out) = (hashes(&clip), hashes(&path));
    assert_eq!(source.len(), 75);
    assert!(out.len() > 170, "{} pictures", out.len());
    // At the end of what was taken, pictures that others lean on may be missing.
    let whole = &out[..out.len() - 4];
    let different = whole.iter().zip(source.iter().cycle()).position(|(a, b)| a != b);
    assert_eq!(different, None, "first picture that is not the source's");
}

#[test]
fn transport_stream_with_h264() {
    same_pictures("clip.ts", H264);
}

#[test]
fn transport_stream_with_h265() {
    let closed = ["-c:v", "libx265", "-preset", "ultrafast", "-c:a", "mp2", "-x265-params"];
    same_pictures("clip.ts", &[&closed[..], &["keyint=25:open-gop=0:log-level=none"]].concat());
}

#[test]
fn mp4_is_put_into_a_transport_stream() {
    let codecs = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-c:a", "aac"];
    same_pictures("clip.mp4", &codecs);
}

#[test]
fn a_file_without_a_usable_track_shows_the_slate_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    make_clip(&clip, 1, 25, &["-c:v", "ffv1", "-c:a", "pcm_s16le"]);
    let mut channel = pass(&clip);
    channel.lost_after_ms = 500;
    let mut media = common::start(channel);
    let cuts = until(&mut media, |_, media| media.stats.trouble().is_some());
    let cuts = [cuts, take(&mut media, 8)].concat();
    check_joined(&cuts);
    check_stream(&join(&cuts));
    assert!(!media.stats.source_up.load(Relaxed));
}
