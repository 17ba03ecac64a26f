//! Several sources for one channel: really sent over SRT and UDP, cut off, frozen, black and silent; who takes over,
//! how soon, and the way back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use crate::common::{self, check_joined, check_stream, join, take, until};
use crate::live::{Sender, free_port, local};
use headend::config::{Channel, Mode, Source};
use headend::media::Media;
use segment::Cut;

/// The two sources are told apart by their colour.
const RED: &str = "color=c=red:s=320x180:r=25,noise=alls=20:allf=t";
const BLUE: &str = "color=c=blue:s=320x180:r=25,noise=alls=20:allf=t";

/// A clip of a minute. `video`, `audio`: sources of ffmpeg's filters.
fn clip(folder: &Path, name: &str, video: &str, audio: &str) -> PathBuf {
    let path = folder.join(name);
    let inputs =
        ["-nostdin", "-v", "error", "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", audio];
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "2", "-c:a", "aac"];
    let output = Command::new("ffmpeg")
        .args([&inputs[..], &codecs, &["-t", "60", path.to_str().unwrap()]].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

const TONE: &str = "sine=frequency=440:sample_rate=48000";

/// What each picture of a stream shows, and when, in seconds from the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Red,
    Blue,
    Other,
}

fn seen(ts: &[u8]) -> Vec<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ts");
    std::fs::write(&path, ts).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i", path.to_str().unwrap()])
        .args(["-vf", "fps=25,scale=1:1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let colour = |pixel: &[u8]| match pixel {
        [red, _, blue] if *red > 150 && *blue < 100 => Seen::Red,
        [red, _, blue] if *blue > 150 && *red < 100 => Seen::Blue,
        _ => Seen::Other,
    };
    output.stdout.chunks(3).map(colour).collect()
}

fn playing(index: usize) -> impl FnMut(&Cut, &Media) -> bool {
    move |_, media| media.stats.source_up.load(Relaxed) && media.stats.active() == index
}

/// The first source is cut off: the second plays within two seconds. It comes back, and plays again.
fn cut_off(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let (red, blue) =
        (clip(folder.path(), "red.ts", RED, TONE), clip(folder.path(), "blue.ts", BLUE, TONE));
    let ports = [free_port(), free_port()];
    let sink = |port: u16| format!("srtsink uri=srt://127.0.0.1:{port}?mode=listener latency=120");
    let source = |port: u16| Source::SrtCaller {
        address: format!("127.0.0.1:{port}"),
        latency_ms: 120,
        passphrase: None,
        stream_id: None,
    };
    let mut channel =
        Channel { mode, backups: vec![source(ports[1])], ..common::channel(source(ports[0])) };
    channel.failover.back_after_ms = 3_000;
    let first = Sender::start(&red, &sink(ports[0]));
    let _second = Sender::start(&blue, &sink(ports[1]));
    let mut media = common::start(channel);
    until(&mut media, playing(0));
    // From a picture of the first source on, for as long as a random access point of the second needs to be near.
    let mut cuts = common::take_clean(&mut media, 12);
    drop(first);
    cuts.extend(until(&mut media, playing(1)));
    cuts.extend(take(&mut media, 12));
    let _first = Sender::start(&red, &sink(ports[0]));
    cuts.extend(until(&mut media, playing(0)));
    cuts.extend(take(&mut media, 8));
    media.stop();

    check_joined(&cuts);
    let ts = join(&cuts);
    check_stream(&ts);
    let seen = seen(&ts);
    let of = |what| move |seen: &Seen| *seen == what;
    let blue = seen.iter().position(of(Seen::Blue)).unwrap();
    let lost = seen[..blue].iter().rposition(of(Seen::Red)).unwrap();
    let still = seen[..=lost].iter().rev().take_while(|seen| **seen == Seen::Red).count();
    assert!(still > 25, "{still} red pictures");
    assert!(blue - lost < 50, "{} pictures between the two sources", blue - lost);
    let back = blue + seen[blue..].iter().position(of(Seen::Red)).unwrap();
    let gap = seen[blue..back].iter().rev().take_while(|seen| **seen == Seen::Other).count();
    assert!(gap < 10, "{gap} other pictures on the way back");
    assert!(seen[back..].iter().all(of(Seen::Red)), "it stays");
    assert_eq!(media.stats.switches.load(Relaxed), 2);
    assert_eq!(media.stats.restarts.load(Relaxed), 0);
}

#[test]
fn a_source_that_is_cut_off_is_replaced_and_returned_to_when_encoded() {
    cut_off(Mode::Encode);
}

#[test]
fn a_source_that_is_cut_off_is_replaced_and_returned_to_when_passed_through() {
    cut_off(Mode::PassThrough);
}

/// The first source goes on, but what it sends is worth nothing after four seconds.
fn unfit(video: &str, audio: &str, mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let first = clip(folder.path(), "first.ts", video, audio);
    let port = free_port();
    let second = clip(folder.path(), "second.ts", BLUE, TONE);
    let source = Source::Udp { address: local(port), interface: None };
    let mut channel = common::channel(source);
    // A file waits for its turn.
    channel.backups = vec![Source::File { path: second }];
    channel.mode = mode;
    let failover = &mut channel.failover;
    failover.frozen_after_ms = 2_000;
    failover.black_after_ms = 2_000;
    failover.silent_after_ms = 2_000;
    // On a busy machine the file may come first.
    failover.back_after_ms = 1_000;
    let _sender = Sender::start(&first, &format!("udpsink host=127.0.0.1 port={port}"));
    let mut media = common::start(channel);
    let mut cuts = until(&mut media, playing(0));
    cuts.extend(until(&mut media, playing(1)));
    cuts.extend(take(&mut media, 12));
    media.stop();
    check_joined(&cuts);
    let ts = join(&cuts);
    check_stream(&ts);
    assert_eq!(seen(&ts).last(), Some(&Seen::Blue));
}

/// Both ways to treat it, side by side: most of it is waiting.
fn unfit_both(encoded: &str, passed_through: &str, audio: &str) {
    std::thread::scope(|both| {
        both.spawn(|| unfit(encoded, audio, Mode::Encode));
        unfit(passed_through, audio, Mode::PassThrough);
    });
}

#[test]
fn a_black_picture_is_replaced() {
    let black = format!("{RED},drawbox=t=fill:c=black:enable='gt(t,4)'");
    unfit_both(&black, &black, TONE);
}

#[test]
fn a_frozen_picture_is_replaced() {
    let encoded = "color=c=red:s=320x180:r=25,drawbox=t=fill:c=yellow:w=60:h=60:\
                  enable='lt(t,4)*lt(mod(t,0.4),0.2)'";
    // Only random access points are looked at there: they have to differ as long as the picture moves.
    let passed_through =
        "color=c=red:s=320x180:r=25,drawbox=t=fill:c=yellow:w=60:h=60:enable='between(t,1.9,3.9)'";
    unfit_both(encoded, passed_through, TONE);
}

#[test]
fn silence_is_replaced() {
    let silent = format!("{TONE},volume=0:enable='gt(t,4)'");
    unfit_both(RED, RED, &silent);
}
