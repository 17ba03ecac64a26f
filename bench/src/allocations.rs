//! How often a viewer asks its allocator for memory, for each shard that it takes in.
//!
//! Programs are counted from outside: a small library stands before the C library's allocator, in a run of its own, so
//! that no other figure is of programs that are watched.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::figure::Figure;
use crate::load::K;
use crate::programs::{Crowd, LOOK, WARM};

/// The folder with the counts, of which the library reads the name too.
const FOLDER: &str = "BENCH_ALLOCATIONS";
/// Shards of a second that a viewer needs: what comes beyond them is not counted as one.
const SHARDS: f64 = K as f64 * 4.0;

/// Measures, in a process whose programs have the library loaded. Nothing, if there is no C compiler.
///
/// # Errors
/// If a program does not start.
pub(crate) fn measure(runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let library = folder.path().join("allocations.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("allocations.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    if !compiler.status().is_ok_and(|status| status.success()) {
        println!("allocations are not counted: there is no C compiler");
        return Ok(Vec::new());
    }
    let output = Command::new(std::env::current_exe()?)
        .args(["counted", "--runs", &runs.to_string()])
        .env("LD_PRELOAD", library)
        .env(FOLDER, folder.path())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the counted programs failed");
    let counts: Vec<f64> = serde_json::from_slice(&output.stdout).context("counts")?;
    Ok(vec![Figure::new("viewer, allocations for each shard that is played", "", counts)])
}

/// The process: prints how many allocations there were for a shard, one figure for each run.
///
/// # Errors
/// As of [`measure`].
pub(crate) fn counted(runs: usize) -> Result<()> {
    let folder = std::env::var_os(FOLDER).context("a folder for the counts")?;
    let counts = Runtime::new()?.block_on(async {
        let crowd = Crowd::gather().await?;
        let sum = || -> Result<f64> {
            let pids = crowd.pids().into_iter();
            let read = |pid: u32| -> Result<f64> {
                let bytes = std::fs::read(Path::new(&folder).join(pid.to_string()))?;
                Ok(u64::from_ne_bytes(bytes.try_into().ok().context("eight bytes")?) as f64)
            };
            pids.map(read).sum()
        };
        sleep(WARM).await;
        let mut counts = Vec::new();
        for _ in 0..runs {
            let before = sum()?;
            sleep(LOOK).await;
            let shards = SHARDS * LOOK.as_secs_f64() * crowd.pids().len() as f64;
            counts.push((sum()? - before) / shards);
        }
        crowd.leave().await?;
        Ok::<_, anyhow::Error>(counts)
    })?;
    println!("{}", serde_json::to_string(&counts)?);
    Ok(())
}
