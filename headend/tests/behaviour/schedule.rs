//! What a source says is on, in tables beside its pictures, is known to the headend, encoded or passed through.

use std::net::UdpSocket;
use std::time::Duration;

use headend::config::{Mode, Source};

use crate::common::{self, H264, make_clip, next, until};
use crate::live::{Sender, free_port, local};

/// The checksum of sections (ISO/IEC 13818-1, annex A), bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc & 1 << 31 == 0 { crc << 1 } else { crc << 1 ^ 0x04c1_1db7 }
        })
    })
}

/// A packet that says what is on in programme 1, now (0) or next (1).
fn packet(number: u8, counter: u8, title: &str) -> Vec<u8> {
    let short = [&b"eng"[..], &[title.len() as u8], title.as_bytes(), &[0]].concat();
    let mut body = vec![0, 1, 0, 2, 1, 0x4e, 0, 7 + number];
    // 2026-11-29, now from 20:15 for 15 minutes, next from 20:30.
    body.extend([0xef, 0xbd, 0x20, 0x15 + number * 0x1b, 0, 0, 0x15, 0]);
    body.extend([0x80, short.len() as u8 + 2, 0x4d, short.len() as u8]);
    body.extend(short);
    let mut section = vec![0x4e, 0xf0, body.len() as u8 + 9, 0, 1, 0xc1, number, 1];
    section.extend(body);
    section.extend(checksum(&section).to_be_bytes());
    let mut packet = vec![0x47, 0x40, 0x12, 0x10 | counter, 0];
    packet.extend(section);
    packet.resize(188, 0xff);
    packet
}

fn told(mode: Mode) {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.ts");
    make_clip(&clip, 60, 25, H264);
    let port = free_port();
    let mut channel = common::channel(Source::Udp { address: local(port), interface: None });
    channel.mode = mode;
    let mut media = common::start(channel);
    let _sender = Sender::start(&clip, &format!("udpsink host=127.0.0.1 port={port}"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let titles = |media: &headend::media::Media| -> Vec<String> {
        media.stats.sources[0].on().into_iter().map(|event| event.title).collect()
    };
    let mut counter = 0;
    let mut say = |now: &str, next: &str| {
        for (number, title) in [(0, now), (1, next)] {
            socket.send_to(&packet(number, counter, title), local(port)).unwrap();
            counter = (counter + 1) & 15;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    until(&mut media, |_, media| {
        say("News", "Weather");
        titles(media) == ["News", "Weather"]
    });
    let event = media.stats.sources[0].on().remove(0);
    assert_eq!((event.start, event.duration), (1_795_983_300, 900));
    until(&mut media, |_, media| {
        say("Weather", "Film");
        titles(media) == ["Weather", "Film"]
    });
    next(&mut media);
    media.stop();
}

#[test]
fn now_and_next_of_a_source_that_is_passed_through_are_known() {
    told(Mode::PassThrough);
}

#[test]
fn now_and_next_of_a_source_that_is_encoded_are_known() {
    told(Mode::Encode);
}
