//! Packets to PES packets, whole ones only.
//!
//! The input is untrusted: whatever does not fit is left out, and nothing grows without bound. A PES
//! packet of which a part was lost on the way is left out as a whole.

use super::packet::{NULL, Packet, SIZE, SYNC};
use super::pes;
use super::psi::{self, Map};

/// What was found, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The programme has these tracks from now on.
    Map(Map),
    /// A PES packet of one of them.
    Pes {
        /// Its track.
        pid: u16,
        /// The whole packet.
        pes: Vec<u8>,
        /// Whether the source marked it as a point to start at.
        random_access: bool,
    },
}

/// The longest PES packet, bytes: a random access point of 100 Mbit/s.
const MOST_PES: usize = 4 << 20;
/// The longest section, bytes (2.4.4).
const MOST_SECTION: usize = 4096;
/// Fills a packet behind the last section.
const STUFFING: u8 = 0xff;
/// The most tracks of a programme.
const MOST_TRACKS: usize = 64;

/// Assembles what spreads over packets of one identifier.
#[derive(Debug)]
pub(super) struct Assembly {
    pid: u16,
    counter: Option<u8>,
    bytes: Vec<u8>,
    random_access: bool,
    open: bool,
}

impl Assembly {
    pub(super) fn new(pid: u16) -> Self {
        Self { pid, counter: None, bytes: Vec::new(), random_access: false, open: false }
    }

    /// Whether a packet follows the one before; nothing if it repeats it. After a loss what was
    /// assembled is dropped.
    pub(super) fn follows(&mut self, packet: &Packet<'_>) -> bool {
        let counter = packet.continuity();
        let last = self.counter.replace(counter);
        if last == Some(counter) && !packet.discontinuity() {
            return false;
        }
        if last.is_some_and(|last| (last + 1) & 0x0f != counter) {
            self.open = false;
        }
        true
    }

    fn take(&mut self) -> Vec<u8> {
        self.open = false;
        // What follows is about as long: it need not be moved while it grows.
        let next = Vec::with_capacity(self.bytes.len());
        std::mem::replace(&mut self.bytes, next)
    }

    /// What was assembled.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes what belongs to the section before, from a packet in which another one begins; whether it is whole now.
    pub(super) fn tail(&mut self, packet: &Packet<'_>) -> bool {
        let payload = packet.payload();
        if !packet.starts_unit() || !self.open {
            return false;
        }
        let len = usize::from(payload.first().copied().unwrap_or_default());
        self.bytes.extend(payload.get(1..1 + len).unwrap_or_default());
        self.is_whole()
    }

    /// Takes a packet of a table; whether its section is whole now.
    pub(super) fn section(&mut self, packet: &Packet<'_>) -> bool {
        let payload = packet.payload();
        if packet.starts_unit() {
            let skip = 1 + usize::from(payload.first().copied().unwrap_or_default());
            self.bytes.clear();
            self.bytes.extend(payload.get(skip..).unwrap_or_default());
            self.open = true;
        } else if self.open {
            self.bytes.extend(payload);
        }
        if self.bytes.len() > MOST_SECTION {
            self.open = false;
        }
        self.is_whole()
    }

    /// Goes on to the section behind the one that was whole, in tables that pack them; whether it is whole, too.
    pub(super) fn next_section(&mut self) -> bool {
        let Some(whole) = self.section_len().filter(|len| *len <= self.bytes.len()) else {
            return false;
        };
        self.bytes.drain(..whole);
        // What follows the last one is filled up.
        self.open = self.bytes.first().is_some_and(|table| *table != STUFFING);
        self.is_whole()
    }

    fn section_len(&self) -> Option<usize> {
        match self.bytes[..] {
            [_, high, low, ..] => Some(3 + usize::from(u16::from_be_bytes([high & 0x0f, low]))),
            _ => None,
        }
    }

    fn is_whole(&mut self) -> bool {
        let whole = self.open && self.section_len().is_some_and(|len| self.bytes.len() >= len);
        self.open &= !whole;
        whole
    }
}

/// Takes a transport stream apart: its first programme, or the one asked for.
#[derive(Debug)]
pub struct Demuxer {
    programme: Option<u16>,
    rest: Vec<u8>,
    pat: Assembly,
    pmt: Option<Assembly>,
    map: Option<Map>,
    tracks: Vec<Assembly>,
    /// Bytes and packets that could not be used.
    pub errors: u64,
}

