//! Subtitles with a track of their own on their whole way: through a transport stream and a decoder, onto the picture.

use bytes::Bytes;
use headend::ts::{mux::Muxer, pes};
use headend::unit::{Kind as Carries, Track as Carried, Unit};

use super::captioned::{HEIGHT, WIDTH, bytes, dark, play};
use super::*;

const PICTURE: u16 = 0x101;
const SUBTITLES: u16 = 0x102;
/// Presentation and decoding times count from here, ticks.
const BEGIN: i64 = 900_000;
/// So many pictures after they came subtitles are said again, as channels do it.
const AGAIN: usize = 6;

/// Dark pictures and a track of subtitles that `descriptor` announces: `shown` in the first second, and `gone` in the other. In the
/// map, the picture comes first or last.
fn stream(descriptor: &[u8], shown: &[u8], gone: &[u8], picture_first: bool) -> Vec<u8> {
    let mut mux = Muxer::new();
    let picture =
        Carried { pid: PICTURE, stream_type: 0x1b, kind: Carries::Video, info: Bytes::new() };
    let info = Bytes::copy_from_slice(descriptor);
    let texts = Carried { pid: SUBTITLES, stream_type: 0x06, kind: Carries::Other, info };
    mux.set_tracks(&if picture_first { [picture, texts] } else { [texts, picture] });
    let mut ts = Vec::new();
    mux.tables(&mut ts);
    let pictures = dark("video/x-h264,stream-format=byte-stream,alignment=au", |_, _| {});
    for (number, sample) in pictures.iter().enumerate() {
        let at = BEGIN + 3_600 * number as i64;
        let mut unit = |pid, pes| {
            let random_access = pid == PICTURE && number % 25 == 0;
            mux.unit(Unit { pid, pts: at, dts: at, random_access, pes }, &mut ts);
        };
        if number % AGAIN == 0 {
            let payload = if number < pictures.len() / 2 { shown } else { gone };
            unit(SUBTITLES, pes::wrap_unit(0xbd, payload, false));
        }
        unit(PICTURE, pes::wrap_unit(0xe0, &bytes(sample), true));
    }
    ts
}

/// A display set of segments (ETSI EN 300 743).
fn display_set(segments: &[(u8, &[u8])]) -> Vec<u8> {
    const PAGE: u16 = 1;
    let mut out = vec![0x20, 0x00];
    for (kind, data) in segments {
        out.extend([0x0f, *kind]);
        out.extend(PAGE.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(*data);
    }
    out.extend([0x0f, 0x80, 0, PAGE as u8, 0, 0, 0xff]);
    out
}

/// A white bar across the picture.
fn bar() -> Vec<u8> {
    let [wide, high] = [(WIDTH - 1) as u16, (HEIGHT - 1) as u16].map(u16::to_be_bytes);
    display_set(&[
        // The display is as large as the picture.
        (0x14, &[0, wide[0], wide[1], high[0], high[1]]),
        // For ten seconds, begun anew: region 0 at 40, 120.
        (0x10, &[10, 0x08, 0, 0xff, 0, 40, 0, 120]),
        // 200 by 20 pixels of four bits each, filled with colour 1 of table 0, with object 0 in its corner.
        (0x11, &[0, 0x08, 0, 200, 0, 20, 0x48, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]),
        // Colour 1 for four bits a pixel, in full: white, opaque.
        (0x12, &[0, 0, 1, 0x5f, 235, 128, 128, 0]),
        // Two lines, a pixel of colour 1 in each: top and bottom field alike.
        (0x13, &[0, 0, 0, 0, 5, 0, 0, 0x11, 0x10, 0x00, 0xf0, 0x00]),
    ])
}

/// A page without a region.
fn no_bar() -> Vec<u8> {
    display_set(&[(0x10, &[10, 0x10])])
}

/// Four bits with four that protect them (ETSI EN 300 706, 8.2).
fn hamming(value: u8) -> u8 {
    const CODES: [u8; 16] = [
        0x15, 0x02, 0x49, 0x5e, 0x64, 0x73, 0x38, 0x2f, 0xd0, 0xc7, 0x8c, 0x9b, 0xa1, 0xb6, 0xfd,
        0xea,
    ];
    CODES[usize::from(value & 15)]
}

/// Seven bits with odd parity.
fn odd(byte: u8) -> u8 {
    if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte }
}

/// Page 150 with a line of words, as a broadcaster inserts it (ETSI EN 300 706, carried as in EN 300 472).
fn page(words: &[u8]) -> Vec<u8> {
    const MAGAZINE: u8 = 1;
    let mut out = vec![0x10];
    let mut line = |number: u8, row: u8, bytes: &[u8]| {
        // A subtitle, 44 bytes: field and line, framing code, address.
        out.extend([0x03, 44, 0xe0 | number, 0xe4]);
        let address = [hamming(MAGAZINE | (row & 1) << 3), hamming(row >> 1)];
        out.extend(address.iter().chain(bytes).map(|byte| byte.reverse_bits()));
    };
    // Units, tens, S1, S2 and whether it erases, S3, S4 and whether it is a subtitle, two of control.
    let header = |page: u8| {
        let codes = [page & 15, page >> 4, 0, 0x8, 0, 0x8, 0, 0].map(hamming);
        codes.into_iter().chain([odd(b' '); 32]).collect::<Vec<_>>()
    };
    line(7, 0, &header(0x50));
    if !words.is_empty() {
        // Of double height, in a box.
        let mut row = [&[0x0d, 0x0b, 0x0b], words, &[0x0a, 0x0a]].concat();
        row.resize(40, b' ');
        line(8, 22, &row.into_iter().map(odd).collect::<Vec<_>>());
    }
    // The next page of the magazine ends this one.
    line(9, 0, &header(0xff));
    out
}

/// Whether they are found, and shown only if they are wanted, and no longer than they should be.
async fn see(ts: Vec<u8>, kind: Kind) {
    let seen = play(ts.clone(), &[]).await;
    let mut kinds: Vec<_> = seen.tracks.iter().map(|track| track.kind).collect();
    kinds.sort_by_key(|kind| *kind != Kind::Picture);
    assert_eq!((kinds, seen.subtitles), (vec![Kind::Picture, kind], None));
    assert_eq!(seen.most, 0, "nothing is written over the picture");
    let seen = play(ts, &["deu"]).await;
    assert_eq!(seen.subtitles.map(|chosen| seen.tracks[chosen].kind), Some(kind));
    assert!(seen.most > 50, "something is written over the picture: {}", seen.most);
    assert_eq!(seen.last, 0, "nothing stays there");
}

const BITMAPS: &[u8] = b"\x59\x08deu\x10\x00\x01\x00\x01";
const TEXT: &[u8] = b"\x56\x05deu\x11\x50";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dvb_subtitles_are_shown_if_they_are_wanted() {
    see(stream(BITMAPS, &bar(), &no_bar(), true), Kind::Subtitles).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teletext_is_shown_if_it_is_wanted() {
    see(stream(TEXT, &page(b"WORDS ON A PAGE"), &page(b""), true), Kind::Teletext(150)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subtitles_may_be_announced_before_the_picture() {
    see(stream(BITMAPS, &bar(), &no_bar(), false), Kind::Subtitles).await;
}
