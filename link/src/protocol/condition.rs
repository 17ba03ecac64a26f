//! What a headend tells the operator of its channels, and viewers of what is on.

use serde::{Deserialize, Serialize};

/// The most sources of one channel that are told of.
pub const MAX_SOURCES: usize = 16;
/// The most programmes of one channel that are told of.
pub const MAX_PROGRAMMES: usize = 4;
/// The longest text in a condition or a programme, bytes.
pub const MAX_TEXT: usize = 256;
/// The largest preview, bytes.
pub const MAX_PREVIEW: usize = 64 * 1024;

/// What a source is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SourceState {
    /// Nothing comes.
    Gone,
    /// Its picture stands still.
    Frozen,
    /// Its picture is black.
    Black,
    /// Its sound is silent.
    Silent,
    /// All is well.
    Fit,
}

impl SourceState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Gone, Self::Frozen, Self::Black, Self::Silent, Self::Fit];

    /// One word for people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Silent => "silent",
            Self::Fit => "fit",
        }
    }

    /// How good: 0 for nothing at all, 1 for a part of it, 2 for all is well.
    pub fn rank(self) -> u8 {
        match self {
            Self::Gone => 0,
            Self::Frozen | Self::Black | Self::Silent => 1,
            Self::Fit => 2,
        }
    }
}

/// One source of a channel. Its address is not told: it may hold a password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceCondition {
    /// Its kind, as in the configuration: `srt-listener`, `file`, ...
    pub kind: String,
    /// What it is good for.
    pub state: SourceState,
    /// Whether it plays.
    pub playing: bool,
}

/// How a channel fares at the headend that makes it; told when it changes and every few seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// The channel's id.
    pub channel: String,
    /// Its sources, the most wanted first.
    pub sources: Vec<SourceCondition>,
    /// Whether pictures come from a source, rather than from the slate.
    pub up: bool,
    /// Whether it is encoded here, rather than passed through.
    pub encoded: bool,
    /// How far the media part is behind its clock, milliseconds.
    pub behind_ms: u32,
    /// Times that no source was left.
    pub losses: u64,
    /// Times that another source took over.
    pub switches: u64,
    /// What is wrong, for people.
    pub trouble: Option<String>,
}

impl Condition {
    /// Whether it is within the bounds above.
    pub fn is_bounded(&self) -> bool {
        let short = |text: &str| text.len() <= MAX_TEXT;
        self.sources.len() <= MAX_SOURCES
            && short(&self.channel)
            && self.sources.iter().all(|source| short(&source.kind))
            && self.trouble.as_deref().is_none_or(short)
    }
}

/// A programme that the source of a channel tells of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Programme {
    /// When it begins, seconds since 1970.
    pub start: u64,
    /// When it ends.
    pub end: u64,
    /// Its title.
    pub title: String,
    /// What it is about; may be empty.
    pub about: String,
}

/// What is on, on one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// The channel's id.
    pub channel: String,
    /// At most [`MAX_PROGRAMMES`]; empty if its source says nothing (any more).
    pub programmes: Vec<Programme>,
}

impl Schedule {
    /// Whether it is within the bounds above.
    pub fn is_bounded(&self) -> bool {
        let short = |text: &str| text.len() <= MAX_TEXT;
        short(&self.channel)
            && self.programmes.len() <= MAX_PROGRAMMES
            && self.programmes.iter().all(|programme| {
                programme.start < programme.end
                    && short(&programme.title)
                    && short(&programme.about)
            })
    }
}

/// The longest section of a channel's configuration in an order, bytes.
pub const MAX_SECTION: usize = 16 * 1024;

/// What the operator wants of a headend, asked for on the console.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Names it in the answer.
    pub number: u64,
    /// The channel's id.
    pub channel: String,
    /// The channel's section of the configuration, TOML without heading and id, at most [`MAX_SECTION`] bytes; `None`: the
    /// channel is to be removed.
    pub section: Option<String>,
}

/// Cuts a text to [`MAX_TEXT`] at a letter.
pub fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}
