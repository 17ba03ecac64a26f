//! The configuration file; `deploy/config/repeater.toml` explains it key by key.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use service::config::{Check, Duration, Problems, Rate, Secret, SecretText};
use ticket::{Country, Identity, Location, Role};
use url::Url;

use crate::hours::{Hours, Time};

/// Less is no use to anybody, bits per second.
const LEAST_EGRESS: u64 = 100_000;
/// Whoever stops a program waits no longer.
const LONGEST_DRAIN: std::time::Duration = std::time::Duration::from_secs(600);

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where auth is; may stand in the credential instead.
    pub auth: Option<Url>,
    /// The node's credential, alone or as one line with auth's address before it: `https://tv.example#CREDENTIAL`.
    pub credential: Option<Secret>,
    /// The file of the node's key pair.
    pub identity: PathBuf,
    /// The UDP socket; its address serves outgoing HTTP too, if it names one.
    pub bind: SocketAddr,
    /// TCP ports for viewers whose UDP is blocked; 0: that of UDP.
    pub tcp: Vec<u16>,
    /// Addresses that others should use.
    pub advertise: Vec<SocketAddr>,
    /// Carry only these; empty: all.
    pub channels: Vec<String>,
    /// Where to write the bound addresses when ready.
    pub announce: Option<PathBuf>,
    /// The HTTP side.
    pub http: Http,
    /// What it gives at most.
    pub limits: Limits,
    /// Whom it serves.
    pub serve: Serve,
}

/// Section `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Section `[limits]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most media sent, over all channels.
    pub egress: Option<Rate>,
    /// The most sub-streams fed to others at one time, over all channels.
    pub substreams: Option<u32>,
    /// The most connections at one time.
    pub connections: usize,
    /// Another `egress` at some hours of the day.
    pub hours: Vec<Hours>,
    /// Before it stops, its children are moved to others, one after the other, for so long at most.
    pub drain: Duration,
}

/// Section `[serve]`: viewers who are in any of these; all empty means everybody.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// AS numbers.
    pub asns: Vec<u32>,
    /// The operator's subsets.
    pub subsets: Vec<u32>,
    /// Countries.
    pub countries: Vec<Country>,
    /// Address prefixes.
    pub prefixes: Vec<IpNet>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth: None,
            credential: None,
            identity: "repeater.key".into(),
            bind: SocketAddr::from(([0, 0, 0, 0], 7884)),
            tcp: vec![0],
            advertise: Vec::new(),
            channels: Vec::new(),
            announce: None,
            http: Http::default(),
            limits: Limits::default(),
            serve: Serve::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7885)) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            egress: None,
            substreams: None,
            connections: 2_000,
            hours: Vec::new(),
            drain: Duration::from_secs(15),
        }
    }
}

impl Serve {
    /// Whether nobody is turned away for where they are.
    pub fn everybody(&self) -> bool {
        *self == Self::default()
    }

    /// Whether to serve a node of this role, with this location in its ticket, that connects from
    /// this address.
    pub fn admits(&self, role: Role, location: &Location, address: IpAddr) -> bool {
        let has = |list: &[u32], number: Option<u32>| number.is_some_and(|n| list.contains(&n));
        role != Role::Viewer
            || self.everybody()
            || has(&self.asns, location.asn)
            || has(&self.subsets, location.subset)
            || location.country.is_some_and(|country| self.countries.contains(&country))
            // A socket for both families sees IPv4 addresses inside IPv6 ones.
            || self.prefixes.iter().any(|prefix| prefix.contains(&address.to_canonical()))
    }
}

impl Limits {
    /// The most media sent at this time of the day (on this machine's clock), over all channels: of several hours that
    /// hold, the least.
    pub fn egress_at(&self, time: Time) -> Option<Rate> {
        let now = self.hours.iter().filter(|hours| hours.hold(time)).map(|hours| hours.egress);
        now.min().or(self.egress)
    }
}

