//! Where the feed comes from: a file or an address, packed with gzip or not.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use url::Url;

use super::Rules;
use super::xmltv::{self, Taken, XmltvError};

/// How long a server may take in all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the feed comes from.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An address, by HTTP.
    Url(Url),
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("http" | "https", _)) => {
                text.parse().map(Self::Url).map_err(|error| format!("no address: {error}"))
            }
            Some(_) => Err("must be a file, or begin with http:// or https://".to_owned()),
            None if text.is_empty() => Err("must name a file or an address".to_owned()),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// Why no guide was had from a feed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The address cannot be read.
    #[error("cannot fetch the guide: {0}")]
    Fetch(String),
    /// It is no XMLTV.
    #[error(transparent)]
    Xmltv(#[from] XmltvError),
}

impl Source {
    /// Reads the feed. Needs a tokio runtime.
    pub(crate) async fn read(&self, rules: &Rules, now: i64) -> Result<Taken, FeedError> {
        let bytes = match self {
            Self::File(path) => {
                let failed = |source| FeedError::File { path: path.display().to_string(), source };
                let file = std::fs::File::open(path).map_err(failed)?;
                let rules = rules.clone();
                let parsed = tokio::task::spawn_blocking(move || parse(file, &rules, now)).await;
                return parsed.map_err(|panicked| FeedError::Fetch(panicked.to_string()))?;
            }
            Self::Url(url) => fetch(url, rules.max_bytes).await?,
        };
        of_bytes(bytes, rules, now).await
    }
}

/// Reads a feed that is in memory.
pub(crate) async fn of_bytes(bytes: Vec<u8>, rules: &Rules, now: i64) -> Result<Taken, FeedError> {
    let rules = rules.clone();
    let parsed = tokio::task::spawn_blocking(move || parse(bytes.as_slice(), &rules, now)).await;
    parsed.map_err(|panicked| FeedError::Fetch(panicked.to_string()))?
}

/// Unpacks if need be, and reads.
fn parse(mut feed: impl Read, rules: &Rules, now: i64) -> Result<Taken, FeedError> {
    let mut head = [0; 2];
    let mut len = 0;
    while len < head.len() {
        match feed.read(&mut head[len..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => len += more,
        }
    }
    let whole = head[..len].chain(feed);
    Ok(match head {
        [0x1f, 0x8b] => xmltv::read(MultiGzDecoder::new(whole), rules, now)?,
        _ => xmltv::read(whole, rules, now)?,
    })
}

async fn fetch(url: &Url, most: u64) -> Result<Vec<u8>, FeedError> {
    // An address may hold a key: it is not repeated in errors.
    let failed = |error: reqwest::Error| {
        let mut error = error.without_url().to_string();
        if error.is_empty() {
            error = "it cannot be reached".to_owned();
        }
        FeedError::Fetch(error)
    };
    let http = reqwest::Client::builder()
        .timeout(PATIENCE)
        .user_agent(concat!("braidcast-auth/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let answer = http.get(url.clone()).send().await.map_err(failed)?;
    let mut answer = answer.error_for_status().map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(more) = answer.chunk().await.map_err(failed)? {
        if (bytes.len() + more.len()) as u64 > most {
            return Err(FeedError::Fetch(format!(
                "it is larger than {most} bytes (guide.max_size)"
            )));
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}
