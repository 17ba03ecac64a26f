//! What happens when: events, and the wheel that brings them up in time.

use std::collections::BTreeMap;

use swarm::{Message, PeerHint};

use crate::setting::STEP;

/// What happens to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A shard comes in; numbers count from the run's first segment.
    Shard { number: u32, index: u8, hops: u8, flags: u8 },
    /// A message comes in; where it is kept.
    Message(u32),
    /// Peers come from rendezvous; where they are kept.
    Candidates(u32),
    /// The same: those that are seen at the node's own address.
    Neighbours(u32),
    /// The engine wants to be woken.
    Wake,
    /// The uplink may send on.
    Uplink,
    /// Rendezvous is asked for the time.
    AskTime,
    /// It answers: microseconds that the question took, and question and answer together.
    Time { there: u32, trip: u32 },
    /// How the node fares is told to rendezvous.
    Report,
    /// Rendezvous is asked for peers, or asked again.
    Find,
    /// Somebody wants to be connected.
    Dial,
    /// It is.
    Accept,
    /// A dial has had no answer.
    NoAnswer(u32),
    /// The other side ends the connection, or does not know of it.
    Part,
    /// The other side has been silent for too long.
    Lost,
    /// The node begins its stay of this number.
    Join(u16),
    /// Its start is over.
    Settled,
    /// The stay ends.
    Leave,
    /// The headend has a segment.
    Publish,
    /// The node has been cut off from other systems for too long.
    Cut(u16),
}

/// Flags of a shard: it fails its proof.
pub(crate) const BAD: u8 = 1;
/// Flags of a shard: it has waited for the downlink.
pub(crate) const TAKEN: u8 = 2;

/// One event. What one node causes is told apart by `seq`, so that the order of events follows from the nodes and not
/// from how they are spread over threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Virtual microseconds.
    pub(crate) at: u64,
    pub(crate) to: u32,
    pub(crate) from: u32,
    pub(crate) seq: u32,
    pub(crate) what: What,
}

impl Event {
    /// Events of one node in order of time; nodes do not affect each other within a step.
    pub(crate) fn key(&self) -> (u32, u64, u32, u32) {
        (self.to, self.at, self.from, self.seq)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// What does not fit into an event.
#[derive(Debug)]
pub(crate) enum Load {
    None,
    Message(Message),
    Candidates(Vec<PeerHint>),
    Neighbours(Vec<PeerHint>),
}

/// An event on its way to another region.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) event: Event,
    pub(crate) load: Load,
}

/// Steps that lie in the wheel; what is further away waits beside it.
const SLOTS: u64 = 4096;

/// Events by step. Putting one in costs no search; they are sorted when their step is up.
pub(crate) struct Wheel {
    slots: Vec<Vec<Event>>,
    far: BTreeMap<u64, Vec<Event>>,
    step: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), far: BTreeMap::new(), step: 0 }
    }

    pub(crate) fn put(&mut self, event: Event) {
        let step = event.at / STEP;
        debug_assert!(step >= self.step, "an event of the past: {event:?}");
        if step < self.step + SLOTS {
            self.slots[(step % SLOTS) as usize].push(event);
        } else {
            self.far.entry(step).or_default().push(event);
        }
    }

    /// The events of `step`, in order; steps are taken one after the other. `room` is an empty list that is used again.
    pub(crate) fn take(&mut self, step: u64, room: Vec<Event>) -> Vec<Event> {
        let mut events = std::mem::replace(&mut self.slots[(step % SLOTS) as usize], room);
        self.step = step + 1;
        if let Some(far) = self.far.remove(&step) {
            events.extend(far);
        }
        events.sort_unstable_by_key(Event::key);
        events
    }
}

/// Things that events name by number; places are used again.
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn put(&mut self, thing: T) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(thing);
                place
            }
            None => {
                self.places.push(Some(thing));
                self.places.len() as u32 - 1
            }
        }
    }

    pub(crate) fn take(&mut self, place: u32) -> Option<T> {
        let thing = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, seq: u32) -> Event {
        Event { at, to: 1, from: 1, seq, what: What::Wake }
    }

    #[test]
    fn events_come_up_in_order_however_far_they_are() {
        let mut wheel = Wheel::new();
        for at in [9_000_500, 500, 9_000_400, 400, 100_000] {
            wheel.put(event(at, 0));
        }
        let mut seen = Vec::new();
        for step in 0..10_000 {
            seen.extend(wheel.take(step, Vec::new()).iter().map(|event| event.at));
        }
        assert_eq!(seen, [400, 500, 100_000, 9_000_400, 9_000_500]);
    }

    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 32, "{}", size_of::<Event>());
    }

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::new();
        let (a, b) = (slab.put('a'), slab.put('b'));
        assert_eq!(slab.take(a), Some('a'));
        assert_eq!(slab.take(a), None);
        assert_eq!(slab.put('c'), a);
        assert_eq!((slab.take(b), slab.take(a)), (Some('b'), Some('c')));
    }
}
