//! MPEG transport streams (ISO/IEC 13818-1), as far as a stream with holes must stay valid.
//!
//! What a player must be told of a hole: packets of a PID whose continuity counter jumps are marked with the
//! `discontinuity_indicator` (2.4.3.5), so that decoders drop the half pictures around the hole and go on, and nobody
//! takes the jump for damage. After lost segments that is the next packet of every PID seen before; after a segment of
//! which only the essential layer came, that of the PIDs whose payload was left out (the picture). A packet without an
//! adaptation field has no room for the mark: a packet that is nothing but adaptation field goes before it, with the
//! continuity counter before that packet's, as packets without payload do not count (2.4.3.3).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

/// Bytes of a packet.
pub const PACKET: usize = 188;

const NULL_PID: u16 = 0x1fff;
const HAS_FIELD: u8 = 0x20;
const HAS_PAYLOAD: u8 = 0x10;
const DISCONTINUITY: u8 = 0x80;

/// Keeps one output's stream valid where it goes on after a hole.
#[derive(Debug, Default)]
pub struct Splicer {
    /// The PIDs seen, and whether the next packet is to be marked.
    pids: BTreeMap<u16, bool>,
}

/// Whether a packet carries payload, by its fourth byte.
fn has_payload(packet: &[u8]) -> bool {
    packet[3] & HAS_PAYLOAD != 0
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff
}

impl Splicer {
    /// The packets of `ts`, with marks where they are needed. `gap`: something was left out before them; `whole`: nothing
    /// is left out within them. Without holes it gives `ts` itself.
    pub fn splice(&mut self, ts: &Bytes, gap: bool, whole: bool) -> Bytes {
        if gap {
            self.pids.values_mut().for_each(|broken| *broken = true);
        }
        let out = if self.pids.values().any(|&broken| broken) { self.mark(ts) } else { ts.clone() };
        for packet in ts.chunks_exact(PACKET) {
            self.pids.entry(pid(packet)).or_insert(false);
        }
        self.pids.remove(&NULL_PID);
        if !whole {
            let mut cut = self.pids.clone();
            ts.chunks_exact(PACKET).filter(|packet| has_payload(packet)).for_each(|packet| {
                cut.remove(&pid(packet));
            });
            self.pids.extend(cut.into_keys().map(|pid| (pid, true)));
        }
        out
    }

    fn mark(&mut self, ts: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(ts.len() + self.pids.len() * PACKET);
        for packet in ts.chunks_exact(PACKET) {
            let at = out.len();
            match self.pids.get_mut(&pid(packet)).filter(|broken| **broken) {
                None => out.extend_from_slice(packet),
                Some(broken) => {
                    *broken = false;
                    if packet[3] & HAS_FIELD == 0 || packet[4] == 0 {
                        out.extend_from_slice(&announcement(packet));
                        out.extend_from_slice(packet);
                    } else {
                        out.extend_from_slice(packet);
                        out[at + 5] |= DISCONTINUITY;
                    }
                }
            }
        }
        out.freeze()
    }
}

