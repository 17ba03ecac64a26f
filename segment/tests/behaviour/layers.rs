//! Sound and tables need fewer shards than the picture, and nothing is out of order afterwards.

use segment::{Assembly, Coding, Layer, LayerSet, Opened, Shard};

use crate::support::*;

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff
}

fn packets(ts: &[u8], wanted: impl Fn(u16) -> bool) -> Vec<&[u8]> {
    ts.chunks_exact(188).filter(|packet| wanted(pid(packet))).collect()
}

/// What the first `count` shards give.
fn played(sealer: &segment::Sealer, shards: &[Shard], count: usize) -> Opened {
    let mut verifier = verifier(sealer);
    let indices: Vec<usize> = (shards.len() - count..shards.len()).collect();
    opened(sealer, &mut assembly(&mut verifier, shards, &indices))
}

#[test]
fn eight_shards_restore_the_order_of_all_packets() {
    for seed in 0..20 {
        let ts = stream(seed, 1 + seed as usize * 13);
        let mut sealer = sealer(Coding::default());
        let shards = sealer.seal(&cut(ts.clone())).unwrap();
        let opened = played(&sealer, &shards, 8);
        assert!(opened.whole);
        assert_eq!(opened.ts, ts);
    }
}

#[test]
fn four_shards_give_tables_and_sound_and_the_clock() {
    let ts = quarter_second(5);
    let mut sealer = sealer(Coding::default());
    let shards = sealer.seal(&cut(ts.clone())).unwrap();
    let opened = played(&sealer, &shards, 4);
    assert!(!opened.whole);
    let kept = |pid: u16| pid < 0x20 || [PMT, AAC, AC3].contains(&pid);
    assert_eq!(packets(&opened.ts, kept), packets(&ts, kept));
    assert!(packets(&opened.ts, |pid| !kept(pid) && pid != VIDEO).is_empty());

    let clock = |packet: &&[u8]| packet[3] & 0x20 != 0 && packet[5] & 0x10 != 0;
    let source = packets(&ts, |pid| pid == VIDEO);
    let source: Vec<&[u8]> = source.into_iter().filter(clock).collect();
    let clocks = packets(&opened.ts, |pid| pid == VIDEO);
    assert!(clocks.len() > 5);
    assert_eq!(clocks.len(), source.len());
    for (clock, source) in clocks.iter().zip(&source) {
        assert_eq!(clock[6..12], source[6..12], "the clock is that of the source");
        assert_eq!(clock[3] & 0xf0, 0x20, "no payload");
        assert_eq!(clock[3] & 0x0f, 15, "the counter of the packet before the segment");
        assert!(clock[12..].iter().all(|&byte| byte == 0xff), "no fragment of a picture");
    }
}

#[test]
fn three_shards_give_nothing() {
    let mut sealer = sealer(Coding::default());
    let shards = sealer.seal(&cut(quarter_second(5))).unwrap();
    let mut verifier = verifier(&sealer);
    let assembly = assembly(&mut verifier, &shards, &[0, 5, 11]);
    assert!(!assembly.can_rebuild(Layer::Essential));
    assert!(!assembly.can_rebuild(Layer::Full));
}

/// The packets that the essential layer of a sealed cut gives.
fn sound(sealer: &mut segment::Sealer, ts: Vec<u8>) -> Vec<u16> {
    let shards = sealer.seal(&cut(ts.into())).unwrap();
    played(sealer, &shards, 4).ts.chunks_exact(188).map(pid).collect()
}

#[test]
fn tables_over_several_packets_are_read() {
    let mut mux = Mux::new(1);
    mux.noise(AAC);
    mux.table(0, &pat());
    mux.table(PMT, &pmt(700));
    mux.noise(VIDEO);
    mux.noise(AC3);
    let mut sealer = sealer(Coding::default());
    assert_eq!(sound(&mut sealer, mux.ts), [AAC, 0, PMT, PMT, PMT, PMT, PMT, AC3]);
}

