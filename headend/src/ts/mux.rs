//! Units to packets: one continuous stream, whatever the units come from.

use super::packet::{SIZE, SYNC};
use super::{pes, psi};
use crate::unit::{Track, Unit};

/// Identifier of the programme map.
pub const PMT: u16 = 0x1000;
/// The only programme.
pub const PROGRAMME: u16 = 1;

/// How far the clock reference runs ahead of decoding times at least, ticks: time for a decoder's
/// buffer. 200 ms.
const LEAD: i64 = 18_000;

/// Writes packets with counters, tables and clock of one continuous stream.
#[derive(Debug)]
pub struct Muxer {
    counters: Vec<(u16, u8)>,
    tracks: Vec<Track>,
    version: u8,
    pcr_pid: u16,
    pcr: i64,
    lead: i64,
}

impl Default for Muxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Muxer {
    /// A stream without tracks.
    pub fn new() -> Self {
        let (counters, tracks) = (Vec::new(), Vec::new());
        Self { counters, tracks, version: 0, pcr_pid: 0x1fff, pcr: i64::MIN, lead: LEAD }
    }

    /// Sets the tracks; the version of the map grows if they are others than before. The clock goes
    /// with the first.
    pub fn set_tracks(&mut self, tracks: &[Track]) {
        if self.tracks != tracks {
            if !self.tracks.is_empty() {
                self.version = (self.version + 1) & 0x1f;
            }
            self.tracks = tracks.to_vec();
            self.pcr_pid = tracks.first().map_or(0x1fff, |track| track.pid);
            self.lead = LEAD;
        }
    }

    /// Appends both tables.
    pub fn tables(&mut self, out: &mut Vec<u8>) {
        self.section(psi::PAT, &psi::write_pat(PROGRAMME, PMT), out);
        let map = psi::write_pmt(PROGRAMME, self.version, self.pcr_pid, &self.tracks);
        self.section(PMT, &map, out);
    }

    /// Appends a unit, with its time stamps.
    pub fn unit(&mut self, mut unit: Unit, out: &mut Vec<u8>) {
        pes::restamp(&mut unit.pes, unit.pts, unit.dts);
        let mut flags = if unit.random_access { 0x40 } else { 0 };
        let pcr = if unit.pid == self.pcr_pid {
            flags |= 0x10;
            self.pcr = (unit.dts - self.lead).max(self.pcr.saturating_add(1));
            Some(self.pcr)
        } else {
            // Sound that comes later than its picture must not be late by the clock.
            if self.pcr != i64::MIN && unit.dts < self.pcr + LEAD / 2 {
                self.lead = (self.lead + self.pcr + LEAD / 2 - unit.dts).min(10 * crate::clock::HZ);
            }
            None
        };
        let mut first = true;
        let mut rest = &unit.pes[..];
        while !rest.is_empty() {
            let field = if first { adaptation(flags, pcr) } else { Vec::new() };
            rest = self.packet(unit.pid, first, field, rest, out);
            first = false;
        }
    }

    fn section(&mut self, pid: u16, section: &[u8], out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(section.len() + SIZE);
        bytes.push(0);
        bytes.extend(section);
        // Tables are stuffed behind, not in front (2.4.4).
        bytes.resize(bytes.len().div_ceil(184) * 184, 0xff);
        let mut first = true;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = self.packet(pid, first, Vec::new(), rest, out);
            first = false;
        }
    }

    /// Appends one packet and returns what did not fit. `field`: body of the adaptation field.
    fn packet<'a>(
        &mut self,
        pid: u16,
        first: bool,
        mut field: Vec<u8>,
        rest: &'a [u8],
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let counter = match self.counters.iter_mut().find(|(p, _)| *p == pid) {
            Some((_, counter)) => {
                *counter = (*counter + 1) & 0x0f;
                *counter
            }
            None => {
                self.counters.push((pid, 0));
                0
            }
        };
        let needed = if field.is_empty() { 0 } else { 1 + field.len() };
        let take = rest.len().min(184 - needed);
        let stuffing = 184 - needed - take;
        let has_field = needed > 0 || stuffing > 0;
        let [p0, p1] = pid.to_be_bytes();
        let control = if has_field { 0x30 } else { 0x10 };
        out.extend([SYNC, if first { 0x40 } else { 0 } | p0, p1, control | counter]);
        if has_field {
            if needed > 0 {
                field.resize(field.len() + stuffing, 0xff);
            } else if stuffing > 1 {
                field.push(0);
                field.resize(stuffing - 1, 0xff);
            }
            out.push(field.len() as u8);
            out.extend(&field);
        }
        out.extend(&rest[..take]);
        &rest[take..]
    }
}

