//! Frames of AAC in a PES packet (ISO/IEC 13818-7, ADTS): enough to leave out the first of them.

use super::pes;
use crate::clock::HZ;

/// Sampling rates by index.
const RATES: [i64; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Length in bytes and duration in ticks of the frame that begins here.
fn frame(bytes: &[u8]) -> Option<(usize, i64)> {
    let header = bytes.get(..7)?;
    if header[0] != 0xff || header[1] & 0xf6 != 0xf0 {
        return None;
    }
    let rate = RATES.get(usize::from(header[2] >> 2 & 0x0f))?;
    let len = usize::from(header[3] & 3) << 11
        | usize::from(header[4]) << 3
        | usize::from(header[5] >> 5);
    (len >= 7 && len <= bytes.len()).then_some((len, 1024 * HZ / rate))
}

/// How long the frames of a PES packet last, ticks; nothing if it is not made of such frames.
pub fn duration(packet: &[u8]) -> Option<i64> {
    let mut at = pes::parse(packet)?.payload;
    let mut duration = 0;
    while at < packet.len() {
        let (len, ticks) = frame(&packet[at..])?;
        at += len;
        duration += ticks;
    }
    (duration > 0).then_some(duration)
}

/// Leaves out as many frames at the start of a PES packet as last for `overlap` ticks at least.
/// Returns what they lasted; nothing if no frame would be left, or it is not made of such frames.
pub fn leave_out(packet: &mut Vec<u8>, overlap: i64) -> Option<i64> {
    let header = pes::parse(packet)?;
    let (mut at, mut left_out) = (header.payload, 0);
    while left_out < overlap {
        let (len, duration) = frame(packet.get(at..)?)?;
        at += len;
        left_out += duration;
    }
    frame(packet.get(at..)?)?;
    packet.drain(header.payload..at);
    if header.len.is_some() {
        let len = u16::try_from(packet.len() - 6).unwrap_or(0).to_be_bytes();
        packet[4..6].copy_from_slice(&len);
    }
    Some(left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 48 kHz with `fill` in it.
    fn aac(fill: u8) -> Vec<u8> {
        let mut frame = vec![0xff, 0xf1, 0x4c, 0x80, 0, 0, 0xfc];
        frame.extend([fill; 33]);
        frame[4] = (frame.len() >> 3) as u8;
        frame[5] = (frame.len() << 5) as u8 | 0x1f;
        frame
    }

    #[test]
    fn frames_that_overlap_are_left_out_and_no_more() {
        let packet = pes::wrap_unit(0xc0, &[aac(1), aac(2), aac(3)].concat(), false);
        assert_eq!(duration(&packet), Some(5760));
        assert_eq!(duration(&packet[..packet.len() - 1]), None);
        for (overlap, left, frames) in
            [(1, 1920, vec![2, 3]), (1920, 1920, vec![2, 3]), (1921, 3840, vec![3])]
        {
            let mut packet = packet.clone();
            assert_eq!(leave_out(&mut packet, overlap), Some(left));
            let header = pes::parse(&packet).unwrap();
            assert_eq!(header.len, Some(packet.len()));
            let expected: Vec<_> = frames.into_iter().flat_map(aac).collect();
            assert_eq!(packet[header.payload..], expected);
        }
        assert_eq!(leave_out(&mut packet.clone(), 5760), None, "nothing would be left");
        assert_eq!(leave_out(&mut pes::wrap_unit(0xc0, &[7; 90], false), 1), None);
    }
}
