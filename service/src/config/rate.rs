//! Bit rates as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A bit rate, written `"4 Mbit/s"`, `"500 kbit/s"`, `"1.5 Gbit/s"`, or as a bare number of kbit/s.
/// Prefixes are decimal; `/s` may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate {
    bits_per_second: u64,
}

const UNITS: [(&str, u64); 4] =
    [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

impl Rate {
    /// A number of bits per second.
    pub const fn from_bits_per_second(bits_per_second: u64) -> Self {
        Self { bits_per_second }
    }

    /// A number of thousand bits per second; saturates.
    pub const fn from_kbits_per_second(kbits_per_second: u64) -> Self {
        Self { bits_per_second: kbits_per_second.saturating_mul(1_000) }
    }

    /// In bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// In bytes per second, rounded down.
    pub const fn bytes_per_second(self) -> u64 {
        self.bits_per_second / 8
    }
}

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a bit rate; write for example \"4 Mbit/s\", \"500 kbit/s\" or a number of kbit/s"
)]
pub struct ParseError(String);

impl FromStr for Rate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError(text.to_owned());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let number: f64 = trimmed[..end].parse().map_err(|_| error())?;
        let unit = trimmed[end..].trim();
        let unit = unit.strip_suffix("/s").unwrap_or(unit);
        let factor = match unit {
            "" => 1_000,
            _ => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?.1,
        };
        let bits = (number * factor as f64).round();
        // 2^53: what a float holds exactly.
        if bits > 9_007_199_254_740_992.0 {
            return Err(error());
        }
        Ok(Self::from_bits_per_second(bits as u64))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits_per_second;
        let (name, unit) = UNITS
            .into_iter()
            .find(|(_, unit)| bits >= *unit && bits.is_multiple_of((unit / 1_000).max(1)))
            .unwrap_or(("bit", 1));
        write!(f, "{} {name}/s", bits as f64 / unit as f64)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Rate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a bit rate such as \"4 Mbit/s\", or a number of kbit/s")
            }
            fn visit_u64<E: de::Error>(self, kbits: u64) -> Result<Rate, E> {
                Ok(Rate::from_kbits_per_second(kbits))
            }
            fn visit_i64<E: de::Error>(self, kbits: i64) -> Result<Rate, E> {
                let unexpected = de::Unexpected::Signed(kbits);
                let kbits =
                    u64::try_from(kbits).map_err(|_| E::invalid_value(unexpected, &self))?;
                self.visit_u64(kbits)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood_and_written_back() {
        for (text, bits, back) in [
            ("4 Mbit/s", 4_000_000, "4 Mbit/s"),
            ("4000", 4_000_000, "4 Mbit/s"),
            ("2.5Mbit", 2_500_000, "2.5 Mbit/s"),
            ("500 kbit/s", 500_000, "500 kbit/s"),
            ("1.5 Gbit/s", 1_500_000_000, "1.5 Gbit/s"),
            ("999 bit/s", 999, "999 bit/s"),
            ("1234567 bit/s", 1_234_567, "1234.567 kbit/s"),
            ("0", 0, "0 bit/s"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.bits_per_second(), bits, "{text}");
            assert_eq!(rate.to_string(), back);
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        assert_eq!(Rate::from_kbits_per_second(8).bytes_per_second(), 1_000);
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for text in
            ["", "fast", "-4", "4 MB/s", "4 mbit/s", "4 Mbit/h", "1e3", "99999999 Gbit/s", "é"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
