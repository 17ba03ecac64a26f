//! The configuration file; `deploy/config/auth.toml` explains it key by key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use service::config::{Check, Duration, Problems, Secret};

use crate::guide::{Rules, Source};
use url::Url;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address by which viewers and nodes reach auth; none: `http://` and the bound address.
    pub public_url: Option<Url>,
    /// The platform's name: the tickets' `aud`.
    pub platform: String,
    /// Where everything that lasts is kept.
    pub database: Database,
    /// The password that goes into PostgreSQL's URL.
    pub database_password: Option<Secret>,
    /// Opens `/v1/admin`; without one that part is closed.
    pub admin_token: Option<Secret>,
    /// Where to write the bound addresses when ready.
    pub announce: Option<PathBuf>,
    /// The HTTP side.
    pub http: Http,
    /// Where viewers are.
    pub location: Locations,
    /// Proxies in front.
    pub proxy: Proxy,
    /// How long sessions live.
    pub sessions: Sessions,
    /// What guessing costs.
    pub limits: Limits,
    /// What is on.
    pub guide: GuideFeed,
}

/// Section `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A certificate; none: plain HTTP.
    pub tls: Option<service::tls::Files>,
}

/// Section `[location]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Locations {
    /// A MaxMind ASN database.
    pub asn_database: Option<PathBuf>,
    /// A MaxMind Country or City database.
    pub country_database: Option<PathBuf>,
    /// How often to look whether these files were replaced.
    pub look_every: Duration,
}

/// Section `[proxy]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Proxies whose header is believed.
    pub trusted: Vec<IpNet>,
    /// The header that carries the client's address, a list of which the last was added last.
    pub header: String,
}

/// Section `[sessions]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// A session that was not renewed for so long has ended.
    pub idle: Duration,
    /// How long the same refresh token gives the same successor.
    pub grace: Duration,
    /// The most sessions of one account; a further sign-in ends the one idle for longest.
    pub per_account: u32,
}

/// Section `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Wrong passwords at once for one account from one address prefix.
    pub pair_failures: u32,
    /// After so long one of them is forgiven.
    pub pair_forgiven_every: Duration,
    /// Wrong passwords at once for one account from everywhere.
    pub account_failures: u32,
    /// After so long one of them is forgiven.
    pub account_forgiven_every: Duration,
    /// Wrong passwords and credentials at once from one address prefix.
    pub prefix_failures: u32,
    /// After so long one of them is forgiven.
    pub prefix_forgiven_every: Duration,
}

/// Section `[guide]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuideFeed {
    /// XMLTV: a file, or an address; none: only what the administrator gives.
    pub source: Option<Source>,
    /// How often it is read.
    pub refresh: Duration,
    /// The largest feed that is read, in MB (10^6 bytes), unpacked.
    pub max_size: Megabytes,
    /// Languages that are taken where a text comes in several, the best first (ISO 639).
    pub languages: Vec<String>,
    /// The platform's channel for an id of the feed.
    pub channels: BTreeMap<String, String>,
}

/// Megabytes, 10^6 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Megabytes(u32);

impl Megabytes {
    /// Bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0) * 1_000_000
    }
}

impl GuideFeed {
    /// How a feed is read.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            channels: self.channels.clone(),
            languages: self.languages.clone(),
            max_bytes: self.max_size.bytes(),
        }
    }
}

impl Default for GuideFeed {
    fn default() -> Self {
        Self {
            source: None,
            refresh: Duration::from_secs(3600),
            max_size: Megabytes(64),
            languages: Vec::new(),
            channels: BTreeMap::new(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: None,
            platform: "braidcast".into(),
            database: Database::Sqlite("auth.db".into()),
            database_password: None,
            admin_token: None,
            announce: None,
            http: Http::default(),
            location: Locations::default(),
            proxy: Proxy::default(),
            sessions: Sessions::default(),
            limits: Limits::default(),
            guide: GuideFeed::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7880)), tls: None }
    }
}

impl Default for Locations {
    fn default() -> Self {
        Self { asn_database: None, country_database: None, look_every: Duration::from_secs(5) }
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self { trusted: Vec::new(), header: "X-Forwarded-For".into() }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 86_400),
            grace: Duration::from_secs(30),
            per_account: 100,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pair_failures: 5,
            pair_forgiven_every: Duration::from_secs(20),
            account_failures: 20,
            account_forgiven_every: Duration::from_secs(10),
            prefix_failures: 60,
            prefix_forgiven_every: Duration::from_secs(2),
        }
    }
}

