//! What header, proof and seal cost, counted on real shards.

use segment::Coding;

use crate::support::*;

/// 2 Mbit/s in segments of 250 ms.
const MEDIA: usize = 332 * 188;

/// Bytes beyond the media in K shards: header, proof, seal, list of runs, padding.
fn extra(coding: Coding) -> usize {
    let ts = quarter_second(8);
    assert_eq!(ts.len(), MEDIA);
    let shards = sealer(coding).seal(&cut(ts)).unwrap();
    let header = *shards[0].header();
    let beside = shards.iter().map(|s| s.wire().len() - s.media_len()).max().unwrap();
    let content: usize = header.layers().map(|layer| layer.len as usize).sum();
    let padding: usize = header.layers().map(|l| l.piece_len() * usize::from(l.k)).sum::<usize>();
    8 * beside + (content - MEDIA) + (padding - content)
}

#[test]
fn at_most_three_per_cent_for_one_layer() {
    let extra = extra(one_layer());
    assert!(extra * 100 <= MEDIA * 3, "{extra} bytes beside {MEDIA}");
}

#[test]
fn at_most_four_per_cent_for_two_layers() {
    let extra = extra(Coding::default());
    assert!(extra * 100 <= MEDIA * 4, "{extra} bytes beside {MEDIA}");
}

/// The arithmetic of `docs/wire.md`.
#[test]
fn header_and_proof_are_as_long_as_documented() {
    for (coding, longest) in [(one_layer(), 159), (Coding::default(), 228)] {
        let shards = sealer(coding).seal(&cut(quarter_second(8))).unwrap();
        let beside = |s: &segment::Shard| s.wire().len() - s.media_len();
        assert_eq!(shards.iter().map(beside).max(), Some(longest));
    }
}
