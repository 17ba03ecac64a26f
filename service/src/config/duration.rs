//! Durations as people write them.

use std::{fmt, ops::Deref, str::FromStr, time};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written `250ms`, `2s`, `1.5h` or `1h30min`. Units: us, ms, s, min, h, d.
///
/// A bare number is refused, because nobody knows its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(time::Duration);

const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Duration {
    /// A number of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(time::Duration::from_secs(seconds))
    }

    /// A number of milliseconds.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(time::Duration::from_millis(milliseconds))
    }

    /// The same for the standard library.
    pub const fn get(self) -> time::Duration {
        self.0
    }
}

impl Deref for Duration {
    type Target = time::Duration;
    fn deref(&self) -> &time::Duration {
        &self.0
    }
}

impl From<time::Duration> for Duration {
    fn from(value: time::Duration) -> Self {
        Self(value)
    }
}

impl From<Duration> for time::Duration {
    fn from(value: Duration) -> Self {
        value.0
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write for example 250ms, 2s, 10min or 1h30min")]
pub struct ParseError(String);

impl FromStr for Duration {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError(text.to_owned());
        let mut rest = text.trim();
        let mut micros = 0_u64;
        let mut last = u64::MAX;
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
            let number: f64 = rest[..end].parse().map_err(|_| error())?;
            rest = rest[end..].trim_start();
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) =
                *UNITS.iter().find(|(name, _)| *name == &rest[..end]).ok_or_else(error)?;
            if unit >= last {
                return Err(error());
            }
            last = unit;
            rest = rest[end..].trim_start();
            let part = (number * unit as f64).round();
            // 2^53: what a float holds exactly, 285 years.
            if part > 9_007_199_254_740_992.0 {
                return Err(error());
            }
            micros = micros.checked_add(part as u64).ok_or_else(error)?;
        }
        Ok(Self(time::Duration::from_micros(micros)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, unit) in UNITS {
            let count = rest / unit;
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
            rest %= unit;
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"250ms\", \"2s\" or \"10min\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood_and_written_back() {
        for (text, millis, back) in [
            ("250ms", 250, "250ms"),
            ("2s", 2_000, "2s"),
            ("1.5h", 5_400_000, "1h30min"),
            ("1h30min", 5_400_000, "1h30min"),
            ("10 min", 600_000, "10min"),
            ("1d 2h", 93_600_000, "1d2h"),
            ("0s", 0, "0s"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.get(), time::Duration::from_millis(millis), "{text}");
            assert_eq!(duration.to_string(), back);
        }
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1m",
            "1 fortnight",
            "1s1h",
            "1.2.3s",
            "1e9d",
            "99999999999d",
            "ß",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