/// Where a node signs in, and with what.
pub struct Login {
    /// Auth.
    pub auth: Url,
    /// The credential.
    pub credential: SecretText,
}

impl Config {
    /// What the credential and `auth` say together.
    ///
    /// # Errors
    /// Which key is wrong, and why. Never holds the credential.
    pub fn login(&self) -> Result<Login, (&'static str, String)> {
        let Some(secret) = &self.credential else {
            return Err((
                "credential",
                "must be given: { file = \"FILE\" } or { env = \"NAME\" }".into(),
            ));
        };
        let text = secret.read().map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            ("credential", format!("{error}{}", cause.unwrap_or_default()))
        })?;
        let (auth, credential) = match text.expose().rsplit_once('#') {
            None => (None, text.expose()),
            Some((address, credential)) => {
                let address = Url::parse(address).map_err(|error| {
                    ("credential", format!("what stands before # is no address of auth: {error}"))
                })?;
                (Some(address), credential)
            }
        };
        // The file has the last word: the address in the line may be one that is not reached from here.
        let missing = "must be given: the address of auth, here or before the credential";
        let auth = self.auth.clone().or(auth).ok_or(("auth", missing.to_owned()))?;
        if !matches!(auth.scheme(), "http" | "https") || auth.host().is_none() {
            return Err(("auth", "must begin with http:// or https:// and name a host".into()));
        }
        Ok(Login { auth, credential: credential.to_owned().into() })
    }

    /// The address for outgoing HTTP: that of the UDP socket, if it names one.
    pub fn source_address(&self) -> Option<IpAddr> {
        Some(self.bind.ip()).filter(|ip| !ip.is_unspecified())
    }

    /// Whether the repeater is to carry this channel.
    pub fn carries(&self, channel: &str) -> bool {
        self.channels.is_empty() || self.channels.iter().any(|wanted| wanted == channel)
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if let Err((key, what)) = self.login() {
            problems.add(key, what);
        }
        // One that is not there yet is made at the start.
        if self.identity.exists()
            && let Err(error) = Identity::load_or_create(&self.identity)
        {
            problems.add("identity", format!("{}: {error}", self.identity.display()));
        }
        for (i, address) in self.advertise.iter().enumerate() {
            if address.ip().is_unspecified() || address.port() == 0 {
                problems.add(
                    format_args!("advertise.{i}"),
                    "must be an address and a port that others can reach",
                );
            }
        }
        problems.within("limits", |problems| {
            if self.limits.egress.is_some_and(|rate| rate.bits_per_second() < LEAST_EGRESS) {
                problems.add("egress", "must be at least 100 kbit/s");
            }
            if self.limits.substreams == Some(0) {
                problems.add("substreams", "must be at least 1");
            }
            if !(2..=1_000_000).contains(&self.limits.connections) {
                problems.add("connections", "must be 2 to 1000000");
            }
            if self.limits.drain.get() > LONGEST_DRAIN {
                problems.add("drain", "must be 10min at most");
            }
            for (i, hours) in self.limits.hours.iter().enumerate() {
                if hours.egress.bits_per_second() < LEAST_EGRESS {
                    problems.add(format_args!("hours.{i}.egress"), "must be at least 100 kbit/s");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        service::config::parse("r.toml".as_ref(), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_reference_file_shows_the_defaults() {
        service::config::reference_test::<Config>(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/config/repeater.toml"
        ));
    }

    #[test]
    fn two_lines_are_enough() {
        let config = parse("auth = 'https://tv.example'\ncredential = { env = 'PATH' }\n").unwrap();
        assert!(config.serve.everybody() && config.carries("any"));
        assert_eq!(config.source_address(), None);
    }

    #[test]
    fn one_line_is_enough_if_the_address_stands_before_the_credential() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credential");
        let config = |line: &str| {
            std::fs::write(&file, line).unwrap();
            parse(&format!("credential = {{ file = '{}' }}", file.display()))
        };
        let login = config("https://tv.example/x#s3cret\n").unwrap().login().ok().unwrap();
        assert_eq!(
            (login.auth.as_str(), login.credential.expose()),
            ("https://tv.example/x", "s3cret")
        );
        let said = config("s3cret").unwrap_err();
        assert!(said.contains("key `auth`: must be given") && !said.contains("s3cret"), "{said}");
        for line in ["tv.example#s3cret", "ftp://tv.example#s3cret"] {
            let said = config(line).unwrap_err();
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn another_limit_holds_at_its_hours() {
        let text = "credential = { env = 'PATH' }\nauth = 'https://tv.example'\n[limits]\negress = '2 Gbit/s'\n";
        let hours = "hours = [{ from = '18:00', to = '23:00', egress = '500 Mbit/s' }, \
             { from = '22:00', to = '7:00', egress = '1 Gbit/s' }]\ndrain = '20s'\n";
        let config = parse(&format!("{text}{hours}")).unwrap();
        let at = |time: &str| config.limits.egress_at(time.parse().unwrap()).unwrap().to_string();
        assert_eq!(at("12:00"), "2 Gbit/s");
        assert_eq!(at("19:00"), "500 Mbit/s");
        assert_eq!(at("22:30"), "500 Mbit/s", "the least of two");
        assert_eq!(at("3:00"), "1 Gbit/s");
        let wrong = "hours = [{ from = '18', to = '23:00', egress = '1 Mbit/s' }]";
        assert!(
            parse(&format!("{text}{wrong}")).unwrap_err().contains("write for example \"18:30\"")
        );
        assert!(parse(&format!("{text}drain = '1h'")).unwrap_err().contains("10min at most"));
    }

    #[test]
    fn mistakes_are_named_with_line_and_suggestion() {
        let said = parse("auth = 'ftp://x'\n\n[limits]\negres = 5\nconnections = 1\n").unwrap_err();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        for says in [
            "key `credential`: must be given",
            "unknown key `egres` at line 4 in section [limits]; did you mean `egress`?",
            "key `connections` at line 5 in section [limits]: must be 2 to 1000000",
        ] {
            assert!(lines.iter().any(|line| line.contains(says)), "{said}\n lacks: {says}");
        }
        let said = parse("advertise = ['192.0.2.1:5', '0.0.0.0:5']").unwrap_err();
        assert!(said.contains("key `1` at line 1 in section [advertise]"), "{said}");
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("r.key");
        std::fs::write(&broken, "broken\n").unwrap();
        let said = parse(&format!("identity = '{}'", broken.display())).unwrap_err();
        assert!(said.contains("key `identity` at line 1"), "{said}");
        assert!(!parse("identity = 'absent'").unwrap_err().contains("identity"));
        assert!(!std::path::Path::new("absent").exists(), "checking makes nothing");
        assert!(parse("[serve]\nprefixes = ['home']").unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_restriction_admits_who_is_in_any_of_its_places() {
        let serve = Serve {
            asns: vec![64_501],
            prefixes: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            countries: vec!["CH".parse().unwrap()],
            subsets: vec![7],
        };
        let nowhere = Location::default();
        let far: IpAddr = "198.51.100.1".parse().unwrap();
        for (location, address, admitted) in [
            (nowhere, far, false),
            (Location { asn: Some(64_501), ..nowhere }, far, true),
            (Location { asn: Some(64_502), ..nowhere }, far, false),
            (Location { subset: Some(7), ..nowhere }, far, true),
            (Location { country: "ch".parse().ok(), ..nowhere }, far, true),
            (nowhere, "192.0.2.9".parse().unwrap(), true),
            (nowhere, "::ffff:192.0.2.9".parse().unwrap(), true),
            (nowhere, "2001:db8::1".parse().unwrap(), true),
        ] {
            assert_eq!(serve.admits(Role::Viewer, &location, address), admitted, "{location:?}");
            assert!(serve.admits(Role::Repeater, &location, address));
            assert!(Serve::default().admits(Role::Viewer, &location, address));
        }
    }
}
