//! Hours of the day, for limits that are not the same all day.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use service::config::Rate;

/// A time of the day, to the minute: `"18:00"`; `"24:00"` is the end of the day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time {
    minutes: u16,
}

/// From one time of the day to another, and what may be sent then.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The first minute.
    pub from: Time,
    /// The first minute that is not part of it any more; before `from`: on the next day.
    pub to: Time,
    /// The most media sent, over all channels.
    pub egress: Rate,
}

impl Hours {
    /// Whether this time is part of it.
    pub fn hold(&self, time: Time) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

impl Time {
    /// Hour and minute.
    ///
    /// # Errors
    /// If there is no such time.
    pub fn new(hour: u16, minute: u16) -> Result<Self, ParseError> {
        let minutes = hour * 60 + minute;
        if hour <= 24 && minute < 60 && minutes <= 24 * 60 {
            Ok(Self { minutes })
        } else {
            Err(ParseError(format!("{hour}:{minute}")))
        }
    }

    /// Now, on this machine's clock and in its time zone.
    pub fn now() -> Self {
        let now = jiff::Zoned::now();
        let part = |value: i8| u16::try_from(value).unwrap_or_default();
        Self { minutes: part(now.hour()) * 60 + part(now.minute()) }
    }
}

/// Why a text is no time of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a time of the day; write for example \"18:30\"", self.0)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Time {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError(text.to_owned());
        let number = |text: &str| {
            let digits = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits)
        };
        let (hour, minute) = text.split_once(':').ok_or_else(error)?;
        let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(error)?;
        Self::new(hour, minute).map_err(|_| error())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    #[test]
    fn hours_may_go_over_midnight() {
        let hours = |from, to| Hours { from: time(from), to: time(to), egress: Rate::default() };
        for (from, to, at, holds) in [
            ("18:00", "23:00", "18:00", true),
            ("18:00", "23:00", "22:59", true),
            ("18:00", "23:00", "23:00", false),
            ("18:00", "23:00", "3:00", false),
            ("22:30", "6:00", "23:59", true),
            ("22:30", "6:00", "0:00", true),
            ("22:30", "6:00", "6:00", false),
            ("0:00", "24:00", "23:59", true),
            ("7:00", "7:00", "7:00", false),
        ] {
            assert_eq!(hours(from, to).hold(time(at)), holds, "{from} to {to} at {at}");
        }
        assert_eq!(time("7:05").to_string(), "07:05");
        assert!(Time::now() < time("24:00"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "18", "18:60", "24:01", "25:00", "-1:00", "1:2:3", "aa:bb", "18:005"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
