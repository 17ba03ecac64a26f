//! The layers of a segment.

/// A part of a segment with its own K.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Layer {
    /// Tables, sound, and what keeps a player's clock.
    Essential,
    /// The rest; everything in a rendition of one layer.
    Full,
}

/// A set of layers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LayerSet {
    /// Whether [`Layer::Essential`] is in it.
    pub essential: bool,
    /// Whether [`Layer::Full`] is in it.
    pub full: bool,
}
