//! Segments of a source's transport stream: whatever its tables say, the packets come back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use segment::{Assembly, ChannelSecret, Coding, Cut, Layer, Sealer, Verifier, open};

fuzz_target!(|segments: Vec<Vec<u8>>| {
    let secret = ChannelSecret::new([0; 32]);
    let coding = Coding::new(2, 2, Some(1)).expect("2 of 2 is a code");
    let mut sealer = Sealer::new(secret.clone(), "main", coding, 1);
    let mut verifier = Verifier::new(*sealer.swarm(), secret.channel_key());
    for (number, bytes) in (0..).zip(segments) {
        let mut ts = bytes;
        ts.resize(ts.len().next_multiple_of(188), 0);
        ts.chunks_exact_mut(188).for_each(|packet| packet[0] = 0x47);
        let cut = Cut { ts: ts.into(), number, capture: 0, duration_ms: 1, random_access: false };
        let Ok(shards) = sealer.seal(&cut) else { continue };
        let mut proven = shards.into_iter().map(|shard| verifier.check(shard).expect("own shard"));
        let mut assembly = Assembly::new(proven.next().expect("two shards"));
        let key = sealer.content_key(sealer.epoch_of(number));
        let essential = assembly.sealed(Layer::Essential).expect("one is enough");
        let header = *assembly.header();
        let alone = open(sealer.swarm(), &header, Some(&essential), None, &key).expect("own seal");
        assert!(alone.ts.len() <= cut.ts.len());
        proven.for_each(|shard| assert!(assembly.add(shard)));
        let full = assembly.sealed(Layer::Full).expect("two are enough");
        let whole = open(sealer.swarm(), &header, Some(&essential), Some(&full), &key);
        assert_eq!(whole.expect("own seal").ts, cut.ts);
    }
});
