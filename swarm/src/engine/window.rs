//! Which shards of which segments this node holds.

use std::collections::VecDeque;
use std::time::Duration;

use segment::{Header, LayerSet, Root};

use crate::{Arrival, Substreams, Time};

/// One segment.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) root: Root,
    /// Microseconds since 1970.
    pub(super) capture: u64,
    pub(super) random_access: bool,
    pub(super) shard_bytes: u32,
    n: u8,
    full_k: u8,
    essential_k: Option<u8>,
    full: Substreams,
    essential: Substreams,
    /// Sub-streams whose shard was given to the children that are subscribed.
    pub(super) pushed: Substreams,
    /// When its first shard came.
    pub(super) first: Time,
    conflict: bool,
}

impl Slot {
    fn new(header: &Header, shard_bytes: u32, now: Time) -> Self {
        Self {
            root: header.root,
            capture: header.capture,
            random_access: header.random_access,
            shard_bytes,
            n: header.n,
            full_k: header.full.k,
            essential_k: header.essential.map(|layer| layer.k),
            full: Substreams::NONE,
            essential: Substreams::NONE,
            pushed: Substreams::NONE,
            first: now,
            conflict: false,
        }
    }

    fn hold(&mut self, index: u8, layers: LayerSet) -> bool {
        let before = (self.full, self.essential);
        if layers.full {
            self.full.insert(index);
        }
        if layers.essential && self.essential_k.is_some() {
            self.essential.insert(index);
        }
        before != (self.full, self.essential)
    }

    fn full_whole(&self) -> bool {
        self.full.len() >= self.full_k
    }

    fn essential_whole(&self) -> bool {
        self.essential_k.is_some_and(|k| self.essential.len() >= k)
    }

    /// Whether every layer can be rebuilt, and so every shard.
    pub(super) fn whole(&self) -> bool {
        self.full_whole() && self.essential_k.is_none_or(|k| self.essential.len() >= k)
    }

    /// The layers that can be rebuilt.
    pub(super) fn rebuilt(&self) -> LayerSet {
        LayerSet { essential: self.essential_whole(), full: self.full_whole() }
    }

    /// Whether a data shard is missing, so that rebuilding needs parity.
    pub(super) fn needs_parity(&self) -> bool {
        !Substreams::first(self.full_k).without(self.full).is_empty()
    }

    /// Shards that came in with every layer.
    pub(super) fn came(&self) -> Substreams {
        if self.essential_k.is_some() { self.full.and(self.essential) } else { self.full }
    }

    /// Shards that can be sent with every layer.
    pub(super) fn held(&self) -> Substreams {
        if self.whole() { Substreams::first(self.n) } else { self.came() }
    }

    /// How many more shards make it whole.
    pub(super) fn missing(&self) -> u8 {
        if self.whole() { 0 } else { self.k().saturating_sub(self.came().len()).max(1) }
    }

    pub(super) fn k(&self) -> u8 {
        self.full_k.max(self.essential_k.unwrap_or(0))
    }

    /// Every layer that the segment has.
    pub(super) fn layers(&self) -> LayerSet {
        LayerSet { essential: self.essential_k.is_some(), full: true }
    }

    /// The layers that can be sent of shard `index`.
    pub(super) fn layers_of(&self, index: u8) -> LayerSet {
        if self.whole() {
            return self.layers();
        }
        LayerSet { essential: self.essential.contains(index), full: self.full.contains(index) }
    }
}

/// What a shard changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// It is new; `edge`: of a segment newer than all before; `whole`: with it the segment is whole.
    New { edge: bool, whole: bool },
    /// It was held.
    Duplicate,
    /// It belongs to the root that lost.
    Lost,
}

/// The segments between the oldest kept and the newest: a ring with a place for every number.
#[derive(Debug)]
pub(super) struct Window {
    /// Place 0 is number `base`; it is never empty if there are any.
    slots: VecDeque<Option<Slot>>,
    base: u64,
    /// Newest number ever seen, its capture time, and when it was first seen.
    edge: Option<(u64, u64, Time)>,
    /// Numbers that the source did not make: first and last of the latest gap.
    pub(super) gap: Option<(u64, u64)>,
    segment_us: u64,
    /// Silence that is shorter is no gap of the source, microseconds.
    least_gap: u64,
    /// The most places.
    most: usize,
    pub(super) conflicts: u64,
}

