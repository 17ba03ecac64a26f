//! How much memory an engine takes: what was asked of the allocator, without the allocator's own overhead.

#[path = "../benches/load/mod.rs"]
mod load;

use std::alloc::System;

use cap::Cap;
use load::Load;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn kib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

#[test]
fn an_engine_is_small() {
    let before = ALLOCATOR.allocated();
    let load = Load::new();
    let alone = ALLOCATOR.allocated() - before;
    drop(load);

    let grown = |partners: usize, known: usize| {
        let before = ALLOCATOR.allocated();
        let mut load = Load::new();
        load.meet(partners);
        load.hear(known);
        for _ in 0..120 {
            load.segment();
        }
        assert!(partners == 0 || load.flows().0 >= 8, "{:?}", load.flows());
        let bytes = ALLOCATOR.allocated() - before;
        drop(load);
        // The test's own threads allocate a little, too.
        assert!(ALLOCATOR.allocated() < before + 4096, "something was not given back");
        bytes
    };
    // With 16 partners a viewer plays, so its window is full; what 16 more add is theirs alone.
    let (few, many) = (grown(16, 0), grown(32, 0));
    let (none, table) = (grown(0, 0), grown(0, 200));
    let each = (many - few) / 16;
    println!(
        "alone {:.1} KiB, 200 known {:.1} KiB more, playing with 16 partners {:.1} KiB, with 32 {:.1} KiB: {each} bytes each",
        kib(alone),
        kib(table - none),
        kib(few),
        kib(many)
    );
    assert!(alone < 16 * 1024, "an engine without partners takes {alone} bytes");
    assert!(each < 2 * 1024, "a partner takes {each} bytes");
    assert!(table - none < 40 * 1024, "200 known peers take {} bytes", table - none);
    assert!(few < 48 * 1024, "a viewer with 16 partners takes {few} bytes");
}
