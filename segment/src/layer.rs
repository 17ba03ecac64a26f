//! The layers of a segment.

/// A part of a segment with its own K.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Layer {
    /// Tables, sound, and what keeps a player's clock.
    Essential,
    /// The rest; everything in a rendition of one layer.
    Full,
}

impl Layer {
    /// Its number in hashes and nonces.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Essential => 0,
            Self::Full => 1,
        }
    }
}

/// A set of layers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LayerSet {
    /// Whether [`Layer::Essential`] is in it.
    pub essential: bool,
    /// Whether [`Layer::Full`] is in it.
    pub full: bool,
}

impl LayerSet {
    /// Both layers.
    pub const ALL: Self = Self { essential: true, full: true };
    /// The essential layer alone.
    pub const ESSENTIAL: Self = Self { essential: true, full: false };
    /// The full layer alone: what a rendition of one layer has.
    pub const FULL: Self = Self { essential: false, full: true };

    /// Whether `layer` is in it.
    pub fn contains(self, layer: Layer) -> bool {
        match layer {
            Layer::Essential => self.essential,
            Layer::Full => self.full,
        }
    }

    /// Whether every layer of `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self & other == other
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What is in both.
impl std::ops::BitAnd for LayerSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self { essential: self.essential & other.essential, full: self.full & other.full }
    }
}

/// What is in either.
impl std::ops::BitOr for LayerSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self { essential: self.essential | other.essential, full: self.full | other.full }
    }
}
