//! The configuration of the viewer.

mod share;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use service::config::{Check, Duration, Problems, Secret};
use url::Url;

pub use share::{ParseShareError, Share};

/// The whole configuration. `deploy/config/client.toml` explains every key.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Auth's address; all else is found there.
    pub server: Option<Url>,
    /// Folder for what is kept between runs; `None`: the user's state folder.
    pub state: Option<PathBuf>,
    /// The device's key; `None`: `identity` in the state folder.
    pub identity: Option<PathBuf>,
    /// Where to write the bound addresses as JSON.
    pub announce: Option<PathBuf>,
    /// What may be sent to other viewers.
    pub share: Share,
    /// Who signs in.
    pub account: Account,
    /// The sockets towards the platform and peers.
    pub network: Network,
    /// How a channel is received.
    pub playback: Playback,
    /// The local address.
    pub local: Local,
}

/// Who signs in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The user's name.
    pub user: Option<String>,
    /// Where the password is found.
    pub password: Option<Secret>,
    /// Whether to stay signed in from one run to the next.
    pub remember: bool,
}

/// The sockets towards the platform and peers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The UDP address for peers and rendezvous; `[::]` is both families. Unless it is unspecified, outgoing HTTP uses its
    /// IP address too.
    pub bind: SocketAddr,
    /// The most connections to peers at one time.
    pub max_connections: usize,
    /// Whether the home's router is asked to let other viewers in.
    pub port_mapping: bool,
    /// Takes from the operator's repeaters only, so that no other viewer learns this one's address; nothing is shared.
    pub repeaters_only: bool,
}

/// How a channel is received.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Playback {
    /// The rendition; `None`: the best.
    pub rendition: Option<String>,
    /// The most spare sub-streams beyond K, 0 to 2.
    pub spares: u8,
    /// How long to wait for the first segment of a channel that was joined.
    pub start_timeout: Duration,
}

/// The local address.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Local {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address that other machines can reach.
    pub remote: bool,
    /// Names, beside `localhost` and plain IP addresses, under which the local address may be called.
    pub hosts: Vec<String>,
    /// The most channels received at one time, the chosen one included.
    pub max_channels: usize,
    /// The most readers of `stream.ts` at one time.
    pub max_readers: usize,
    /// How long a channel is kept after its last reader went away.
    pub linger: Duration,
}

impl Default for Account {
    fn default() -> Self {
        Self { user: None, password: None, remember: true }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            bind: (Ipv6Addr::UNSPECIFIED, 0).into(),
            max_connections: 64,
            port_mapping: true,
            repeaters_only: false,
        }
    }
}

impl Default for Playback {
    fn default() -> Self {
        Self { rendition: None, spares: 2, start_timeout: Duration::from_secs(20) }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 7878).into(),
            remote: false,
            hosts: Vec::new(),
            max_channels: 4,
            max_readers: 16,
            linger: Duration::from_secs(10),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.server.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
            problems.add("server", "must begin with http:// or https://");
        }
        if self.account.user.is_none() && self.account.password.is_some() {
            problems.add("account.password", "needs account.user beside it");
        }
        if self.network.max_connections < 4 {
            problems.add("network.max_connections", "must be at least 4");
        }
        if self.playback.spares > 2 {
            problems.add("playback.spares", "must be 0, 1 or 2");
        }
        if self.playback.start_timeout < Duration::from_secs(1) {
            problems.add("playback.start_timeout", "must be at least 1s");
        }
        if !self.local.remote && !self.local.listen.ip().is_loopback() {
            problems.add(
                "local.listen",
                "can be reached by other machines; set local.remote = true if that is meant",
            );
        }
        if self.local.max_channels == 0 {
            problems.add("local.max_channels", "must be at least 1");
        }
    }
}

impl Config {
    /// The folder for what is kept between runs: as configured, or `braidcast` in `$XDG_STATE_HOME` or
    /// `~/.local/state` (XDG Base Directory Specification), or in the working directory if there is no home.
    pub fn state_folder(&self) -> PathBuf {
        match &self.state {
            Some(folder) => folder.clone(),
            None => base("XDG_STATE_HOME", ".local/state").join("braidcast"),
        }
    }

    /// The folder for pause and rewind: beside what is kept between runs if that is configured, else `braidcast` in
    /// `$XDG_CACHE_HOME` or `~/.cache`.
    pub fn cache_folder(&self) -> PathBuf {
        match &self.state {
            Some(folder) => folder.join("cache"),
            None => base("XDG_CACHE_HOME", ".cache").join("braidcast"),
        }
    }

    /// The file of the viewer's choices: beside what is kept between runs if that is configured, else in the user's
    /// configuration folder.
    pub fn choices_file(&self) -> PathBuf {
        match &self.state {
            Some(folder) => folder.join("settings.toml"),
            None => base("XDG_CONFIG_HOME", ".config").join("braidcast/settings.toml"),
        }
    }

    /// The file of the device's key.
    pub fn identity_file(&self) -> PathBuf {
        self.identity.clone().unwrap_or_else(|| self.state_folder().join("identity"))
    }
}

/// A base folder (XDG Base Directory Specification): what `variable` says, or `fallback` in the user's home, or the working
/// directory if there is no home.
fn base(variable: &str, fallback: &str) -> PathBuf {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || value("HOME").map(|home| Path::new(&home).join(fallback));
    value(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(home)
        .unwrap_or_default()
}

impl Network {
    /// The local address of outgoing HTTP; `None`: the system's choice.
    pub fn http_bind(&self) -> Option<IpAddr> {
        Some(self.bind.ip()).filter(|ip| !ip.is_unspecified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_configuration_is_true() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        service::config::reference_test::<Config>(folder.join("../deploy/config/client.toml"));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_line() {
        let text = "server = 'ftp://tv'\n[playback]\nspares = 3\n[local]\nlisten = '0.0.0.0:80'\n";
        let error = service::config::parse::<Config>("x".as_ref(), text).unwrap_err().to_string();
        for part in ["`server` at line 1", "`spares` at line 3", "`listen` at line 5"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn http_uses_the_address_that_is_bound() {
        let mut network = Network::default();
        assert_eq!(network.http_bind(), None);
        network.bind = "127.0.2.9:0".parse().unwrap();
        assert_eq!(network.http_bind(), Some("127.0.2.9".parse().unwrap()));
    }
}
