//! Unguessable names and secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes from the system's random numbers.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// A name for an account, a session or a key: 128 random bits, 22 characters.
pub(crate) fn id() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>())
}

/// A secret: 256 random bits, 43 characters.
pub(crate) fn secret() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// What is kept of a secret that has 256 random bits: its hash, since nobody can try them all.
pub(crate) fn digest(secret: &str) -> String {
    blake3::derive_key("braidcast auth credential v1", secret.as_bytes())
        .map(|byte| format!("{byte:02x}"))
        .concat()
}
