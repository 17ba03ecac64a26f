//! The way out: transport-stream bytes to shards.

use aws_lc_rs::signature::Ed25519KeyPair;
use bytes::{Bytes, BytesMut};

use crate::assembly::tree_over;
use crate::erasure::Code;
use crate::seal::{self, TAG};
use crate::shard::{Signature, Source};
use crate::split::{self, Split};
use crate::tables::Tables;
use crate::tree::Tree;
use crate::{
    ChannelSecret, Coding, ContentKey, Header, Layer, LayerHeader, MAX_LAYER, Root, SealError,
    Shard, SwarmId, packet, proof,
};

/// One segment as the headend cut it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Whole MPEG-TS packets of 188 bytes.
    pub ts: Bytes,
    /// As in [`Header`](crate::Header).
    pub number: u64,
    /// Microseconds since 1970.
    pub capture: u64,
    /// Milliseconds.
    pub duration_ms: u16,
    /// Whether it begins at a random access point.
    pub random_access: bool,
}

/// Seals, codes and signs the segments of one rendition.
///
/// The same cut and secret make the same bytes. With two layers, what is sound and what is not is read
/// from the tables in the cut; those that are missing there are taken from the cuts before. Twins that
/// joined the same stream at different times agree from the first cut on that has all tables.
pub struct Sealer {
    secret: ChannelSecret,
    pair: Ed25519KeyPair,
    swarm: SwarmId,
    coding: Coding,
    epoch_segments: u64,
    tables: Tables,
    /// Memory of the segment before, for the next one: fresh pages would cost as much as the hash.
    spare: Vec<Vec<u8>>,
}

impl Sealer {
    /// A sealer. `epoch_segments`: how many segments one content key serves (0 counts as 1); the
    /// epoch of a segment is its number divided by this.
    pub fn new(
        secret: ChannelSecret,
        rendition: &str,
        coding: Coding,
        epoch_segments: u64,
    ) -> Self {
        let swarm = SwarmId::new(&secret.channel_key(), rendition);
        let pair = secret.signing_pair();
        let epoch_segments = epoch_segments.max(1);
        Self {
            secret,
            pair,
            swarm,
            coding,
            epoch_segments,
            tables: Tables::default(),
            spare: Vec::new(),
        }
    }

    /// The swarm of the rendition.
    pub fn swarm(&self) -> &SwarmId {
        &self.swarm
    }

    /// How the rendition is coded.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// The epoch of segment `number`: the low 32 bits of the quotient.
    pub fn epoch_of(&self, number: u64) -> u32 {
        (number / self.epoch_segments) as u32
    }

    /// The key of an epoch.
    pub fn content_key(&self, epoch: u32) -> ContentKey {
        self.secret.content_key(&self.swarm, epoch)
    }

    /// The N shards of a segment, in order of index. The same cut and secret make the same bytes.
    ///
    /// # Errors
    /// If the cut is too long or not whole packets.
    pub fn seal(&mut self, cut: &Cut) -> Result<Vec<Shard>, SealError> {
        if !packet::whole(&cut.ts) {
            return Err(SealError::NotTransportStream);
        }
        let too_long = SealError::TooLong(cut.ts.len());
        if cut.ts.len() > MAX_LAYER {
            return Err(too_long);
        }
        let (mut essential, mut full) = match self.coding.essential() {
            None => {
                let mut content = self.buffer();
                content.extend_from_slice(&cut.ts);
                (None, content)
            }
            Some(_) => {
                self.tables.learn(&cut.ts);
                let buffers = Split { essential: self.buffer(), full: self.buffer() };
                let split = split::split(&cut.ts, &self.tables.essential(), buffers);
                (Some(split.essential), split.full)
            }
        };
        let head = |layer, k, content: &Vec<u8>| {
            let len = content.len() + TAG;
            let len = u32::try_from(len).ok().filter(|_| len <= MAX_LAYER).ok_or(too_long)?;
            Ok(LayerHeader { layer, k, len })
        };
        let mut header = Header {
            number: cut.number,
            capture: cut.capture,
            duration_ms: cut.duration_ms,
            epoch: self.epoch_of(cut.number),
            random_access: cut.random_access,
            n: self.coding.n(),
            essential: match (self.coding.essential(), &essential) {
                (Some(k), Some(content)) => Some(head(Layer::Essential, k, content)?),
                _ => None,
            },
            full: head(Layer::Full, self.coding.full(), &full)?,
            root: Root([0; 16]),
        };
        let key = self.content_key(header.epoch);
        if let Some(essential) = &mut essential {
            seal::seal(&self.swarm, &header, Layer::Essential, &key, essential);
        }
        seal::seal(&self.swarm, &header, Layer::Full, &key, &mut full);
        let mut word = |head: LayerHeader, sealed| {
            Word::new(head, header.n, sealed, self.spare.pop().unwrap_or_default())
        };
        let essential = header.essential.zip(essential).map(|(head, sealed)| word(head, sealed));
        let full = word(header.full, full);
        let roots = (essential.as_ref().map(|word| word.tree.root()), full.tree.root());
        header.root = header.root_of(roots.0.as_ref(), &roots.1);
        let signature = self.sign(&header);
        let sources =
            |index| (essential.as_ref().map(|word| word.source(index)), full.source(index));
        let len = |(essential, full): (Option<Source<'_>>, Source<'_>)| {
            Shard::wire_len(&header, essential.as_ref(), &full)
        };
        let mut wire = BytesMut::with_capacity((0..header.n).map(sources).map(len).sum());
        let shard = |index| {
            let (essential, full) = sources(index);
            Shard::encode_into(&mut wire, &header, &signature, index, essential, full)
        };
        let shards = (0..header.n).map(shard).collect();
        // The last comes out first: each buffer is used for what it was used for before, so none has to grow.
        let words = [Some(full), essential];
        let (data, parity): (Vec<_>, Vec<_>) =
            words.into_iter().flatten().map(|word| (word.data, word.parity)).unzip();
        self.spare = parity;
        self.spare.extend(data);
        Ok(shards)
    }

    /// An empty buffer.
    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    fn sign(&self, header: &Header) -> Signature {
        let signed = self.pair.sign(&proof::message(&self.swarm, header));
        signed.as_ref().try_into().expect("Ed25519 signatures have 64 bytes")
    }
}

/// The code word of a sealed layer.
struct Word {
    data: Vec<u8>,
    parity: Vec<u8>,
    piece: usize,
    tree: Tree,
}

impl Word {
    fn new(head: LayerHeader, n: u8, mut sealed: Vec<u8>, parity: Vec<u8>) -> Self {
        let piece = head.piece_len();
        sealed.resize(piece * usize::from(head.k), 0);
        let parity = Code::new(head.k, n).parity(&sealed, piece, parity);
        let tree = tree_over(head.layer, &sealed, &parity, piece, |_| None);
        Self { data: sealed, parity, piece, tree }
    }

    fn source(&self, index: u8) -> Source<'_> {
        let at = usize::from(index) * self.piece;
        let (from, at) = match at.checked_sub(self.data.len()) {
            Some(at) => (&self.parity, at),
            None => (&self.data, at),
        };
        Source::made(&self.tree, index, &from[at..at + self.piece])
    }
}
