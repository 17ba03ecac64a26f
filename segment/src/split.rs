//! A segment's packets to the contents of its two layers, and back.
//!
//! Essential: packets of tables and sound, and those that carry a clock reference. Full: the rest,
//! after a list of runs that tells how both are interleaved. `docs/wire.md` has the layout.
//!
//! A clock reference usually sits in a packet of the picture. The essential layer says of each such
//! packet identifier how to make packets without picture from its own, should it be alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::packet::{self, PACKET, Pids};

/// The contents of the essential and the full layer.
pub(crate) struct Split {
    pub(crate) essential: Vec<u8>,
    pub(crate) full: Vec<u8>,
}

/// Splits whole packets into the (empty) buffers in `into`; `pids` are the identifiers of tables and sound.
pub(crate) fn split(ts: &[u8], pids: &Pids, into: Split) -> Split {
    // The lists stand before the packets, so they are made first.
    let mut before: BTreeMap<u16, u8> = BTreeMap::new();
    let mut clocks: BTreeSet<u16> = BTreeSet::new();
    // Runs of both alternate, and the first is one of the essential layer.
    let mut runs: Vec<u32> = vec![0];
    for packet in ts.chunks_exact(PACKET) {
        let pid = packet::pid(packet);
        let own = pids.has(pid);
        if !own {
            let counter = packet::counter(packet).wrapping_sub(packet::has_payload(packet).into());
            before.entry(pid).or_insert(counter & 0x0f);
        }
        let clock = !own && packet::pcr(packet).is_some();
        if clock {
            clocks.insert(pid);
        }
        if (runs.len() % 2 == 1) != (own || clock) {
            runs.push(0);
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
    }
    let Split { mut essential, mut full } = into;
    put(&mut essential, clocks.len() as u32);
    for pid in clocks {
        essential.extend(pid.to_le_bytes());
        essential.push(before.get(&pid).copied().unwrap_or_default());
    }
    put(&mut full, runs.len() as u32);
    runs.iter().for_each(|run| put(&mut full, *run));
    let mut packets = ts;
    for (i, run) in runs.into_iter().enumerate() {
        let (run, rest) = packets.split_at(run as usize * PACKET);
        if i % 2 == 0 { &mut essential } else { &mut full }.extend_from_slice(run);
        packets = rest;
    }
    Split { essential, full }
}

/// The packets of both layers in their order. `None` if the contents do not fit together.
pub(crate) fn join(essential: &[u8], full: &[u8]) -> Option<Vec<u8>> {
    let (_, mut small) = clocks(essential)?;
    let mut large = full;
    let mut runs = 0..take(&mut large)?;
    let mut lengths = large;
    // The list ends where the packets begin: read it once to find that.
    runs.clone().try_for_each(|_| take(&mut large).map(drop))?;
    let mut ts = Vec::with_capacity(small.len() + large.len());
    let mut from_small = true;
    runs.try_for_each(|_| {
        let len = (take(&mut lengths)? as usize).checked_mul(PACKET)?;
        let from = if from_small { &mut small } else { &mut large };
        let (run, rest) = from.split_at_checked(len)?;
        ts.extend_from_slice(run);
        *from = rest;
        from_small = !from_small;
        Some(())
    })?;
    (small.is_empty() && large.is_empty()).then_some(ts)
}

/// The packets of the essential layer alone: tables and sound as they are, and clock references in
/// packets of their own, so that no fragment of a picture reaches a decoder. `None` if it is malformed.
pub(crate) fn alone(essential: &[u8]) -> Option<Vec<u8>> {
    let (clocks, packets) = clocks(essential)?;
    let mut ts = Vec::with_capacity(packets.len());
    for packet in packets.chunks_exact(PACKET) {
        match clocks.get(&packet::pid(packet)) {
            Some(counter) => packet::clock_only(packet, *counter, &mut ts),
            None => ts.extend_from_slice(packet),
        }
    }
    packets.len().is_multiple_of(PACKET).then_some(ts)
}

/// The list of clocks at the front of the essential layer (packet identifier to the continuity
/// counter before the segment), and its packets.
fn clocks(mut essential: &[u8]) -> Option<(BTreeMap<u16, u8>, &[u8])> {
    let count = take(&mut essential)? as usize;
    let (list, packets) = essential.split_at_checked(count.checked_mul(3)?)?;
    let entry = |e: &[u8]| (u16::from_le_bytes([e[0], e[1]]), e[2] & 0x0f);
    Some((list.chunks_exact(3).map(entry).collect(), packets))
}

/// Puts out seven bits a byte, the lowest first, the eighth set but in the last (LEB128).
fn put(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes what [`put`] has put. `None` if it ends early or has more than 32 bits.
fn take(from: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (first, rest) = from.split_first()?;
        *from = rest;
        let bits = u32::from(first & 0x7f);
        if shift == 28 && bits > 0x0f {
            return None;
        }
        value |= bits << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 28, u32::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(take(&mut &bytes[..]), Some(value));
            assert_eq!(take(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take(&mut &[0x80; 6][..]), None);
    }
}
