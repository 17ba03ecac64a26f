//! What headends tell of their channels, for the operator: how sources fare, and a picture when somebody looks.

use std::collections::BTreeMap;
use std::time::Duration;

use link::protocol::{Condition, Programme, Schedule};
use swarm::Time;
use ticket::PeerId;

/// What was told longer ago is not shown: headends tell it every few seconds.
const OLD: Duration = Duration::from_secs(20);

/// Outcomes of orders that are kept: far more than operators give in that time.
const MOST_DONE: usize = 1000;

/// What is known of channels. Bounded by the caller: only who publishes a channel may tell of it.
#[derive(Default)]
pub struct Monitor {
    conditions: BTreeMap<String, BTreeMap<PeerId, (Time, Condition)>>,
    /// What is on, from the headend that told it last.
    programmes: BTreeMap<String, (Time, PeerId, Vec<Programme>)>,
    previews: BTreeMap<String, Preview>,
    /// What became of orders: from which headend, and why it was not done if it was not.
    done: BTreeMap<u64, (Time, PeerId, Option<String>)>,
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

    /// A headend tells what the source of a channel says is on; whether that is otherwise than before.
    pub(super) fn on_air(&mut self, now: Time, from: PeerId, schedule: Schedule) -> bool {
        let Schedule { channel, programmes } = schedule;
        let before = self.programmes.get(&channel);
        // Of two headends the one that says something is believed.
        if programmes.is_empty() && before.is_none_or(|(_, peer, _)| *peer != from) {
            return false;
        }
        let changed = before.map_or(&[][..], |(_, _, told)| told.as_slice()) != programmes;
        if programmes.is_empty() {
            self.programmes.remove(&channel);
        } else {
            self.programmes.insert(channel, (now, from, programmes));
        }
        changed
    }

    /// What the source of a channel says is on.
    pub fn programmes(&self, now: Time, channel: &str) -> &[Programme] {
        let told = self.programmes.get(channel).filter(|(at, _, _)| now.since(*at) <= OLD);
        told.map_or(&[], |(_, _, programmes)| programmes.as_slice())
    }

    /// The same of all channels of which something is known.
    pub fn schedules(&self, now: Time) -> impl Iterator<Item = Schedule> {
        let of = move |channel: &String| Schedule {
            channel: channel.clone(),
            programmes: self.programmes(now, channel).to_vec(),
        };
        self.programmes.keys().map(of).filter(|schedule| !schedule.programmes.is_empty())
    }

    /// A headend says what became of an order.
    pub(super) fn done(&mut self, now: Time, from: PeerId, number: u64, problem: Option<String>) {
        if self.done.len() < MOST_DONE {
            self.done.insert(number, (now, from, problem));
        }
    }

    /// What became of an order to this headend; `None`: nothing is known yet.
    pub fn outcome(&self, headend: PeerId, number: u64) -> Option<Result<(), String>> {
        let (_, _, problem) = self.done.get(&number).filter(|(_, from, _)| *from == headend)?;
        Some(problem.clone().map_or(Ok(()), Err))
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
        self.programmes.retain(|_, (at, _, _)| now.since(*at) <= OLD);
        self.done.retain(|_, (at, _, _)| now.since(*at) <= OLD);
    }
}
