//! A segment goes out as shards and comes back whole.

use crate::support::*;
use segment::{Coding, Layer, LayerSet, Shard};

#[test]
fn any_eight_of_twelve_give_the_segment_back() {
    let ts = quarter_second(1);
    let mut sealer = sealer(one_layer());
    let mut verifier = verifier(&sealer);
    let shards = sealer.seal(&cut(ts.clone())).unwrap();
    assert_eq!(shards.len(), 12);
    for first in 0..12 {
        let indices: Vec<usize> = (first..first + 8).map(|i| i % 12).collect();
        let mut assembly = assembly(&mut verifier, &shards, &indices);
        assert!(assembly.can_rebuild(Layer::Full));
        let opened = opened(&sealer, &mut assembly);
        assert!(opened.whole);
        assert_eq!(opened.ts, ts);
    }
    assert_eq!(verifier.signatures(), 1, "one signature serves all shards of a segment");
}

#[test]
fn seven_of_twelve_give_nothing() {
    let mut sealer = sealer(one_layer());
    let mut verifier = verifier(&sealer);
    let shards = sealer.seal(&cut(quarter_second(1))).unwrap();
    let mut assembly = assembly(&mut verifier, &shards, &[0, 1, 2, 3, 9, 10, 11]);
    assert!(!assembly.can_rebuild(Layer::Full));
    assert_eq!(assembly.sealed(Layer::Full), None);
    assert_eq!(assembly.rebuild(Layer::Full), Err(segment::RebuildError::TooFew { held: 7, k: 8 }));
    assert!(assembly.shard(4).is_none());
    assert_eq!(assembly.held(), 0b1110_0000_1111);
}

#[test]
fn every_shard_is_regenerated_byte_for_byte() {
    for coding in [one_layer(), Coding::default()] {
        let mut sealer = sealer(coding);
        let mut verifier = verifier(&sealer);
        let shards = sealer.seal(&cut(quarter_second(2))).unwrap();
        for indices in
            [[0, 1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9, 10, 11], [0, 2, 4, 6, 8, 9, 10, 11]]
        {
            let mut assembly = assembly(&mut verifier, &shards, &indices);
            for (i, made) in (0..).zip(&shards) {
                let shard = assembly.shard(i).unwrap();
                assert_eq!(shard.wire(), made.wire());
                assert_eq!(shard.index(), i);
                assert_eq!(shard.layers(), made.layers());
                assert_eq!(shard.media_len(), made.media_len());
                proven(&mut verifier, &shard);
            }
            assert!(assembly.shard(12).is_none());
        }
    }
}

#[test]
fn a_decoded_shard_says_what_the_headend_said() {
    let mut sealer = sealer(Coding::default());
    let cut = cut(quarter_second(3));
    for (i, shard) in (0..).zip(sealer.seal(&cut).unwrap()) {
        let decoded = Shard::decode(shard.wire().clone()).unwrap();
        assert_eq!(decoded.header(), shard.header());
        assert_eq!(decoded.wire(), shard.wire());
        assert_eq!((decoded.index(), decoded.layers()), (i, LayerSet::ALL));
        assert_eq!(decoded.media_len(), decoded.header().shard_media_len());
        let header = decoded.header();
        assert_eq!(header.number, cut.number);
        assert_eq!(header.capture, cut.capture);
        assert_eq!(header.duration_ms, 250);
        assert_eq!(header.epoch, (cut.number / 2400) as u32);
        assert!(header.random_access);
        assert_eq!((header.n, header.k(), header.essential_k()), (12, 8, 4));
    }
}

#[test]
fn the_same_shard_twice_is_nothing_new() {
    let mut sealer = sealer(one_layer());
    let mut verifier = verifier(&sealer);
    let shards = sealer.seal(&cut(quarter_second(1))).unwrap();
    let mut assembly = assembly(&mut verifier, &shards, &[3]);
    assert!(!assembly.add(proven(&mut verifier, &shards[3])));
    assert!(assembly.add(proven(&mut verifier, &shards[4])));
    assert_eq!(assembly.held(), 0b11000);
}

/// Sealing runs off the media thread, proving and rebuilding on many.
#[test]
fn everything_may_move_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<segment::Sealer>();
    check::<segment::Verifier>();
    check::<segment::Assembly>();
    check::<segment::Proven>();
}
