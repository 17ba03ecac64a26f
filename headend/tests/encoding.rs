//! A channel that is encoded: segments on the grid, a loop without a seam, a source that fails.

mod common;

use common::{check_joined, decoding_times, join, next, take, take_clean, until};
use headend::config::Source;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn a_test_picture_is_cut_on_the_grid() {
    let mut media = common::start(common::channel(Source::Test));
    let cuts = take(&mut media, 14);
    check_joined(&cuts);
    for cut in &cuts {
        assert_eq!(cut.random_access, cut.number % 4 == 0, "segment {}", cut.number);
        assert_eq!(cut.duration_ms, if cut.number % 4 == 0 { 280 } else { 240 }, "{}", cut.number);
    }
    let wall = headend::clock::wall_micros();
    let age = wall - cuts[13].capture as i64;
    assert!((0..90_000_000).contains(&age), "captured {age} us ago");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    common::ffmpeg_decodes(&path);
    let (pictures, sounds) = common::gstreamer_decodes(&path);
    assert_eq!(pictures, (14 / 4 * 25) + (14 % 4 * 25_u64).div_ceil(4));
    assert!(sounds > 100, "{sounds}");
    media.stop();
}

#[test]
fn every_segment_with_a_random_access_point_decodes_alone() {
    let mut media = common::start(common::channel(Source::Test));
    let cuts = take(&mut media, 9);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.ts");
    for cut in cuts.iter().filter(|cut| cut.random_access) {
        std::fs::write(&path, &cut.ts).unwrap();
        common::ffmpeg_decodes(&path);
        assert_eq!(decoding_times(&path, "v").len(), 7);
    }
}

#[test]
fn a_file_loops_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    common::make_clip(&clip, 2, 25, &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]);
    let mut media = common::start(common::channel(Source::File { path: clip }));
    until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    let cuts = take_clean(&mut media, 28);
    check_joined(&cuts);
    assert_eq!(media.stats.losses.load(Relaxed), 0);

    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    common::ffmpeg_decodes(&path);
    for (stream, step) in [("v", 0.04), ("a", 1024.0 / 48_000.0)] {
        let times = decoding_times(&path, stream);
        assert!(times.len() > 150, "{stream}: {}", times.len());
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((gap - step).abs() < 0.001, "{stream}: step of {gap} s after {}", pair[0]);
        }
    }
}

/// Each picture of the test clip differs from the one before; so does each picture that comes out,
/// across the loop too: none is lost and none is shown twice.
#[test]
fn every_picture_of_a_file_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mkv");
    common::make_clip(&clip, 2, 25, &["-c:v", "ffv1", "-c:a", "pcm_s16le"]);
    let mut media = common::start(common::channel(Source::File { path: clip.clone() }));
    until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    let cuts = take_clean(&mut media, 20);
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    let pictures = |path: &std::path::Path| thumbnails(path);
    let (source, out) = (pictures(&clip), pictures(&path));
    assert_eq!(source.len(), 50);
    assert!(out.len() >= 115, "{}", out.len());
    let nearest = |picture: &Vec<u8>| {
        let distance = |other: &Vec<u8>| -> u64 {
            picture.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
        };
        (0..source.len()).min_by_key(|index| distance(&source[*index])).unwrap()
    };
    let order: Vec<_> = out.iter().map(nearest).collect();
    for pair in order.windows(2) {
        assert_eq!(pair[1], (pair[0] + 1) % 50, "order of pictures: {order:?}");
    }
}

/// All pictures, 80x45, grey.
fn thumbnails(path: &std::path::Path) -> Vec<Vec<u8>> {
    let path = path.to_str().unwrap();
    let output = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i", path, "-vf", "scale=80:45", "-pix_fmt", "gray"])
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks(80 * 45).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_missing_file_shows_the_slate_and_comes_when_it_appears() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("later.mp4");
    let mut media = common::start(common::channel(Source::File { path: clip.clone() }));
    let first = take(&mut media, 5);
    assert!(!media.stats.source_up.load(Relaxed));
    assert!(media.stats.trouble().is_some());
    let made = folder.path().join("made.mp4");
    common::make_clip(&made, 2, 25, &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]);
    std::fs::rename(&made, &clip).unwrap();
    let rest = until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    let rest = [rest, take(&mut media, 6)].concat();
    let cuts = [first, rest].concat();
    check_joined(&cuts);
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    common::ffmpeg_decodes(&path);
    assert_eq!(media.stats.trouble(), None);
}

#[test]
fn a_restart_never_reuses_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path().to_owned());
    let run = || {
        let mut media =
            headend::media::Media::start(common::channel(Source::Test), state.clone()).unwrap();
        let cut = next(&mut media);
        media.stop();
        cut.number
    };
    let first = run();
    std::fs::write(folder.path().join("test.number"), format!("{}\n", first + 4_000_001)).unwrap();
    assert_eq!(run(), first + 4_000_004, "after the kept number, on the grid of a second");
}
