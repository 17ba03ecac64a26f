//! Where a node is in the network, and how near two nodes are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// An ISO 3166-1 alpha-2 country code in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// Where a node is, as auth decided it from the address it saw. What is not known is `None`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Location {
    /// The operator's number for an address prefix.
    pub subset: Option<u32>,
    /// Autonomous system number.
    pub asn: Option<u32>,
    /// Country.
    pub country: Option<Country>,
}

/// How near two nodes are; the least is the nearest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Nearness {
    /// In the same subset.
    Subset,
    /// In the same autonomous system.
    As,
    /// In the same country.
    Country,
    /// None of these, or not known.
    Far,
}

impl Location {
    /// How near `other` is. What is unknown on either side is never a match.
    pub fn nearness(&self, other: &Location) -> Nearness {
        fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            matches!((a, b), (Some(a), Some(b)) if a == b)
        }
        if same(self.subset, other.subset) {
            Nearness::Subset
        } else if same(self.asn, other.asn) {
            Nearness::As
        } else if same(self.country, other.country) {
            Nearness::Country
        } else {
            Nearness::Far
        }
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&c| fmt::Write::write_char(f, c as char))
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Country {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(Error::Country),
        }
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
        } else {
            String::from_utf8_lossy(&<[u8; 2]>::deserialize(deserializer)?).into_owned()
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}
