//! One thing that is wrong with a configuration, and lists of them.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; none for what is not in the file.
    pub line: Option<usize>,
    /// Key path such as `sources.0.uri`, numbers counting from 0; none for a mistake in TOML.
    pub key: Option<String>,
    /// What is wrong.
    pub kind: Kind,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Not TOML.
    Syntax(String),
    /// No such key; the known ones of this section.
    Unknown(&'static [&'static str]),
    /// A key without which the section means nothing.
    Absent,
    /// A value that will not do, and why.
    Wrong(String),
}

impl Problem {
    /// A value that will not do.
    pub fn wrong(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { line: None, key: Some(key.into()), kind: Kind::Wrong(what.into()) }
    }

    /// Whether `other` speaks of the same key, or of one above or below it.
    pub(super) fn concerns(&self, other: &Problem) -> bool {
        let (Some(a), Some(b)) = (self.key.as_deref(), other.key.as_deref()) else { return false };
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        !matches!(self.kind, Kind::Unknown(_)) && (within(a, b) || within(b, a))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.key.as_deref().unwrap_or_default();
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        match &self.kind {
            Kind::Syntax(_) => f.write_str("not valid TOML")?,
            Kind::Unknown(_) => write!(f, "unknown key `{key}`")?,
            Kind::Absent => write!(f, "missing key `{key}`")?,
            Kind::Wrong(_) if key.is_empty() => f.write_str("the configuration")?,
            Kind::Wrong(_) => write!(f, "key `{key}`")?,
        }
        if let (Some(line), false) = (self.line, self.kind == Kind::Absent) {
            write!(f, " at line {line}")?;
        }
        if !section.is_empty() {
            write!(f, " in section [{section}]")?;
        }
        match &self.kind {
            Kind::Syntax(what) | Kind::Wrong(what) => write!(f, ": {what}"),
            Kind::Absent => match self.line {
                Some(line) if !section.is_empty() => write!(f, ", which begins at line {line}"),
                _ => Ok(()),
            },
            Kind::Unknown(known) => match nearest(key, known) {
                Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
                None if known.is_empty() => f.write_str("; this section takes no keys"),
                None => write!(f, "; known keys: {}", known.join(", ")),
            },
        }
    }
}

/// The word out of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Collects what [`Check`](super::Check) finds.
#[derive(Debug, Default)]
pub struct Problems {
    prefix: String,
    found: Vec<Problem>,
}

impl Problems {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem with the value of a key, given by its path below the present section:
    /// `listen`, `http.listen`, `sources.0.uri`.
    pub fn add(&mut self, key: impl fmt::Display, what: impl Into<String>) {
        let key = format!("{}{key}", self.prefix);
        self.found.push(Problem::wrong(key, what));
    }

    /// Lets `check` add problems of a section: its keys are below `section` (`http`, `sources.0`).
    pub fn within(&mut self, section: impl fmt::Display, check: impl FnOnce(&mut Self)) {
        let outer = self.prefix.len();
        self.prefix.push_str(&format!("{section}."));
        check(self);
        self.prefix.truncate(outer);
    }

    /// What was found.
    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}
