//! Sound stays with its pictures, over a loop too; and a source may have nothing but sound.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use headend::config::{Mode, Source};

use crate::common::{self, join, take_clean, until};

/// Three seconds; in the first fifth of each the picture is white and a tone sounds.
fn flashes_and_beeps(path: &Path) {
    let picture = "color=black:size=320x180:rate=25:duration=3,\
                   drawbox=color=white:t=fill:enable='lt(mod(t,1),0.2)'";
    let sound = "sine=frequency=1000:sample_rate=48000:duration=3,volume=4,\
                 volume='if(lt(mod(t,1),0.2),1,0)':eval=frame";
    let inputs =
        ["-nostdin", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"];
    common::tool("ffmpeg", &[&inputs[..], &codecs, &[path.to_str().unwrap()]].concat());
}

/// What ffmpeg decodes, raw.
fn decoded(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let path = path.to_str().unwrap();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i", path])
        .args(arguments)
        .args(if arguments.contains(&"s16le") { &["-"][..] } else { &["-f", "rawvideo", "-"] })
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// When the picture turns white, seconds.
fn flashes(path: &Path) -> Vec<f64> {
    let start = common::decoding_times(path, "v:0")[0];
    let pixels =
        ["-map", "0:v:0", "-vf", "scale=2:2", "-pix_fmt", "gray", "-fps_mode", "passthrough"];
    let bright: Vec<_> = decoded(path, &pixels).chunks(4).map(|pixels| pixels[0] > 128).collect();
    let turns = (1..bright.len()).filter(|&i| bright[i] && !bright[i - 1]);
    turns.map(|index| start + index as f64 / 25.0).collect()
}

/// When the tone sets in, seconds.
fn beeps(path: &Path) -> Vec<f64> {
    let start = common::decoding_times(path, "a:0")[0];
    let samples = ["-map", "0:a:0", "-ac", "1", "-ar", "48000", "-c:a", "pcm_s16le", "-f", "s16le"];
    let bytes = decoded(path, &samples);
    let loud: Vec<_> = bytes
        .chunks(480 * 2)
        .map(|ms10| {
            let samples = ms10.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]]));
            samples.map(i16::unsigned_abs).max().unwrap_or(0) > 3000
        })
        .collect();
    let sets_in = (10..loud.len()).filter(|&i| loud[i] && loud[i - 10..i].iter().all(|l| !l));
    sets_in.map(|index| start + index as f64 / 100.0).collect()
}

fn stays_together(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    flashes_and_beeps(&clip);
    let mut channel = common::channel(Source::File { path: clip });
    channel.mode = mode;
    channel.lost_after_ms = 6_000;
    let mut media = common::start(channel);
    until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    let cuts = take_clean(&mut media, 34);
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    let (flashes, beeps) = (flashes(&path), beeps(&path));
    assert!(flashes.len() >= 7, "{flashes:?}");
    for flash in &flashes[..flashes.len() - 1] {
        let nearest = beeps.iter().map(|beep| (beep - flash).abs()).fold(f64::MAX, f64::min);
        assert!(nearest < 0.07, "flash at {flash}: {nearest} s to a beep of {beeps:?}");
    }
}

#[test]
fn sound_stays_with_its_pictures_when_encoded() {
    stays_together(Mode::Encode);
}

#[test]
fn sound_stays_with_its_pictures_when_passed_through() {
    stays_together(Mode::PassThrough);
}

#[test]
fn a_source_of_sound_alone_is_heard_over_the_slate() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("radio.mp3");
    let sound = "sine=frequency=440:sample_rate=44100:duration=4,volume=4";
    let path = clip.to_str().unwrap();
    common::tool("ffmpeg", &["-nostdin", "-v", "error", "-f", "lavfi", "-i", sound, path]);
    let mut media = common::start(common::channel(Source::File { path: clip.clone() }));
    until(&mut media, |_, media| media.stats.source_up.load(Relaxed));
    // Past the first second, in which it may set in.
    let cuts = take_clean(&mut media, 24);
    assert_eq!(media.stats.trouble(), None);
    let path = folder.path().join("out.ts");
    std::fs::write(&path, join(&cuts)).unwrap();
    common::ffmpeg_decodes(&path);
    let samples =
        decoded(&path, &["-map", "0:a:0", "-ac", "1", "-c:a", "pcm_s16le", "-f", "s16le"]);
    let quiet = samples
        .chunks(4800 * 2)
        .skip(10)
        .filter(|part| {
            let samples = part.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]]));
            samples.map(i16::unsigned_abs).max().unwrap_or(0) < 3000
        })
        .count();
    assert!(quiet <= 1, "{quiet} tenths of a second are silent");
}
