//! The configuration file as a whole; `deploy/config/headend.toml` explains it key by key.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use service::config::{self, Check, Problems, Rate, Secret};
use url::Url;

use crate::config::{Channel, Dvb, DvbSystem, MAIN, Mode, Rendition, Source};

/// The most sources that may stand in for another: each that is live is received all the time.
const MOST_BACKUPS: usize = 7;

/// The most renditions of a channel beside its first: each is encoded.
const MOST_RENDITIONS: usize = 7;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where auth is.
    pub auth: Option<Url>,
    /// The node's credential.
    pub credential: Option<Secret>,
    /// The file of the node's key pair.
    pub identity: PathBuf,
    /// The UDP socket; its address serves outgoing HTTP too, if it names one.
    pub bind: SocketAddr,
    /// TCP ports for viewers whose UDP is blocked; 0: that of UDP.
    pub tcp: Vec<u16>,
    /// Addresses that others should use.
    pub advertise: Vec<SocketAddr>,
    /// Whom it feeds.
    pub serve: Serve,
    /// The folder of segment numbers, and of channel secrets that were made here.
    pub state: PathBuf,
    /// Where to write the bound addresses when ready.
    pub announce: Option<PathBuf>,
    /// The HTTP side.
    pub http: Http,
    /// What it gives at most.
    pub limits: Limits,
    /// A further file of `[[channels]]`, which the administrator's calls, the command line and the console write to;
    /// made when it is needed.
    pub channels_file: Option<PathBuf>,
    /// Whether the operator's console may set channels in it.
    pub console: bool,
    /// The channels.
    pub channels: Vec<Channel>,
}

/// The further file of channels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Further {
    /// The channels.
    pub channels: Vec<Channel>,
}

impl Check for Further {
    fn check(&self, problems: &mut Problems) {
        check_channels(&self.channels, problems);
    }
}

/// Whom the headend feeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// Repeaters.
    #[default]
    Repeaters,
    /// Repeaters and viewers: for small platforms without repeaters.
    All,
}

/// Section `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The administrator's token for `/v1`; none: no such calls.
    pub admin_token: Option<Secret>,
}

/// Section `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most media sent, over all channels.
    pub egress: Option<Rate>,
    /// The most connections at one time.
    pub connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth: None,
            credential: None,
            identity: "headend.key".into(),
            bind: SocketAddr::from(([0, 0, 0, 0], 7882)),
            tcp: vec![0],
            advertise: Vec::new(),
            serve: Serve::default(),
            state: "headend.state".into(),
            announce: None,
            http: Http::default(),
            limits: Limits::default(),
            channels_file: None,
            console: false,
            channels: Vec::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7883)), admin_token: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { egress: None, connections: 500 }
    }
}

impl Config {
    /// The further channels, if there is a file of them.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn further(&self) -> Result<Further, config::Error> {
        match &self.channels_file {
            Some(file) if file.exists() => config::load(file),
            _ => Ok(Further::default()),
        }
    }

    /// All channels: its own, and the further ones.
    ///
    /// # Errors
    /// What is wrong with the further file.
    pub fn all_channels(&self) -> Result<Vec<Channel>, config::Error> {
        let further = self.further()?;
        let twice =
            further.channels.iter().find(|new| self.channels.iter().any(|c| c.id == new.id));
        if let (Some(twice), Some(file)) = (twice, &self.channels_file) {
            let what = format!("channel {} is in the configuration file already", twice.id);
            return Err(config::Error::single(file.display().to_string(), "id", what));
        }
        Ok(self.channels.iter().cloned().chain(further.channels).collect())
    }

    /// The address for outgoing HTTP: that of the UDP socket, if it names one.
    pub fn source_address(&self) -> Option<IpAddr> {
        Some(self.bind.ip()).filter(|ip| !ip.is_unspecified())
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        match &self.auth {
            None => problems.add("auth", "must be given: the address of auth"),
            Some(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                problems.add("auth", "must begin with http:// or https:// and name a host");
            }
            Some(_) => {}
        }
        match &self.credential {
            None => problems
                .add("credential", "must be given: { file = \"FILE\" } or { env = \"NAME\" }"),
            Some(secret) => secret.check("credential", problems),
        }
        // One that is not there yet is made at the start.
        if self.identity.exists()
            && let Err(error) = ticket::Identity::load_or_create(&self.identity)
        {
            problems.add("identity", format!("{}: {error}", self.identity.display()));
        }
        if let Some(token) = &self.http.admin_token {
            token.check("http.admin_token", problems);
        }
        if self.limits.connections == 0 {
            problems.add("limits.connections", "must be at least 1");
        }
        if self.console && self.channels_file.is_none() {
            problems.add("console", "needs a channels_file to write to");
        }
        check_channels(&self.channels, problems);
        // The words of the other file have its name in them.
        if let Err(error) = self.all_channels() {
            problems.add("channels_file", error.to_string());
        }
    }
}

