//! The shards of one segment (one root) as they come together.

use bytes::Bytes;

use crate::erasure::Code;
use crate::shard::{Piece, Signature, Source};
use crate::tree::{self, Tree};
use crate::{Header, Layer, LayerHeader, Proven, RebuildError, Shard};

/// Collects proven shards of one root; rebuilds layers, regenerates shards.
///
/// Twin headends may sign one root with two capture times: header and signature are then those of the
/// first shard, also in what is regenerated.
pub struct Assembly {
    header: Header,
    signature: Signature,
    essential: Option<Word>,
    full: Word,
    /// Shards with every layer, as they came or were made.
    whole: Vec<Option<Shard>>,
}

impl Assembly {
    /// Starts with a first shard.
    pub fn new(first: Proven) -> Self {
        let shard = first.shard();
        let header = *shard.header();
        let word = |layer: LayerHeader| Word::new(layer, header.n, shard);
        let mut assembly = Self {
            header,
            signature: *shard.signature(),
            essential: header.essential.map(word),
            full: word(header.full),
            whole: vec![None; usize::from(header.n)],
        };
        assembly.add(first);
        assembly
    }

    /// The segment's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Adds a shard. `false` if it is of another root or brings nothing new.
    pub fn add(&mut self, shard: Proven) -> bool {
        let shard = shard.into_shard();
        if shard.header().root != self.header.root {
            return false;
        }
        let index = usize::from(shard.index());
        let mut new = false;
        for word in self.essential.iter_mut().chain([&mut self.full]) {
            if let Some(piece) = shard.part(word.head.layer).and_then(|part| part.piece.as_ref()) {
                new |= word.add(index, piece);
            }
        }
        if new && shard.layers() == self.header.layer_set() {
            self.whole[index] = Some(shard);
        }
        new
    }

    /// Bit i is set if shard i is held with every layer: received, not regenerated.
    pub fn held(&self) -> u64 {
        self.full.held & self.essential.as_ref().map_or(u64::MAX, |word| word.held)
    }

    /// Bit i is set if piece i of `layer` was received. 0 for a layer that the segment has not.
    pub fn held_layer(&self, layer: Layer) -> u64 {
        self.word(layer).map_or(0, |word| word.held)
    }

    /// Whether `layer` can be rebuilt.
    pub fn can_rebuild(&self, layer: Layer) -> bool {
        self.word(layer).is_some_and(|word| word.enough().is_ok())
    }

    /// The sealed bytes of `layer`, or `None` if there are fewer than K shards of it. The first call
    /// may decode; the result is kept.
    pub fn sealed(&mut self, layer: Layer) -> Option<Bytes> {
        self.rebuild(layer).ok()
    }

    /// As [`sealed`](Self::sealed), with the reason if there is nothing.
    ///
    /// # Errors
    /// Too few shards, no such layer, or a channel that signed pieces that do not fit together. The
    /// last is found whenever the code was needed, and every call gives it from then on.
    pub fn rebuild(&mut self, layer: Layer) -> Result<Bytes, RebuildError> {
        let word = match layer {
            Layer::Essential => self.essential.as_mut().ok_or(RebuildError::Absent)?,
            Layer::Full => &mut self.full,
        };
        word.sealed()
    }

    /// Shard `index`, byte for byte as the headend made it: held, or regenerated if every layer can
    /// be rebuilt.
    pub fn shard(&mut self, index: u8) -> Option<Shard> {
        let at = usize::from(index);
        if let Some(shard) = self.whole.get(at)? {
            return Some(shard.clone());
        }
        for word in self.essential.iter_mut().chain([&mut self.full]) {
            if word.pieces[at].is_none() {
                word.complete().ok()?;
            }
        }
        let essential = match &self.essential {
            Some(word) => Some(word.source(index)?),
            None => None,
        };
        let full = self.full.source(index)?;
        let shard = Shard::encode(&self.header, &self.signature, index, essential, full);
        self.whole[at] = Some(shard.clone());
        Some(shard)
    }

