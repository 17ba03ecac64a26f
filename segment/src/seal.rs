//! The seal of one layer: AES-256-GCM-SIV (RFC 8452) under the content key of the epoch.
//!
//! Two plaintexts may meet under one number (a restart, a clock set back, twin headends fed
//! different bytes). With GCM-SIV that shows nothing but whether they were equal.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::{ContentKey, Header, Layer, OpenError, SwarmId};

/// What a seal adds, bytes.
pub(crate) const TAG: usize = 16;

fn cipher(key: &ContentKey) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key.key).expect("32 bytes make a key"))
}

fn nonce(number: u64, layer: Layer) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce[8] = layer.number();
    Nonce::assume_unique_for_key(nonce)
}

/// What the seal binds beside the content: swarm, layer, and the header's fields that follow from the
/// content. The header's own root and capture time are not read.
fn bound(swarm: &SwarmId, header: &Header, layer: Layer) -> Aad<Vec<u8>> {
    let mut bytes = swarm.0.to_vec();
    bytes.push(layer.number());
    bytes.extend(header.content());
    Aad::from(bytes)
}

/// Seals `content` in place, which grows by [`TAG`].
pub(crate) fn seal(
    swarm: &SwarmId,
    header: &Header,
    layer: Layer,
    key: &ContentKey,
    content: &mut Vec<u8>,
) {
    cipher(key)
        .seal_in_place_append_tag(nonce(header.number, layer), bound(swarm, header, layer), content)
        .expect("a layer is shorter than the cipher's bound");
}

/// The content of a sealed layer.
pub(crate) fn open(
    swarm: &SwarmId,
    header: &Header,
    layer: Layer,
    key: &ContentKey,
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let mut content = sealed.to_vec();
    let len = cipher(key)
        .open_in_place(nonce(header.number, layer), bound(swarm, header, layer), &mut content)
        .map_err(|_| OpenError::Seal)?
        .len();
    content.truncate(len);
    Ok(content)
}
