//! Messages between servers are sealed: they hold viewers' addresses and content keys, and whoever
//! can write to the bus must not be able to speak for a server.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

/// The longest message that is opened, bytes.
const LONGEST: usize = 8 << 20;

/// Seals and opens messages with one secret, which all servers of a platform have.
pub struct Seal {
    key: RandomizedNonceKey,
}

/// A message was made with another secret, or damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message of another platform, of a server with another secret, or damaged")]
pub struct Broken;

impl Seal {
    /// A key from any text; nonces are random, and misuse-resistant beside that (RFC 8452).
    pub fn new(secret: &str) -> Self {
        let key = blake3::derive_key("braidcast rendezvous shared map v1", secret.as_bytes());
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &key);
        Self { key: key.expect("the key has the cipher's length") }
    }

    /// Seals; `place` is where the message goes, and it opens nowhere else.
    pub fn seal(&self, place: &str, mut message: Vec<u8>) -> Vec<u8> {
        let aad = Aad::from(place.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(aad, &mut message);
        let nonce = nonce.expect("the message is shorter than the cipher's bound of 64 GiB");
        message.extend_from_slice(nonce.as_ref());
        message
    }

    /// Opens.
    ///
    /// # Errors
    /// If it was not sealed with the same secret for this place.
    pub fn open(&self, place: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, Broken> {
        let at = sealed.len().checked_sub(NONCE_LEN).ok_or(Broken)?;
        if sealed.len() > LONGEST {
            return Err(Broken);
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed.split_off(at)).map_err(|_| Broken)?;
        let opened = self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed);
        let length = opened.map_err(|_| Broken)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_at_the_same_place_opens() {
        let seal = Seal::new("swordfish");
        let sealed = seal.seal("here", b"hello".to_vec());
        assert_eq!(seal.open("here", sealed.clone()).unwrap(), b"hello");
        assert_eq!(seal.open("there", sealed.clone()), Err(Broken));
        assert_eq!(Seal::new("other").open("here", sealed.clone()), Err(Broken));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(seal.open("here", damaged), Err(Broken), "byte {at}");
            assert_eq!(seal.open("here", sealed[..at].to_vec()), Err(Broken), "to {at}");
        }
        assert_ne!(seal.seal("here", b"hello".to_vec()), sealed, "nonces differ");
    }
}
