//! What one swarm engine takes: processor by the input, memory by the engine and by the partner.

use std::hint::black_box;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::time::{ClockId, clock_gettime};

use crate::engine_load::Load;
use crate::figure::Figure;
use crate::processor;

const PARTNERS: usize = 32;
/// Segments until everything flows.
const BEFORE: usize = 80;
/// Segments in one measurement: 64 s of playing.
const SEGMENTS: usize = 256;
/// Engines whose memory is measured together.
const ENGINES: usize = 300;

/// Measures, `runs` times.
///
/// # Errors
/// If the system does not tell.
pub(crate) fn measure(runs: usize) -> Result<Vec<Figure>> {
    let [mut rate, mut alone, mut partner] = [const { Vec::new() }; 3];
    for _ in 0..runs {
        let mut load = playing(PARTNERS, BEFORE);
        let before = load.inputs;
        let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        let from = now()?;
        for _ in 0..SEGMENTS {
            load.segment();
        }
        let took = std::time::Duration::from(now()? - from).as_secs_f64();
        // Everything flows, or less than playing was measured.
        ensure!(load.flows().0 >= 8 && load.flows().1 >= 4, "{:?}", load.flows());
        rate.push((black_box(load.inputs) - before) as f64 / took / 1e3);

        let (none, few, many) = (grown(0)?, grown(PARTNERS / 2)?, grown(PARTNERS)?);
        alone.push(none);
        // With half of them its window is full; what the others add is theirs alone.
        partner.push((many - few) / (PARTNERS / 2) as f64);
    }
    Ok(vec![
        Figure::new("engine, 32 partners, all inputs of playing", "k inputs/s", rate)
            .at_least(500.0),
        Figure::new("engine without partners", "KiB", alone).below(16.0),
        Figure::new("engine, each of 32 partners", "KiB", partner).below(2.0),
    ])
}

/// KiB of one engine with so many partners, in a process of its own, whose allocator has nothing to give back.
fn grown(partners: usize) -> Result<f64> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("engines").arg(partners.to_string()).output()?;
    String::from_utf8(output.stdout)?.trim().parse().context("a size")
}

/// The process: says how many KiB an engine takes.
///
/// # Errors
/// If the system does not tell.
pub(crate) fn engines(partners: usize) -> Result<()> {
    let me = std::process::id();
    let empty = processor::resident(me)?;
    let engine = || if partners == 0 { Load::new() } else { playing(partners, BEFORE) };
    let engines: Vec<Load> = (0..ENGINES).map(|_| engine()).collect();
    let grown = processor::resident(me)?.saturating_sub(empty);
    drop(black_box(engines));
    println!("{}", grown as f64 / 1024.0 / ENGINES as f64);
    Ok(())
}

fn playing(partners: usize, segments: usize) -> Load {
    let mut load = Load::new();
    load.meet(partners);
    load.hear(200);
    for _ in 0..segments {
        load.segment();
    }
    load
}
