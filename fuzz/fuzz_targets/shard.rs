//! A shard off the wire: refused or decoded, and if decoded, consistent with itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segment::{ChannelSecret, LayerSet, Shard, SwarmId, Verifier};

fuzz_target!(|wire: &[u8]| {
    let Ok(shard) = Shard::decode(wire.to_vec().into()) else { return };
    assert_eq!(&shard.wire()[..], wire);
    assert!(shard.index() < shard.header().n);
    assert!(shard.media_len() <= shard.header().shard_media_len());
    for layers in [LayerSet::ESSENTIAL, LayerSet::FULL] {
        let Some(part) = shard.restrict(layers) else { continue };
        let again = Shard::decode(part.wire().clone()).expect("what is written can be read");
        assert_eq!(again.header(), shard.header());
        assert!(layers.covers(again.layers()));
    }
    // A key that is a point of small order would accept signatures of nobody: this is none.
    let key = ChannelSecret::new([0; 32]).channel_key();
    let mut verifier = Verifier::new(SwarmId([0; 16]), key);
    assert!(verifier.check(shard).is_err());
});
