//! A channel that is encoded: segments on the grid, a loop without a seam, a source that fails.

use crate::common;
use crate::common::{check_joined, decoding_times, join, next, take, take_clean, until};
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
fn the_operator_can_be_shown_what_leaves() {
    let mut media = common::start(common::channel(Source::Test));
    let cut = take_clean(&mut media, 1).remove(0);
    let jpeg = headend::preview::preview(cut.ts).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("preview.jpg");
    std::fs::write(&path, jpeg).unwrap();
    assert_eq!(common::picture_size(&path), "480,270");
    let error = headend::preview::preview(bytes::Bytes::from(vec![0x47; 188 * 20])).unwrap_err();
    assert!(!error.to_string().is_empty());
    media.stop();
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
    every_picture(&clip, 25);
}

/// The same of real film with six channels of sound, if set-up could fetch it.
#[test]
fn every_picture_of_a_real_clip_is_there() {
    let Some(clip) = common::real_clip() else {
        println!("the real clip is not there: nothing was tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.mp4");
    let input = ["-nostdin", "-v", "error", "-ss", "12", "-i", clip.to_str().unwrap()];
    let output = ["-t", "3", "-c", "copy", part.to_str().unwrap()];
    common::tool("ffmpeg", &[&input[..], &output].concat());
    every_picture(&part, 24);
}

fn every_picture(clip: &std::path::Path, fps: u32) {
    let mut channel = common::channel(Source::File { path: clip.to_owned() });
    channel.video = common::small(fps);
    let mut media = common::start(channel);
    until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    let cuts = take_clean(&mut media, 20);
    assert_eq!(media.stats.losses.load(Relaxed), 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    let (source, out) = (thumbnails(clip), thumbnails(&path));
    assert!(source.len() >= 40, "{} pictures in the clip", source.len());
    assert!(out.len() as u32 >= fps * 46 / 10, "{}", out.len());
    // How far a picture is from one of the source: mean difference of brightness, of 255.
    let distance = |a: &[u8], b: &[u8]| -> f64 {
        let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.len() as f64
    };
    let all = |first: usize| -> f64 {
        let pairs = out.iter().zip(source.iter().cycle().skip(first));
        pairs.map(|(a, b)| distance(a, b)).sum::<f64>() / out.len() as f64
    };
    let first = (0..source.len()).min_by(|a, b| all(*a).total_cmp(&all(*b))).unwrap();
    println!("mean difference of brightness: {:.2} of 255", all(first));
    for (index, picture) in out.iter().enumerate() {
        let at = |shift: usize| &source[(first + index + shift) % source.len()];
        let here = distance(picture, at(0));
        assert!(here < 12.0, "picture {index} differs by {here:.1}");
        // Two pictures of a still scene may look alike; but no other may look much more alike.
        for other in [source.len() - 1, 1] {
            let there = distance(picture, at(other));
            assert!(here <= there + 0.5, "picture {index}: {here:.2}, {other} off: {there:.2}");
        }
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
