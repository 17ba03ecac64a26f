//! The header of a PES packet (ISO/IEC 13818-1, 2.4.3.6), and what begins a decodable picture.

use crate::unit::{H264, H265};

/// What a PES header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of the whole PES packet; nothing if it is not stated (video).
    pub len: Option<usize>,
    /// Presentation time, 33 bits.
    pub pts: Option<u64>,
    /// Decoding time, 33 bits.
    pub dts: Option<u64>,
    /// Where the payload begins.
    pub payload: usize,
}

/// Reads the header of a PES packet of which at least the header is there.
pub fn parse(bytes: &[u8]) -> Option<Header> {
    if bytes.len() < 6 || bytes[..3] != [0, 0, 1] {
        return None;
    }
    let stated = u16::from_be_bytes([bytes[4], bytes[5]]) as usize;
    let len = (stated > 0).then_some(stated + 6);
    // Padding and the like have no further header.
    if matches!(bytes[3], 0xbc | 0xbe | 0xbf | 0xf0..=0xf2 | 0xf8 | 0xff) {
        return Some(Header { len, pts: None, dts: None, payload: 6 });
    }
    if bytes.len() < 9 || bytes[6] & 0xc0 != 0x80 {
        return None;
    }
    let payload = 9 + bytes[8] as usize;
    let pts = (bytes[7] & 0x80 != 0).then(|| stamp(bytes.get(9..14)?)).flatten();
    let dts = (bytes[7] & 0xc0 == 0xc0).then(|| stamp(bytes.get(14..19)?)).flatten();
    Some(Header { len, pts, dts, payload })
}

/// Reads a time stamp of five bytes.
fn stamp(b: &[u8]) -> Option<u64> {
    let b: &[u8; 5] = b.try_into().ok()?;
    Some(
        u64::from(b[0] >> 1 & 7) << 30
            | u64::from(b[1]) << 22
            | u64::from(b[2] >> 1) << 15
            | u64::from(b[3]) << 7
            | u64::from(b[4] >> 1),
    )
}

/// Writes a time stamp; the four bits before it stay.
fn write_stamp(b: &mut [u8], ticks: i64) {
    let ticks = wrap(ticks);
    b[0] = b[0] & 0xf0 | (ticks >> 29) as u8 & 0x0e | 1;
    b[1] = (ticks >> 22) as u8;
    b[2] = (ticks >> 14) as u8 | 1;
    b[3] = (ticks >> 7) as u8;
    b[4] = (ticks << 1) as u8 | 1;
}

/// The 33 bits of a time that a stream can state.
pub fn wrap(ticks: i64) -> u64 {
    ticks.rem_euclid(1 << 33).unsigned_abs()
}

/// Replaces the time stamps that a PES packet has.
pub fn restamp(pes: &mut [u8], pts: i64, dts: i64) {
    let Some(header) = parse(pes) else { return };
    if header.pts.is_some() {
        write_stamp(&mut pes[9..14], pts);
    }
    if header.dts.is_some() {
        write_stamp(&mut pes[14..19], dts);
    }
}

/// A PES packet around an access unit. Its length is stated if it fits, as it must be for sound.
pub fn wrap_unit(stream_id: u8, unit: &[u8], with_dts: bool) -> Vec<u8> {
    let header = if with_dts { 10 } else { 5 };
    let mut pes = Vec::with_capacity(9 + header + unit.len());
    let len = if stream_id & 0xf0 == 0xe0 { 0 } else { 3 + header + unit.len() };
    let len = u16::try_from(len).unwrap_or(0).to_be_bytes();
    pes.extend([0, 0, 1, stream_id, len[0], len[1], 0x84]);
    pes.extend([if with_dts { 0xc0 } else { 0x80 }, header as u8]);
    pes.extend([if with_dts { 0x31 } else { 0x21 }, 0, 1, 0, 1]);
    if with_dts {
        pes.extend([0x11, 0, 1, 0, 1]);
    }
    pes.extend(unit);
    pes
}

/// Whether a decoder can start at an access unit in byte-stream form: it holds an instantaneous
/// refresh or its parameter sets (H.264, H.265), or a sequence header (MPEG-2).
pub fn begins_decoding(stream_type: u8, unit: &[u8]) -> bool {
    let mut rest = unit;
    while let Some(at) = rest.windows(3).position(|w| w == [0, 0, 1]) {
        let Some(&byte) = rest.get(at + 3) else { return false };
        let hit = match stream_type {
            H264 => match byte & 0x1f {
                5 | 7 => true,
                // A slice of another kind: what decides comes before it.
                1 => return false,
                _ => false,
            },
            H265 => match byte >> 1 & 0x3f {
                16..=23 | 32 | 33 => true,
                0..=9 => return false,
                _ => false,
            },
            1 | 2 => byte == 0xb3,
            _ => return false,
        };
        if hit {
            return true;
        }
        rest = &rest[at + 3..];
    }
    false
}

/// Turns a clean random access picture of H.265 into a broken-link one (types 21 and 18): its
/// picture order count then begins anew, as it must where a stream is entered. Pictures that lead it
/// are left out by who calls this.
pub fn break_link(unit: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = unit[at..].windows(3).position(|w| w == [0, 0, 1]) {
        at += found + 3;
        if let Some(byte) = unit.get_mut(at).filter(|byte| **byte >> 1 & 0x3f == 21) {
            *byte = *byte & 0x81 | 18 << 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_survive_writing_and_reading() {
        for ticks in [0, 1, 90_000, (1 << 33) - 1, 1 << 33, 153_000_000_000_000] {
            let mut pes = wrap_unit(0xe0, b"picture", true);
            restamp(&mut pes, ticks + 7200, ticks);
            let header = parse(&pes).unwrap();
            assert_eq!(header.pts, Some(wrap(ticks + 7200)));
            assert_eq!(header.dts, Some(wrap(ticks)));
            assert_eq!(&pes[header.payload..], b"picture");
            assert_eq!(header.len, None);
        }
    }

    #[test]
    fn sound_states_its_length() {
        let pes = wrap_unit(0xc0, &[7; 300], false);
        assert_eq!(parse(&pes).unwrap().len, Some(pes.len()));
    }

    #[test]
    fn a_clean_random_access_picture_becomes_a_broken_link() {
        let mut unit = [0, 0, 0, 1, 0x40, 1, 5, 0, 0, 1, 0x2a, 1, 0x2a, 0, 0, 1, 0x2a, 1];
        break_link(&mut unit);
        assert_eq!(unit, [0, 0, 0, 1, 0x40, 1, 5, 0, 0, 1, 0x24, 1, 0x2a, 0, 0, 1, 0x24, 1]);
    }

    #[test]
    fn a_refresh_is_seen_and_a_plain_slice_is_not() {
        assert!(begins_decoding(H264, &[0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 1, 2]));
        assert!(!begins_decoding(H264, &[0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x41, 1, 2]));
        assert!(begins_decoding(H265, &[0, 0, 0, 1, 0x46, 1, 0, 0, 0, 1, 0x26, 1]));
        assert!(!begins_decoding(H265, &[0, 0, 1, 0x02, 1, 9]));
        assert!(!begins_decoding(H264, &[0, 0, 1]));
    }
}
