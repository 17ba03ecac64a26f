//! The configuration file; `deploy/config/rendezvous.toml` explains it key by key.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration as Span;

use serde::Deserialize;
use service::config::{Check, Duration, Problems, Secret};
use url::Url;

use crate::admission::Allowance;
use crate::hub;
use crate::map::{Bounds, Listing, is_plain};
use crate::session::Pace;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its own key is kept; made at the first start.
    pub identity: PathBuf,
    /// A folder for the last good copy of what auth said.
    pub state: PathBuf,
    /// Opens the live map (`/v1/swarms`, console); without one it is closed.
    pub admin_token: Option<Secret>,
    /// Where to write the bound addresses when ready.
    pub announce: Option<PathBuf>,
    /// The HTTP side.
    pub http: Http,
    /// The side of the nodes.
    pub quic: Quic,
    /// What tells viewers at what address they are seen.
    pub reflect: Reflect,
    /// What others are told.
    pub advertise: Advertise,
    /// The way to auth.
    pub auth: Auth,
    /// Other servers of the same platform.
    pub shared: Shared,
    /// Bounds.
    pub limits: Limits,
    /// What the operator fixes of channels.
    pub channels: Vec<Channel>,
    /// Who is told of viewers and channels.
    pub webhooks: Vec<Webhook>,
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

/// Section `[quic]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quic {
    /// Address and UDP port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TCP ports for nodes whose UDP is blocked; 0: that of UDP.
    pub tcp: Vec<u16>,
}

/// Section `[reflect]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reflect {
    /// Addresses and the first of three UDP ports of each; empty: at the address of QUIC.
    pub listen: Vec<SocketAddr>,
    /// As nodes see them, in the same order; empty: as bound.
    pub advertise: Vec<SocketAddr>,
}

/// Section `[advertise]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advertise {
    /// Addresses by which nodes reach it; empty: the bound one.
    pub quic: Vec<SocketAddr>,
    /// The HTTP side's address; none: `http://` and the bound address.
    pub http: Option<Url>,
}

/// Section `[auth]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Auth's address.
    pub url: Url,
    /// What `braidcast-auth node add` printed.
    pub credential: Option<Secret>,
    /// The local address that requests to auth come from.
    pub bind: Option<IpAddr>,
}

/// Section `[shared]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shared {
    /// A Redis or Valkey; none: this is the only server.
    pub redis: Option<Url>,
    /// Its password.
    pub password: Option<Secret>,
    /// What the servers of the platform have in common.
    pub secret: Option<Secret>,
    /// Begins the names of all channels on the bus.
    pub prefix: String,
}

/// Section `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most nodes connected.
    pub sessions: usize,
    /// The most renditions on air.
    pub swarms: usize,
    /// The most swarms of one viewer.
    pub swarms_per_viewer: usize,
    /// The most swarms of one headend or repeater.
    pub swarms_per_server: usize,
    /// The most devices of one account that play at one time; 0: any number.
    pub streams_per_account: usize,
    /// Frames that a viewer may send at once; twenty times as many a headend or repeater.
    pub frames_burst: u32,
    /// And then each second.
    pub frames_per_second: u32,
    /// Connections from one prefix at once.
    pub prefix_burst: u32,
    /// And then each second.
    pub prefix_per_second: u32,
    /// A rendition without headend goes off air after so long.
    pub off_air_after: Duration,
    /// For how long a channel ticket is renewed without a fresh user ticket.
    pub renew_for: Duration,
}

/// Section `[[channels]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// The channel's id.
    pub id: String,
    /// Its place in the line-up, from 1.
    pub number: Option<u32>,
    /// Its name for people.
    pub name: Option<String>,
    /// The logo's address.
    pub logo: Option<Url>,
}

/// Section `[[webhooks]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where news are posted.
    pub url: Url,
    /// What they are signed with.
    pub secret: Secret,
    /// Which kinds; empty: all.
    #[serde(default)]
    pub events: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: "rendezvous.identity".into(),
            state: "rendezvous.state".into(),
            admin_token: None,
            announce: None,
            http: Http::default(),
            quic: Quic::default(),
            reflect: Reflect::default(),
            advertise: Advertise::default(),
            auth: Auth::default(),
            shared: Shared::default(),
            limits: Limits::default(),
            channels: Vec::new(),
            webhooks: Vec::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7881)), tls: None }
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7881)), tcp: vec![0, 7443] }
    }
}

