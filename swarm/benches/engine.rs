//! What the engine costs: all inputs of a viewer with 32 partners, by the input and by the shard that comes in.

mod load;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use load::Load;

fn playing() -> Load {
    let mut load = Load::new();
    load.meet(32);
    load.hear(200);
    for _ in 0..80 {
        load.segment();
    }
    assert!(load.flows().0 >= 8 && load.flows().1 >= 4, "{:?}", load.flows());
    load
}

fn cost(c: &mut Criterion) {
    let mut load = playing();
    let (inputs, shards) = (load.inputs, load.shards);
    for _ in 0..64 {
        load.segment();
    }
    let mut group = c.benchmark_group("engine");
    for (name, elements) in [("inputs", load.inputs - inputs), ("shards", load.shards - shards)] {
        group.throughput(Throughput::Elements(elements));
        let mut load = playing();
        group.bench_function(format!("{name}, 32 partners, 16 s of playing"), |b| {
            b.iter(|| {
                for _ in 0..64 {
                    load.segment();
                }
                black_box(load.flows())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cost);
criterion_main!(benches);
