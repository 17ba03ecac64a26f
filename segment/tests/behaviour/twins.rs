//! Two headends with one secret and one source make the same shards.

use segment::{Assembly, Coding, Layer, Root};

use crate::support::*;

#[test]
fn the_same_cut_makes_the_same_bytes_whatever_came_before() {
    let mut first = sealer(Coding::default());
    let mut second = sealer(Coding::default());
    let mut other = Mux::new(9);
    other.table(0, &section(0, 1, &[0, 2, 0xe7, 0x77]));
    first.seal(&cut(other.ts.into())).unwrap();
    let cut = cut(quarter_second(4));
    let (one, two) = (first.seal(&cut).unwrap(), second.seal(&cut).unwrap());
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.wire(), two.wire());
    }
}

#[test]
fn shards_of_twins_with_different_clocks_mix() {
    let (mut one, mut two) = (sealer(Coding::default()), sealer(Coding::default()));
    let early = cut(quarter_second(4));
    let mut late = early.clone();
    late.capture += 1234;
    let (early, late) = (one.seal(&early).unwrap(), two.seal(&late).unwrap());
    assert_eq!(early[0].header().root, late[0].header().root);
    assert_ne!(early[0].wire(), late[0].wire());

    let mut verifier = verifier(&one);
    let mut assembly = Assembly::new(proven(&mut verifier, &early[0]));
    for shard in &late[5..12] {
        assert!(assembly.add(proven(&mut verifier, shard)));
    }
    assert_eq!(opened(&one, &mut assembly).ts, quarter_second(4));
    assert_eq!(assembly.shard(1).unwrap().wire(), early[1].wire(), "made under the first's clock");
    assert_eq!(assembly.shard(6).unwrap().wire(), late[6].wire(), "kept as it came");
}

#[test]
fn different_bytes_under_one_number_never_mix_and_one_rule_picks() {
    let mut sealer = sealer(Coding::default());
    let mut verifier = verifier(&sealer);
    let one = sealer.seal(&cut(quarter_second(1))).unwrap();
    let two = sealer.seal(&cut(quarter_second(2))).unwrap();
    let (a, b) = (one[0].header().root, two[0].header().root);
    assert_ne!(a, b);
    assert_eq!(a.winner(b), b.winner(a));
    assert_eq!(Root([1; 16]).winner(Root([2; 16])), Root([1; 16]));

    let mut assembly = assembly(&mut verifier, &one, &[0, 1, 2]);
    for shard in &two {
        assert!(!assembly.add(proven(&mut verifier, shard)));
    }
    assert!(!assembly.can_rebuild(Layer::Essential));
}

#[test]
fn one_byte_of_difference_changes_all_of_the_sealed_layer() {
    let mut sealer = sealer(one_layer());
    let mut verifier = verifier(&sealer);
    let mut ts = quarter_second(1).to_vec();
    let mut sealed = |ts: Vec<u8>| {
        let shards = sealer.seal(&cut(ts.into())).unwrap();
        let mut assembly = assembly(&mut verifier, &shards, &[0, 1, 2, 3, 4, 5, 6, 7]);
        assembly.sealed(Layer::Full).unwrap()
    };
    let one = sealed(ts.clone());
    let last = ts.len() - 1;
    ts[last] ^= 1;
    let two = sealed(ts);
    let same = one.chunks_exact(16).zip(two.chunks_exact(16)).filter(|(a, b)| a == b).count();
    assert_eq!(same, 0, "no block of the one shows in the other");
}
