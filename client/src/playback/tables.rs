//! What a transport stream says of itself: the tracks in its programme map (ISO/IEC 13818-1, 2.4.4; DVB descriptors of
//! ETSI EN 300 468). Only what a viewer chooses from; sections that are damaged are passed over.

use crate::ts::PACKET;

const PAT_PID: u16 = 0;
/// A section is at most this long (ISO/IEC 13818-1, 2.4.4.9: 1021 bytes after the length field).
const SECTION: usize = 1024;
/// More tracks than this are of no use to a viewer.
const MOST: usize = 64;

/// What services of captions are called by: `cc1`.
pub const CAPTIONS: &str = "cc";

/// What a track carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The picture.
    Picture,
    /// Sound.
    Sound,
    /// DVB subtitles: pictures over the picture.
    Subtitles,
    /// A teletext page with subtitles: its number, 100 to 899.
    Teletext(u16),
    /// Captions in the picture (CEA-608): their service, 1 to 4. No table tells of these: they are seen when they come.
    Captions(u8),
}

/// A track of the channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// The PID that carries it.
    pub pid: u16,
    /// What it carries.
    pub kind: Kind,
    /// Its language, ISO 639-2, if it is told.
    pub language: Option<String>,
    /// Whether it is for those who hear or see badly.
    pub impaired: bool,
}

/// Finds the first programme's map in bytes that come piece by piece.
#[derive(Debug, Default)]
pub struct Finder {
    map_pid: Option<u16>,
    section: Vec<u8>,
    /// The PID whose section is being put together.
    open: Option<u16>,
    tracks: Option<Vec<Track>>,
}

impl Finder {
    /// Takes whole packets, and gives the tracks as soon as they are known.
    pub fn take(&mut self, ts: &[u8]) -> Option<&[Track]> {
        for packet in ts.chunks_exact(PACKET) {
            if self.tracks.is_some() {
                break;
            }
            self.packet(packet);
        }
        self.tracks.as_deref()
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        if packet[0] != 0x47 || (pid != PAT_PID && Some(pid) != self.map_pid) {
            return;
        }
        let mut payload = match packet[3] >> 4 & 3 {
            1 => &packet[4..],
            3 => packet.get(5 + usize::from(packet[4])..).unwrap_or_default(),
            _ => return,
        };
        if packet[1] & 0x40 != 0 {
            let Some((&pointer, rest)) = payload.split_first() else { return };
            payload = rest.get(usize::from(pointer)..).unwrap_or_default();
            self.section.clear();
            self.open = Some(pid);
        } else if self.open != Some(pid) {
            return;
        }
        self.section.extend_from_slice(payload);
        let Some(&[_, high, low]) = self.section.first_chunk() else { return };
        let length = 3 + length(&[high, low]);
        if length > SECTION {
            self.open = None;
        } else if self.section.len() >= length {
            self.open = None;
            let section = std::mem::take(&mut self.section);
            self.whole(pid, &section[..length]);
        }
    }

    fn whole(&mut self, pid: u16, section: &[u8]) {
        // The last four bytes are a checksum; what was opened has been proved already.
        let Some(body) = section.len().checked_sub(4).map(|end| &section[..end]) else { return };
        match (pid, body.first()) {
            (PAT_PID, Some(0x00)) => {
                let mut programmes = body.get(8..).unwrap_or_default().chunks_exact(4);
                let first = programmes.find(|entry| entry[..2] != [0, 0]);
                self.map_pid =
                    first.map(|entry| u16::from(entry[2] & 0x1f) << 8 | u16::from(entry[3]));
            }
            (_, Some(0x02)) if pid != PAT_PID => self.tracks = map(body),
            _ => {}
        }
    }
}

fn map(body: &[u8]) -> Option<Vec<Track>> {
    let info = length(body.get(10..)?.first_chunk()?);
    let mut rest = body.get(12 + info..).filter(|_| body.len() >= 12)?;
    let mut tracks = Vec::new();
    while let Some((&[kind, high, low, info_high, info_low], after)) = rest.split_first_chunk() {
        let descriptors = after.get(..length(&[info_high, info_low]))?;
        rest = &after[descriptors.len()..];
        let pid = u16::from(high & 0x1f) << 8 | u16::from(low);
        stream(kind, pid, descriptors, &mut tracks);
        tracks.truncate(MOST);
    }
    Some(tracks)
}

/// Twelve bits.
fn length(bytes: &[u8; 2]) -> usize {
    usize::from(bytes[0] & 0x0f) << 8 | usize::from(bytes[1])
}

/// The descriptors of one stream: tag and body.
fn descriptors(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, length], rest) = bytes.split_first_chunk()?;
        let body = rest.get(..usize::from(length))?;
        bytes = &rest[body.len()..];
        Some((tag, body))
    })
}

