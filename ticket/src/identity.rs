//! A node's own key pair.

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        use std::io::ErrorKind;

        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_text(&text)
                .map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    fn from_text(text: &str) -> Result<Self, Error> {
        let mut seed = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text.trim(), &mut seed) {
            Ok(32) => Ok(Self::from_seed(seed)),
            _ => Err(Error::Identity),
        }
    }

    /// The file appears whole or not at all, and the first of two programs that start at once wins.
    fn create(path: &Path) -> std::io::Result<Self> {
        use std::io::{ErrorKind, Write as _};
        use std::os::unix::fs::OpenOptionsExt as _;

        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let identity = Self::generate();
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}", &identity.id.to_string()[..8]));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let kept = writeln!(file, "{}", URL_SAFE_NO_PAD.encode(identity.seed))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft)?;
        match kept {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load_or_create(path),
            kept => kept.map(|()| identity),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_file_is_made_once_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/identity");
        let made = Identity::load_or_create(&path).unwrap();
        let read = Identity::load_or_create(&path).unwrap();
        assert_eq!(made.id(), read.id());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        std::fs::write(&path, "notes").unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
    }
}
