//! What headends tell of their channels, for the operator: how sources fare, and a picture when somebody looks.

use std::collections::BTreeMap;
use std::time::Duration;

use link::protocol::Condition;
use swarm::Time;
use ticket::PeerId;

/// What was told longer ago is not shown: headends tell it every few seconds.
const OLD: Duration = Duration::from_secs(20);

/// What is known of channels. Bounded by the caller: only who publishes a channel may tell of it.
#[derive(Default)]
pub struct Monitor {
    conditions: BTreeMap<String, BTreeMap<PeerId, (Time, Condition)>>,
    previews: BTreeMap<String, Preview>,
}

/// What a channel showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preview {
    /// When it came.
    pub at: Time,
    /// A small JPEG picture.
    pub jpeg: Vec<u8>,
}

impl Monitor {
    /// A headend tells how a channel fares.
    pub(super) fn tell(&mut self, now: Time, from: PeerId, condition: Condition) {
        let told = self.conditions.entry(condition.channel.clone()).or_default();
        told.insert(from, (now, condition));
    }

    pub(super) fn show(&mut self, now: Time, channel: String, jpeg: Vec<u8>) {
        self.previews.insert(channel, Preview { at: now, jpeg });
    }

    /// How a channel fares at each headend that makes it.
    pub fn conditions(&self, now: Time, channel: &str) -> impl Iterator<Item = &Condition> {
        let told = self.conditions.get(channel).into_iter().flat_map(BTreeMap::values);
        told.filter(move |(at, _)| now.since(*at) <= OLD).map(|(_, condition)| condition)
    }

    /// The same from one headend, whenever it was told.
    pub(super) fn from(&self, peer: PeerId) -> impl Iterator<Item = &Condition> {
        self.conditions.values().filter_map(move |told| told.get(&peer)).map(|(_, told)| told)
    }

    /// What a channel showed last, not long ago.
    pub fn preview(&self, now: Time, channel: &str) -> Option<&Preview> {
        self.previews.get(channel).filter(|preview| now.since(preview.at) <= OLD)
    }

    /// Forgets what is old.
    pub(super) fn tick(&mut self, now: Time) {
        for told in self.conditions.values_mut() {
            told.retain(|_, (at, _)| now.since(*at) <= OLD);
        }
        self.conditions.retain(|_, told| !told.is_empty());
        self.previews.retain(|_, preview| now.since(preview.at) <= OLD);
    }
}
