//! The guide: what is on, on each channel, now and later.

mod fill;
mod follow;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

pub(crate) use fill::fill;
pub(crate) use follow::follow;

/// A programme.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Programme {
    /// When it begins.
    pub start: SystemTime,
    /// When it ends.
    pub end: SystemTime,
    /// Its title.
    pub title: String,
    /// The episode's title.
    pub subtitle: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// What kind of programme it is.
    pub categories: Vec<String>,
    /// Which episode, for people.
    pub episode: Option<String>,
    /// A picture's address.
    pub icon: Option<String>,
    /// For whom it is, for people.
    pub rating: Option<String>,
    /// When it was made.
    pub year: Option<u16>,
}

/// The programmes of all channels. A new one takes the place of the old as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guide {
    /// By channel, in order of time.
    channels: BTreeMap<String, Vec<Programme>>,
}

/// As auth gives it: times in seconds since 1970.
#[derive(Deserialize)]
struct Sent {
    channels: BTreeMap<String, Vec<SentProgramme>>,
}

#[derive(Deserialize)]
struct SentProgramme {
    start: i64,
    end: i64,
    title: String,
    subtitle: Option<String>,
    description: Option<String>,
    #[serde(default)]
    categories: Vec<String>,
    episode: Option<String>,
    icon: Option<String>,
    rating: Option<String>,
    year: Option<u16>,
}

/// A guide that is none.
#[derive(Debug, thiserror::Error)]
#[error("the platform sends a guide that cannot be read: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

impl Guide {
    /// The guide as auth sends it.
    ///
    /// # Errors
    /// If it is no guide.
    pub fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let sent: Sent = serde_json::from_slice(json)?;
        let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs());
        let channels = sent.channels.into_iter().map(|(channel, programmes)| {
            let mut programmes: Vec<_> = programmes
                .into_iter()
                .filter(|programme| programme.start < programme.end)
                .map(|sent| Programme {
                    start: time(sent.start),
                    end: time(sent.end),
                    title: sent.title,
                    subtitle: sent.subtitle,
                    description: sent.description,
                    categories: sent.categories,
                    episode: sent.episode,
                    icon: sent.icon,
                    rating: sent.rating,
                    year: sent.year,
                })
                .collect();
            programmes.sort_by_key(|programme| programme.start);
            (channel, programmes)
        });
        Ok(Self { channels: channels.collect() })
    }

    /// The same, and what channels' own sources say is on where this says nothing of that time.
    pub fn filled(&self, on_air: &BTreeMap<String, Vec<link::protocol::Programme>>) -> Self {
        let mut filled = self.clone();
        let time = |seconds: u64| {
            UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
        };
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (channel, programmes) in on_air {
            let known = filled.channels.entry(channel.clone()).or_default();
            for programme in programmes {
                let (start, end) = (time(programme.start), time(programme.end));
                let told = known.iter().any(|known| known.start < end && start < known.end);
                if start < end && !told {
                    known.push(Programme {
                        start,
                        end,
                        title: programme.title.clone(),
                        subtitle: None,
                        description: some(&programme.about),
                        categories: Vec::new(),
                        episode: None,
                        icon: None,
                        rating: None,
                        year: None,
                    });
                }
            }
            known.sort_by_key(|programme| programme.start);
        }
        filled
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.channels.values().all(Vec::is_empty)
    }

    /// What is on at that time.
    pub fn on(&self, channel: &str, at: SystemTime) -> Option<&Programme> {
        let programmes = self.channels.get(channel)?;
        let begun = programmes.partition_point(|programme| programme.start <= at);
        programmes[..begun].last().filter(|programme| at < programme.end)
    }

    /// What begins after that time, the next first.
    pub fn after(&self, channel: &str, at: SystemTime) -> impl Iterator<Item = &Programme> {
        let programmes = self.channels.get(channel).map_or(&[][..], Vec::as_slice);
        programmes[programmes.partition_point(|programme| programme.start <= at)..].iter()
    }

    /// What is on at some time from `from` to `to`, in order.
    pub fn between(
        &self,
        channel: &str,
        from: SystemTime,
        to: SystemTime,
    ) -> impl Iterator<Item = &Programme> {
        let programmes = self.channels.get(channel).map_or(&[][..], Vec::as_slice);
        programmes.iter().filter(move |programme| programme.start < to && from < programme.end)
    }

    /// All programmes of a channel, in order.
    pub fn programmes(&self, channel: &str) -> &[Programme] {
        self.channels.get(channel).map_or(&[], Vec::as_slice)
    }
}

impl Programme {
    /// How much of it is over at that time, 0 to 1.
    pub fn progress(&self, at: SystemTime) -> f64 {
        let over = at.duration_since(self.start).unwrap_or_default();
        let whole = self.end.duration_since(self.start).unwrap_or_default();
        if whole.is_zero() { 1.0 } else { (over.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn guide() -> Guide {
        let json = r#"{ "newer": 1, "channels": { "one": [
            { "start": 2000, "end": 3000, "title": "Later", "year": 1999, "categories": ["Film"] },
            { "start": 1000, "end": 2000, "title": "Now", "subtitle": "Part 1" },
            { "start": 4000, "end": 4000, "title": "Nothing" },
            { "start": 5000, "end": 6000, "title": "After a gap" } ] } }"#;
        Guide::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_on_now_next_and_later() {
        let guide = guide();
        let title = |programme: Option<&Programme>| programme.map(|p| p.title.clone());
        assert_eq!(title(guide.on("one", at(1999))).as_deref(), Some("Now"));
        assert_eq!(title(guide.on("one", at(2000))).as_deref(), Some("Later"));
        assert_eq!(title(guide.on("one", at(999))), None);
        assert_eq!(title(guide.on("one", at(3500))), None, "in a gap nothing is on");
        assert_eq!(title(guide.on("two", at(1500))), None);
        assert_eq!(title(guide.after("one", at(1500)).next()).as_deref(), Some("Later"));
        assert_eq!(guide.after("one", at(1500)).count(), 2);
        assert_eq!(guide.between("one", at(1500), at(2500)).count(), 2);
        assert_eq!(guide.on("one", at(1250)).unwrap().progress(at(1250)), 0.25);
        assert!(!guide.is_empty());
        assert!(Guide::default().is_empty());
    }

    #[test]
    fn what_sources_say_fills_gaps_and_changes_nothing_else() {
        let programme = |start, end, title: &str| link::protocol::Programme {
            start,
            end,
            title: title.into(),
            about: String::new(),
        };
        let on_air = BTreeMap::from([
            (
                "one".to_owned(),
                vec![programme(1500, 2500, "Not believed"), programme(3000, 3900, "In the gap")],
            ),
            ("two".to_owned(), vec![programme(1000, 2000, "Now"), programme(2000, 3000, "Next")]),
        ]);
        let filled = guide().filled(&on_air);
        let title = |channel, seconds| filled.on(channel, at(seconds)).map(|p| p.title.as_str());
        assert_eq!(title("one", 1600), Some("Now"));
        assert_eq!(title("one", 3500), Some("In the gap"));
        assert_eq!((title("two", 1500), title("two", 2500)), (Some("Now"), Some("Next")));
        assert_eq!(guide().filled(&BTreeMap::new()), guide());
    }

    #[test]
    fn what_is_no_guide_is_refused() {
        for wrong in ["", "[]", "{}", r#"{"channels":{"one":[{"start":"x"}]}}"#] {
            assert!(Guide::from_json(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