fn check_channels(channels: &[Channel], problems: &mut Problems) {
    let mut ids = BTreeSet::new();
    for (i, channel) in channels.iter().enumerate() {
        problems.within(format!("channels.{i}"), |problems| {
            if !ids.insert(&channel.id) {
                problems.add("id", "another channel has this id");
            }
            channel.check(problems);
        });
    }
}

impl Check for Channel {
    fn check(&self, problems: &mut Problems) {
        if !is_plain(&self.id) {
            problems.add("id", "must be 1 to 64 lower-case letters, digits, `-`, `_`");
        }
        if self.name.is_empty() || self.name.len() > 128 {
            problems.add("name", "must have 1 to 128 characters");
        }
        if let Some(secret) = &self.secret {
            secret.check("secret", problems);
        }
        if let Err(error) = self.coding() {
            problems.add("k", format!("n, k and essential_k do not fit: {error}"));
        }
        let mut within = |key: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                problems.add(key, format!("must be {least} to {most}"));
            }
        };
        within("segment_ms", self.segment_ms, 100, 2000);
        within("gop_ms", self.gop_ms, 100, 10_000);
        within("lost_after_ms", self.lost_after_ms, 200, 2000);
        within("delay_ms", self.delay_ms, 500, 60_000);
        let failover = &self.failover;
        for (key, after) in [
            ("failover.frozen_after_ms", failover.frozen_after_ms),
            ("failover.black_after_ms", failover.black_after_ms),
            ("failover.silent_after_ms", failover.silent_after_ms),
        ] {
            if after > 0 {
                within(key, after, 500, 3_600_000);
            }
        }
        within("failover.back_after_ms", failover.back_after_ms, 500, 3_600_000);
        within("video.width", self.video.width, 64, 7680);
        within("video.height", self.video.height, 64, 4320);
        within("video.fps", self.video.fps, 1, 120);
        within("video.bitrate_kbit", self.video.bitrate_kbit, 50, 100_000);
        within("audio.bitrate_kbit", self.audio.bitrate_kbit, 16, 1000);
        if self.delay_ms < self.segment_ms.saturating_mul(3) {
            problems.add("delay_ms", "must be at least three segments");
        }
        for (key, pixels) in
            [("video.width", self.video.width), ("video.height", self.video.height)]
        {
            if !pixels.is_multiple_of(2) {
                problems.add(key, "must be even");
            }
        }
        if self.mode == Mode::Encode {
            if !self.gop_ms.is_multiple_of(self.segment_ms.max(1)) {
                problems.add("gop_ms", "must be whole segments");
            }
            if !(self.video.fps * self.gop_ms).is_multiple_of(1000) {
                problems.add("video.fps", "must give whole pictures between random access points");
            }
        }
        self.check_ladder(problems);
        if self.mode == Mode::PassThrough && self.sources().any(|source| *source == Source::Test) {
            problems.add("mode", "the test picture is made here and has to be encoded");
        }
        if self.backups.len() > MOST_BACKUPS {
            problems.add("backups", format!("at most {MOST_BACKUPS} sources may stand in"));
        }
        // A slate is late by the time that it takes to miss the source; it still has to reach the players.
        let late = self.lost_after_ms.saturating_add(self.segment_ms.saturating_mul(2));
        if late > self.delay_ms {
            problems.add("lost_after_ms", "must be at least two segments less than delay_ms");
        }
        problems.within("source", |problems| self.source.check(problems));
        for (i, backup) in self.backups.iter().enumerate() {
            problems.within(format!("backups.{i}"), |problems| backup.check(problems));
        }
    }
}

impl Check for Source {
    fn check(&self, problems: &mut Problems) {
        // That a file is not there (yet) is no mistake of the configuration, and no other channel's business.
        for (key, secret) in self.secrets() {
            secret.check(key, problems);
        }
        match self {
            Self::SrtCaller { address, .. } if !is_host_and_port(address) => {
                problems.add("address", "must be HOST:PORT");
            }
            Self::RtmpListener { app, .. } if !is_plain(app) => {
                problems.add("app", "must be 1 to 64 lower-case letters, digits, `-`, `_`");
            }
            Self::Rtmp { url, .. } => check_url(url, &["rtmp", "rtmps"], problems),
            Self::Rtsp { url, latency_ms, .. } => {
                check_url(url, &["rtsp", "rtsps"], problems);
                if *latency_ms > 10_000 {
                    problems.add("latency_ms", "must be 0 to 10000");
                }
            }
            Self::Hls { url, .. } => check_url(url, &["http", "https"], problems),
            Self::Dvb(dvb) => dvb.check(problems),
            _ => {}
        }
        if let Self::Rtmp { user, password, .. }
        | Self::Rtsp { user, password, .. }
        | Self::Hls { user, password, .. } = self
            && user.is_some() != password.is_some()
        {
            problems.add("user", "user and password go together");
        }
    }
}

