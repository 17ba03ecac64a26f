//! The guide: what is on, from the operator's XMLTV.
//!
//! A feed is taken as a whole or not at all: one that cannot be read, or that holds nothing of now or later, leaves the
//! guide as it is. Channels that a good feed says nothing of keep what was known of their future.

mod feed;
mod keep;
mod time;
mod xmltv;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use feed::Source;
pub(crate) use keep::{GuideStatus, KeepError, Keeper};

/// Programmes that ended longer ago are dropped, seconds.
const PAST: i64 = 24 * 3600;
/// Programmes that begin later are dropped, seconds.
const FUTURE: i64 = 15 * 24 * 3600;

/// A programme. Times are seconds since 1970 UTC.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Programme {
    /// When it begins.
    pub(crate) start: i64,
    /// When it ends.
    pub(crate) end: i64,
    /// Its title.
    pub(crate) title: String,
    /// The episode's title.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) subtitle: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) description: Option<String>,
    /// What kind of programme it is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) categories: Vec<String>,
    /// Which episode, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) episode: Option<String>,
    /// A picture's address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) icon: Option<String>,
    /// For whom it is, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) rating: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) year: Option<u16>,
}

/// The programmes of all channels.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Guide {
    /// By channel of the platform, in order of time.
    pub(crate) channels: BTreeMap<String, Vec<Programme>>,
}

/// How a feed is read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rules {
    /// The platform's channel for an id of the feed; ids that are not named stand for themselves.
    pub(crate) channels: BTreeMap<String, String>,
    /// Languages that are taken where a text comes in several, the best first.
    pub(crate) languages: Vec<String>,
    /// The largest feed, bytes, unpacked.
    pub(crate) max_bytes: u64,
}

impl Guide {
    /// How many programmes it holds.
    pub(crate) fn len(&self) -> usize {
        self.channels.values().map(Vec::len).sum()
    }

    /// Whether it holds none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something of it is on at `now` or later.
    pub(crate) fn is_current(&self, now: i64) -> bool {
        self.channels.values().flatten().any(|programme| programme.end > now)
    }

    /// Drops what is long over or far away.
    pub(crate) fn trim(&mut self, now: i64) {
        for programmes in self.channels.values_mut() {
            programmes
                .retain(|programme| programme.end > now - PAST && programme.start < now + FUTURE);
        }
        self.channels.retain(|_, programmes| !programmes.is_empty());
    }

    /// Takes over from `before` the channels that this one says nothing of.
    pub(crate) fn succeed(&mut self, before: &Self) {
        for (channel, programmes) in &before.channels {
            self.channels.entry(channel.clone()).or_insert_with(|| programmes.clone());
        }
    }
}