#[test]
fn segments_without_tables_are_read_with_the_last_ones() {
    let mut sealer = sealer(Coding::default());
    let mut mux = Mux::new(1);
    mux.noise(AAC);
    mux.noise(VIDEO);
    assert!(sound(&mut sealer, mux.ts.clone()).is_empty(), "nothing is known yet");
    let mut with_tables = Mux::new(2);
    with_tables.tables();
    sound(&mut sealer, with_tables.ts);
    assert_eq!(sound(&mut sealer, mux.ts), [AAC]);
}

#[test]
fn a_table_with_a_bad_checksum_is_not_believed() {
    let mut sealer = sealer(Coding::default());
    let mut bad = pmt(0);
    bad[20] ^= 1;
    let mut mux = Mux::new(1);
    mux.table(0, &pat());
    mux.table(PMT, &bad);
    mux.noise(AAC);
    assert_eq!(sound(&mut sealer, mux.ts), [0, PMT]);
}

#[test]
fn a_programme_that_left_the_tables_takes_its_sound_along() {
    let mut sealer = sealer(Coding::default());
    let mut mux = Mux::new(1);
    mux.tables();
    mux.noise(AAC);
    assert_eq!(sound(&mut sealer, mux.ts), [0, PMT, AAC]);
    let mut mux = Mux::new(1);
    mux.table(0, &section(0, 1, &[0, 2, 0xe7, 0x77]));
    mux.noise(AAC);
    mux.noise(0x777);
    assert_eq!(sound(&mut sealer, mux.ts), [0, 0x777]);
}

#[test]
fn layers_may_come_from_different_shards() {
    let ts = quarter_second(6);
    let mut sealer = sealer(Coding::default());
    let mut verifier = verifier(&sealer);
    let shards = sealer.seal(&cut(ts.clone())).unwrap();
    let small = |i: usize| shards[i].restrict(LayerSet::ESSENTIAL).unwrap();
    let large = |i: usize| shards[i].restrict(LayerSet::FULL).unwrap();

    let mut assembly = Assembly::new(proven(&mut verifier, &small(7)));
    for i in [9, 10, 11] {
        assert!(!assembly.can_rebuild(Layer::Essential));
        assert!(assembly.add(proven(&mut verifier, &small(i))));
    }
    assert!(assembly.can_rebuild(Layer::Essential));
    assert!(!opened(&sealer, &mut assembly).whole);
    assert_eq!(assembly.held(), 0);
    assert_eq!(assembly.held_layer(Layer::Essential), 0b1110_1000_0000);
    for i in 0..7 {
        assert!(assembly.add(proven(&mut verifier, &large(i))));
        assert!(!assembly.add(proven(&mut verifier, &large(i))));
    }
    assert_eq!(assembly.held_layer(Layer::Full), 0b111_1111);
    assert!(assembly.shard(7).is_none(), "the full layer is one short");
    assert!(assembly.add(proven(&mut verifier, &shards[7])), "brings the piece that was missing");
    assert_eq!(assembly.held(), 1 << 7);
    let opened = opened(&sealer, &mut assembly);
    assert!(opened.whole);
    assert_eq!(opened.ts, ts);
    for (i, shard) in (0..).zip(&shards) {
        assert_eq!(assembly.shard(i).unwrap().wire(), shard.wire());
    }
}

#[test]
fn a_shard_cut_down_proves_itself() {
    let mut sealer = sealer(Coding::default());
    let mut verifier = verifier(&sealer);
    let shards = sealer.seal(&cut(quarter_second(6))).unwrap();
    let whole = &shards[9];
    let small = whole.restrict(LayerSet::ESSENTIAL).unwrap();
    assert_eq!(small.layers(), LayerSet::ESSENTIAL);
    assert_eq!(small.header(), whole.header());
    assert!(small.wire().len() < whole.wire().len() / 2);
    let large = proven(&mut verifier, &whole.restrict(LayerSet::FULL).unwrap()).into_shard();
    assert_eq!(small.media_len() + large.media_len(), whole.media_len());
    assert!(large.restrict(LayerSet::ESSENTIAL).is_none());
    assert!(whole.restrict(LayerSet::default()).is_none());
    assert_eq!(whole.restrict(LayerSet::ALL).unwrap().wire(), whole.wire());
    assert_eq!(proven(&mut verifier, &small).shard().wire(), small.wire());
}