impl Default for Auth {
    fn default() -> Self {
        let url = Url::parse("http://127.0.0.1:7880/").expect("this is a URL");
        Self { url, credential: None, bind: None }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { redis: None, password: None, secret: None, prefix: "braidcast".into() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 50_000,
            swarms: 1000,
            swarms_per_viewer: 8,
            swarms_per_server: 1000,
            streams_per_account: 0,
            frames_burst: 100,
            frames_per_second: 20,
            prefix_burst: 500,
            prefix_per_second: 50,
            off_air_after: Duration::from_secs(10),
            renew_for: Duration::from_secs(12 * 3600),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.auth.credential.is_none() {
            let what = "is needed: braidcast-auth node add NAME --role rendezvous prints it";
            problems.add("auth.credential", what);
        }
        web(problems, "auth.url", Some(&self.auth.url));
        web(problems, "advertise.http", self.advertise.http.as_ref());
        for (i, addr) in self.advertise.quic.iter().enumerate() {
            if addr.ip().is_unspecified() || addr.port() == 0 {
                problems.add(format!("advertise.quic.{i}"), "nobody can connect to this address");
            }
        }
        if self.advertise.quic.len() > 4 {
            problems.add("advertise.quic", "holds at most 4 addresses");
        }
        if self.quic.listen.ip().is_unspecified() && self.advertise.quic.is_empty() {
            let what = "says nothing that nodes could connect to: set advertise.quic too";
            problems.add("quic.listen", what);
        }
        problems.within("reflect", |problems| self.reflect.check(problems));
        if let Some(tls) = &self.http.tls {
            tls.check("http.tls", problems);
        }
        if self.http.listen.ip().is_unspecified() && self.advertise.http.is_none() {
            let what = "says nothing that others could connect to: set advertise.http too";
            problems.add("http.listen", what);
        }
        problems.within("shared", |problems| self.shared.check(problems));
        problems.within("limits", |problems| self.limits.check(problems));
        for (i, hook) in self.webhooks.iter().enumerate() {
            web(problems, &format!("webhooks.{i}.url"), Some(&hook.url));
            for event in &hook.events {
                if !crate::webhooks::KINDS.contains(&event.as_str()) {
                    let what =
                        format!("`{event}` is none of {}", crate::webhooks::KINDS.join(", "));
                    problems.add(format!("webhooks.{i}.events"), what);
                }
            }
        }
        let mut ids = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for (i, channel) in self.channels.iter().enumerate() {
            if !is_plain(&channel.id) {
                let what = "must have 1 to 64 of a-z A-Z 0-9 . - _";
                problems.add(format!("channels.{i}.id"), what);
            }
            if !ids.insert(&channel.id) {
                problems.add(format!("channels.{i}.id"), "is the id of another channel too");
            }
            if let Some(number) = channel.number {
                if !(1..=99_999).contains(&number) {
                    problems.add(format!("channels.{i}.number"), "must be 1 to 99999");
                }
                if !numbers.insert(number) {
                    let what = "is the number of another channel too";
                    problems.add(format!("channels.{i}.number"), what);
                }
            }
            if channel.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128) {
                problems.add(format!("channels.{i}.name"), "must have 1 to 128 characters");
            }
            web(problems, &format!("channels.{i}.logo"), channel.logo.as_ref());
        }
    }
}

fn web(problems: &mut Problems, key: &str, url: Option<&Url>) {
    if url.is_some_and(|url| !matches!(url.scheme(), "http" | "https") || url.host().is_none()) {
        problems.add(key, "must begin with http:// or https:// and name a host");
    }
}

impl Check for Shared {
    fn check(&self, problems: &mut Problems) {
        let Some(redis) = &self.redis else {
            if self.secret.is_some() || self.password.is_some() {
                problems.add("redis", "is needed too: the map is shared through it");
            }
            return;
        };
        if redis.scheme() != "redis" || redis.host().is_none() {
            problems.add("redis", "must begin with redis:// and name a host");
        }
        if redis.password().is_some() {
            problems.add("redis", "must not hold the password: name it in `password`");
        }
        if self.secret.is_none() {
            let what = "is needed: any long random text, the same for all servers of the platform";
            problems.add("secret", what);
        }
        if !is_plain(&self.prefix) {
            problems.add("prefix", "must have 1 to 64 of a-z A-Z 0-9 . - _");
        }
    }
}

impl Check for Reflect {
    fn check(&self, problems: &mut Problems) {
        if self.listen.len() > link::nat::reflect::MOST {
            problems.add("listen", "holds at most 4 addresses");
        }
        if !self.advertise.is_empty() && self.advertise.len() != self.listen.len() {
            problems.add("advertise", "must name one address for each of `listen`");
        }
        for (i, addr) in self.listen.iter().enumerate() {
            if addr.ip().is_unspecified() {
                let what = "must be one address of this machine: answers come from where was asked";
                problems.add(format!("listen.{i}"), what);
            }
            if addr.port() > u16::MAX - 2 {
                problems.add(format!("listen.{i}"), "leaves no room for three ports");
            }
        }
        for (i, addr) in self.advertise.iter().enumerate() {
            if addr.ip().is_unspecified() || addr.port() == 0 || addr.port() > u16::MAX - 2 {
                problems.add(format!("advertise.{i}"), "nobody can ask at this address");
            }
        }
    }
}

