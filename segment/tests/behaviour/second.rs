//! A second implementation of `docs/wire.md`, written from its text, as slow and plain as can be. It
//! shares no code with the crate but the primitives: BLAKE3, Ed25519, AES-256-GCM-SIV.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// BLAKE3's key derivation, cut to 16 bytes.
pub(crate) fn h(context: &str, input: &[u8]) -> [u8; 16] {
    blake3::derive_key(context, input)[..16].try_into().unwrap()
}

/// BLAKE3 under a key of a name and two more bytes, cut to 16 bytes.
pub(crate) fn keyed(name: &str, more: [u8; 2], input: &[u8]) -> [u8; 16] {
    let mut key = [0; 32];
    key[..25].copy_from_slice(name.as_bytes());
    key[25..27].copy_from_slice(&more);
    blake3::keyed_hash(&key, input).as_bytes()[..16].try_into().unwrap()
}

pub(crate) fn swarm_id(channel_key: &[u8], rendition: &str) -> [u8; 16] {
    h("braidcast 2026 swarm id", &[channel_key, rendition.as_bytes()].concat())
}

pub(crate) fn content_key(secret: &[u8], swarm: &[u8], epoch: u32) -> [u8; 32] {
    blake3::derive_key(
        "braidcast 2026 content key",
        &[secret, swarm, &epoch.to_le_bytes()].concat(),
    )
}

/// Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.
fn mul(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (u16::from(a), 0);
    for bit in 0..8 {
        if b >> bit & 1 != 0 {
            product ^= a;
        }
        a <<= 1;
        if a & 0x100 != 0 {
            a ^= 0x11d;
        }
    }
    product as u8
}

fn inverse(a: u8) -> u8 {
    (1..=255).find(|&b| mul(a, b) == 1).unwrap()
}

/// The value at `x` of the polynomial that passes through all `points` (x, y), byte by byte.
pub(crate) fn value(points: &[(u8, &[u8])], x: u8) -> Vec<u8> {
    let mut out = vec![0; points[0].1.len()];
    for (i, bytes) in points {
        let mut factor = 1;
        for (j, _) in points {
            if i != j {
                factor = mul(factor, mul(x ^ j, inverse(i ^ j)));
            }
        }
        for (out, byte) in out.iter_mut().zip(*bytes) {
            *out ^= mul(factor, *byte);
        }
    }
    out
}

/// One layer as a shard carries it.
pub(crate) struct Layer {
    pub(crate) number: u8,
    pub(crate) k: u8,
    pub(crate) len: usize,
    pub(crate) piece: Vec<u8>,
    pub(crate) root: [u8; 16],
}

/// A shard with all its layers.
pub(crate) struct Shard {
    pub(crate) n: u8,
    pub(crate) number: u64,
    pub(crate) epoch: u32,
    pub(crate) index: u8,
    pub(crate) layers: Vec<Layer>,
    /// The fields that follow from the content.
    pub(crate) content: Vec<u8>,
    pub(crate) root: [u8; 16],
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn read(wire: &[u8], swarm: &[u8], channel_key: &[u8]) -> Shard {
    let mut rest = wire;
    let mut take = |len: usize| {
        let (taken, after) = rest.split_at(len);
        rest = after;
        taken
    };
    assert_eq!(take(1), [1], "version");
    let flags = take(1)[0];
    assert_eq!(flags & !1, if flags & 2 != 0 { 2 + 4 + 8 } else { 8 }, "all its layers");
    let n = take(1)[0];
    let number = u64::from_le_bytes(take(8).try_into().unwrap());
    let epoch = u32::from_le_bytes(take(4).try_into().unwrap());
    take(2);
    let mut layers = Vec::new();
    for number in if flags & 2 != 0 { 0..2 } else { 1..2 } {
        let k = take(1)[0];
        let len = u32::from_le_bytes(take(4).try_into().unwrap()) as usize;
        layers.push(Layer { number, k, len, piece: Vec::new(), root: [0; 16] });
    }
    let mut content = wire[..17 + 5 * layers.len()].to_vec();
    content[1] &= 3;
    let capture = take(8);
    let signature = take(64).to_vec();
    let index = take(1)[0];
    for layer in &mut layers {
        let (mut at, mut width, mut path) = (index, n, Vec::new());
        while width > 1 {
            if at ^ 1 < width {
                path.push((at & 1, take(16)));
            } else {
                path.push((2, &[]));
            }
            (at, width) = (at / 2, width.div_ceil(2));
        }
        layer.piece = take(layer.len.div_ceil(usize::from(layer.k))).to_vec();
        let place = [layer.number, index];
        layer.root = keyed("braidcast 2026 shard leaf", place, &layer.piece);
        for (side, beside) in path {
            let pair = match side {
                0 => [&layer.root, beside].concat(),
                1 => [beside, &layer.root].concat(),
                _ => continue,
            };
            layer.root = keyed("braidcast 2026 shard node", [0, 0], &pair);
        }
    }
    assert!(rest.is_empty());
    let roots: Vec<u8> = layers.iter().flat_map(|layer| layer.root).collect();
    let root = h("braidcast 2026 segment root", &[&content[..], &roots].concat());
    let message = [b"braidcast 2026 segment", swarm, &root, capture].concat();
    UnparsedPublicKey::new(&ED25519, channel_key).verify(&message, &signature).unwrap();
    Shard { n, number, epoch, index, layers, content, root, message, signature }
}

pub(crate) fn nonce(number: u64, layer: u8) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce[8] = layer;
    nonce
}

pub(crate) fn bound(swarm: &[u8], layer: u8, content: &[u8]) -> Vec<u8> {
    [swarm, &[layer], content].concat()
}

pub(crate) fn unseal(key: &[u8], nonce: [u8; 12], bound: &[u8], sealed: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).unwrap());
    let mut bytes = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.open_in_place(nonce, Aad::from(bound), &mut bytes).unwrap().to_vec()
}

/// The packets of two layers' contents, in order. Small numbers only: one byte each.
pub(crate) fn join(essential: &[u8], full: &[u8]) -> Vec<u8> {
    let mut small = &essential[1 + 3 * usize::from(essential[0])..];
    let runs = &full[1..1 + usize::from(full[0])];
    let mut large = &full[1 + runs.len()..];
    let mut ts = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        assert!(*run < 128);
        let from = if i % 2 == 0 { &mut small } else { &mut large };
        let (packets, rest) = from.split_at(188 * usize::from(*run));
        ts.extend(packets);
        *from = rest;
    }
    assert!(small.is_empty() && large.is_empty());
    ts
}
