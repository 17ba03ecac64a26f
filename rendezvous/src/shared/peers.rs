//! The other servers, as they are heard on the bus. No bus and no clock in here.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use swarm::Time;
use ticket::PeerId;

use crate::map::{Change, Instance};

/// A server that was silent for so long is gone, if the bus itself was there meanwhile.
pub(super) const SILENT: Duration = Duration::from_secs(8);
/// Between two questions to the same server.
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Other {
    term: u64,
    /// The last number heard in sequence; `None`: everything must be asked for.
    number: Option<u64>,
    heard: Time,
    asked: Option<Time>,
    /// The nodes heard of in an answer that is not complete yet.
    telling: Option<HashSet<PeerId>>,
}

/// The other servers.
#[derive(Default)]
pub(super) struct Others {
    known: BTreeMap<Instance, Other>,
}

impl Others {
    /// Something came from a server. Gives whether it is to be listened to: not if it is of an
    /// earlier term.
    pub(super) fn heard(&mut self, now: Time, from: Instance, term: u64) -> bool {
        let other = self.known.entry(from).or_default();
        if term < other.term {
            return false;
        }
        if term > other.term {
            *other = Other { term, ..Other::default() };
        }
        other.heard = now;
        true
    }

    /// Changes with this number came.
    pub(super) fn changes(&mut self, from: Instance, number: u64) {
        let Some(other) = self.known.get_mut(&from) else { return };
        match other.number {
            Some(last) if number == last + 1 => other.number = Some(number),
            Some(last) if number <= last => {}
            _ => other.number = None,
        }
    }

    /// A part of everything. With the last one: all nodes that were in it.
    pub(super) fn everything(
        &mut self,
        from: Instance,
        number: u64,
        first: bool,
        last: bool,
        changes: &[Change],
    ) -> Option<HashSet<PeerId>> {
        let other = self.known.get_mut(&from)?;
        if first {
            other.telling = Some(HashSet::new());
        }
        let telling = other.telling.as_mut()?;
        telling.extend(changes.iter().filter_map(|change| match change {
            Change::Node(record) => Some(record.node.peer),
            Change::Gone { .. }
            | Change::Publication { .. }
            | Change::Condition { .. }
            | Change::Preview { .. }
            | Change::OnAir { .. }
            | Change::Done { .. } => None,
        }));
        if !last {
            return None;
        }
        other.number = Some(number);
        other.telling.take()
    }

    /// Servers to be asked for everything now.
    pub(super) fn unheard(&mut self, now: Time) -> Vec<Instance> {
        let mut ask = Vec::new();
        for (instance, other) in &mut self.known {
            let due = other.asked.is_none_or(|asked| now.since(asked) >= ASK_EVERY);
            if other.number.is_none() && due {
                other.asked = Some(now);
                ask.push(*instance);
            }
        }
        ask
    }

    /// Servers that have been silent for too long; they are no longer known.
    pub(super) fn lost(&mut self, now: Time) -> Vec<Instance> {
        let silent = |other: &Other| now.since(other.heard) >= SILENT;
        let lost: Vec<_> =
            self.known.iter().filter(|(_, other)| silent(other)).map(|(id, _)| *id).collect();
        lost.iter().for_each(|id| self.gone(*id));
        lost
    }

    /// This server is no longer known.
    pub(super) fn gone(&mut self, instance: Instance) {
        self.known.remove(&instance);
    }

    /// The bus was away: nobody could be heard, and everything may have changed.
    pub(super) fn resume(&mut self, now: Time) {
        for other in self.known.values_mut() {
            (other.heard, other.number, other.asked, other.telling) = (now, None, None, None);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Instance> {
        self.known.keys().copied()
    }

    /// The least of them by name.
    pub(super) fn first(&self) -> Option<Instance> {
        self.known.keys().next().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerId = PeerId([1; 32]);

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn a_gap_is_noticed_and_everything_closes_it() {
        let mut others = Others::default();
        assert!(others.heard(at(0), A, 5));
        assert_eq!(others.unheard(at(0)), [A], "who is new is asked");
        assert_eq!(others.unheard(at(0)), [], "and not twice at once");
        assert_eq!(others.everything(A, 7, true, true, &[]), Some(HashSet::new()));
        assert_eq!(others.unheard(at(2)), []);
        others.changes(A, 8);
        others.changes(A, 8);
        assert_eq!(others.unheard(at(4)), []);
        others.changes(A, 10);
        assert_eq!(others.unheard(at(4)), [A]);
    }

    #[test]
    fn a_server_that_came_again_is_another_and_its_old_words_do_not_count() {
        let mut others = Others::default();
        others.heard(at(0), A, 5);
        others.everything(A, 7, true, true, &[]);
        assert!(others.heard(at(3), A, 6));
        assert_eq!(others.unheard(at(3)), [A]);
        assert!(!others.heard(at(3), A, 5));
    }

    #[test]
    fn silence_ends_a_server_but_not_while_the_bus_was_away() {
        let mut others = Others::default();
        others.heard(at(0), A, 5);
        others.resume(at(100));
        assert_eq!(others.lost(at(107)), []);
        assert_eq!(others.lost(at(108)), [A]);
        assert_eq!(others.count(), 0);
    }
}