impl Check for Limits {
    fn check(&self, problems: &mut Problems) {
        for (key, value, most) in [
            ("sessions", self.sessions, 1_000_000),
            ("swarms", self.swarms, 10_000),
            ("swarms_per_viewer", self.swarms_per_viewer, 10_000),
            ("swarms_per_server", self.swarms_per_server, 10_000),
            ("frames_burst", self.frames_burst as usize, 100_000),
            ("frames_per_second", self.frames_per_second as usize, 100_000),
            ("prefix_burst", self.prefix_burst as usize, 1_000_000),
            ("prefix_per_second", self.prefix_per_second as usize, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                problems.add(key, format!("must be 1 to {most}"));
            }
        }
        if self.streams_per_account > 10_000 {
            problems.add("streams_per_account", "must be 0 (any number) to 10000");
        }
        for (key, value, least, most) in [
            ("off_air_after", self.off_air_after, 1, 3600),
            ("renew_for", self.renew_for, 3600, 7 * 86_400),
        ] {
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            if !(least..=most).contains(&value) {
                problems.add(key, format!("must be {least} to {most}"));
            }
        }
    }
}

/// For so long after a start a wish for a channel waits for its headend to come back.
const REBUILD: Span = Span::from_secs(30);
/// How long it waits at most: nodes wait 5 s for an answer.
const PATIENCE: Span = Span::from_secs(4);

impl Config {
    /// The bounds of the live map.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            swarms: self.limits.swarms,
            swarms_per_viewer: self.limits.swarms_per_viewer,
            swarms_per_server: self.limits.swarms_per_server,
            off_air_after: self.limits.off_air_after.get(),
        }
    }

    /// The bounds of the hub.
    pub fn hub_limits(&self) -> hub::Limits {
        hub::Limits {
            sessions: self.limits.sessions,
            renew_for: self.limits.renew_for.get(),
            rebuild: REBUILD,
            patience: PATIENCE,
            streams: self.limits.streams_per_account,
        }
    }

    /// How fast nodes may send frames.
    pub fn pace(&self) -> Pace {
        Pace { burst: self.limits.frames_burst, per_second: self.limits.frames_per_second }
    }

    /// How fast connections may come from one prefix.
    pub fn allowance(&self) -> Allowance {
        Allowance { burst: self.limits.prefix_burst, per_second: self.limits.prefix_per_second }
    }

    /// What is fixed of channels.
    pub fn listings(&self) -> Vec<Listing> {
        let listing = |channel: &Channel| Listing {
            id: channel.id.clone(),
            number: channel.number,
            name: channel.name.clone(),
            logo: channel.logo.as_ref().map(Url::to_string),
        };
        self.channels.iter().map(listing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "auth = { credential = { env = 'X' } }\n";

    fn problems(text: &str) -> String {
        let text = format!("{LEAST}{text}");
        let path = "rendezvous.toml".as_ref();
        service::config::parse::<Config>(path, &text).unwrap_err().to_string()
    }

    #[test]
    fn the_reference_file_shows_the_defaults() {
        service::config::reference_test::<Config>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/config/rendezvous.toml"
        ));
    }

    #[test]
    fn the_least_configuration_is_a_credential() {
        service::config::parse::<Config>("x".as_ref(), LEAST).unwrap();
        let said = service::config::parse::<Config>("x".as_ref(), "").unwrap_err().to_string();
        assert!(said.contains("credential") && said.contains("node add"), "{said}");
    }

    #[test]
    fn mistakes_are_named_with_line_and_suggestion() {
        for (text, says) in [
            ("[limits]\nsesions = 5", &["line 3", "did you mean `sessions`"][..]),
            ("[limits]\nsessions = 0", &["line 3", "`sessions`", "1 to 1000000"]),
            ("[limits]\noff_air_after = 10", &["line 3", "`off_air_after`", "10min"]),
            ("[limits]\nrenew_for = '1s'", &["line 3", "1h"]),
            ("[quic]\nlisten = '0.0.0.0:1'", &["line 3", "set advertise.quic"]),
            ("[http]\nlisten = '[::]:1'", &["line 3", "set advertise.http"]),
            ("[reflect]\nlisten = ['0.0.0.0:3478']", &["line 3", "one address of this machine"]),
            (
                "[reflect]\nlisten = ['192.0.2.1:3478']\nadvertise = ['192.0.2.1:1', '192.0.2.2:1']",
                &["line 4", "one address for each"],
            ),
            (
                "[reflect]\nlisten = ['192.0.2.1:3478']\nadvertise = ['0.0.0.0:1']",
                &["line 4", "nobody can ask"],
            ),
            ("[advertise]\nhttp = 'ftp://x'", &["line 3", "http://"]),
            ("[advertise]\nquic = ['198.51.100.1:0']", &["line 3", "nobody can connect"]),
            ("[shared]\nredis = 'http://x'", &["line 3", "redis://"]),
            ("[shared]\nredis = 'redis://x'", &["`secret`", "is needed"]),
            ("[shared]\nsecret = { env = 'X' }", &["`redis`", "needed too"]),
            ("[[channels]]\nid = 'a b'", &["line 3", "`id`", "a-z"]),
            ("[[channels]]\nname = 'x'", &["missing key `id`"]),
            (
                "[[channels]]\nid = 'a'\nnumber = 1\n[[channels]]\nid = 'b'\nnumber = 1",
                &["line 7", "`number`", "another channel"],
            ),
        ] {
            let said = problems(text);
            for part in says {
                assert!(said.contains(part), "{text}\n-> {said}\nlacks {part}");
            }
        }
    }
}