    /// As [`shard`](Self::shard), to be kept or handed on as proven: what it is made of is.
    pub fn proven(&mut self, index: u8) -> Option<Proven> {
        self.shard(index).map(|shard| Proven::of(self, shard))
    }

    fn word(&self, layer: Layer) -> Option<&Word> {
        match layer {
            Layer::Essential => self.essential.as_ref(),
            Layer::Full => Some(&self.full),
        }
    }
}

/// The code word of one layer.
struct Word {
    head: LayerHeader,
    n: u8,
    root: tree::Hash,
    /// Bit i is set if piece i is held.
    held: u64,
    pieces: Vec<Option<Piece>>,
    /// The sealed bytes, padded to K whole pieces.
    data: Option<Bytes>,
    /// The parity pieces one after the other, and the tree over all N.
    rest: Option<(Bytes, Tree)>,
    inconsistent: bool,
}

impl Word {
    fn new(head: LayerHeader, n: u8, first: &Shard) -> Self {
        Self {
            head,
            n,
            root: first.part(head.layer).map(|part| part.root).unwrap_or_default(),
            held: 0,
            pieces: vec![None; usize::from(n)],
            data: None,
            rest: None,
            inconsistent: false,
        }
    }

    fn add(&mut self, index: usize, piece: &Piece) -> bool {
        let slot = &mut self.pieces[index];
        let new = slot.is_none();
        if new {
            *slot = Some(piece.clone());
            self.held |= 1 << index;
        }
        new
    }

    fn enough(&self) -> Result<(), RebuildError> {
        let (held, k) = (self.held.count_ones() as u8, self.head.k);
        if self.inconsistent {
            Err(RebuildError::Inconsistent)
        } else if held < k {
            Err(RebuildError::TooFew { held, k })
        } else {
            Ok(())
        }
    }

    fn sealed(&mut self) -> Result<Bytes, RebuildError> {
        self.enough()?;
        // Without decoding every node that has the data pieces has the same bytes. With it, they are
        // the same only if the channel made a code word: the tree over what follows from them tells.
        if !self.has_all_data() {
            self.complete()?;
        }
        Ok(self.data()?.slice(..self.head.len as usize))
    }

    /// The data pieces, all of which are held.
    fn data(&mut self) -> Result<Bytes, RebuildError> {
        if self.data.is_none() {
            let held = |i: usize| self.pieces[i].as_ref().map(|piece| &piece.bytes);
            let data = Code::new(self.head.k, self.n).joined(held, self.head.piece_len());
            self.data = data.map(Bytes::from);
        }
        self.data.clone().ok_or(RebuildError::Inconsistent)
    }

    fn has_all_data(&self) -> bool {
        self.held.trailing_ones() >= u32::from(self.head.k)
    }

    /// Makes all pieces and the tree, and compares that with the root.
    fn complete(&mut self) -> Result<(), RebuildError> {
        self.enough()?;
        if self.rest.is_some() {
            return Ok(());
        }
        let (code, piece) = (Code::new(self.head.k, self.n), self.head.piece_len());
        let (data, parity) = if self.has_all_data() {
            let data = self.data()?;
            let parity = code.parity(&data, piece, Vec::new());
            (data, parity)
        } else {
            let held = |i: usize| self.pieces[i].as_ref().map(|piece| &piece.bytes);
            let (data, parity) = code.rebuilt(held, piece).ok_or(RebuildError::Inconsistent)?;
            (data.into(), parity)
        };
        let known = |i: usize| self.pieces[i].as_ref().map(|piece| piece.leaf);
        let tree = tree_over(self.head.layer, &data, &parity, piece, known);
        if tree.root() != self.root {
            self.inconsistent = true;
            self.data = None;
            return Err(RebuildError::Inconsistent);
        }
        self.data = Some(data);
        self.rest = Some((parity.into(), tree));
        Ok(())
    }