impl Window {
    pub(super) fn new(segment: Duration, least_gap: Duration, keep: Duration) -> Self {
        let least_gap = least_gap.as_micros() as u64;
        let segment_us = (segment.as_micros() as u64).max(1);
        let most = (keep.as_micros() as u64 / segment_us) as usize + 16;
        Self {
            slots: VecDeque::new(),
            base: 0,
            edge: None,
            gap: None,
            segment_us,
            least_gap,
            most,
            conflicts: 0,
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Slot> {
        self.slots.get(self.place(number)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Slot> {
        let place = self.place(number)?;
        self.slots.get_mut(place)?.as_mut()
    }

    /// The most segments held.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.base)
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.edge.map(|(number, ..)| number)
    }

    pub(super) fn newest_capture(&self) -> Option<u64> {
        self.edge.map(|(_, capture, _)| capture)
    }

    /// When the newest segment was first seen.
    pub(super) fn edge_at(&self) -> Option<Time> {
        self.edge.map(|(.., at)| at)
    }

    /// The segments held, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Slot)> {
        self.from(self.base)
    }

    pub(super) fn from(&self, first: u64) -> impl DoubleEndedIterator<Item = (u64, &Slot)> {
        let first = self.place(first).unwrap_or(0).min(self.slots.len());
        let base = self.base + first as u64;
        let numbered = self.slots.range(first..).enumerate();
        numbered.filter_map(move |(place, slot)| Some((base + place as u64, slot.as_ref()?)))
    }

    /// Capture time of a segment, from its header or reckoned from the nearest one before it, else from the edge.
    pub(super) fn capture_of(&self, number: u64) -> Option<u64> {
        if let Some(place) = self.place(number)
            && !self.slots.is_empty()
        {
            let last = place.min(self.slots.len() - 1);
            // The first place is never empty.
            for at in (0..=last).rev() {
                if let Some(slot) = &self.slots[at] {
                    let since = ((place - at) as u64).saturating_mul(self.segment_us);
                    return Some(slot.capture.saturating_add(since));
                }
            }
        }
        let (edge, capture, _) = self.edge?;
        Some(if number >= edge {
            capture.saturating_add((number - edge).saturating_mul(self.segment_us))
        } else {
            capture.saturating_sub((edge - number).saturating_mul(self.segment_us))
        })
    }

    /// Takes a shard. `steady`: what came before would have come here, so that silence is the source's.
    pub(super) fn take(&mut self, arrival: &Arrival, steady: bool, now: Time) -> Change {
        let edge = self.advance(&arrival.header, steady, now);
        let slot = match self.slot(&arrival.header, arrival.bytes, now) {
            Some(slot) => slot,
            None => return Change::Lost,
        };
        let was = slot.whole();
        let layers = arrival.layers;
        if !slot.hold(arrival.index, layers) {
            return Change::Duplicate;
        }
        let whole = !was && slot.whole();
        Change::New { edge, whole }
    }

    /// All shards of a segment are held: it was made here.
    pub(super) fn publish(&mut self, header: &Header, shard_bytes: u32, now: Time) {
        self.advance(header, true, now);
        if let Some(slot) = self.slot(header, shard_bytes, now) {
            slot.full = Substreams::first(slot.n);
            slot.essential = slot.full;
        }
    }

    /// The slot of this header's root; none if another root has won (the smaller one wins everywhere), or the number is
    /// further back than what is kept.
    fn slot(&mut self, header: &Header, shard_bytes: u32, now: Time) -> Option<&mut Slot> {
        let place = self.make_place(header.number)?;
        let slot = self.slots[place].get_or_insert_with(|| Slot::new(header, shard_bytes, now));
        if slot.root != header.root {
            if !slot.conflict {
                self.conflicts += 1;
            }
            if header.root < slot.root {
                *slot = Slot::new(header, shard_bytes, slot.first);
            }
            slot.conflict = true;
        }
        (slot.root == header.root).then_some(slot)
    }

    /// The place of a number, made if there is none; whatever comes there are never more than `most`.
    fn make_place(&mut self, number: u64) -> Option<usize> {
        let most = self.most as u64;
        if self.slots.is_empty() || number >= self.base.saturating_add(2 * most) {
            self.slots.clear();
            self.base = number;
        }
        if number < self.base {
            let newest = self.base + self.slots.len() as u64 - 1;
            if newest - number >= most {
                return None;
            }
            for _ in number..self.base {
                self.slots.push_front(None);
            }
            self.base = number;
        }
        let place = (number - self.base) as usize;
        while self.slots.len() <= place {
            self.slots.push_back(None);
        }
        let surplus = self.slots.len().saturating_sub(self.most);
        if surplus > 0 {
            self.drop_front(surplus);
        }
        Some((number - self.base) as usize)
    }

    /// Drops so many places, and empty ones after them, except the last.
    fn drop_front(&mut self, count: usize) {
        self.slots.drain(..count);
        self.base += count as u64;
        while self.slots.len() > 1 && self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
            self.base += 1;
        }
    }

    fn advance(&mut self, header: &Header, steady: bool, now: Time) -> bool {
        let number = header.number;
        if let Some((edge, _, at)) = self.edge {
            if number <= edge {
                return false;
            }
            // Numbers follow media time: if nothing came for as long as the numbers jumped, nothing was made.
            let jump = number - edge - 1;
            let silent = now.since(at).as_micros() as u64;
            let whole = jump.saturating_mul(self.segment_us).saturating_mul(4) / 5;
            if steady && jump > 0 && silent >= whole.max(self.least_gap) {
                self.gap = Some((edge + 1, number - 1));
            }
        }
        self.edge = Some((number, header.capture, now));
        true
    }

    /// Drops segments captured before `capture`; the first number kept if any were dropped.
    pub(super) fn forget(&mut self, capture: u64) -> Option<u64> {
        let mut dropped = None;
        while let Some(Some(slot)) = self.slots.front() {
            if slot.capture >= capture {
                break;
            }
            dropped = Some(self.base.saturating_add(1));
            if self.slots.len() == 1 {
                self.slots.clear();
            } else {
                self.drop_front(1);
            }
        }
        dropped
    }
}
