//! The configuration file; `deploy/config/repeater.toml` explains it key by key.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use service::config::{Check, Problems, Rate, Secret};
use ticket::{Country, Identity, Location, Role};
use url::Url;

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
        Self { egress: None, substreams: None, connections: 2_000 }
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

impl Config {
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
        match &self.auth {
            None => problems.add("auth", "must be given: the address of auth"),
            Some(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                problems.add("auth", "must begin with http:// or https:// and name a host");
            }
            Some(_) => {}
        }
        match &self.credential {
            None => {
                problems
                    .add("credential", "must be given: { file = \"FILE\" } or { env = \"NAME\" }");
            }
            Some(secret) => secret.check("credential", problems),
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
            if self.limits.egress.is_some_and(|rate| rate.bits_per_second() < 100_000) {
                problems.add("egress", "must be at least 100 kbit/s");
            }
            if self.limits.substreams == Some(0) {
                problems.add("substreams", "must be at least 1");
            }
            if !(2..=1_000_000).contains(&self.limits.connections) {
                problems.add("connections", "must be 2 to 1000000");
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
    fn mistakes_are_named_with_line_and_suggestion() {
        let said = parse("auth = 'ftp://x'\n\n[limits]\negres = 5\nconnections = 1\n").unwrap_err();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 4, "{said}");
        for says in [
            "key `auth` at line 1: must begin with http://",
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
