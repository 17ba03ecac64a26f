//! The two tables that a decoder needs: programme association and programme map.

use bytes::Bytes;

use super::crc::crc32;
use crate::unit::{Kind, PRIVATE, Track};

/// The identifier of the programme association table.
pub const PAT: u16 = 0;

/// A programme map as a source states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Map {
    /// Its version, 5 bits.
    pub version: u8,
    /// The track that carries the clock.
    pub pcr_pid: u16,
    /// Every elementary stream, of any type.
    pub tracks: Vec<Track>,
}

/// The body of a table, between its header and its checksum; nothing if the section is cut short,
/// not yet in force, or its checksum fails.
pub(super) fn body(section: &[u8], table: u8) -> Option<(u8, &[u8])> {
    let len = 3 + (u16::from_be_bytes([*section.get(1)? & 0x0f, *section.get(2)?]) as usize);
    let section = section.get(..len)?;
    if section[0] != table || len < 12 || section[5] & 1 == 0 || crc32(section) != 0 {
        return None;
    }
    Some((section[5] >> 1 & 0x1f, &section[8..len - 4]))
}

/// Programmes of a programme association section: number and identifier of the map.
pub fn parse_pat(section: &[u8]) -> Option<Vec<(u16, u16)>> {
    let (_, body) = body(section, 0)?;
    let entry =
        |e: &[u8]| (u16::from_be_bytes([e[0], e[1]]), u16::from_be_bytes([e[2] & 0x1f, e[3]]));
    Some(body.chunks_exact(4).map(entry).filter(|(number, _)| *number != 0).collect())
}

/// Reads a programme map section.
pub fn parse_pmt(section: &[u8]) -> Option<Map> {
    let (version, body) = body(section, 2)?;
    let pcr_pid = u16::from_be_bytes([*body.first()? & 0x1f, *body.get(1)?]);
    let skip = u16::from_be_bytes([*body.get(2)? & 0x0f, *body.get(3)?]) as usize;
    let mut rest = body.get(4 + skip..)?;
    let mut tracks = Vec::new();
    while let [stream_type, p0, p1, l0, l1, tail @ ..] = rest {
        let len = u16::from_be_bytes([l0 & 0x0f, *l1]) as usize;
        let info = tail.get(..len)?;
        tracks.push(Track {
            pid: u16::from_be_bytes([p0 & 0x1f, *p1]),
            stream_type: *stream_type,
            kind: kind(*stream_type, info),
            info: Bytes::copy_from_slice(info),
        });
        rest = &tail[len..];
    }
    Some(Map { version, pcr_pid, tracks })
}

/// What a stream carries, by its type and descriptors.
fn kind(stream_type: u8, info: &[u8]) -> Kind {
    match stream_type {
        0x01 | 0x02 | 0x10 | 0x1b | 0x24 | 0x33 => Kind::Video,
        0x03 | 0x04 | 0x0f | 0x11 | 0x81 | 0x87 => Kind::Audio,
        // AC-3, enhanced AC-3, DTS, AAC (ETSI EN 300 468, table 12), or a registration of AC-3, Opus.
        PRIVATE
            if descriptors(info).any(|(tag, body)| {
                matches!(tag, 0x6a | 0x7a | 0x7b | 0x7c)
                    || tag == 5
                        && [&b"AC-3"[..], b"EAC3", b"Opus"].iter().any(|id| body.starts_with(id))
            }) =>
        {
            Kind::Audio
        }
        _ => Kind::Other,
    }
}

/// Tag and body of each descriptor.
pub fn descriptors(mut info: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, len, rest @ ..] = info else { return None };
        let body = rest.get(..*len as usize)?;
        info = &rest[*len as usize..];
        Some((*tag, body))
    })
}

/// A section with header and checksum.
fn section(table: u8, id: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() + 9) as u16;
    let mut out = vec![table, 0xb0 | (len >> 8) as u8, len as u8];
    out.extend(id.to_be_bytes());
    out.extend([0xc1 | version << 1, 0, 0]);
    out.extend(body);
    let crc = crc32(&out);
    out.extend(crc.to_be_bytes());
    out
}

/// A programme association section for one programme.
pub fn write_pat(programme: u16, pmt_pid: u16) -> Vec<u8> {
    let [n0, n1] = programme.to_be_bytes();
    let [p0, p1] = (0xe000 | pmt_pid).to_be_bytes();
    section(0, 1, 0, &[n0, n1, p0, p1])
}

/// A programme map section.
pub fn write_pmt(programme: u16, version: u8, pcr_pid: u16, tracks: &[Track]) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend((0xe000 | pcr_pid).to_be_bytes());
    body.extend([0xf0, 0]);
    for track in tracks {
        body.push(track.stream_type);
        body.extend((0xe000 | track.pid).to_be_bytes());
        body.extend((0xf000 | track.info.len() as u16).to_be_bytes());
        body.extend(&track.info);
    }
    section(2, programme, version, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks() -> Vec<Track> {
        vec![
            Track { pid: 0x100, stream_type: 0x1b, kind: Kind::Video, info: Bytes::new() },
            Track {
                pid: 0x110,
                stream_type: 6,
                kind: Kind::Audio,
                info: Bytes::from_static(&[0x0a, 4, b'd', b'e', b'u', 0, 0x6a, 1, 0]),
            },
            Track {
                pid: 0x120,
                stream_type: 6,
                kind: Kind::Other,
                info: Bytes::from_static(&[0x59, 8, b'd', b'e', b'u', 0x10, 0, 1, 0, 1]),
            },
        ]
    }

    #[test]
    fn tables_survive_writing_and_reading() {
        assert_eq!(parse_pat(&write_pat(7, 0x1000)), Some(vec![(7, 0x1000)]));
        let map = parse_pmt(&write_pmt(7, 9, 0x100, &tracks())).unwrap();
        assert_eq!(map, Map { version: 9, pcr_pid: 0x100, tracks: tracks() });
    }

    #[test]
    fn a_flipped_or_missing_byte_makes_a_table_void() {
        let good = write_pmt(1, 0, 0x100, &tracks());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert_eq!(parse_pmt(&bad), None, "byte {at} flipped");
            assert_eq!(parse_pmt(&good[..at]), None, "cut at {at}");
        }
    }
}
