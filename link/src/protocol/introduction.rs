//! What two viewers tell each other by way of rendezvous before they meet.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::nat::{is_local, same_home};

/// The most places that one introduction names.
pub const MAX_CANDIDATES: usize = 8;
/// The longest name and password of a meeting, bytes. Both are letters and digits.
const LONGEST: usize = 32;

/// What kind of place it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum CandidateKind {
    /// The node's own address.
    Host,
    /// Where it is seen from outside.
    Seen,
    /// A port that its router has given to it.
    Mapped,
}

/// A place at which a node may be met.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is.
    pub kind: CandidateKind,
    /// Where it is.
    pub addr: SocketAddr,
}

/// One side of a meeting (RFC 8445): where to check, and what shows that a check is the other's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Names this side's part (the username fragment).
    pub name: String,
    /// Its password: whoever knows it may send checks, and nothing else.
    pub pass: String,
    /// Where this side may be met, at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// The other's name if this answers it; `None`: it asks to meet.
    pub answers: Option<String>,
}

impl Introduction {
    /// Whether all of it is of a length and in letters that are taken.
    pub fn is_sound(&self) -> bool {
        let plain = |text: &str, least| {
            (least..=LONGEST).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
        };
        plain(&self.name, 4)
            && plain(&self.pass, 22)
            && self.answers.as_deref().is_none_or(|name| plain(name, 4))
            && self.candidates.len() <= MAX_CANDIDATES
    }

    /// Leaves only places that one who is seen at `to` is to be told by one who is seen at `from`: a home's own addresses
    /// stay within it, and nobody can send checks to a stranger's IPv4 address.
    pub fn keep_fit(&mut self, from: IpAddr, to: IpAddr) {
        let from = from.to_canonical();
        let within = is_local(from) || same_home(from, to);
        self.candidates.retain(|candidate| {
            let ip = candidate.addr.ip();
            let strange = ip.is_unspecified() || ip.is_multicast() || candidate.addr.port() == 0;
            // Written as IPv6 it would be another's.
            if strange || ip.to_canonical() != ip {
                return false;
            }
            if is_local(ip) || ip.is_loopback() {
                return within;
            }
            within || ip.is_ipv6() || from.is_ipv6() || ip == from
        });
    }
}

/// Never shows the password.
impl std::fmt::Debug for Introduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, candidates, answers, .. } = self;
        write!(f, "Introduction({name}, {} places, answers {answers:?})", candidates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_strange_is_not_sound() {
        let addr = SocketAddr::from(([192, 0, 2, 1], 9));
        let candidate = Candidate { kind: CandidateKind::Host, addr };
        let sound = Introduction {
            name: "abcd".into(),
            pass: "p".repeat(24),
            candidates: vec![candidate; MAX_CANDIDATES],
            answers: None,
        };
        assert!(sound.is_sound());
        assert!(!format!("{sound:?}").contains(&sound.pass));
        let but = |change: fn(&mut Introduction)| {
            let mut introduction = sound.clone();
            change(&mut introduction);
            introduction.is_sound()
        };
        assert!(!but(|other| other.name = "a:b:".into()));
        assert!(!but(|other| other.pass = "short".into()));
        assert!(!but(|other| other.name = "x".repeat(LONGEST + 1)));
        assert!(!but(|other| other.answers = Some(String::new())));
        assert!(!but(|other| other.candidates.push(other.candidates[0])));
    }

    #[test]
    fn a_homes_addresses_stay_within_it_and_strangers_are_left_alone() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let told = |from: &str, to: &str, places: &[&str]| {
            let candidate =
                |text: &&str| Candidate { kind: CandidateKind::Host, addr: text.parse().unwrap() };
            let candidates = places.iter().map(candidate).collect();
            let (name, pass) = ("abcd".to_owned(), "p".repeat(24));
            let mut introduction = Introduction { name, pass, candidates, answers: None };
            introduction.keep_fit(ip(from), ip(to));
            introduction.candidates.iter().map(|c| c.addr.to_string()).collect::<Vec<_>>()
        };
        let places = [
            "192.168.1.2:5",
            "198.51.100.7:9",
            "203.0.113.5:443",
            "[2001:db8::5]:5",
            "[fd00::5]:5",
            "0.0.0.0:5",
            "198.51.100.7:0",
            "[::ffff:203.0.113.5]:443",
        ];
        let outside = ["198.51.100.7:9", "[2001:db8::5]:5"];
        assert_eq!(told("198.51.100.7", "192.0.2.1", &places), outside);
        let home = ["192.168.1.2:5", "198.51.100.7:9", "203.0.113.5:443"];
        assert_eq!(told("198.51.100.7", "198.51.100.7", &places)[..3], home);
        let by_ipv6 = told("2001:db8::5", "2001:db8:9::1", &places);
        assert_eq!(by_ipv6, ["198.51.100.7:9", "203.0.113.5:443", "[2001:db8::5]:5"]);
    }
}
