//! Bytes that are not the channel's prove nothing, and none of them cause harm.

use bytes::Bytes;
use proptest::prelude::*;
use segment::{
    ChannelKey, ChannelSecret, Coding, ContentKey, DecodeError, Layer, OpenError, ProofError,
    SealError, Sealer, Shard, SwarmId, Verifier, open,
};

use crate::support::*;

fn shards(coding: Coding) -> (Sealer, Vec<Shard>) {
    let mut sealer = sealer(coding);
    let shards = sealer.seal(&cut(stream(1, 10))).unwrap();
    (sealer, shards)
}

fn wire(shard: &Shard, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = shard.wire().to_vec();
    change(&mut bytes);
    bytes.into()
}

#[test]
fn a_shard_cut_short_anywhere_is_refused() {
    for coding in [one_layer(), Coding::default()] {
        let (_, shards) = shards(coding);
        for len in 0..shards[11].wire().len() {
            let short = Shard::decode(shards[11].wire().slice(..len));
            assert_eq!(short.unwrap_err(), DecodeError::Truncated, "at {len}");
        }
        let long = wire(&shards[11], |bytes| bytes.push(0));
        assert_eq!(Shard::decode(long).unwrap_err(), DecodeError::Trailing);
    }
}

#[test]
fn no_flipped_bit_passes() {
    for coding in [one_layer(), Coding::default()] {
        let (sealer, shards) = shards(coding);
        let mut verifier = verifier(&sealer);
        let shard = &shards[9];
        proven(&mut verifier, shard);
        for at in 0..shard.wire().len() * 8 {
            let flipped = wire(shard, |bytes| bytes[at / 8] ^= 1 << (at % 8));
            let passed = Shard::decode(flipped).is_ok_and(|shard| verifier.check(shard).is_ok());
            assert!(!passed, "bit {at}");
        }
        proven(&mut verifier, shard);
    }
}

#[test]
fn fields_out_of_range_are_named() {
    let (_, shards) = shards(Coding::default());
    let cases: [(usize, u8, DecodeError); 12] = [
        (0, 2, DecodeError::Version(2)),
        (1, 0x1f, DecodeError::Field("flags")),
        (1, 0x02, DecodeError::Field("layers")),
        (1, 0x0c, DecodeError::Field("layers")),
        (2, 0, DecodeError::Field("n")),
        (2, 65, DecodeError::Field("n")),
        (2, 7, DecodeError::Field("k")),
        (17, 0, DecodeError::Field("k")),
        (17, 9, DecodeError::Field("k")),
        (22, 33, DecodeError::Field("k")),
        (21, 1, DecodeError::Field("length")),
        (99, 12, DecodeError::Field("index")),
    ];
    for (at, value, error) in cases {
        let changed = wire(&shards[0], |bytes| {
            bytes[at] = value;
            if error == DecodeError::Field("length") {
                bytes[18] = 1;
            }
        });
        assert_eq!(Shard::decode(changed).unwrap_err(), error, "byte {at} = {value}");
    }
    let tiny = wire(&shards[0], |bytes| bytes[18..22].copy_from_slice(&15_u32.to_le_bytes()));
    assert_eq!(Shard::decode(tiny).unwrap_err(), DecodeError::Field("length"));
}

#[test]
fn another_channel_proves_nothing_here() {
    let (sealer, shards) = shards(Coding::default());
    let other = ChannelSecret::new([1; 32]);
    let key = secret().channel_key();
    let checks = [
        Verifier::new(*sealer.swarm(), other.channel_key()),
        Verifier::new(SwarmId::new(&key, "low"), key),
        Verifier::new(*sealer.swarm(), ChannelKey([0xff; 32])),
    ];
    for mut verifier in checks {
        assert_eq!(verifier.check(shards[0].clone()).unwrap_err(), ProofError::Signature);
    }
}

#[test]
fn an_old_segment_under_a_new_number_proves_nothing() {
    let (sealer, shards) = shards(Coding::default());
    let mut verifier = verifier(&sealer);
    proven(&mut verifier, &shards[0]);
    let number = wire(&shards[0], |bytes| bytes[3] ^= 1);
    let capture = wire(&shards[0], |bytes| bytes[27] ^= 1);
    for changed in [number, capture] {
        let shard = Shard::decode(changed).unwrap();
        assert_eq!(verifier.check(shard).unwrap_err(), ProofError::Signature);
    }
}

#[test]
fn pieces_do_not_change_places() {
    let (sealer, shards) = shards(one_layer());
    let mut verifier = verifier(&sealer);
    proven(&mut verifier, &shards[0]);
    // All of shard 1 but its index, and shard 0's index before shard 1's path and piece.
    for (shard, index) in [(&shards[1], 0), (&shards[0], 1)] {
        let moved = Shard::decode(wire(shard, |bytes| bytes[94] = index)).unwrap();
        assert_eq!(moved.index(), index);
        assert_eq!(verifier.check(moved).unwrap_err(), ProofError::Signature);
    }
}

#[test]
fn what_is_remembered_does_not_help_a_forger() {
    let (sealer, shards) = shards(one_layer());
    let mut verifier = verifier(&sealer);
    proven(&mut verifier, &shards[0]);
    assert_eq!(verifier.signatures(), 1);
    // The same signed content, another signature: were it taken, it would be passed on to others.
    let forged = Shard::decode(wire(&shards[1], |bytes| bytes[40] ^= 1)).unwrap();
    assert_eq!(forged.header(), shards[1].header());
    for _ in 0..2 {
        assert_eq!(verifier.check(forged.clone()).unwrap_err(), ProofError::Signature);
    }
    assert_eq!(verifier.signatures(), 3, "a failure is not remembered as a success");
    proven(&mut verifier, &shards[1]);
    assert_eq!(verifier.signatures(), 3);
}

