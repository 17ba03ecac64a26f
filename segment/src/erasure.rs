//! The erasure code. The only file that knows the crate behind it, which has seen no release since
//! 2022: what another would have to do is Reed-Solomon over GF(2^8) as `docs/wire.md` defines it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;

/// How many codes are kept ready. Building one inverts a matrix of K x K; a process uses one code
/// per layer and rendition, most of them the same.
const CODES: usize = 16;
/// Bytes of each piece that are worked on together: what is read and written then stays in the processor's nearest cache.
const BLOCK: usize = 4 << 10;

/// Codes ready for use, the latest used first. Each keeps the inverted matrices of up to 254
/// patterns of loss.
static READY: Mutex<Vec<Arc<ReedSolomon>>> = Mutex::new(Vec::new());

/// The code that makes `n` pieces of `k`.
pub(crate) struct Code {
    k: usize,
    n: usize,
    /// `None` if there is no parity.
    inner: Option<Arc<ReedSolomon>>,
}

impl Code {
    /// The code for these numbers, of which the caller knows that `1 <= k <= n <= 64`.
    pub(crate) fn new(k: u8, n: u8) -> Self {
        let (k, n) = (usize::from(k), usize::from(n));
        Self { k, n, inner: (k < n).then(|| ready(k, n)) }
    }

    /// The parity pieces, one after the other, of `data`: K pieces of `piece` bytes. They are written over
    /// what stands in `parity`, whose memory is used again.
    pub(crate) fn parity(&self, data: &[u8], piece: usize, mut parity: Vec<u8>) -> Vec<u8> {
        debug_assert_eq!(data.len(), self.k * piece);
        parity.resize((self.n - self.k) * piece, 0);
        let Some(code) = &self.inner else { return parity };
        for block in blocks(piece) {
            let data: Vec<&[u8]> =
                data.chunks_exact(piece).map(|data| &data[block.clone()]).collect();
            let mut out: Vec<&mut [u8]> =
                parity.chunks_exact_mut(piece).map(|out| &mut out[block.clone()]).collect();
            code.encode_sep(&data, &mut out).expect("numbers and sizes are those of the code");
        }
        parity
    }

    /// The K data pieces, one after the other, if all are held.
    pub(crate) fn joined<'a>(
        &self,
        held: impl Fn(usize) -> Option<&'a Bytes>,
        piece: usize,
    ) -> Option<Vec<u8>> {
        let mut data = Vec::with_capacity(self.k * piece);
        for i in 0..self.k {
            data.extend_from_slice(held(i)?);
        }
        Some(data)
    }

    /// The K data pieces and the N-K parity pieces, each one after the other, from any K of the N, all of `piece` bytes.
    /// `None` if there are fewer. Of the parity pieces that are held only as many are believed as data pieces are lost:
    /// together with the data that are held they say what the others are.
    pub(crate) fn rebuilt<'a>(
        &self,
        held: impl Fn(usize) -> Option<&'a Bytes>,
        piece: usize,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let lost = (0..self.k).filter(|&i| held(i).is_none()).count();
        // The pattern of loss, under which the inverted matrix is kept, then does not depend on what else is there.
        let used: Vec<usize> = (self.k..self.n).filter(|&i| held(i).is_some()).take(lost).collect();
        if used.len() < lost {
            return None;
        }
        let used = |i: usize| held(i).filter(|_| i < self.k || used.contains(&i));
        let mut word = vec![0; self.n * piece];
        for (i, out) in word.chunks_exact_mut(piece).enumerate() {
            if let Some(bytes) = used(i) {
                out.copy_from_slice(bytes);
            }
        }
        if let Some(code) = &self.inner {
            for block in blocks(piece) {
                let mut pieces: Vec<(&mut [u8], bool)> = word
                    .chunks_exact_mut(piece)
                    .enumerate()
                    .map(|(i, out)| (&mut out[block.clone()], used(i).is_some()))
                    .collect();
                code.reconstruct(&mut pieces).ok()?;
            }
        }
        let parity = word.split_off(self.k * piece);
        Some((word, parity))
    }
}

/// A piece in parts of [`BLOCK`].
fn blocks(piece: usize) -> impl Iterator<Item = Range<usize>> {
    (0..piece).step_by(BLOCK).map(move |from| from..piece.min(from + BLOCK))
}

/// A code from those kept, or a new one, `1 <= k < n <= 64`.
fn ready(k: usize, n: usize) -> Arc<ReedSolomon> {
    let mut codes = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = codes.iter().position(|c| c.data_shard_count() == k && c.total_shard_count() == n);
    let code = match kept {
        Some(at) => codes.remove(at),
        None => Arc::new(ReedSolomon::new(k, n - k).expect("1 <= k < n <= 64 always make a code")),
    };
    codes.insert(0, code.clone());
    codes.truncate(CODES);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every shape, with the loss that leaves the most parity in use and one in the middle.
    #[test]
    fn every_shape_rebuilds_from_the_last_k() {
        const PIECE: usize = 3;
        for k in 1..=32_u8 {
            for n in [k, k + 1, (k + 64) / 2, 64] {
                let code = Code::new(k, n);
                let data: Vec<u8> =
                    (0..usize::from(k) * PIECE).map(|i| (i * 37 + 11) as u8).collect();
                let parity = code.parity(&data, PIECE, Vec::new());
                let word: Vec<Bytes> = data
                    .chunks_exact(PIECE)
                    .chain(parity.chunks_exact(PIECE))
                    .map(Bytes::copy_from_slice)
                    .collect();
                assert_eq!(word.len(), usize::from(n));
                for first in [usize::from(n - k), usize::from(n - k) / 2] {
                    let window = first..first + usize::from(k);
                    let held = |i: usize| window.contains(&i).then(|| &word[i]);
                    let rebuilt = code.rebuilt(held, PIECE);
                    assert_eq!(rebuilt, Some((data.clone(), parity.clone())), "{k} of {n}");
                    let fewer = |i: usize| held(i).filter(|_| i != window.start);
                    assert_eq!(code.rebuilt(fewer, PIECE), None, "{k} of {n}");
                    let all = first == 0;
                    assert_eq!(code.joined(held, PIECE), all.then(|| data.clone()), "{k} of {n}");
                }
            }
        }
    }

    /// Pieces of several blocks, the last of them short.
    #[test]
    fn long_pieces_are_those_of_short_ones_in_a_row() {
        let piece = 2 * BLOCK + 5;
        let data: Vec<u8> = (0..2 * piece).map(|i| (i * 31 + i / 251) as u8).collect();
        let code = Code::new(2, 4);
        let parity = code.parity(&data, piece, Vec::new());
        for at in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, piece - 1] {
            let alone = code.parity(&[data[at], data[piece + at]], 1, Vec::new());
            assert_eq!(alone, [parity[at], parity[piece + at]], "{at}");
        }
        let held = [2, 3].map(|i| Bytes::copy_from_slice(&parity[(i - 2) * piece..][..piece]));
        let rebuilt = code.rebuilt(|i| held.get(i.wrapping_sub(2)), piece);
        assert_eq!(rebuilt, Some((data, parity)));
    }

    #[test]
    fn codes_kept_are_bounded() {
        for k in 1..=32 {
            Code::new(k, 64);
        }
        assert!(READY.lock().unwrap().len() <= CODES);
    }
}
