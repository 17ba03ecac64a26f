//! What a segment costs: 250 ms of 4 Mbit/s, N = 12, K = 8, beside a copy of the same bytes.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use segment::{
    Assembly, ChannelSecret, Coding, Cut, Layer, Sealer, Shard, SwarmId, Verifier, open,
};

/// 250 ms of 4 Mbit/s.
const PACKETS: usize = 664;
const NUMBER: u64 = 7_168_000_123;

fn secret() -> ChannelSecret {
    ChannelSecret::new([7; 32])
}

/// Packets of tables (PID 0x11, a sixth) and of a picture (PID 0x100).
fn cut() -> Cut {
    let mut ts = vec![0x5a; PACKETS * 188];
    for (i, packet) in ts.chunks_exact_mut(188).enumerate() {
        let pid: u16 = if i % 6 == 0 { 0x11 } else { 0x100 };
        packet[..4].copy_from_slice(&[0x47, (pid >> 8) as u8, pid as u8, 0x10]);
    }
    Cut { ts: ts.into(), number: NUMBER, capture: 1, duration_ms: 250, random_access: true }
}

fn codings() -> [(&'static str, Coding); 2] {
    let one = Coding::new(12, 8, None).expect("8 of 12 is a code");
    [("one layer", one), ("two layers", Coding::default())]
}

fn copy(c: &mut Criterion) {
    let cut = cut();
    let mut group = c.benchmark_group("copy");
    group.throughput(Throughput::Bytes(cut.ts.len() as u64));
    group.bench_function("memcpy", |b| b.iter(|| black_box(cut.ts.to_vec())));
    group.finish();
}

fn out(c: &mut Criterion) {
    let cut = cut();
    let mut group = c.benchmark_group("seal, code, sign");
    group.throughput(Throughput::Bytes(cut.ts.len() as u64));
    for (name, coding) in codings() {
        let mut sealer = Sealer::new(secret(), "main", coding, 2400);
        group.bench_function(name, |b| b.iter(|| sealer.seal(black_box(&cut))));
    }
    group.finish();
}

/// Decodes and proves shards, rebuilds all layers, opens.
fn back(wires: &[Bytes], swarm: SwarmId, epoch: u32, unseal: bool) -> usize {
    let mut verifier = Verifier::new(swarm, secret().channel_key());
    let mut assembly: Option<Assembly> = None;
    for wire in wires {
        let Ok(shard) = Shard::decode(wire.clone()) else { return 0 };
        let Ok(proven) = verifier.check(shard) else { return 0 };
        match &mut assembly {
            Some(assembly) => assert!(assembly.add(proven)),
            None => assembly = Some(Assembly::new(proven)),
        }
    }
    let Some(mut assembly) = assembly else { return 0 };
    let (essential, full) = (assembly.sealed(Layer::Essential), assembly.sealed(Layer::Full));
    if !unseal {
        return full.map_or(0, |full| full.len());
    }
    let key = secret().content_key(&swarm, epoch);
    let opened = open(&swarm, assembly.header(), essential.as_deref(), full.as_deref(), &key);
    opened.map_or(0, |opened| opened.ts.len())
}

fn way_back(c: &mut Criterion) {
    let cut = cut();
    let mut group = c.benchmark_group("prove, rebuild, open");
    group.throughput(Throughput::Bytes(cut.ts.len() as u64));
    for (name, coding) in codings() {
        let mut sealer = Sealer::new(secret(), "main", coding, 2400);
        let (swarm, epoch) = (*sealer.swarm(), sealer.epoch_of(NUMBER));
        let shards = sealer.seal(&cut).expect("the cut is whole packets");
        let wires: Vec<Bytes> = shards.iter().map(|shard| shard.wire().clone()).collect();
        for (kind, range) in [("all data", 0..8), ("two lost", 2..10), ("four lost", 4..12)] {
            assert_eq!(back(&wires[range.clone()], swarm, epoch, true), cut.ts.len());
            group.bench_function(format!("{name}, {kind}"), |b| {
                b.iter(|| back(black_box(&wires[range.clone()]), swarm, epoch, true))
            });
        }
        group.bench_function(format!("{name}, four lost, not opened"), |b| {
            b.iter(|| back(black_box(&wires[4..12]), swarm, epoch, false))
        });
        let mut verifier = Verifier::new(swarm, secret().channel_key());
        group.bench_function(format!("{name}, regenerate four"), |b| {
            b.iter_batched(
                || {
                    let mut proven = wires[4..12]
                        .iter()
                        .filter_map(|wire| verifier.check(Shard::decode(wire.clone()).ok()?).ok());
                    let mut assembly = Assembly::new(proven.next().expect("the first is good"));
                    proven.for_each(|shard| assert!(assembly.add(shard)));
                    assembly
                },
                |mut assembly| (0..4).filter_map(|i| assembly.shard(i)).count(),
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
}

/// Code and hash alone, beside the crate's use of them.
fn code(c: &mut Criterion) {
    use reed_solomon_erasure::galois_8::ReedSolomon;
    let code = ReedSolomon::new(8, 4).expect("8 of 12 is a code");
    let piece = PACKETS * 188 / 8;
    let data = vec![vec![0x5a_u8; piece]; 8];
    let mut parity = vec![vec![0_u8; piece]; 4];
    let mut group = c.benchmark_group("code and hash alone");
    group.throughput(Throughput::Bytes(8 * piece as u64));
    group.bench_function("encode 8 to 12", |b| {
        b.iter(|| code.encode_sep(black_box(&data), &mut parity))
    });
    code.encode_sep(&data, &mut parity).expect("the sizes agree");
    let word: Vec<Vec<u8>> = data.iter().chain(&parity).cloned().collect();
    group.bench_function("decode, four of eight lost", |b| {
        b.iter_batched(
            || word.iter().enumerate().map(|(i, p)| (i >= 4).then(|| p.clone())).collect(),
            |mut word: Vec<Option<Vec<u8>>>| code.reconstruct_data(&mut word),
            BatchSize::SmallInput,
        )
    });
    group.throughput(Throughput::Bytes(piece as u64));
    group.bench_function("hash of one piece", |b| {
        b.iter(|| blake3::keyed_hash(&[7; 32], black_box(&data[0])))
    });
    group.finish();
}

criterion_group!(benches, copy, out, way_back, code);
criterion_main!(benches);
