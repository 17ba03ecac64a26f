//! How a rendition is coded.

use crate::{CodingError, MAX_K, MAX_N};

/// The code of a rendition: N sub-streams, K of which rebuild a layer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Coding {
    n: u8,
    full: u8,
    essential: Option<u8>,
}

impl Coding {
    /// A code of `n` shards of which `full` rebuild the full layer and, if there is an essential
    /// layer, `essential` rebuild that.
    ///
    /// # Errors
    /// Unless `1 <= full <= 32`, `full <= n <= 64` and `1 <= essential <= full`.
    pub fn new(n: u8, full: u8, essential: Option<u8>) -> Result<Self, CodingError> {
        if !(1..=MAX_N).contains(&n) {
            Err(CodingError::N(n))
        } else if !(1..=MAX_K.min(n)).contains(&full) {
            Err(CodingError::K { k: full, most: MAX_K.min(n) })
        } else if let Some(k) = essential.filter(|k| !(1..=full).contains(k)) {
            Err(CodingError::K { k, most: full })
        } else {
            Ok(Self { n, full, essential })
        }
    }

    /// Sub-streams.
    pub fn n(&self) -> u8 {
        self.n
    }

    /// K of the full layer.
    pub fn full(&self) -> u8 {
        self.full
    }

    /// K of the essential layer, if there is one.
    pub fn essential(&self) -> Option<u8> {
        self.essential
    }
}

/// N = 12, K = 8, and 4 for the essential layer.
impl Default for Coding {
    fn default() -> Self {
        Self { n: 12, full: 8, essential: Some(4) }
    }
}