    /// Piece `index` with its path: held, or made after [`complete`](Self::complete).
    fn source(&self, index: u8) -> Option<Source<'_>> {
        if let Some(piece) = &self.pieces[usize::from(index)] {
            return Some(Source::held(self.root, piece));
        }
        let (parity, tree) = self.rest.as_ref()?;
        let (data, len) = (self.data.as_ref()?, self.head.piece_len());
        let piece =
            data.chunks_exact(len).chain(parity.chunks_exact(len)).nth(usize::from(index))?;
        Some(Source::made(tree, index, piece))
    }
}

/// The tree over the pieces of a word: data and parity, each one after the other. Hashes that are
/// `known` are not computed again.
pub(crate) fn tree_over(
    layer: Layer,
    data: &[u8],
    parity: &[u8],
    piece: usize,
    known: impl Fn(usize) -> Option<tree::Hash>,
) -> Tree {
    let pieces = data.chunks_exact(piece).chain(parity.chunks_exact(piece));
    let leaf = |(i, piece): (u8, &[u8])| {
        known(usize::from(i)).unwrap_or_else(|| tree::leaf(layer.number(), i, piece))
    };
    Tree::new((0..).zip(pieces).map(leaf).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelSecret, Root, SwarmId, Verifier, proof};

    /// Four shards that the channel itself signed, though their parity is not that of their data.
    fn no_code_word() -> Vec<Proven> {
        let secret = ChannelSecret::new([5; 32]);
        let swarm = SwarmId::new(&secret.channel_key(), "main");
        let full = LayerHeader { layer: Layer::Full, k: 2, len: 64 };
        let (data, parity) = ([1; 64], [2; 64]);
        let tree = tree_over(Layer::Full, &data, &parity, 32, |_| None);
        let mut header = Header {
            number: 1,
            capture: 2,
            duration_ms: 250,
            epoch: 0,
            random_access: false,
            n: 4,
            essential: None,
            full,
            root: Root([0; 16]),
        };
        header.root = header.root_of(None, &tree.root());
        let signed = secret.signing_pair().sign(&proof::message(&swarm, &header));
        let signature = signed.as_ref().try_into().unwrap();
        let mut verifier = Verifier::new(swarm, secret.channel_key());
        let pieces = data.chunks(32).chain(parity.chunks(32));
        (0..)
            .zip(pieces)
            .map(|(i, piece)| {
                let source = Source::made(&tree, i, piece);
                let shard = Shard::encode(&header, &signature, i, None, source);
                verifier.check(Shard::decode(shard.wire().clone()).unwrap()).unwrap()
            })
            .collect()
    }

    fn assembly(shards: &[Proven]) -> Assembly {
        let mut assembly = Assembly::new(shards[0].clone());
        shards[1..].iter().for_each(|shard| assert!(assembly.add(shard.clone())));
        assembly
    }

    #[test]
    fn what_decodes_to_another_word_than_was_signed_is_refused() {
        let shards = no_code_word();
        for pair in [[0, 2], [1, 3], [2, 3]] {
            let mut assembly = assembly(&pair.map(|i: usize| shards[i].clone()));
            assert!(assembly.can_rebuild(Layer::Full));
            assert_eq!(assembly.rebuild(Layer::Full), Err(RebuildError::Inconsistent));
            assert!(!assembly.can_rebuild(Layer::Full));
            assert_eq!(assembly.sealed(Layer::Full), None);
            assert!(assembly.shard(0).is_none() || pair.contains(&0));
        }
    }

    #[test]
    fn nothing_is_regenerated_that_the_channel_did_not_sign() {
        let shards = no_code_word();
        let mut assembly = assembly(&shards[..2]);
        assert!(assembly.sealed(Layer::Full).is_some(), "the data pieces are what they are");
        assert!(assembly.shard(3).is_none());
        assert_eq!(assembly.rebuild(Layer::Full), Err(RebuildError::Inconsistent));
        assert_eq!(assembly.rebuild(Layer::Essential), Err(RebuildError::Absent));
    }
}
