//! A transport stream to seal: tables, two sound tracks and a picture with a clock, made of numbers.

use bytes::Bytes;
use segment::{
    Assembly, ChannelSecret, Coding, Cut, Header, Layer, Opened, Proven, Sealer, Shard, Verifier,
    open,
};

pub(crate) const PMT: u16 = 0x1000;
pub(crate) const VIDEO: u16 = 0x100;
pub(crate) const AAC: u16 = 0x101;
pub(crate) const AC3: u16 = 0x102;
pub(crate) const SUBTITLE: u16 = 0x103;

pub(crate) const NUMBER: u64 = 7_168_000_123;

/// Numbers that look random and are always the same (xorshift64*).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }
}

pub(crate) fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc >> 31 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}

pub(crate) fn section(table: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let len = body.len() + 9;
    let mut section = vec![table, 0xb0 | (len >> 8) as u8, len as u8];
    section.extend(id.to_be_bytes());
    section.extend([0xc1, 0, 0]);
    section.extend(body);
    section.extend(crc(&section).to_be_bytes());
    section
}

pub(crate) fn pat() -> Vec<u8> {
    section(0, 1, &[0, 1, 0xe0 | (PMT >> 8) as u8, PMT as u8])
}

/// Video, AAC, AC-3 in a private stream, a subtitle; `padding` bytes of descriptors before them.
pub(crate) fn pmt(padding: usize) -> Vec<u8> {
    let mut body = vec![0xe0 | (VIDEO >> 8) as u8, VIDEO as u8, 0xf0 | (padding >> 8) as u8];
    body.push(padding as u8);
    body.extend(std::iter::repeat_n(0x80, padding));
    let mut stream = |kind: u8, pid: u16, descriptors: &[u8]| {
        body.extend([kind, 0xe0 | (pid >> 8) as u8, pid as u8, 0xf0, descriptors.len() as u8]);
        body.extend(descriptors);
    };
    stream(0x1b, VIDEO, &[]);
    stream(0x0f, AAC, &[0x0a, 4, b'd', b'e', b'u', 0]);
    stream(0x06, AC3, &[0x0a, 4, b'e', b'n', b'g', 0, 0x6a, 1, 0]);
    stream(0x06, SUBTITLE, &[0x59, 8, b'd', b'e', b'u', 0x10, 0, 1, 0, 1]);
    section(2, 1, &body)
}

/// Builds packets and counts their continuity.
pub(crate) struct Mux {
    pub(crate) numbers: Numbers,
    pub(crate) ts: Vec<u8>,
    counters: std::collections::BTreeMap<u16, u8>,
    clock: u32,
}

impl Mux {
    pub(crate) fn new(seed: u64) -> Self {
        let numbers = Numbers(seed.wrapping_mul(2).wrapping_add(1));
        Self { numbers, ts: Vec::new(), counters: Default::default(), clock: 0 }
    }

    fn head(&mut self, pid: u16, start: bool, adaptation: bool) {
        let counter = self.counters.entry(pid).or_default();
        let flags = u8::from(start) << 6;
        let control = if adaptation { 0x30 } else { 0x10 };
        self.ts.extend([0x47, flags | (pid >> 8) as u8, pid as u8, control | *counter]);
        *counter = (*counter + 1) & 15;
    }

    pub(crate) fn noise(&mut self, pid: u16) {
        self.head(pid, false, false);
        for _ in 0..23 {
            let bytes = self.numbers.next().to_le_bytes();
            self.ts.extend(bytes);
        }
    }

    pub(crate) fn clock(&mut self, pid: u16) {
        self.head(pid, true, true);
        self.clock += 1;
        self.ts.extend([7, 0x50]);
        self.ts.extend(self.clock.to_be_bytes());
        self.ts.extend([0x7e, 0]);
        for _ in 0..22 {
            let bytes = self.numbers.next().to_le_bytes();
            self.ts.extend(bytes);
        }
    }

    /// A section over as many packets as it needs.
    pub(crate) fn table(&mut self, pid: u16, section: &[u8]) {
        let mut bytes = vec![0];
        bytes.extend(section);
        for (i, chunk) in bytes.chunks(184).enumerate() {
            self.head(pid, i == 0, false);
            self.ts.extend(chunk);
            self.ts.resize(self.ts.len().next_multiple_of(188), 0xff);
        }
    }

    pub(crate) fn tables(&mut self) {
        self.table(0, &pat());
        self.table(PMT, &pmt(0));
    }

    /// `count` packets in no special order, a sixth of them sound.
    pub(crate) fn programme(&mut self, count: usize) {
        for _ in 0..count {
            match self.numbers.below(24) {
                0..=2 => self.noise(AAC),
                3 => self.noise(AC3),
                4 => self.noise(SUBTITLE),
                5 => self.clock(VIDEO),
                6 => self.noise(0x1fff),
                7 => self.noise(0x11),
                _ => self.noise(VIDEO),
            }
        }
    }
}

/// One segment of `packets` packets, tables first.
pub(crate) fn stream(seed: u64, packets: usize) -> Bytes {
    let mut mux = Mux::new(seed);
    mux.tables();
    mux.clock(VIDEO);
    mux.programme(packets.saturating_sub(3));
    mux.ts.into()
}

/// 250 ms of 2 Mbit/s.
pub(crate) fn quarter_second(seed: u64) -> Bytes {
    stream(seed, 332)
}

pub(crate) fn cut(ts: Bytes) -> Cut {
    Cut {
        ts,
        number: NUMBER,
        capture: 1_792_000_030_750_000,
        duration_ms: 250,
        random_access: true,
    }
}

pub(crate) fn secret() -> ChannelSecret {
    ChannelSecret::new(std::array::from_fn(|i| i as u8))
}

pub(crate) fn sealer(coding: Coding) -> Sealer {
    Sealer::new(secret(), "main", coding, 2400)
}

pub(crate) fn verifier(sealer: &Sealer) -> Verifier {
    Verifier::new(*sealer.swarm(), secret().channel_key())
}

pub(crate) fn one_layer() -> Coding {
    Coding::new(12, 8, None).unwrap()
}

pub(crate) fn proven(verifier: &mut Verifier, shard: &Shard) -> Proven {
    let decoded = Shard::decode(shard.wire().clone()).unwrap();
    verifier.check(decoded).unwrap()
}

/// The shards of these indices, through wire and proof.
pub(crate) fn assembly(verifier: &mut Verifier, shards: &[Shard], indices: &[usize]) -> Assembly {
    let mut chosen = indices.iter().map(|&i| proven(verifier, &shards[i]));
    let mut assembly = Assembly::new(chosen.next().unwrap());
    chosen.for_each(|shard| assert!(assembly.add(shard)));
    assembly
}

pub(crate) fn opened(sealer: &Sealer, assembly: &mut Assembly) -> Opened {
    let header: Header = *assembly.header();
    let essential = assembly.sealed(Layer::Essential);
    let full = assembly.sealed(Layer::Full);
    let key = sealer.content_key(header.epoch);
    open(sealer.swarm(), &header, essential.as_deref(), full.as_deref(), &key).unwrap()
}
