//! What a segment costs on its way out and back, beside a copy of the same bytes and beside ISA-L.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use reed_solomon_erasure::galois_8::ReedSolomon;
use segment::{Assembly, ChannelSecret, Coding, Cut, Layer, Sealer, Shard, Verifier};

use crate::figure::Figure;

/// Packets of 188 bytes that make eight shards of 16 KiB.
const PACKETS: usize = 8 * 16_384 / 188;
/// Segments in one measurement.
const TIMES: u32 = 300;
/// Bytes of a shard, where the erasure code is measured alone.
const SHARD: usize = 16_384;

/// Measures, `runs` times.
///
/// # Errors
/// If the work fails.
pub(crate) fn measure(runs: usize) -> Result<Vec<Figure>> {
    let [mut copy, mut out, mut back, mut encode, mut rebuild] = [const { Vec::new() }; 5];
    let [mut peer_encode, mut peer_rebuild] = [const { Vec::new() }; 2];
    for _ in 0..runs {
        let cut = cut();
        let bytes = cut.ts.len();
        copy.push(rate(bytes, || {
            black_box(cut.ts.to_vec());
            Ok(())
        })?);
        let mut sealer = Sealer::new(secret(), "main", Coding::new(12, 8, None)?, 2400);
        out.push(rate(bytes, || {
            black_box(sealer.seal(&cut)?);
            Ok(())
        })?);
        let shards = sealer.seal(&cut)?.split_off(4);
        let (swarm, key) = (*sealer.swarm(), secret().channel_key());
        back.push(rate(bytes, || {
            let mut verifier = Verifier::new(swarm, key);
            let mut assembly: Option<Assembly> = None;
            for shard in &shards {
                let proven = verifier.check(Shard::decode(shard.wire().clone())?)?;
                match &mut assembly {
                    Some(assembly) => drop(assembly.add(proven)),
                    None => assembly = Some(Assembly::new(proven)),
                }
            }
            let sealed = assembly.and_then(|mut assembly| assembly.sealed(Layer::Full));
            black_box(sealed.context("eight are enough")?);
            Ok(())
        })?);

        let code = ReedSolomon::new(8, 4)?;
        let data = vec![vec![0x5a_u8; SHARD]; 8];
        let mut parity = vec![vec![0_u8; SHARD]; 4];
        encode.push(rate(8 * SHARD, || Ok(code.encode_sep(black_box(&data), &mut parity)?))?);
        let word: Vec<Vec<u8>> = data.iter().chain(&parity).cloned().collect();
        let mut lost: Vec<Option<Vec<u8>>> = word.into_iter().map(Some).collect();
        rebuild.push(rate(8 * SHARD, || {
            lost[..4].fill(None);
            Ok(code.reconstruct_data(&mut lost)?)
        })?);
        if let Some([encode, rebuild]) = isa_l()? {
            peer_encode.push(encode);
            peer_rebuild.push(rebuild);
        }
    }
    let mut figures = vec![
        Figure::ratio("seal, encode, hash, sign: of a copy", &out, &copy),
        Figure::ratio("prove and rebuild with four lost: of a copy", &back, &copy),
        Figure::new("seal, encode, hash, sign", "GB/s/core", out).at_least(0.75),
        Figure::new("prove and rebuild with four lost", "GB/s/core", back).at_least(0.75),
        Figure::new("a copy of the same bytes", "GB/s/core", copy),
    ];
    if peer_encode.is_empty() {
        println!("ISA-L is not installed (libisal-dev): no comparison of the erasure code");
    } else {
        figures.push(
            Figure::ratio("erasure code, encode 8 to 12: of ISA-L", &encode, &peer_encode)
                .at_least(0.5),
        );
        figures.push(
            Figure::ratio("erasure code, four of eight lost: of ISA-L", &rebuild, &peer_rebuild)
                .at_least(0.5),
        );
    }
    Ok(figures)
}

fn secret() -> ChannelSecret {
    ChannelSecret::new([7; 32])
}

fn cut() -> Cut {
    let mut ts = vec![0x5a; PACKETS * 188];
    for packet in ts.chunks_exact_mut(188) {
        packet[..4].copy_from_slice(&[0x47, 1, 0, 0x10]);
    }
    Cut { ts: ts.into(), number: 1, capture: 1, duration_ms: 250, random_access: true }
}

/// GB/s of processor time of this thread.
fn rate(bytes: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let from = now()?;
    for _ in 0..TIMES {
        work()?;
    }
    let took = std::time::Duration::from(now()? - from).as_secs_f64();
    Ok(f64::from(TIMES) * bytes as f64 / 1e9 / took)
}

/// What ISA-L does of the same, if it is installed with its headers.
fn isa_l() -> Result<Option<[f64; 2]>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("isa-l.c");
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("isa-l");
    let mut compiler = Command::new("cc");
    compiler.arg("-O2").arg("-o").arg(&program).arg(source).arg("-lisal");
    let compiled = compiler.stderr(std::process::Stdio::null()).status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let said = String::from_utf8(Command::new(&program).output()?.stdout)?;
    let mut rates = said.lines().map(str::parse);
    let mut next = || rates.next().context("two lines")?.context("a rate");
    Ok(Some([next()?, next()?]))
}
