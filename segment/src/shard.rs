//! A shard as it travels. `docs/wire.md` has the layout, byte for byte.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::header::{LAYERED, RANDOM_ACCESS, VERSION};
use crate::seal::TAG;
use crate::tree::{self, HASH, Tree};
use crate::{DecodeError, Header, Layer, LayerHeader, LayerSet, MAX_K, MAX_LAYER, MAX_N, Root};

/// Flag: the shard carries its piece of the essential layer.
const HAS_ESSENTIAL: u8 = 4;
/// Flag: the shard carries its piece of the full layer.
const HAS_FULL: u8 = 8;

/// Bytes between the header's content and the pieces: capture time, signature, index.
const FIXED: usize = 8 + 64 + 1;

/// An Ed25519 signature.
pub(crate) type Signature = [u8; 64];

/// A piece of a layer, its hash, and the hashes beside its way to the layer's root.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) leaf: tree::Hash,
    pub(crate) path: Bytes,
    pub(crate) bytes: Bytes,
}

/// What a shard holds of one layer: at least its root.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) root: tree::Hash,
    pub(crate) piece: Option<Piece>,
}

/// Piece i of a segment's code word, with what proves it. Decoded but not proven: only
/// [`Verifier::check`](crate::Verifier::check) makes it fit to be stored or forwarded.
///
/// It may carry all layers of the segment or some; of those that it does not carry it states the
/// root, so that it proves itself either way.
#[derive(Clone, Debug)]
pub struct Shard {
    header: Header,
    signature: Signature,
    index: u8,
    essential: Option<Part>,
    full: Part,
    wire: Bytes,
}

impl Shard {
    /// Reads a shard. `wire` is kept, not copied. The header's root is computed from what the shard
    /// carries, so that a changed byte shows as another root.
    ///
    /// # Errors
    /// If the bytes are not exactly one shard. Lengths are checked before anything is reserved.
    pub fn decode(wire: Bytes) -> Result<Self, DecodeError> {
        let mut rest = wire.clone();
        let version = byte(&mut rest)?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let flags = byte(&mut rest)?;
        if flags >= 2 * HAS_FULL {
            return Err(DecodeError::Field("flags"));
        }
        let carried =
            LayerSet { essential: flags & HAS_ESSENTIAL != 0, full: flags & HAS_FULL != 0 };
        if carried.is_empty() || carried.essential && flags & LAYERED == 0 {
            return Err(DecodeError::Field("layers"));
        }
        let n = byte(&mut rest)?;
        if !(1..=MAX_N).contains(&n) {
            return Err(DecodeError::Field("n"));
        }
        let number = u64::from_le_bytes(array(&mut rest)?);
        let epoch = u32::from_le_bytes(array(&mut rest)?);
        let duration_ms = u16::from_le_bytes(array(&mut rest)?);
        let essential = if flags & LAYERED != 0 {
            Some(layer_header(&mut rest, Layer::Essential, n)?)
        } else {
            None
        };
        let full = layer_header(&mut rest, Layer::Full, n)?;
        if essential.is_some_and(|essential| essential.k > full.k) {
            return Err(DecodeError::Field("k"));
        }
        let capture = u64::from_le_bytes(array(&mut rest)?);
        let signature = array(&mut rest)?;
        let index = byte(&mut rest)?;
        if index >= n {
            return Err(DecodeError::Field("index"));
        }
        let mut part = |layer: LayerHeader| -> Result<Part, DecodeError> {
            if !carried.contains(layer.layer) {
                return Ok(Part { root: array(&mut rest)?, piece: None });
            }
            let path = take(&mut rest, tree::path_len(index, n) * HASH)?;
            let bytes = take(&mut rest, layer.piece_len())?;
            let leaf = tree::leaf(layer.layer.number(), index, &bytes);
            let root = tree::climb(leaf, index, n, &path);
            Ok(Part { root, piece: Some(Piece { leaf, path, bytes }) })
        };
        let essential_part = essential.map(&mut part).transpose()?;
        let full_part = part(full)?;
        if !rest.is_empty() {
            return Err(DecodeError::Trailing);
        }
        let mut header = Header {
            number,
            capture,
            duration_ms,
            epoch,
            random_access: flags & RANDOM_ACCESS != 0,
            n,
            essential,
            full,
            root: Root([0; 16]),
        };
        header.root = header.root_of(essential_part.as_ref().map(|p| &p.root), &full_part.root);
        Ok(Self { header, signature, index, essential: essential_part, full: full_part, wire })
    }

