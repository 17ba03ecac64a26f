//! Configuration files: TOML, read strictly, with errors that help.
//!
//! A configuration is a plain struct:
//!
//! ```
//! use service::config::{self, Check, Problems};
//!
//! #[derive(Debug, PartialEq, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Config {
//!     /// How often to look, at least one second.
//!     interval: config::Duration,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { interval: config::Duration::from_secs(5) }
//!     }
//! }
//!
//! impl Check for Config {
//!     fn check(&self, problems: &mut Problems) {
//!         if self.interval < config::Duration::from_secs(1) {
//!             problems.add("interval", "must be at least 1s");
//!         }
//!     }
//! }
//!
//! let error = config::parse::<Config>("x.toml".as_ref(), "interval = '10ms'").unwrap_err();
//! assert_eq!(error.to_string(), "x.toml: key `interval` at line 1: must be at least 1s");
//! let error = config::parse::<Config>("x.toml".as_ref(), "intervall = '10ms'").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "x.toml: unknown key `intervall` at line 1; did you mean `interval`?"
//! );
//! ```

mod document;
mod duration;
mod problem;
mod rate;
mod reference;
mod secret;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

pub use duration::Duration;
pub use problem::{Problem, Problems};
pub use rate::Rate;
pub use reference::{reference_problems, reference_test};
pub use secret::{Secret, SecretError, SecretText};

/// The largest configuration file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Finds what a parser of types cannot: values that do not fit together, out of range or missing.
pub trait Check {
    /// Adds a problem for everything that is wrong.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// What is wrong with a configuration. Displays as one line per problem.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file was read and something in it is wrong.
    Invalid {
        /// The file, or a word for the built-in defaults.
        path: PathBuf,
        /// All problems, in the order of the file; never empty.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// An error about one key, for what is found out only later ("sources.0.uri", "no such file").
    pub fn single(
        path: impl Into<PathBuf>,
        key: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Invalid { path: path.into(), problems: vec![Problem::wrong(key, what)] }
    }

    /// The problems found; empty if the file could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::Invalid { path, problems } => {
                for (i, problem) in problems.iter().enumerate() {
                    let separator = if i == 0 { "" } else { "\n" };
                    write!(f, "{separator}{}: {problem}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Invalid { .. } => None,
        }
    }
}

/// Reads and checks a file.
///
/// # Errors
/// All that is wrong, not only the first: unknown keys (with the nearest known one), wrong types,
/// missing values, and what [`Check`] finds; each with its line.
pub fn load<T: DeserializeOwned + Check>(path: &Path) -> Result<T, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err(unreadable(io::Error::other(format!("larger than {LARGEST} bytes"))));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse(path, &text)
}

/// The same for a text that was read already; `path` is only named in errors.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned + Check>(path: &Path, text: &str) -> Result<T, Error> {
    let invalid = |problems| Error::Invalid { path: path.to_owned(), problems };
    let document = document::Document::parse(text).map_err(invalid)?;
    let (value, mut problems) = document.read::<T>();
    if let Some(value) = value {
        let mut found = Problems::new();
        value.check(&mut found);
        for mut problem in found.into_vec() {
            // The default that stands in for a refused value is nobody's fault.
            let refused = problems.iter().any(|other| other.concerns(&problem));
            if !refused {
                problem.line = document.line_of(problem.key.as_deref().unwrap_or_default());
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            return Ok(value);
        }
    }
    problems.sort_by_key(|problem| problem.line);
    Err(invalid(problems))
}

/// The defaults, for a program that was given no file.
///
/// # Errors
/// What [`Check`] finds: values that have no default.
pub fn defaults<T: Default + Check>() -> Result<T, Error> {
    let value = T::default();
    let mut problems = Problems::new();
    value.check(&mut problems);
    let problems = problems.into_vec();
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(Error::Invalid { path: "built-in defaults (no --config FILE given)".into(), problems })
    }
}

#[cfg(test)]
mod tests;