impl Demuxer {
    /// For the programme of this number, or the first.
    pub fn new(programme: Option<u16>) -> Self {
        Self {
            programme,
            rest: Vec::new(),
            pat: Assembly::new(psi::PAT),
            pmt: None,
            map: None,
            tracks: Vec::new(),
            errors: 0,
        }
    }

    /// Takes bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) {
        let mut rest = std::mem::take(&mut self.rest);
        let mut bytes = bytes;
        if !rest.is_empty() {
            // With what was left go the end of that packet, and the one behind it to see whether it is in step.
            let held = rest.len();
            rest.extend(&bytes[..bytes.len().min(2 * SIZE)]);
            let at = self.packets(&rest, held, out);
            let Some(done) = at.checked_sub(held) else {
                rest.drain(..at);
                self.rest = rest;
                return;
            };
            bytes = &bytes[done..];
        }
        let at = self.packets(bytes, bytes.len(), out);
        rest.clear();
        rest.extend(&bytes[at..]);
        self.rest = rest;
    }

    /// Takes the packets that begin before `until` and are there whole; returns how far it came.
    fn packets(&mut self, bytes: &[u8], until: usize, out: &mut Vec<Event>) -> usize {
        let mut at = 0;
        while let Some(chunk) = bytes.get(at..at + SIZE).filter(|_| at < until) {
            // In step, or where two packets in a row begin.
            let in_step = chunk[0] == SYNC && bytes.get(at + SIZE).is_none_or(|byte| *byte == SYNC);
            if !in_step {
                self.errors += 1;
                at += 1;
                continue;
            }
            at += SIZE;
            let Ok(chunk) = chunk.try_into() else { continue };
            match Packet::parse(chunk) {
                Some(packet) => self.packet(&packet, out),
                None => self.errors += 1,
            }
        }
        at
    }

    /// The stream has ended: what was open is whole.
    pub fn flush(&mut self, out: &mut Vec<Event>) {
        for track in &mut self.tracks {
            finish(track, out);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, out: &mut Vec<Event>) {
        let pid = packet.pid();
        if pid == NULL || packet.payload().is_empty() {
            return;
        }
        if pid == psi::PAT {
            if self.pat.follows(packet) && self.pat.section(packet) {
                self.associate();
            }
        } else if let Some(pmt) = self.pmt.as_mut().filter(|pmt| pmt.pid == pid) {
            if pmt.follows(packet) && pmt.section(packet) {
                let map = psi::parse_pmt(&pmt.bytes);
                self.set_map(map, out);
            }
        } else if let Some(track) = self.tracks.iter_mut().find(|track| track.pid == pid) {
            if packet.scrambled() {
                self.errors += 1;
                return;
            }
            if !track.follows(packet) {
                return;
            }
            if packet.starts_unit() {
                if track.open {
                    finish(track, out);
                }
                track.bytes.clear();
                track.open = true;
                track.random_access = packet.random_access();
            }
            if !track.open {
                self.errors += 1;
                return;
            }
            track.bytes.extend(packet.payload());
            if track.bytes.len() > MOST_PES {
                self.errors += 1;
                track.take();
                return;
            }
            // A stated length ends the packet at once: sound does not wait for its successor.
            let stated = pes::parse(&track.bytes).and_then(|header| header.len);
            if let Some(len) = stated.filter(|len| track.bytes.len() >= *len) {
                track.bytes.truncate(len);
                finish(track, out);
            }
        }
    }

    fn associate(&mut self) {
        let Some(programmes) = psi::parse_pat(&self.pat.bytes) else { return };
        let wanted =
            |(number, _): &&(u16, u16)| self.programme.is_none_or(|wanted| wanted == *number);
        let Some((_, pid)) = programmes.iter().find(wanted) else { return };
        if self.pmt.as_ref().is_none_or(|pmt| pmt.pid != *pid) {
            self.pmt = Some(Assembly::new(*pid));
        }
    }

    fn set_map(&mut self, map: Option<Map>, out: &mut Vec<Event>) {
        let Some(mut map) = map else { return };
        map.tracks.truncate(MOST_TRACKS);
        if self.map.as_ref() == Some(&map) {
            return;
        }
        let known = std::mem::take(&mut self.tracks);
        self.tracks = map.tracks.iter().map(|track| Assembly::new(track.pid)).collect();
        for old in known {
            if let Some(track) = self.tracks.iter_mut().find(|track| track.pid == old.pid) {
                *track = old;
            }
        }
        self.map = Some(map.clone());
        out.push(Event::Map(map));
    }
}

