//! The erasure code. The only file that knows the crate behind it, which has seen no release since
//! 2022: what another would have to do is Reed-Solomon over GF(2^8) as `docs/wire.md` defines it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;

/// How many codes are kept ready. Building one inverts a matrix of K x K; a process uses one code
/// per layer and rendition, most of them the same.
const CODES: usize = 16;

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
        if let Some(code) = &self.inner {
            let data: Vec<&[u8]> = data.chunks_exact(piece).collect();
            let mut out: Vec<&mut [u8]> = parity.chunks_exact_mut(piece).collect();
            code.encode_sep(&data, &mut out).expect("numbers and sizes are those of the code");
        }
        parity
    }

    /// The K data pieces, one after the other, from any K of the N, all of `piece` bytes. `None` if
    /// there are fewer. Copies only if all data pieces are there.
    pub(crate) fn data<'a>(
        &self,
        held: impl Fn(usize) -> Option<&'a Bytes>,
        piece: usize,
    ) -> Option<Vec<u8>> {
        let mut data = vec![0; self.k * piece];
        let mut lost = 0;
        for (i, out) in data.chunks_exact_mut(piece).enumerate() {
            match held(i) {
                Some(bytes) => out.copy_from_slice(bytes),
                None => lost += 1,
            }
        }
        if lost == 0 {
            return Some(data);
        }
        let code = self.inner.as_ref()?;
        // Exactly as many parity pieces as data pieces are lost: the pattern of loss, under which the
        // inverted matrix is kept, then does not depend on what else is there.
        let used: Vec<usize> = (self.k..self.n).filter(|&i| held(i).is_some()).take(lost).collect();
        if used.len() < lost {
            return None;
        }
        let mut parity = vec![0; lost * piece];
        let mut spare = parity.chunks_exact_mut(piece);
        let mut pieces: Vec<(&mut [u8], bool)> = Vec::with_capacity(self.n);
        for (i, out) in data.chunks_exact_mut(piece).enumerate() {
            pieces.push((out, held(i).is_some()));
        }
        for i in self.k..self.n {
            match used.contains(&i).then(|| spare.next().zip(held(i))).flatten() {
                Some((out, bytes)) => {
                    out.copy_from_slice(bytes);
                    pieces.push((out, true));
                }
                None => pieces.push((&mut [], false)),
            }
        }
        code.reconstruct_data(&mut pieces).ok()?;
        Some(data)
    }
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
                    assert_eq!(code.data(held, PIECE).as_deref(), Some(&data[..]), "{k} of {n}");
                    let fewer = |i: usize| held(i).filter(|_| i != window.start);
                    assert_eq!(code.data(fewer, PIECE), None, "{k} of {n}");
                }
            }
        }
    }

    #[test]
    fn codes_kept_are_bounded() {
        for k in 1..=32 {
            Code::new(k, 64);
        }
        assert!(READY.lock().unwrap().len() <= CODES);
    }
}
