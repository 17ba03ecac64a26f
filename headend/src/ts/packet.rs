//! One packet of 188 bytes.

/// Bytes of a packet.
pub const SIZE: usize = 188;
/// The first byte of each.
pub const SYNC: u8 = 0x47;
/// The identifier of packets that carry nothing.
pub const NULL: u16 = 0x1fff;

/// A view of one packet. Fields are checked against its length on reading.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8; SIZE],
    payload: usize,
}

impl<'a> Packet<'a> {
    /// Reads a packet; nothing if it does not begin with the sync byte, was marked as broken on the
    /// way, or its adaptation field does not fit.
    pub fn parse(bytes: &'a [u8; SIZE]) -> Option<Self> {
        if bytes[0] != SYNC || bytes[1] & 0x80 != 0 {
            return None;
        }
        let control = bytes[3] >> 4 & 3;
        let payload = match control {
            1 => 4,
            2 | 3 => 5 + bytes[4] as usize,
            _ => return None,
        };
        let payload = if control & 1 == 0 { SIZE } else { payload };
        (payload <= SIZE).then_some(Self { bytes, payload })
    }

    /// Packet identifier.
    pub fn pid(&self) -> u16 {
        u16::from_be_bytes([self.bytes[1] & 0x1f, self.bytes[2]])
    }

    /// Whether a PES packet or a section begins in it.
    pub fn starts_unit(&self) -> bool {
        self.bytes[1] & 0x40 != 0
    }

    /// Whether its payload is scrambled.
    pub fn scrambled(&self) -> bool {
        self.bytes[3] & 0xc0 != 0
    }

    /// Continuity counter, 4 bits.
    pub fn continuity(&self) -> u8 {
        self.bytes[3] & 0x0f
    }

    /// The payload; empty if there is none.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload..]
    }

    /// Flags of the adaptation field.
    fn flags(&self) -> u8 {
        if self.bytes[3] & 0x20 != 0 && self.bytes[4] > 0 { self.bytes[5] } else { 0 }
    }

    /// Whether counters and clock may jump here.
    pub fn discontinuity(&self) -> bool {
        self.flags() & 0x80 != 0
    }

    /// Whether a decoder can start here.
    pub fn random_access(&self) -> bool {
        self.flags() & 0x40 != 0
    }

    /// Programme clock reference, in units of 27 MHz.
    pub fn pcr(&self) -> Option<u64> {
        if self.flags() & 0x10 == 0 || self.bytes[4] < 7 {
            return None;
        }
        let b = &self.bytes[6..12];
        let base =
            u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) << 1 | u64::from(b[4] >> 7);
        Some(base * 300 + (u64::from(b[4] & 1) << 8 | u64::from(b[5])))
    }
}
