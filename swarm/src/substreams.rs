//! Sets of sub-streams.

use serde::{Deserialize, Serialize};

/// A set of sub-streams of one rendition: bit i stands for sub-stream i, 0 to 63.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Substreams(pub u64);

impl Substreams {
    /// None.
    pub const NONE: Self = Self(0);

    /// The first `n`, at most 64.
    pub fn first(n: u8) -> Self {
        Self(if n >= 64 { u64::MAX } else { (1 << n) - 1 })
    }

    /// Only `index`.
    pub fn only(index: u8) -> Self {
        Self(1u64.checked_shl(index.into()).unwrap_or(0))
    }

    /// Whether `index` is in it.
    pub fn contains(self, index: u8) -> bool {
        self.0 & Self::only(index).0 != 0
    }

    /// Adds `index`.
    pub fn insert(&mut self, index: u8) {
        self.0 |= Self::only(index).0;
    }

    /// Takes `index` out.
    pub fn remove(&mut self, index: u8) {
        self.0 &= !Self::only(index).0;
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many.
    pub fn len(self) -> u8 {
        self.0.count_ones() as u8
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, least first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = (left != 0).then(|| left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(index)
        })
    }
}

impl FromIterator<u8> for Substreams {
    fn from_iter<I: IntoIterator<Item = u8>>(members: I) -> Self {
        let mut set = Self::NONE;
        members.into_iter().for_each(|index| set.insert(index));
        set
    }
}

impl std::fmt::Debug for Substreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
