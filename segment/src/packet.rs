//! Packets of MPEG transport streams (ISO/IEC 13818-1, 2.4.3), as far as layers need them.

use std::collections::BTreeSet;

/// Bytes of a packet.
pub(crate) const PACKET: usize = 188;
/// The first byte of each.
pub(crate) const SYNC: u8 = 0x47;
/// The program association table's.
pub(crate) const PAT: u16 = 0;
/// Those below are kept for tables: PAT, CAT, TSDT (13818-1), NIT, SDT, EIT, TDT, RST (EN 300 468).
const FIRST_FREE: u16 = 0x20;
/// Where ATSC's tables are (A/65).
const ATSC: u16 = 0x1ffb;

/// A set of packet identifiers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pids(BTreeSet<u16>);

impl Pids {
    pub(crate) fn insert(&mut self, pid: u16) {
        self.0.insert(pid);
    }

    /// Whether packets of `pid` are tables by their number, or in the set.
    pub(crate) fn has(&self, pid: u16) -> bool {
        pid < FIRST_FREE || pid == ATSC || self.0.contains(&pid)
    }
}

/// Whether `ts` is one or more whole packets.
pub(crate) fn whole(ts: &[u8]) -> bool {
    !ts.is_empty()
        && ts.len().is_multiple_of(PACKET)
        && ts.chunks_exact(PACKET).all(|packet| packet[0] == SYNC)
}

/// The packet's identifier.
pub(crate) fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff
}

/// Whether a payload unit starts in it.
pub(crate) fn starts_unit(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// Whether it carries payload, whatever that is.
pub(crate) fn has_payload(packet: &[u8]) -> bool {
    packet[3] & 0x10 != 0
}

/// Its continuity counter.
pub(crate) fn counter(packet: &[u8]) -> u8 {
    packet[3] & 0x0f
}

/// Its payload, unless it is damaged or scrambled.
pub(crate) fn payload(packet: &[u8]) -> Option<&[u8]> {
    if packet[1] & 0x80 != 0 || packet[3] & 0xc0 != 0 || !has_payload(packet) {
        return None;
    }
    let start = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
    packet.get(start..).filter(|payload| !payload.is_empty())
}

/// The six bytes of its program clock reference, if it has one.
pub(crate) fn pcr(packet: &[u8]) -> Option<&[u8]> {
    (packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0).then(|| &packet[6..12])
}

/// Puts out a packet that has of `packet` nothing but its clock reference: no payload, hence with
/// `counter` that of the last packet which had one.
pub(crate) fn clock_only(packet: &[u8], counter: u8, out: &mut Vec<u8>) {
    let Some(pcr) = pcr(packet) else { return };
    let end = out.len() + PACKET;
    let discontinuity = packet[5] & 0x80;
    out.extend([SYNC, packet[1] & 0x1f, packet[2], 0x20 | counter, 183, discontinuity | 0x10]);
    out.extend_from_slice(pcr);
    out.resize(end, 0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_only_packet_keeps_pid_clock_and_nothing_else() {
        let mut packet = [0x5a; PACKET];
        packet[..12].copy_from_slice(&[SYNC, 0x41, 0x00, 0x37, 7, 0xd0, 1, 2, 3, 4, 5, 6]);
        let mut out = Vec::new();
        clock_only(&packet, 6, &mut out);
        assert_eq!(out.len(), PACKET);
        assert_eq!(out[..12], [SYNC, 0x01, 0x00, 0x26, 183, 0x90, 1, 2, 3, 4, 5, 6]);
        assert!(out[12..].iter().all(|&b| b == 0xff));
        assert_eq!((pcr(&out), payload(&out)), (pcr(&packet), None));
    }

    #[test]
    fn an_adaptation_field_longer_than_the_packet_hides_the_payload() {
        let mut packet = [0; PACKET];
        packet[..5].copy_from_slice(&[SYNC, 0, 0, 0x30, 255]);
        assert_eq!(payload(&packet), None);
        packet[4] = 182;
        assert_eq!(payload(&packet).map(<[u8]>::len), Some(1));
    }
}