#[test]
fn memory_of_signatures_is_bounded_and_the_oldest_go() {
    let mut sealer = sealer(Coding::new(2, 1, None).unwrap());
    let mut verifier = verifier(&sealer);
    let mut segment = cut(stream(1, 1));
    let mut shards = Vec::new();
    for _ in 0..300 {
        segment.number += 1;
        shards.push(sealer.seal(&segment).unwrap());
        proven(&mut verifier, &shards.last().unwrap()[0]);
    }
    assert_eq!(verifier.signatures(), 300);
    proven(&mut verifier, &shards[299][1]);
    proven(&mut verifier, &shards[44][1]);
    assert_eq!(verifier.signatures(), 300);
    proven(&mut verifier, &shards[43][1]);
    assert_eq!(verifier.signatures(), 301);
}

#[test]
fn shards_of_other_segments_do_not_mix() {
    let mut sealer = sealer(one_layer());
    let mut verifier = verifier(&sealer);
    let one = sealer.seal(&cut(stream(1, 10))).unwrap();
    let mut next = cut(stream(1, 10));
    next.number += 1;
    let two = sealer.seal(&next).unwrap();
    let mut assembly = assembly(&mut verifier, &one, &[0, 1, 2, 3, 4, 5, 6]);
    for shard in &two {
        assert!(!assembly.add(proven(&mut verifier, shard)));
    }
    assert!(!assembly.can_rebuild(Layer::Full));
}

#[test]
fn only_the_right_key_opens() {
    let (sealer, shards) = shards(Coding::default());
    let mut verifier = verifier(&sealer);
    let mut assembly = assembly(&mut verifier, &shards, &[0, 1, 2, 3, 8, 9, 10, 11]);
    let header = *assembly.header();
    let essential = assembly.sealed(Layer::Essential).unwrap();
    let full = assembly.sealed(Layer::Full).unwrap();
    let key = sealer.content_key(header.epoch);
    let opened = |essential: Option<&[u8]>, full: Option<&[u8]>, key: &ContentKey| {
        open(sealer.swarm(), &header, essential, full, key)
    };
    assert!(opened(Some(&essential), Some(&full), &key).unwrap().whole);
    assert_eq!(opened(None, None, &key), Err(OpenError::Nothing));
    assert_eq!(opened(None, Some(&full), &key), Err(OpenError::Nothing));
    assert_eq!(opened(Some(&full), Some(&essential), &key), Err(OpenError::Seal));

    let next = sealer.content_key(header.epoch + 1);
    let error = OpenError::Epoch { needed: header.epoch, given: header.epoch + 1 };
    assert_eq!(opened(Some(&essential), Some(&full), &next), Err(error));
    let wrong = ContentKey { epoch: header.epoch, key: next.key };
    assert_eq!(opened(Some(&essential), Some(&full), &wrong), Err(OpenError::Seal));
    let other = SwarmId::new(&secret().channel_key(), "low");
    let moved = open(&other, &header, Some(&essential), Some(&full), &key);
    assert_eq!(moved, Err(OpenError::Seal));
    for at in [0, full.len() / 2, full.len() - 1] {
        let mut broken = full.to_vec();
        broken[at] ^= 1;
        assert_eq!(opened(Some(&essential), Some(&broken), &key), Err(OpenError::Seal));
    }
    assert_eq!(opened(Some(&essential), Some(&full[..9]), &key), Err(OpenError::Seal));
}

#[test]
fn what_is_no_transport_stream_is_not_sealed() {
    let ts = stream(1, 10);
    let mut lost_sync = ts.to_vec();
    lost_sync[188 * 3] = 0x46;
    for coding in [one_layer(), Coding::default()] {
        let mut sealer = sealer(coding);
        for bad in [Bytes::new(), ts.slice(1..), ts.slice(..187), lost_sync.clone().into()] {
            assert_eq!(sealer.seal(&cut(bad)).unwrap_err(), SealError::NotTransportStream);
        }
        let mut long = vec![0xff; segment::MAX_LAYER.next_multiple_of(188)];
        long.chunks_mut(188).for_each(|packet| packet[0] = 0x47);
        let error = SealError::TooLong(long.len());
        assert_eq!(sealer.seal(&cut(long.into())).unwrap_err(), error);
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let shard = Shard::decode(bytes.into());
        prop_assert!(shard.is_err(), "nobody guesses a shard's length");
    }

    /// A plausible header, the rest random: decoded or refused, never proven, and if decoded the same
    /// bytes again.
    #[test]
    fn changed_headers_do_no_harm(
        changes in prop::collection::vec((0..101_usize, any::<u8>()), 1..6), keep in 0..1000_usize
    ) {
        let (sealer, shards) = shards(Coding::default());
        let mut verifier = verifier(&sealer);
        let mut bytes = shards[3].wire().to_vec();
        let mut changed = false;
        for (at, value) in changes {
            changed |= bytes[at] != value;
            bytes[at] = value;
        }
        bytes.truncate(keep.max(150));
        changed |= bytes.len() < shards[3].wire().len();
        if let Ok(shard) = Shard::decode(bytes.clone().into()) {
            prop_assert_eq!(&shard.wire()[..], &bytes[..]);
            for layers in [segment::LayerSet::ESSENTIAL, segment::LayerSet::FULL] {
                if let Some(part) = shard.restrict(layers) {
                    let again = Shard::decode(part.wire().clone()).unwrap();
                    prop_assert_eq!(again.header(), shard.header());
                }
            }
            prop_assert_eq!(verifier.check(shard).is_ok(), !changed);
        }
    }
}
