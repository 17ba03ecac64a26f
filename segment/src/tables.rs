//! What a stream's tables say of its packet identifiers (ISO/IEC 13818-1, 2.4.4): which are tables
//! and which are sound.

use std::collections::{BTreeMap, BTreeSet};

use crate::packet::{self, PACKET, PAT, Pids};

const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;

/// The programs last seen.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tables {
    /// By the packet identifier of its map, the identifiers of a program's sound and tables.
    programs: BTreeMap<u16, BTreeSet<u16>>,
}

impl Tables {
    /// Learns from the tables that are whole within `ts`; others stay as they were. If there is a PAT
    /// and the PMTs that it names, what was known before makes no difference.
    pub(crate) fn learn(&mut self, ts: &[u8]) {
        let mut named: Option<BTreeSet<u16>> = None;
        sections(
            ts,
            |pid| pid == PAT,
            |_, section| {
                if let Some(maps) = program_maps(section) {
                    named.get_or_insert_default().extend(maps);
                }
            },
        );
        if let Some(named) = named {
            self.programs.retain(|map, _| named.contains(map));
            for map in named {
                self.programs.entry(map).or_default();
            }
        }
        let mut seen: BTreeMap<u16, BTreeSet<u16>> = BTreeMap::new();
        sections(
            ts,
            |pid| self.programs.contains_key(&pid),
            |pid, section| {
                if let Some(streams) = program_streams(section) {
                    seen.entry(pid).or_default().extend(streams);
                }
            },
        );
        self.programs.extend(seen);
    }

    /// The identifiers of tables and sound.
    pub(crate) fn essential(&self) -> Pids {
        let mut pids = Pids::default();
        for (map, streams) in &self.programs {
            pids.insert(*map);
            streams.iter().for_each(|&pid| pids.insert(pid));
        }
        pids
    }
}

/// Calls `each` with every whole section of the identifiers that `wanted` names.
fn sections(ts: &[u8], wanted: impl Fn(u16) -> bool, mut each: impl FnMut(u16, &[u8])) {
    let mut open: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for packet in ts.chunks_exact(PACKET) {
        let pid = packet::pid(packet);
        if !wanted(pid) {
            continue;
        }
        let Some(mut payload) = packet::payload(packet) else { continue };
        if packet::starts_unit(packet) {
            let pointer = usize::from(payload[0]);
            let Some((before, after)) = payload[1..].split_at_checked(pointer) else {
                open.remove(&pid);
                continue;
            };
            if let Some(section) = open.get_mut(&pid) {
                section.extend_from_slice(before);
                drain(section, |section| each(pid, section));
            }
            open.insert(pid, Vec::new());
            payload = after;
        }
        if let Some(section) = open.get_mut(&pid) {
            section.extend_from_slice(payload);
            drain(section, |section| each(pid, section));
        }
    }
}

/// Takes whole sections from the front. What stays is shorter than the longest section, 4098 bytes.
fn drain(bytes: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    let mut at = 0;
    while let [table, high, low, ..] = bytes[at..] {
        if table == 0xff {
            at = bytes.len();
            break;
        }
        let len = 3 + (usize::from(high & 0x0f) << 8 | usize::from(low));
        let Some(section) = bytes.get(at..at + len) else { break };
        each(section);
        at += len;
    }
    if bytes.get(at) == Some(&0xff) {
        at = bytes.len();
    }
    bytes.drain(..at);
}

/// The inner part of a whole, valid section of this table that is in force now: what is between the
/// common fields and the checksum.
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    let valid = section.len() >= 12
        && section[0] == table
        && section[1] & 0x80 != 0
        && section[5] & 1 != 0
        && checksum(section) == 0;
    valid.then(|| &section[8..section.len() - 4])
}

/// The identifiers of program maps (and of the network table) that a section of the PAT names.
fn program_maps(section: &[u8]) -> Option<impl Iterator<Item = u16>> {
    let body = body(section, PAT_TABLE)?;
    Some(body.chunks_exact(4).map(|entry| u16::from_be_bytes([entry[2], entry[3]]) & 0x1fff))
}

/// The identifiers of sound and tables that a program map names.
fn program_streams(section: &[u8]) -> Option<BTreeSet<u16>> {
    let mut rest = body(section, PMT_TABLE)?;
    let info = length(rest.get(2..4)?);
    rest = rest.get(4 + info..)?;
    let mut pids = BTreeSet::new();
    while let [kind, high, low, rest_high, rest_low, after @ ..] = rest {
        let (descriptors, next) = after.split_at_checked(length(&[*rest_high, *rest_low]))?;
        if is_table(*kind) || is_sound(*kind, descriptors) {
            pids.insert(u16::from_be_bytes([*high, *low]) & 0x1fff);
        }
        rest = next;
    }
    Some(pids)
}

fn length(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0x0f) << 8 | usize::from(bytes[1])
}

/// Private sections (AIT and the like). Carousels are not: they can be larger than the picture.
fn is_table(kind: u8) -> bool {
    kind == 0x05
}

/// Whether a stream of this type is sound: types of 13818-1 table 2-34, ATSC A/52 and A/53, Blu-ray
/// and encrypted HLS; in private streams by what the descriptors say (EN 300 468 annexes D, G, H).
/// 0x86 is DTS-HD on Blu-ray and splice points (SCTE 35) elsewhere: both belong here.
fn is_sound(kind: u8, descriptors: &[u8]) -> bool {
    match kind {
        0x03 | 0x04 | 0x0f | 0x11 | 0x1c | 0x2d | 0x2e => true,
        0x81..=0x88 | 0x8a | 0xa1 | 0xa2 | 0xc1 | 0xc2 | 0xcf => true,
        0x06 => describes_sound(descriptors),
        _ => false,
    }
}

fn describes_sound(mut descriptors: &[u8]) -> bool {
    while let [tag, len, rest @ ..] = descriptors {
        let Some((body, next)) = rest.split_at_checked(usize::from(*len)) else { return false };
        let sound = match tag {
            // AC-3, E-AC-3, DTS, AAC
            0x6a | 0x7a | 0x7b | 0x7c => true,
            // in the extension: DTS-HD, AC-4, DTS neural and DTS-UHD, Opus
            0x7f => matches!(body.first(), Some(0x0e | 0x0f | 0x15 | 0x21 | 0x80)),
            // registrations
            0x05 => body.first_chunk().is_some_and(|id| {
                matches!(
                    id,
                    b"AC-3" | b"EAC3" | b"AC-4" | b"DTS1" | b"DTS2" | b"DTS3" | b"BSSD" | b"Opus"
                )
            }),
            _ => false,
        };
        if sound {
            return true;
        }
        descriptors = next;
    }
    false
}

/// The checksum of 13818-1 annex A, 0 over a whole section that is intact.
fn checksum(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}
