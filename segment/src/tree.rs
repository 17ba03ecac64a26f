//! The hash tree over the pieces of one layer.
//!
//! Hashes are BLAKE3 with a key that says what for, cut to 16 bytes: what must not be found is a second
//! piece for a given hash, not a collision, which only the channel itself could look for.

/// A hash of the tree.
pub(crate) type Hash = [u8; 16];

/// Bytes of a [`Hash`].
pub(crate) const HASH: usize = size_of::<Hash>();

/// The first 16 bytes of BLAKE3's key derivation of `parts` under `context`.
pub(crate) fn hash(context: &str, parts: &[&[u8]]) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(part);
    }
    cut(&hasher.finalize())
}

/// The hash of piece `index` of the layer with this number on the wire. What it is the piece of is
/// the key, so that the piece is hashed in one call, which is three times as fast as in two.
pub(crate) fn leaf(layer: u8, index: u8, piece: &[u8]) -> Hash {
    let mut key = *b"braidcast 2026 shard leaf\0\0\0\0\0\0\0";
    (key[25], key[26]) = (layer, index);
    cut(&blake3::keyed_hash(&key, piece))
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut both = [0; 2 * HASH];
    both[..HASH].copy_from_slice(left);
    both[HASH..].copy_from_slice(right);
    cut(&blake3::keyed_hash(b"braidcast 2026 shard node\0\0\0\0\0\0\0", &both))
}

fn cut(hash: &blake3::Hash) -> Hash {
    let mut out = [0; HASH];
    out.copy_from_slice(&hash.as_bytes()[..HASH]);
    out
}

/// The hashes beside the way from leaf `index` of `n` to the root: how many there are.
pub(crate) fn path_len(index: u8, n: u8) -> usize {
    let (mut index, mut n, mut len) = (index, n, 0);
    while n > 1 {
        len += usize::from(index ^ 1 < n);
        (index, n) = (index / 2, n.div_ceil(2));
    }
    len
}

/// The root that leaf `index` of `n` and its path lead to; `path` has [`path_len`] hashes.
pub(crate) fn climb(leaf: Hash, index: u8, n: u8, path: &[u8]) -> Hash {
    let (mut index, mut n, mut hash) = (index, n, leaf);
    let (path, _) = path.as_chunks();
    let mut path = path.iter();
    while n > 1 {
        if index ^ 1 < n
            && let Some(beside) = path.next()
        {
            hash = if index & 1 == 0 { node(&hash, beside) } else { node(beside, &hash) };
        }
        (index, n) = (index / 2, n.div_ceil(2));
    }
    hash
}

/// A whole tree. Where a level has an odd number of hashes, the last goes up as it is.
pub(crate) struct Tree {
    /// From the leaves up to the root.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree over these leaves, of which there is at least one.
    pub(crate) fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let up = level.chunks(2).map(|pair| match pair {
                [left, right] => node(left, right),
                rest => rest[0],
            });
            let up = up.collect();
            levels.push(up);
        }
        Self { levels }
    }

    /// The root.
    pub(crate) fn root(&self) -> Hash {
        self.levels.last().and_then(|top| top.first()).copied().unwrap_or_default()
    }

    /// Leaf `index`, which there is.
    pub(crate) fn leaf(&self, index: u8) -> Hash {
        self.levels[0][usize::from(index)]
    }

    /// The hashes beside the way from leaf `index` up, lowest first.
    pub(crate) fn path(&self, index: u8) -> impl Iterator<Item = &Hash> {
        self.levels
            .iter()
            .enumerate()
            .filter_map(move |(height, level)| level.get((usize::from(index) >> height) ^ 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_every_size_leads_to_the_root() {
        for n in 1..=64 {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(1, i, &[i, 7])).collect();
            let tree = Tree::new(leaves.clone());
            for i in 0..n {
                let path: Vec<u8> = tree.path(i).flatten().copied().collect();
                assert_eq!(path.len(), path_len(i, n) * HASH);
                assert_eq!(climb(leaves[usize::from(i)], i, n, &path), tree.root());
                assert_ne!(climb(leaf(0, i, &[i, 7]), i, n, &path), tree.root());
            }
        }
    }

    #[test]
    fn twelve_leaves_need_at_most_four_hashes() {
        assert_eq!((0..12).map(|i| path_len(i, 12)).max(), Some(4));
        assert_eq!(path_len(11, 12), 3);
        assert_eq!(path_len(0, 1), 0);
        assert_eq!((0..64).map(|i| path_len(i, 64)).max(), Some(6));
    }
}
