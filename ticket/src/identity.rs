//! A node's own key pair.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::{Error, PeerId};

/// A node's Ed25519 key pair. The seed is the secret; everything else follows from it.
pub struct Identity {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
    id: PeerId,
}

impl Identity {
    /// The identity that a 32-byte secret seed makes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes always make a key");
        let mut id = [0; 32];
        id.copy_from_slice(pair.public_key().as_ref());
        Self { seed, pair, id: PeerId(id) }
    }

    /// A new identity from the system's random numbers.
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).expect("the system has random numbers");
        Self::from_seed(seed)
    }

    /// Reads the identity kept in `path`, or makes one and keeps it there, readable by its owner only.
    ///
    /// # Errors
    /// If the file can be neither read nor written, or holds something else ([`Error::Identity`]
    /// inside an error of kind `InvalidData`).
    pub fn load_or_create(path: &std::path::Path) -> std::io::Result<Self> {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use std::io::{ErrorKind, Write as _};
        use std::os::unix::fs::OpenOptionsExt as _;

        match std::fs::read_to_string(path) {
            Ok(text) => {
                let mut seed = [0; 32];
                match URL_SAFE_NO_PAD.decode_slice(text.trim(), &mut seed) {
                    Ok(32) => Ok(Self::from_seed(seed)),
                    _ => Err(std::io::Error::new(ErrorKind::InvalidData, Error::Identity)),
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let identity = Self::generate();
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)?;
                writeln!(file, "{}", URL_SAFE_NO_PAD.encode(identity.seed))?;
                Ok(identity)
            }
            Err(error) => Err(error),
        }
    }

    /// The public name.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// An Ed25519 signature of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }

    /// The key pair as PKCS #8 (RFC 5958), for TLS and token libraries. Secret.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("an Ed25519 key has a PKCS #8 form");
        der.as_ref().to_vec()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?})", self.id)
    }
}
