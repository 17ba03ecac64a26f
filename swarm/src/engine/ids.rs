//! Finding by id in a table that is in the order of its ids.
//!
//! A node with many engines, and a simulator all the more, has none of this in the processor's caches when something
//! comes: what a search costs is how often it waits for memory. So the first bytes of ids, which tell nearly all of them
//! apart, stand side by side, each with what is sought, and short tables are read from end to end: the processor fetches
//! all of it at once.

use ticket::PeerId;

/// Up to so many are read through, beyond they are halved.
const SHORT: usize = 256;

/// The first bytes of the ids of a table, in the table's order, which is theirs, and something short for each.
#[derive(Debug)]
pub(super) struct Ids<T = ()>(Vec<(u32, T)>);

impl<T> Default for Ids<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Ids are public keys: their first bytes tell them apart; whether they do has to be looked at.
fn key(id: &PeerId) -> u32 {
    let [a, b, c, d, ..] = id.0;
    u32::from_be_bytes([a, b, c, d])
}

impl<T: Copy> Ids<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The places at which this id may be, or has to be put if it is at none of them.
    pub(super) fn places(&self, id: &PeerId) -> std::ops::Range<usize> {
        let key = key(id);
        let first = match self.0.len() {
            0..SHORT => self.0.iter().filter(|(other, _)| *other < key).count(),
            _ => self.0.partition_point(|(other, _)| *other < key),
        };
        let same = self.0[first..].iter().take_while(|(other, _)| *other == key).count();
        first..first + same
    }

    /// To be called with a place that [`Self::places`] gave, or its end.
    pub(super) fn insert(&mut self, place: usize, id: &PeerId, with: T) {
        if self.0.len() == self.0.capacity() {
            // Not doubled: there are very many of these.
            self.0.reserve_exact(16);
        }
        self.0.insert(place, (key(id), with));
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.0.remove(place);
    }

    /// What stands with the ids at these places.
    pub(super) fn with(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = T> {
        self.0[places].iter().map(|(_, with)| *with)
    }

    /// The first place with this.
    pub(super) fn position(&self, with: T) -> Option<usize>
    where
        T: PartialEq,
    {
        self.0.iter().position(|(_, other)| *other == with)
    }
}