impl Check for Dvb {
    fn check(&self, problems: &mut Problems) {
        let satellite = self.system.is_satellite();
        let cable = self.system == DvbSystem::C;
        let mut needs = |key: &str, wanted: bool, there: bool| match (wanted, there) {
            (true, false) => problems.add(key, "must be given for this system"),
            (false, true) => problems.add(key, "means nothing for this system"),
            _ => {}
        };
        needs("symbol_rate", satellite || cable, self.symbol_rate.is_some());
        needs("polarization", satellite, self.polarization.is_some());
        needs("bandwidth_hz", !satellite && !cable, self.bandwidth_hz.is_some());
        if !satellite {
            needs("diseqc", false, self.diseqc.is_some());
        }
        // Bands III to C in Hz; satellites' intermediate and Ku bands in kHz.
        let range = if satellite { 950_000..=13_000_000 } else { 40_000_000..=1_000_000_000 };
        if !range.contains(&self.frequency) {
            let unit = if satellite { "kHz" } else { "Hz" };
            let (least, most) = (range.start(), range.end());
            problems.add("frequency", format!("must be {least} to {most} {unit}"));
        }
        if self.diseqc.is_some_and(|position| position > 7) {
            problems.add("diseqc", "must be 0 to 7");
        }
        if let Some(modulation) = &self.modulation
            && !MODULATIONS.contains(&modulation.as_str())
        {
            problems.add("modulation", format!("must be one of {}", MODULATIONS.join(", ")));
        }
    }
}

/// Modulations that a card can be told.
const MODULATIONS: [&str; 10] = [
    "qpsk", "qam-16", "qam-32", "qam-64", "qam-128", "qam-256", "qam-auto", "8psk", "16apsk",
    "32apsk",
];

/// An address with a host, and without what does not belong into a file that people show around.
fn check_url(url: &Url, schemes: &[&str], problems: &mut Problems) {
    if !schemes.contains(&url.scheme()) || url.host().is_none() {
        problems
            .add("url", format!("must begin with {}:// and name a host", schemes.join(":// or ")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        problems.add("url", "must hold no password: use user and password");
    }
}

impl Channel {
    fn check_ladder(&self, problems: &mut Problems) {
        if self.mode == Mode::PassThrough && !self.renditions.is_empty() {
            problems.add(
                "renditions",
                "need mode = \"encode\": random access points have to lie together",
            );
        }
        if self.renditions.len() > MOST_RENDITIONS {
            problems.add("renditions", format!("at most {MOST_RENDITIONS} beside the first"));
        }
        let mut names = BTreeSet::from([MAIN]);
        for (i, rendition) in self.renditions.iter().enumerate() {
            problems.within(format!("renditions.{i}"), |problems| {
                if !is_plain(&rendition.name) {
                    problems.add("name", "must be 1 to 64 lower-case letters, digits, `-`, `_`");
                } else if !names.insert(&rendition.name) {
                    problems.add("name", "another rendition has this name");
                }
                rendition.check(problems);
            });
        }
    }
}

impl Check for Rendition {
    fn check(&self, problems: &mut Problems) {
        let mut within = |key: &str, value: u32, least: u32, most: u32, even: bool| {
            if !(least..=most).contains(&value) || even && !value.is_multiple_of(2) {
                let even = if even { ", even" } else { "" };
                problems.add(key, format!("must be {least} to {most}{even}"));
            }
        };
        if let Some(rung) = &self.video {
            within("video.width", rung.width, 64, 7680, true);
            within("video.height", rung.height, 64, 4320, true);
            within("video.bitrate_kbit", rung.bitrate_kbit, 50, 100_000, false);
        }
        within("audio.bitrate_kbit", self.audio.bitrate_kbit, 16, 1000, false);
    }
}

/// Whether a text may name a channel or a rendition.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

/// Whether a text is a name or an address, and a port.
fn is_host_and_port(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.chars().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_file_shows_the_defaults() {
        service::config::reference_test::<Config>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/config/headend.toml"
        ));
    }

    #[test]
    fn mistakes_are_named_with_line_and_key() {
        let text =
            "auth = 'http://auth.example'\n\n[[channels]]\nid = 'One'\nname = 'One'\nk = 20\n";
        let said = service::config::parse::<Config>("headend.toml".as_ref(), text)
            .unwrap_err()
            .to_string();
        for part in ["`id` at line 4", "`k` at line 6", "`credential`"] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("h.key");
        std::fs::write(&broken, "broken\n").unwrap();
        let text = format!("identity = '{}'", broken.display());
        let said = service::config::parse::<Config>("headend.toml".as_ref(), &text).unwrap_err();
        assert!(said.to_string().contains("`identity` at line 1"), "{said}");
    }
}
