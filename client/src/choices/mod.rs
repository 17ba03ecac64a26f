//! What the viewer has chosen: one file that the program writes itself, `braidcast/settings.toml` in the user's
//! configuration folder. What an administrator sets is in [`settings`](crate::settings).
//!
//! A value that cannot be read is told and replaced by its default; the others stay as they are. Nothing in here is secret.

mod file;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use url::Url;

pub use file::{Fault, File};

/// The largest cache for pause and rewind, MB.
pub const MAX_CACHE_MB: u32 = 100_000;
/// The highest rate of upload that can be chosen, kbit/s.
pub const MAX_SHARE_KBITS: u32 = 1_000_000;

/// All choices.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Settings {
    /// Auth's address, of the last sign-in.
    pub server: Option<Url>,
    /// Who signed in last.
    pub user: Option<String>,
    /// Whether to stay signed in.
    pub remember: bool,
    /// Channels that are liked, by id.
    pub favourites: BTreeSet<String>,
    /// What was played last, by id.
    pub last_channel: Option<String>,
    /// Loudness, 0 to 100.
    pub volume: u8,
    /// Whether the sound is off.
    pub muted: bool,
    /// The language of sound that is taken where there is a choice (ISO 639); `None`: the first.
    pub sound: Option<String>,
    /// The language of subtitles (ISO 639); `None`: none.
    pub subtitles: Option<String>,
    /// The language of the program; `None`: the system's.
    pub language: Option<String>,
    /// Light or dark.
    pub appearance: Appearance,
    /// Which rendition.
    pub quality: Quality,
    /// The most that pause and rewind may take of the disk, MB (10^6 bytes); 0: nothing.
    pub cache_mb: u32,
    /// Helping to carry the channel.
    pub sharing: Sharing,
    /// The window, as it was left.
    pub window: Window,
    /// Tracks by channel, where they were chosen for one channel.
    pub tracks: BTreeMap<String, Tracks>,
}

/// Light or dark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Appearance {
    /// As the system is.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Which rendition is played.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// What the line carries.
    #[default]
    Automatic,
    /// This one, by name, if the channel has it.
    Fixed(String),
}

/// Helping to carry the channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sharing {
    /// Whether the viewer wants to; `None`: was not asked yet, and nothing is sent.
    pub choice: Option<bool>,
    /// The most that is sent, kbit/s.
    pub kbits: u32,
    /// The most that is sent in a calendar month, GB (10^9 bytes); `None`: any amount.
    pub monthly_gb: Option<u32>,
    /// Whether to send on connections that are paid by volume, too.
    pub on_metered: bool,
    /// Whether other viewers are never to learn this one's address: nothing is sent at once, and from the next sign-in or
    /// start on everything comes from the operator's repeaters.
    pub private: bool,
}

/// The window, as it was left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Window {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Whether it filled the screen's free space.
    pub maximized: bool,
}

/// Tracks of one channel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracks {
    /// The sound's language.
    pub sound: Option<String>,
    /// The subtitles' language; `off`: none on this channel.
    pub subtitles: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: None,
            user: None,
            remember: true,
            favourites: BTreeSet::new(),
            last_channel: None,
            volume: 80,
            muted: false,
            sound: None,
            subtitles: None,
            language: None,
            appearance: Appearance::System,
            quality: Quality::Automatic,
            cache_mb: 1000,
            sharing: Sharing::default(),
            window: Window::default(),
            tracks: BTreeMap::new(),
        }
    }
}

/// 2 Mbit/s, as [`Share`](crate::settings::Share) has it.
impl Default for Sharing {
    fn default() -> Self {
        Self { choice: None, kbits: 2_000, monthly_gb: None, on_metered: false, private: false }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { width: 1100, height: 680, maximized: false }
    }
}

impl Settings {
    /// Bytes that pause and rewind may take of the disk.
    pub fn cache_bytes(&self) -> u64 {
        u64::from(self.cache_mb) * 1_000_000
    }

    /// The rendition to ask for; `None`: as the platform has it.
    pub fn rendition(&self) -> Option<&str> {
        match &self.quality {
            Quality::Automatic => None,
            Quality::Fixed(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests;
