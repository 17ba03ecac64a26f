//! What may be sent to other viewers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use service::config::Rate;
use swarm::Serve;

/// What may be sent to other viewers: nothing, or so many bits per second over all channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nothing is sent to anybody.
    Off,
    /// At most this.
    UpTo(Rate),
}

/// 2 Mbit/s: less than the uplink of nearly every fixed line, so that sharing is not felt before the uplink has been
/// measured, and two sub-streams of a 6 Mbit/s channel.
impl Default for Share {
    fn default() -> Self {
        Self::UpTo(Rate::from_kbits_per_second(2_000))
    }
}

/// A text that is neither `off` nor a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither \"off\" nor a bit rate such as \"2000\" (kbit/s) or \"2 Mbit/s\"")]
pub struct ParseShareError(String);

impl Share {
    /// Whom to feed.
    pub fn serve(self) -> Serve {
        match self {
            Self::Off => Serve::Nobody,
            Self::UpTo(_) => Serve::All,
        }
    }

    /// The uplink that may be used, bits per second.
    pub fn uplink(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::UpTo(rate) => rate.bits_per_second(),
        }
    }
}

impl FromStr for Share {
    type Err = ParseShareError;

    fn from_str(text: &str) -> Result<Self, ParseShareError> {
        let refused = || ParseShareError(text.to_owned());
        match text.trim() {
            "off" => Ok(Self::Off),
            rate => match rate.replace('_', " ").parse::<Rate>().map_err(|_| refused())? {
                rate if rate.bits_per_second() == 0 => Ok(Self::Off),
                rate => Ok(Self::UpTo(rate)),
            },
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::UpTo(rate) => rate.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", a bit rate such as \"2 Mbit/s\", or a number of kbit/s")
            }
            fn visit_i64<E: de::Error>(self, kbits: i64) -> Result<Share, E> {
                kbits.to_string().parse().map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
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
    fn off_and_rates_are_understood() {
        let rate = |kbits| Ok(Share::UpTo(Rate::from_kbits_per_second(kbits)));
        assert_eq!("off".parse(), Ok(Share::Off));
        assert_eq!("0".parse(), Ok(Share::Off));
        assert_eq!("500".parse(), rate(500));
        assert_eq!("500_kbit".parse(), rate(500));
        assert_eq!("500kbit".parse(), rate(500));
        assert_eq!("1.5 Mbit/s".parse(), rate(1500));
        for wrong in ["", "on", "-1", "5 MB"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
        assert_eq!((Share::Off.uplink(), Share::Off.serve()), (0, Serve::Nobody));
        assert_eq!(Share::default().uplink(), 2_000_000);
    }
}