/// The body of an adaptation field; empty if it would say nothing.
fn adaptation(flags: u8, pcr: Option<i64>) -> Vec<u8> {
    if flags == 0 {
        return Vec::new();
    }
    let mut field = vec![flags];
    if let Some(pcr) = pcr {
        let base = pes::wrap(pcr);
        field.extend(((base >> 1) as u32).to_be_bytes());
        field.extend([(base as u8 & 1) << 7 | 0x7e, 0]);
    }
    field
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::packet::Packet;
    use super::*;
    use crate::unit::Kind;

    fn video() -> Track {
        Track { pid: 0x100, stream_type: 0x1b, kind: Kind::Video, info: Bytes::new() }
    }

    /// Every length of PES comes back whole, in packets that all parse, with counters in order.
    #[test]
    fn units_of_every_length_fit() {
        let mut mux = Muxer::new();
        mux.set_tracks(&[video()]);
        let mut counter = None;
        for len in 0..600 {
            let pes = pes::wrap_unit(0xe0, &vec![0xaa; len], true);
            let at = 1_000_000 + len as i64 * 3600;
            let unit = Unit {
                pid: 0x100,
                pts: at + 10,
                dts: at,
                random_access: len % 25 == 0,
                pes: pes.clone(),
            };
            let mut out = Vec::new();
            mux.unit(unit, &mut out);
            assert_eq!(out.len() % SIZE, 0);
            let mut back = Vec::new();
            for (index, chunk) in out.as_chunks::<SIZE>().0.iter().enumerate() {
                let packet = Packet::parse(chunk).unwrap();
                assert_eq!(packet.starts_unit(), index == 0);
                assert_eq!(packet.random_access(), index == 0 && len % 25 == 0);
                if index == 0 {
                    assert_eq!(packet.pcr(), Some(pes::wrap(at - LEAD) * 300));
                }
                if let Some(last) = counter {
                    assert_eq!(packet.continuity(), (last + 1) & 15);
                }
                counter = Some(packet.continuity());
                back.extend(packet.payload());
            }
            assert_eq!(back.len(), pes.len(), "length {len}");
            assert_eq!(pes::parse(&back).unwrap().dts, Some(pes::wrap(at)));
            assert_eq!(&back[19..], &pes[19..]);
        }
    }

    #[test]
    fn a_change_of_tracks_is_a_new_version_and_none_is_not() {
        let mut mux = Muxer::new();
        let version = |mux: &mut Muxer| {
            let mut out = Vec::new();
            mux.tables(&mut out);
            let packet = Packet::parse(out.as_chunks::<SIZE>().0.last().unwrap()).unwrap();
            psi::parse_pmt(&packet.payload()[1..]).unwrap().version
        };
        mux.set_tracks(&[video()]);
        assert_eq!(version(&mut mux), 0);
        mux.set_tracks(&[video()]);
        assert_eq!(version(&mut mux), 0);
        mux.set_tracks(&[Track { stream_type: 0x24, pid: 0x101, ..video() }]);
        assert_eq!(version(&mut mux), 1);
    }
}