/// Which database, from its URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `postgres://USER@HOST:PORT/NAME`.
    Postgres(Url),
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write sqlite:FILE or postgres://USER@HOST:PORT/NAME";
        if let Some(file) = text.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            return match file {
                "" | ":memory:" => Err(format!("`{text}` names no file; {FORMS}")),
                file => Ok(Self::Sqlite(file.into())),
            };
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(Self::Postgres(url)),
            Ok(url) => Err(format!("no database is known by `{}:`; {FORMS}", url.scheme())),
            Err(_) => Err(format!("not the URL of a database; {FORMS}")),
        }
    }
}

/// Without the password that a URL may hold.
impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(url) => {
                let mut url = url.clone();
                // A query may hold a password, too.
                url.set_query(None);
                match url.set_password(None) {
                    Ok(()) => write!(f, "{url}"),
                    Err(()) => f.write_str("postgres:"),
                }
            }
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if let Some(url) = &self.public_url
            && (!matches!(url.scheme(), "http" | "https") || url.host().is_none())
        {
            problems.add("public_url", "must begin with http:// or https:// and name a host");
        }
        if let Some(tls) = &self.http.tls {
            tls.check("http.tls", problems);
        }
        if self.platform.is_empty() || self.platform.len() > 64 {
            problems.add("platform", "must have 1 to 64 characters");
        }
        if self.database_password.is_some() && matches!(self.database, Database::Sqlite(_)) {
            problems.add("database_password", "SQLite has no password");
        }
        if self.location.look_every.is_zero() {
            problems.add("location.look_every", "must be longer than 0s");
        }
        if axum::http::HeaderName::from_str(&self.proxy.header).is_err() {
            problems.add("proxy.header", "is not the name of a header");
        }
        problems.within("sessions", |problems| self.sessions.check(problems));
        if self.guide.refresh < Duration::from_secs(10) {
            problems.add("guide.refresh", "must be at least 10s");
        }
        if !(1..=1_000).contains(&self.guide.max_size.0) {
            problems.add("guide.max_size", "must be 1 to 1000");
        }
        problems.within("limits", |problems| self.limits.check(problems));
    }
}

impl Check for Sessions {
    fn check(&self, problems: &mut Problems) {
        if self.idle < Duration::from_secs(3600) {
            problems.add("idle", "must be at least 1h");
        }
        if self.grace > Duration::from_secs(300) {
            problems.add("grace", "must be at most 5min");
        }
        if !(1..=10_000).contains(&self.per_account) {
            problems.add("per_account", "must be 1 to 10000");
        }
    }
}

impl Check for Limits {
    fn check(&self, problems: &mut Problems) {
        for (key, failures) in [
            ("pair_failures", self.pair_failures),
            ("account_failures", self.account_failures),
            ("prefix_failures", self.prefix_failures),
        ] {
            if !(1..=1_000_000).contains(&failures) {
                problems.add(key, "must be 1 to 1000000");
            }
        }
        for (key, every) in [
            ("pair_forgiven_every", self.pair_forgiven_every),
            ("account_forgiven_every", self.account_forgiven_every),
            ("prefix_forgiven_every", self.prefix_forgiven_every),
        ] {
            if every < Duration::from_millis(10) || every > Duration::from_secs(3600) {
                problems.add(key, "must be 10ms to 1h");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        service::config::parse::<Config>("auth.toml".as_ref(), text).unwrap_err().to_string()
    }

    #[test]
    fn the_reference_file_shows_the_defaults() {
        service::config::reference_test::<Config>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/config/auth.toml"
        ));
    }

    #[test]
    fn mistakes_are_named_with_line_and_suggestion() {
        let said = problems("platform = 'tv'\n[http]\nlistn = '127.0.0.1:1'\n");
        assert!(said.contains("line 3") && said.contains("did you mean `listen`"), "{said}");
        let said = problems("database = 'mysql://x/y'");
        assert!(said.contains("line 1") && said.contains("sqlite:FILE"), "{said}");
        let said = problems("public_url = 'ftp://x'\n\n[limits]\npair_failures = 0\n");
        assert!(said.contains("`public_url` at line 1") && said.contains("line 4"), "{said}");
        let said = problems("[proxy]\ntrusted = ['10.0.0.0/8', 'home']\n");
        assert!(said.contains("line 2"), "{said}");
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let database: Database = "postgres://tv:swordfish@db.example/tv".parse().unwrap();
        assert_eq!(format!("{database:?}"), "postgres://tv@db.example/tv");
    }
}
