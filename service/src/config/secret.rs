//! Secrets are named in the configuration, never written there.

use std::{env, fmt, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Problems;

/// Where a secret is found: `{ file = "/etc/braidcast/credential" }` or `{ env = "CREDENTIAL" }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// A file; blanks and line ends around the secret do not count. Relative paths start at the
    /// working directory.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// Why a secret cannot be had. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The environment variable does not exist or is not text.
    #[error("the environment variable {0} is not set")]
    Env(String),
    /// There is nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
}

impl Secret {
    /// Reads the secret.
    ///
    /// # Errors
    /// If it cannot be had or is empty.
    pub fn read(&self) -> Result<SecretText, SecretError> {
        let text = match self {
            Self::File(path) => fs::read_to_string(path)
                .map_err(|source| SecretError::File { path: path.clone(), source })?,
            Self::Env(name) => env::var(name).map_err(|_| SecretError::Env(name.clone()))?,
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(SecretText(text.to_owned()))
    }
}

impl Secret {
    /// Adds a problem under `key` if the secret cannot be read; for [`Check`](super::Check).
    pub fn check(&self, key: impl fmt::Display, problems: &mut Problems) {
        if let Err(error) = self.read() {
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            problems.add(key, format!("{error}{cause}"));
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A secret that was read. Cannot be printed by mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The secret itself: hand it on, do not print it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential");
        fs::write(&path, "  swordfish\n").unwrap();
        let text = Secret::File(path).read().unwrap();
        assert_eq!(text.expose(), "swordfish");
        assert!(!format!("{text:?}").contains("swordfish"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        fs::write(&path, "\n").unwrap();
        let empty = Secret::File(path.clone()).read().unwrap_err().to_string();
        assert!(empty.contains(&path.display().to_string()), "{empty}");
        let absent = Secret::Env("BRAIDCAST_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(absent.to_string().contains("BRAIDCAST_NO_SUCH_VARIABLE"));
        assert!(Secret::Env("PATH".into()).read().is_ok());

        let mut problems = Problems::new();
        Secret::Env("PATH".into()).check("good", &mut problems);
        Secret::File(folder.path().join("none")).check("bad", &mut problems);
        let problems = problems.into_vec();
        assert_eq!(problems.len(), 1);
        let said = problems[0].to_string();
        assert!(said.contains("key `bad`: cannot read the secret file"), "{said}");
        assert!(said.contains("No such file"), "{said}");
    }
}
