//! What a headend may publish.

use std::collections::BTreeMap;

use link::protocol::{EpochKey, Parameters, Publication};
use segment::{ChannelKey, Coding, SwarmId};

/// Longest name of a channel or rendition for machines, bytes.
const NAME: usize = 64;
/// Longest name for people, bytes.
const TITLE: usize = 128;
/// The most content keys that one publication may carry, and that are kept.
const KEYS: usize = 4;

/// Why a publication is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    /// A value is out of range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// Another headend publishes this channel with another secret.
    #[error("another headend publishes channel {0} with another secret")]
    Secret(String),
    /// Two channels have one secret, so that their swarms would be one.
    #[error("channel {0} has the same secret: give each channel its own")]
    Shared(String),
    /// Another headend publishes this rendition in another way.
    #[error("another headend publishes channel {channel} with another {what}")]
    Parameter {
        /// The channel.
        channel: String,
        /// What differs.
        what: &'static str,
    },
}

/// The swarm that a publication is about.
pub(super) fn swarm(parameters: &Parameters) -> SwarmId {
    SwarmId::new(&ChannelKey(parameters.key), &parameters.rendition)
}

/// Whether this may be a channel's id: 1 to 64 letters, digits, dots, dashes, underscores, which fit
/// into tickets, addresses and metrics.
pub fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=NAME).contains(&name.len()) && name.chars().all(fits)
}

/// Whether every value is one that nodes can work with.
pub(super) fn check(publication: &Publication) -> Result<(), Mismatch> {
    let parameters = &publication.parameters;
    let wrong = |what| Err(Mismatch::Range(what));
    if !is_plain(&parameters.channel) {
        return wrong("the channel's id");
    }
    if !is_plain(&parameters.rendition) {
        return wrong("the rendition's name");
    }
    if publication.name.len() > TITLE || publication.name.chars().any(char::is_control) {
        return wrong("the channel's name");
    }
    if Coding::new(parameters.n, parameters.k, parameters.essential_k).is_err() {
        return wrong("the code (K of N)");
    }
    if !(20..=10_000).contains(&parameters.segment_ms) {
        return wrong("the segment duration (20ms to 10s)");
    }
    if !(100..=120_000).contains(&parameters.delay_ms) {
        return wrong("the playout delay (100ms to 2min)");
    }
    if !(1..=1_000_000_000).contains(&parameters.bitrate) {
        return wrong("the bit rate (to 1 Gbit/s)");
    }
    if publication.epoch_segments == 0 {
        return wrong("the length of an epoch");
    }
    if !(1..=KEYS).contains(&publication.keys.len()) {
        return wrong("the number of content keys");
    }
    Ok(())
}

/// Whether two headends may publish `new` and `old` at one time: their shards must be the same.
/// The bit rate is about right only, and names are for people.
pub(super) fn agree(
    new: &Publication,
    old: &Publication,
    keys: &BTreeMap<u32, [u8; 32]>,
) -> Result<(), Mismatch> {
    let (a, b) = (&new.parameters, &old.parameters);
    let differs = |what| Err(Mismatch::Parameter { channel: a.channel.clone(), what });
    let contradicts = |key: &EpochKey| keys.get(&key.epoch).is_some_and(|known| *known != key.key);
    if a.key != b.key || new.keys.iter().any(contradicts) {
        Err(Mismatch::Secret(a.channel.clone()))
    } else if (a.n, a.k, a.essential_k) != (b.n, b.k, b.essential_k) {
        differs("code (K of N)")
    } else if a.segment_ms != b.segment_ms {
        differs("segment duration")
    } else if a.delay_ms != b.delay_ms {
        differs("playout delay")
    } else if new.epoch_segments != old.epoch_segments {
        differs("length of an epoch")
    } else {
        Ok(())
    }
}

/// Takes new keys in, and lets go of all but the newest. Gives whether any was new.
pub(super) fn take_keys(keys: &mut BTreeMap<u32, [u8; 32]>, new: &[EpochKey]) -> bool {
    let before = keys.clone();
    keys.extend(new.iter().map(|key| (key.epoch, key.key)));
    while keys.len() > KEYS {
        keys.pop_first();
    }
    keys.keys().any(|epoch| !before.contains_key(epoch))
}