fn stream(kind: u8, pid: u16, bytes: &[u8], tracks: &mut Vec<Track>) {
    let find = |tag| descriptors(bytes).find(|(found, _)| *found == tag).map(|(_, body)| body);
    let iso639 = find(0x0a);
    let track = |kind| Track {
        pid,
        kind,
        language: iso639.and_then(language),
        // Audio type 2: for the hearing impaired, 3: commentary for the visually impaired (2.6.19).
        impaired: iso639.and_then(|body| body.get(3)).is_some_and(|kind| matches!(kind, 2 | 3)),
    };
    match kind {
        0x01 | 0x02 | 0x10 | 0x1b | 0x24 | 0x33 => tracks.push(track(Kind::Picture)),
        0x03 | 0x04 | 0x0f | 0x11 | 0x81 | 0x87 => tracks.push(track(Kind::Sound)),
        // Private data: descriptors tell (ETSI EN 300 468, 6.1): AC-3, enhanced AC-3, DTS, AAC.
        0x06 if [0x6a, 0x7a, 0x7b, 0x7c].iter().any(|&tag| find(tag).is_some()) => {
            tracks.push(track(Kind::Sound));
        }
        // Opus: a registration descriptor.
        0x06 if find(0x05) == Some(b"Opus") => tracks.push(track(Kind::Sound)),
        0x06 => subtitles(pid, find(0x59), find(0x56), tracks),
        _ => {}
    }
}

/// The subtitles that a subtitling descriptor and a teletext descriptor name.
fn subtitles(pid: u16, dvb: Option<&[u8]>, teletext: Option<&[u8]>, tracks: &mut Vec<Track>) {
    for entry in dvb.unwrap_or_default().chunks_exact(8) {
        tracks.push(Track {
            pid,
            kind: Kind::Subtitles,
            language: language(entry),
            // Subtitling types 0x20 to 0x25: for the hard of hearing.
            impaired: (0x20..=0x25).contains(&entry[3]),
        });
    }
    for entry in teletext.unwrap_or_default().chunks_exact(5) {
        // Teletext types 2 and 5 are subtitle pages; 5 is for the hard of hearing.
        let kind = entry[3] >> 3;
        if !matches!(kind, 2 | 5) {
            continue;
        }
        let magazine = match entry[3] & 7 {
            0 => 8,
            magazine => u16::from(magazine),
        };
        let page = magazine * 100 + u16::from(entry[4] >> 4) * 10 + u16::from(entry[4] & 15);
        let language = language(entry);
        tracks.push(Track { pid, kind: Kind::Teletext(page), language, impaired: kind == 5 });
    }
}

fn language(bytes: &[u8]) -> Option<String> {
    let code = std::str::from_utf8(bytes.get(..3)?).ok()?;
    let plain = code.bytes().all(|byte| byte.is_ascii_alphabetic());
    (plain && !code.eq_ignore_ascii_case("und")).then(|| code.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(pid: u16, section: &[u8]) -> Vec<u8> {
        let mut payload = vec![0];
        payload.extend_from_slice(section);
        let mut out = Vec::new();
        for (i, part) in payload.chunks(184).enumerate() {
            let start = if i == 0 { 0x40 } else { 0 };
            out.extend([0x47, start | (pid >> 8) as u8, pid as u8, 0x10 | i as u8]);
            out.extend_from_slice(part);
            out.resize(out.len().next_multiple_of(PACKET), 0xff);
        }
        out
    }

    fn section(table: u8, body: &[u8]) -> Vec<u8> {
        let length = body.len() + 4;
        let mut out = vec![table, 0xb0 | (length >> 8) as u8, length as u8];
        out.extend_from_slice(body);
        out.extend([0; 4]);
        out
    }

    fn entry(kind: u8, pid: u16, descriptors: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 0xe0 | (pid >> 8) as u8, pid as u8, 0xf0, descriptors.len() as u8];
        out.extend_from_slice(descriptors);
        out
    }

    #[test]
    fn tracks_are_found_with_language_and_purpose() {
        let pat = section(0, &[0, 1, 0xc1, 0, 0, 0, 0, 0xe0, 0x10, 0, 1, 0xe1, 0x00]);
        let mut body = vec![0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0x00];
        body.extend(entry(0x1b, 0x101, &[]));
        body.extend(entry(0x0f, 0x102, b"\x0a\x04deu\x00"));
        body.extend(entry(0x06, 0x103, b"\x0a\x04ENG\x03\x6a\x01\x00"));
        body.extend(entry(0x06, 0x104, b"\x59\x10fra\x10\0\x01\0\x01ger\x20\0\x02\0\x02"));
        body.extend(entry(0x06, 0x105, b"\x56\x0adeu\x09\x00eng\x11\x50"));
        body.extend(entry(0x05, 0x106, &[0x52, 1, 7].repeat(40)));
        let map = packets(0x100, &section(2, &body));
        let mut finder = Finder::default();
        assert_eq!(finder.take(&map), None, "not before it is known where the map is");
        assert_eq!(finder.take(&packets(0, &pat)), None);
        let tracks = finder.take(&map).unwrap();
        let brief: Vec<_> = tracks
            .iter()
            .map(|track| (track.pid, track.kind, track.language.as_deref(), track.impaired))
            .collect();
        assert_eq!(
            brief,
            [
                (0x101, Kind::Picture, None, false),
                (0x102, Kind::Sound, Some("deu"), false),
                (0x103, Kind::Sound, Some("eng"), true),
                (0x104, Kind::Subtitles, Some("fra"), false),
                (0x104, Kind::Subtitles, Some("ger"), true),
                (0x105, Kind::Teletext(150), Some("eng"), false),
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_does_no_harm(
            mut ts in proptest::collection::vec(any::<u8>(), 0..4 * PACKET),
        ) {
            // Towards the tables, or most of it would be passed over.
            for packet in ts.chunks_exact_mut(PACKET) {
                packet[0] = 0x47;
                packet[1] &= 0x40;
                packet[2] &= 1;
            }
            let mut finder = Finder { map_pid: Some(1), ..Finder::default() };
            finder.take(&ts);
        }
    }
}