    /// Writes a shard of these parts, which are those of the header's layers and carry at least one
    /// piece.
    pub(crate) fn encode(
        header: &Header,
        signature: &Signature,
        index: u8,
        essential: Option<Source<'_>>,
        full: Source<'_>,
    ) -> Self {
        let len = Self::wire_len(header, essential.as_ref(), &full);
        let mut wire = BytesMut::with_capacity(len);
        Self::encode_into(&mut wire, header, signature, index, essential, full)
    }

    /// What [`encode`](Self::encode) writes, in bytes.
    pub(crate) fn wire_len(
        header: &Header,
        essential: Option<&Source<'_>>,
        full: &Source<'_>,
    ) -> usize {
        header.content_len()
            + FIXED
            + essential.into_iter().chain([full]).map(Source::len).sum::<usize>()
    }

    /// Writes a shard to the end of `wire`, and takes it from there: shards that live and end together share
    /// one piece of memory.
    pub(crate) fn encode_into(
        wire: &mut BytesMut,
        header: &Header,
        signature: &Signature,
        index: u8,
        essential: Option<Source<'_>>,
        full: Source<'_>,
    ) -> Self {
        let begin = wire.len();
        wire.extend_from_slice(&header.content());
        wire[begin + 1] |=
            essential.as_ref().map_or(0, |s| s.flag(HAS_ESSENTIAL)) | full.flag(HAS_FULL);
        wire.put_u64_le(header.capture);
        wire.extend_from_slice(signature);
        wire.put_u8(index);
        let at = wire.len() - begin;
        for source in essential.iter().chain([&full]) {
            source.write(wire);
        }
        let wire = wire.split().freeze();
        let mut rest = wire.slice(at..);
        let essential = essential.map(|source| source.part(&mut rest));
        let full = full.part(&mut rest);
        Self { header: *header, signature: *signature, index, essential, full, wire }
    }

    /// The segment's header, as the shard states it.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Which shard of the code word, from 0: the sub-stream it belongs to.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The layers whose pieces it carries.
    pub fn layers(&self) -> LayerSet {
        let carried = |part: &Part| part.piece.is_some();
        LayerSet {
            essential: self.essential.as_ref().is_some_and(carried),
            full: carried(&self.full),
        }
    }

    /// The bytes that travel.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// Media bytes it carries: the sum of its pieces, without header and proof.
    pub fn media_len(&self) -> usize {
        self.essential
            .iter()
            .chain([&self.full])
            .filter_map(|part| part.piece.as_ref())
            .map(|piece| piece.bytes.len())
            .sum()
    }

    /// The same shard with no other layers than these: what a receiver in need is sent. `None` if
    /// nothing would be left. It proves itself as the whole one does.
    pub fn restrict(&self, layers: LayerSet) -> Option<Self> {
        let left = self.layers() & layers;
        if left.is_empty() {
            return None;
        }
        if left == self.layers() {
            return Some(self.clone());
        }
        let source = |part, layer| {
            let source = Source::of(part);
            if left.contains(layer) { source } else { source.root_only() }
        };
        Some(Self::encode(
            &self.header,
            &self.signature,
            self.index,
            self.essential.as_ref().map(|part| source(part, Layer::Essential)),
            source(&self.full, Layer::Full),
        ))
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    pub(crate) fn part(&self, layer: Layer) -> Option<&Part> {
        match layer {
            Layer::Essential => self.essential.as_ref(),
            Layer::Full => Some(&self.full),
        }
    }
}

/// What [`Shard::encode`] writes of one layer.
pub(crate) struct Source<'a> {
    root: tree::Hash,
    piece: Option<Written<'a>>,
}

