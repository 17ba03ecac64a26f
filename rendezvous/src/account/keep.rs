//! The last good copy of what auth said, on disk: with it a rendezvous starts while auth is away.
//! Nothing in it is secret.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hub::Revocation;

/// The most revocations that are kept; the newest.
const REVOCATIONS: usize = 10_000;

/// What is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    /// The platform's name.
    pub platform: String,
    /// The key set, JSON.
    pub key_set: String,
    /// The number of the last revocation that is known.
    pub after: i64,
    /// The revocations that tickets may still name, oldest first.
    pub revoked: Vec<Revocation>,
}

/// The file.
pub struct Keep {
    path: PathBuf,
    kept: Kept,
}

impl Keep {
    /// Opens the copy in this folder, which is made if it is not there. A copy that cannot be read
    /// counts as none.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("auth.json");
        let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self { path, kept: kept.unwrap_or_default() })
    }

    /// What is kept.
    pub fn get(&self) -> &Kept {
        &self.kept
    }

    /// Changes it, and writes it if it is another then. That it cannot be written is logged: work
    /// goes on.
    pub fn change(&mut self, change: impl FnOnce(&mut Kept)) {
        let before = self.kept.clone();
        change(&mut self.kept);
        let more = self.kept.revoked.len().saturating_sub(REVOCATIONS);
        self.kept.revoked.drain(..more);
        if self.kept == before {
            return;
        }
        if let Err(error) = self.write() {
            tracing::warn!(%error, file = %self.path.display(), "what auth said cannot be kept");
        }
    }

    /// The file is there whole or as it was before.
    fn write(&self) -> io::Result<()> {
        let draft = self.path.with_extension("json.new");
        std::fs::write(&draft, serde_json::to_vec(&self.kept)?)?;
        std::fs::rename(draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_rubbish_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep");
        let mut keep = Keep::open(&deep).unwrap();
        assert_eq!(keep.get(), &Kept::default());
        let revocation = |i: usize| Revocation { session: i.to_string(), reason: "x".into() };
        keep.change(|kept| {
            kept.platform = "tv".into();
            kept.revoked = (0..REVOCATIONS + 3).map(revocation).collect();
        });
        let again = Keep::open(&deep).unwrap();
        assert_eq!(again.get().platform, "tv");
        assert_eq!(again.get().revoked.len(), REVOCATIONS);
        assert_eq!(again.get().revoked[0].session, "3");
        std::fs::write(deep.join("auth.json"), "{").unwrap();
        assert_eq!(Keep::open(&deep).unwrap().get(), &Kept::default());
    }
}