fn finish(track: &mut Assembly, out: &mut Vec<Event>) {
    let (open, random_access) = (track.open, track.random_access);
    let bytes = track.take();
    let header = pes::parse(&bytes);
    let short = |header: pes::Header| header.len.is_some_and(|len| bytes.len() < len);
    if open && header.is_some_and(|h| !short(h) && h.payload <= bytes.len()) {
        out.push(Event::Pes { pid: track.pid, pes: bytes, random_access });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::mux::Muxer;
    use super::*;
    use crate::unit::{Kind, Track, Unit};

    fn stream() -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut mux = Muxer::new();
        let track = |pid, stream_type, kind| Track { pid, stream_type, kind, info: Bytes::new() };
        mux.set_tracks(&[track(256, 0x1b, Kind::Video), track(272, 0x0f, Kind::Audio)]);
        let (mut ts, mut units) = (Vec::new(), Vec::new());
        for index in 0..40i64 {
            if index % 10 == 0 {
                mux.tables(&mut ts);
            }
            let (pid, id) = if index % 3 == 0 { (272, 0xc0) } else { (256, 0xe0) };
            let len = (index as usize * 97) % 1500;
            let mut pes = pes::wrap_unit(id, &vec![index as u8; len], true);
            let dts = 90_000 + index * 1000;
            mux.unit(Unit { pid, pts: dts, dts, random_access: true, pes: pes.clone() }, &mut ts);
            pes::restamp(&mut pes, dts, dts);
            units.push(pes);
        }
        (ts, units)
    }

    fn demux(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
        let (mut demuxer, mut out) = (Demuxer::new(None), Vec::new());
        chunks.for_each(|chunk| demuxer.push(&chunk, &mut out));
        demuxer.flush(&mut out);
        let pes = |event| match event {
            Event::Pes { pes, .. } => Some(pes),
            Event::Map(_) => None,
        };
        out.into_iter().filter_map(pes).collect()
    }

    fn sorted(mut units: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        units.sort();
        units
    }

    proptest! {
        #[test]
        fn units_come_back_however_the_bytes_are_cut(
            sizes in proptest::collection::vec(1usize..4000, 1..30),
            garbage in proptest::collection::vec(0u8..0x47, 0..300),
        ) {
            let (ts, units) = stream();
            let mut bytes = garbage;
            bytes.extend(ts);
            let mut sizes = sizes.into_iter().cycle();
            let mut rest = bytes;
            let chunks = std::iter::from_fn(|| {
                let size = sizes.next()?.min(rest.len());
                (size > 0).then(|| rest.drain(..size).collect())
            });
            prop_assert_eq!(sorted(demux(chunks)), sorted(units));
        }

        #[test]
        fn a_lost_packet_loses_no_more_than_its_unit_and_makes_none_up(lost in 6usize..60) {
            let (ts, units) = stream();
            let packets: Vec<_> = ts.chunks(SIZE).map(<[u8]>::to_vec).collect();
            prop_assume!(lost < packets.len());
            let left = packets.into_iter().enumerate().filter(|(i, _)| *i != lost).map(|(_, p)| p);
            let got = demux(left);
            prop_assert!(got.iter().all(|unit| units.contains(unit)));
            prop_assert!(got.len() + 3 >= units.len(), "{} of {}", got.len(), units.len());
        }

        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            demux([bytes].into_iter());
        }

        #[test]
        fn flipped_bits_do_not_panic(flips in proptest::collection::vec((any::<usize>(), 0u8..8), 1..50)) {
            let (mut ts, _) = stream();
            for (at, bit) in flips {
                let at = at % ts.len();
                ts[at] ^= 1 << bit;
            }
            demux([ts].into_iter());
        }
    }
}