/// A piece to be written.
struct Written<'a> {
    leaf: tree::Hash,
    path: Path<'a>,
    bytes: &'a [u8],
}

/// Where the hashes of a path come from.
enum Path<'a> {
    Bytes(&'a [u8]),
    Tree(&'a Tree, u8),
}

impl<'a> Source<'a> {
    /// What another shard holds.
    fn of(part: &'a Part) -> Self {
        match &part.piece {
            Some(piece) => Self::held(part.root, piece),
            None => Self { root: part.root, piece: None },
        }
    }

    /// A piece of the layer of this root.
    pub(crate) fn held(root: tree::Hash, piece: &'a Piece) -> Self {
        let Piece { leaf, path, bytes } = piece;
        Self { root, piece: Some(Written { leaf: *leaf, path: Path::Bytes(path), bytes }) }
    }

    /// Piece `index` of the word that `tree` covers.
    pub(crate) fn made(tree: &'a Tree, index: u8, bytes: &'a [u8]) -> Self {
        let path = Path::Tree(tree, index);
        Self { root: tree.root(), piece: Some(Written { leaf: tree.leaf(index), path, bytes }) }
    }

    fn root_only(self) -> Self {
        Self { root: self.root, piece: None }
    }

    fn flag(&self, flag: u8) -> u8 {
        if self.piece.is_some() { flag } else { 0 }
    }

    fn len(&self) -> usize {
        self.piece.as_ref().map_or(HASH, |piece| piece.path.len() + piece.bytes.len())
    }

    fn write(&self, wire: &mut BytesMut) {
        match &self.piece {
            None => wire.extend_from_slice(&self.root),
            Some(piece) => {
                match &piece.path {
                    Path::Bytes(bytes) => wire.extend_from_slice(bytes),
                    Path::Tree(tree, index) => {
                        tree.path(*index).for_each(|hash| wire.extend_from_slice(hash));
                    }
                }
                wire.extend_from_slice(piece.bytes);
            }
        }
    }

    /// What was written, as slices of the wire.
    fn part(&self, rest: &mut Bytes) -> Part {
        let piece = self.piece.as_ref().map(|piece| Piece {
            leaf: piece.leaf,
            path: rest.split_to(piece.path.len()),
            bytes: rest.split_to(piece.bytes.len()),
        });
        if piece.is_none() {
            rest.advance(HASH);
        }
        Part { root: self.root, piece }
    }
}

impl Path<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Tree(tree, index) => tree.path(*index).count() * HASH,
        }
    }
}

fn layer_header(rest: &mut Bytes, layer: Layer, n: u8) -> Result<LayerHeader, DecodeError> {
    let k = byte(rest)?;
    if !(1..=MAX_K.min(n)).contains(&k) {
        return Err(DecodeError::Field("k"));
    }
    let len = u32::from_le_bytes(array(rest)?);
    if !(TAG..=MAX_LAYER).contains(&(len as usize)) {
        return Err(DecodeError::Field("length"));
    }
    Ok(LayerHeader { layer, k, len })
}

fn byte(rest: &mut Bytes) -> Result<u8, DecodeError> {
    rest.try_get_u8().map_err(|_| DecodeError::Truncated)
}

fn array<const LEN: usize>(rest: &mut Bytes) -> Result<[u8; LEN], DecodeError> {
    let mut out = [0; LEN];
    rest.try_copy_to_slice(&mut out).map_err(|_| DecodeError::Truncated)?;
    Ok(out)
}

fn take(rest: &mut Bytes, len: usize) -> Result<Bytes, DecodeError> {
    if rest.len() < len {
        return Err(DecodeError::Truncated);
    }
    Ok(rest.split_to(len))
}
