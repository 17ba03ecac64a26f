//! What is to stand on the stage.

use std::path::PathBuf;

/// A platform to set up. The default has no channel and no repeater.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The channels of the one headend.
    pub channels: Vec<Channel>,
    /// The repeaters.
    pub repeaters: Vec<Repeater>,
    /// Whether the headend feeds viewers too, or repeaters only.
    pub headend_feeds_viewers: bool,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Whether the source's own streams are passed through.
    pub pass_through: bool,
    /// Width, height, kbit/s, if encoded.
    pub video: (u32, u32, u32),
    /// At the end of its section in the headend's configuration, TOML.
    pub more: String,
}

/// A source.
#[derive(Clone, Debug)]
pub enum Source {
    /// A test picture.
    Test,
    /// A file, looped.
    File(PathBuf),
    /// The `source` table of the headend's configuration, as TOML.
    Toml(String),
}

/// A repeater.
#[derive(Clone, Debug)]
pub struct Repeater {
    /// Its loopback address.
    pub address: String,
    /// The most sub-streams it pushes in all.
    pub max_pushed: Option<u32>,
    /// The ASes whose viewers it serves; empty: all.
    pub asns: Vec<u32>,
    /// How long it may take leave of its children before it stops, seconds.
    pub drain_s: u32,
}

impl Channel {
    /// An encoded channel of modest size, whose id serves as name.
    pub fn new(id: &str, source: Source) -> Self {
        Self {
            id: id.into(),
            name: id.into(),
            source,
            pass_through: false,
            video: (640, 360, 1200),
            more: String::new(),
        }
    }

    /// A channel that passes its source through.
    pub fn pass_through(id: &str, source: Source) -> Self {
        Self { pass_through: true, ..Self::new(id, source) }
    }
}

impl Repeater {
    /// A repeater without limits at a loopback address.
    pub fn at(address: &str) -> Self {
        Self { address: address.into(), max_pushed: None, asns: Vec::new(), drain_s: 0 }
    }
}