/// A packet without payload that marks the one which follows.
fn announcement(packet: &[u8]) -> [u8; PACKET] {
    let mut mark = [0xff; PACKET];
    let counter = (packet[3] & 0x0f).wrapping_sub(has_payload(packet).into()) & 0x0f;
    // No payload unit starts here, and it is not scrambled.
    mark[..6].copy_from_slice(&[
        packet[0],
        packet[1] & 0x1f,
        packet[2],
        HAS_FIELD | counter,
        (PACKET - 5) as u8,
        DISCONTINUITY,
    ]);
    mark
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(pid: u16, counter: u8, field: Option<u8>) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, high, low, HAS_PAYLOAD | counter];
        if let Some(flags) = field {
            packet[3] |= HAS_FIELD;
            packet.extend([1, flags]);
        }
        packet.resize(PACKET, pid as u8);
        packet
    }

    fn clock(pid: u16, counter: u8) -> Vec<u8> {
        let mut packet = packet(pid, counter, Some(0x10));
        packet[3] &= !HAS_PAYLOAD;
        packet[4] = 183;
        packet
    }

    fn ts(packets: &[Vec<u8>]) -> Bytes {
        packets.concat().into()
    }

    /// Pid, counter, mark and payload of each packet.
    fn read(ts: &[u8]) -> Vec<(u16, u8, bool, bool)> {
        ts.chunks_exact(PACKET)
            .map(|p| {
                let marked = p[3] & HAS_FIELD != 0 && p[4] > 0 && p[5] & DISCONTINUITY != 0;
                (pid(p), p[3] & 15, marked, has_payload(p))
            })
            .collect()
    }

    #[test]
    fn without_a_hole_not_a_byte_changes() {
        let mut splicer = Splicer::default();
        let one = ts(&[packet(0, 0, None), packet(256, 5, Some(0x40))]);
        assert_eq!(splicer.splice(&one, false, true), one);
        let two = ts(&[packet(256, 6, None)]);
        assert_eq!(splicer.splice(&two, false, true), two);
    }

    #[test]
    fn after_lost_segments_the_next_packet_of_every_pid_is_marked_once() {
        let mut splicer = Splicer::default();
        splicer.splice(&ts(&[packet(256, 5, None), packet(257, 1, None)]), false, true);
        let next = ts(&[
            packet(256, 9, Some(0)),
            packet(256, 10, None),
            packet(300, 0, None),
            packet(257, 0, None),
            packet(257, 1, None),
        ]);
        let seen = read(&splicer.splice(&next, true, true));
        let wanted = [
            (256, 9, true, true),
            (256, 10, false, true),
            (300, 0, false, true),
            (257, 15, true, false),
            (257, 0, false, true),
            (257, 1, false, true),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn after_sound_alone_the_picture_is_marked_and_the_sound_is_not() {
        let mut splicer = Splicer::default();
        splicer.splice(&ts(&[packet(256, 5, None), packet(257, 1, None)]), false, true);
        let sound = ts(&[clock(256, 5), packet(257, 2, None)]);
        assert_eq!(splicer.splice(&sound, false, false), sound);
        let more = ts(&[clock(256, 5), packet(257, 3, None)]);
        let seen = read(&splicer.splice(&more, false, false));
        assert_eq!(seen, [(256, 5, true, false), (257, 3, false, true)]);
        let next = ts(&[packet(257, 4, None), packet(256, 12, None)]);
        let seen = read(&splicer.splice(&next, false, true));
        assert_eq!(seen, [(257, 4, false, true), (256, 11, true, false), (256, 12, false, true)]);
    }

    proptest! {
        /// Whatever is lost, a reader that follows 2.4.3.3 sees no jump that is not marked.
        #[test]
        fn every_jump_is_marked(
            segments in prop::collection::vec((prop::collection::vec((0u16..4, any::<bool>()), 0..12), 0u8..4), 1..12)
        ) {
            let mut splicer = Splicer::default();
            let (mut sent, mut out) = ([0u8; 4], Vec::new());
            let mut gap = false;
            for (packets, fate) in segments {
                let mut bytes = Vec::new();
                let mut kept = Vec::new();
                for (pid, field) in packets {
                    // PID 3 is the picture: left out where only the essential layer came.
                    let made = packet(pid + 256, sent[usize::from(pid)], field.then_some(0));
                    sent[usize::from(pid)] = (sent[usize::from(pid)] + 1) & 15;
                    if pid != 3 { kept.extend_from_slice(&made); }
                    bytes.extend(made);
                }
                match fate {
                    0 => gap = true,
                    1 => out.extend_from_slice(&splicer.splice(&kept.into(), std::mem::take(&mut gap), false)),
                    _ => out.extend_from_slice(&splicer.splice(&bytes.into(), std::mem::take(&mut gap), true)),
                }
            }
            let mut last = [None; 4];
            for (pid, counter, marked, payload) in read(&out) {
                let slot = &mut last[usize::from(pid - 256)];
                if let (Some(before), false) = (*slot, marked) {
                    prop_assert_eq!(counter, (before + u8::from(payload)) & 15);
                }
                *slot = Some(counter);
            }
        }
    }
}
