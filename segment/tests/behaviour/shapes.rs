//! Any K of N, for every shape of code.

use proptest::prelude::*;
use segment::{Coding, Layer};

use crate::support::*;

fn codings() -> impl Strategy<Value = Coding> {
    (1..=64_u8)
        .prop_flat_map(|n| (Just(n), 1..=n.min(32)))
        .prop_flat_map(|(n, k)| (Just(n), Just(k), proptest::option::of(1..=k)))
        .prop_map(|(n, k, essential)| Coding::new(n, k, essential).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_k_of_n_rebuild_and_regenerate(
        coding in codings(), packets in 1..60_usize, seed: u64, order: u64
    ) {
        let ts = stream(seed, packets);
        let mut sealer = sealer(coding);
        let mut verifier = verifier(&sealer);
        let shards = sealer.seal(&cut(ts.clone())).unwrap();
        prop_assert_eq!(shards.len(), usize::from(coding.n()));
        let mut numbers = Numbers(order | 1);
        let mut indices: Vec<usize> = (0..shards.len()).collect();
        for i in (1..indices.len()).rev() {
            indices.swap(i, numbers.below(i + 1));
        }
        let k = usize::from(coding.full());
        if k > 1 {
            let fewer = assembly(&mut verifier, &shards, &indices[..k - 1]);
            prop_assert!(!fewer.can_rebuild(Layer::Full));
        }
        if let Some(small) = coding.essential() {
            let mut few = assembly(&mut verifier, &shards, &indices[..usize::from(small)]);
            prop_assert!(few.can_rebuild(Layer::Essential));
            let opened = opened(&sealer, &mut few);
            prop_assert!(opened.whole == (usize::from(small) == k));
        }
        let mut assembly = assembly(&mut verifier, &shards, &indices[..k]);
        let opened = opened(&sealer, &mut assembly);
        prop_assert!(opened.whole);
        prop_assert_eq!(opened.ts, ts);
        for (i, shard) in (0..).zip(&shards) {
            let made = assembly.shard(i).unwrap();
            prop_assert_eq!(made.wire(), shard.wire());
        }
    }

    #[test]
    fn what_is_no_code_is_refused(n: u8, k: u8, essential: Option<u8>) {
        let fits = (1..=64).contains(&n)
            && (1..=32.min(n)).contains(&k)
            && essential.is_none_or(|essential| (1..=k).contains(&essential));
        prop_assert_eq!(Coding::new(n, k, essential).is_ok(), fits);
    }

    /// Packets of any content, also where tables and adaptation fields are nonsense.
    #[test]
    fn any_packets_come_back(
        bodies in prop::collection::vec((0..0x30_u16, any::<[u8; 12]>()), 1..40)
    ) {
        let mut ts = Vec::new();
        for (pid, body) in bodies {
            ts.extend([0x47, body[0] & 0xe0 | (pid >> 8) as u8, pid as u8]);
            ts.extend(body);
            ts.resize(ts.len().next_multiple_of(188), body[11]);
        }
        let mut sealer = sealer(Coding::new(3, 2, Some(1)).unwrap());
        let mut verifier = verifier(&sealer);
        let shards = sealer.seal(&cut(ts.clone().into())).unwrap();
        let one = opened(&sealer, &mut assembly(&mut verifier, &shards, &[2]));
        prop_assert!(!one.whole && one.ts.len().is_multiple_of(188));
        let two = opened(&sealer, &mut assembly(&mut verifier, &shards, &[2, 0]));
        prop_assert_eq!(two.ts, ts);
    }
}
