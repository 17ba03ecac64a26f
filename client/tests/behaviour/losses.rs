//! A real stream with holes stays one that a decoder plays: whole segments lost, others with sound alone.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt as _;
use segment::Coding;

use crate::station::{Fate, Station, Viewer, browser, until};

/// Six seconds of a test picture with sound, cut into 24 segments of six frames; each fourth begins with a key frame.
/// Every frame follows tables of its own, which is where it is cut.
fn clip(folder: &Path) -> Vec<Bytes> {
    let path = folder.join("clip.ts");
    let arguments = "-v error -f lavfi -i testsrc2=size=320x180:rate=24:duration=6 \
                     -f lavfi -i sine=frequency=440:sample_rate=48000:duration=6 \
                     -c:v libx264 -preset ultrafast -tune zerolatency -g 24 -keyint_min 24 -sc_threshold 0 \
                     -c:a aac -mpegts_flags +pat_pmt_at_frames+resend_headers -muxdelay 0";
    let made = Command::new("ffmpeg")
        .args(arguments.split_whitespace())
        .arg(&path)
        .output()
        .expect("ffmpeg is there; `make setup` installs it");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    cut(&path, 144)
}

/// Such a clip of so many frames in segments of six.
fn cut(path: &Path, expected: usize) -> Vec<Bytes> {
    let ts = std::fs::read(path).unwrap();
    let tables: Vec<usize> = ts
        .chunks_exact(188)
        .enumerate()
        .filter(|(_, packet)| packet[1] & 0x1f == 0 && packet[2] == 0)
        .map(|(i, _)| i * 188)
        .collect();
    // A table before each picture; sound may bring more of them, so the pictures are counted.
    let picture = |packet: &[u8]| {
        packet[1] & 0x40 != 0 && u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == 256
    };
    let mut cuts = Vec::new();
    let mut frames = 0;
    for (i, packet) in ts.chunks_exact(188).enumerate() {
        if picture(packet) {
            if frames % 6 == 0 {
                let table = tables.iter().rev().find(|&&table| table < i * 188).unwrap();
                cuts.push(if frames == 0 { 0 } else { *table });
            }
            frames += 1;
        }
    }
    assert_eq!((frames, cuts.len()), (expected, expected / 6));
    cuts.push(ts.len());
    cuts.windows(2).map(|cut| Bytes::copy_from_slice(&ts[cut[0]..cut[1]])).collect()
}

/// Decodes with ffmpeg. Frames of picture, seconds of sound, and what the demuxer says of jumps in continuity.
fn decode(path: &Path) -> (usize, f64, usize) {
    let run = |arguments: &[&str]| {
        let out = Command::new("ffprobe").args(arguments).arg(path).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    };
    let count =
        ["-v", "debug", "-count_frames", "-show_entries", "stream=codec_type,nb_read_frames"];
    let (streams, log) = run(&[&count[..], &["-of", "csv=p=0"]].concat());
    let frames = |kind: &str| -> usize {
        let line = streams.lines().find(|line| line.starts_with(kind)).unwrap();
        line.split(',').nth(1).unwrap().trim().parse().unwrap()
    };
    let jumps = log.matches("Continuity check failed").count();
    (frames("video"), frames("audio") as f64 * 1024.0 / 48000.0, jumps)
}

#[tokio::test]
async fn a_decoder_plays_over_holes_and_sound_goes_on_without_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let station = Station::with(Coding::new(12, 8, Some(4)).unwrap());
    let viewer = Viewer::start(&station, |_| {}).await;
    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    station.air("one", 0, clip[0].clone(), true, Fate::Whole).await;
    until("played", || one.counts().swarm.played == 1).await;
    let reply = browser().get(viewer.url("/channels/one/stream.ts")).send().await.unwrap();
    let read = tokio::spawn(async move {
        let mut body = reply.bytes_stream();
        let mut bytes = Vec::new();
        // Endless replies are cut when the viewer ends.
        while let Some(Ok(more)) = body.next().await {
            bytes.extend_from_slice(&more);
        }
        bytes
    });
    for (number, ts) in (0u64..).zip(&clip).skip(1) {
        let fate = match number {
            5 | 6 => Fate::Lost,
            13..16 => Fate::SoundOnly,
            _ => Fate::Whole,
        };
        station.air("one", number, ts.clone(), number % 4 == 0, fate).await;
    }
    until("played", || one.counts().swarm.played == 22).await;
    let counts = one.counts();
    assert_eq!(counts.sound_only, 3);
    viewer.end().await;
    let path = folder.path().join("received.ts");
    std::fs::write(&path, read.await.unwrap()).unwrap();

    let (frames, sound, jumps) = decode(&path);
    assert_eq!(jumps, 0, "every jump is told");
    // Two segments of six frames are lost, three have none. What follows up to the next key frame may be shown or not.
    assert!((100..=114).contains(&frames), "{frames} frames");
    // Of six seconds of sound half a second is lost; where it is cut a frame more may go.
    assert!((5.3..=5.6).contains(&sound), "{sound} s of sound");
}

#[tokio::test]
async fn without_holes_every_frame_comes() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path());
    let station = Station::with(Coding::new(12, 8, Some(4)).unwrap());
    let viewer = Viewer::start(&station, |_| {}).await;
    let path = folder.path().join("received.ts");
    let recorder = client::output::file::Recorder::open(&path).await.unwrap();
    viewer.player.record(Some(recorder.sink()));
    let one = viewer.player.play("one", Instant::now()).await.unwrap();
    for (number, ts) in (0u64..).zip(&clip) {
        station.air("one", number, ts.clone(), number % 4 == 0, Fate::Whole).await;
    }
    until("played", || one.counts().swarm.played == 24).await;
    // HLS of the same: every media segment begins with tables and a key frame and decodes alone.
    let playlist = one.window().playlist().unwrap();
    let names: Vec<u64> =
        playlist.lines().filter_map(|line| line.strip_suffix(".ts")?.parse().ok()).collect();
    assert_eq!(names.len(), 5);
    let middle = folder.path().join("middle.ts");
    std::fs::write(&middle, one.window().segment(names[2]).unwrap()).unwrap();
    assert_eq!(decode(&middle).0, 24);
    viewer.end().await;
    recorder.finish().await.unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(folder.path().join("clip.ts")).unwrap()
    );
    let (frames, _, jumps) = decode(&path);
    assert_eq!((frames, jumps), (144, 0));
}
