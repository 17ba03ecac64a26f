//! What the real programs need for a channel of 4 Mbit/s that is passed through: processor time per program, start,
//! lag, and what goes over the wire beside media. One headend, two repeaters, four viewers, on loopback, one minute.

use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Watch};
use tokio::time::{Instant, sleep};

const SECONDS: u64 = 60;
/// Ticks of a second in /proc/PID/stat; the same on every Linux that this runs on (USER_HZ).
const HZ: f64 = 100.0;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, 4).await?;
    let mut stage = Stage::set(Plan {
        channels: vec![Channel::pass_through("clip", Source::File(clip))],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let mut viewers = Vec::new();
    for address in ["127.0.1.11", "127.0.1.12", "127.0.2.11", "127.0.2.12"] {
        let mut viewer =
            stage.watch(Watch { share: Some("8000".into()), ..Watch::new(address, "clip") })?;
        viewer.playing().await?;
        viewers.push(viewer);
    }
    // A newcomer, when everything runs: the start that viewers of a running channel see.
    let mut starts = Vec::new();
    for _ in 0..5 {
        let mut newcomer = stage.watch(Watch::new("127.0.1.13", "clip"))?;
        newcomer.playing().await?;
        starts.extend(newcomer.figures()?.startup_ms);
        newcomer.stop().await?;
    }

    let mut programs = vec![
        ("auth".to_owned(), stage.auth.pid()),
        ("rendezvous".into(), stage.rendezvous.pid()),
        ("headend, 2 children".into(), stage.headend.pid()),
    ];
    for (i, repeater) in stage.repeaters.iter().enumerate() {
        programs.push((format!("repeater {i}"), repeater.pid()));
    }
    for viewer in &viewers {
        programs.push((viewer.name().to_owned(), viewer.pid()));
    }
    let from = Instant::now();
    let before = ticks(&programs)?;
    let figures_before: Vec<Figures> =
        viewers.iter().map(|v| v.figures()).collect::<Result<_>>()?;
    sleep(Duration::from_secs(SECONDS)).await;
    let after = ticks(&programs)?;
    let figures: Vec<Figures> = viewers.iter().map(|v| v.figures()).collect::<Result<_>>()?;
    let seconds = from.elapsed().as_secs_f64();

    println!("{:<22}{:>12}{:>12}", "program", "CPU", "memory");
    for (((name, pid), before), after) in programs.iter().zip(&before).zip(&after) {
        let share = 100.0 * (after - before) / HZ / seconds;
        println!(
            "{name:<22}{share:>10.2} %{:>8} MiB",
            resident_mib(pid.context("a program ended")?)?
        );
    }
    starts.sort_by(f64::total_cmp);
    println!("start of a newcomer    {starts:.0?} ms");
    for ((viewer, now), then) in viewers.iter().zip(&figures).zip(&figures_before) {
        let media = now.bytes_in.sum() - then.bytes_in.sum();
        let out = now.bytes_out - then.bytes_out;
        let control = now.control_bytes - then.control_bytes;
        let wire =
            now.wire_bytes.r#in - then.wire_bytes.r#in + now.wire_bytes.out - then.wire_bytes.out;
        println!(
            "{}: {:.2} Mbit/s media in, {:.2} out; {:.0} % of it from viewers; control {:.2} % of media both ways; \
             wire {:.1} % over shards; lag {:.0} ms, behind the edge {:.0} ms; stalls {}",
            viewer.name(),
            media as f64 * 8.0 / seconds / 1e6,
            out as f64 * 8.0 / seconds / 1e6,
            100.0 * (now.bytes_in.viewer - then.bytes_in.viewer) as f64 / media.max(1) as f64,
            100.0 * control as f64 / (media + out).max(1) as f64,
            100.0 * (wire as f64 / (media + out).max(1) as f64 - 1.0),
            now.lag_ms,
            now.behind_edge_ms,
            now.stalls,
        );
    }
    for viewer in viewers {
        viewer.stop().await?;
    }
    stage.strike().await
}

type Programs = [(String, Option<u32>)];

/// User and system time of each program so far.
fn ticks(programs: &Programs) -> Result<Vec<f64>> {
    let of = |pid: u32| -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(')').context("a name in brackets")?.1;
        let mut fields = fields.split_whitespace().skip(11);
        let (user, system) = (fields.next().context("utime")?, fields.next().context("stime")?);
        Ok(user.parse::<f64>()? + system.parse::<f64>()?)
    };
    programs.iter().map(|(name, pid)| of(pid.with_context(|| format!("{name} ended"))?)).collect()
}

fn resident_mib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.split_whitespace().nth(1).context("a value")?.parse()?;
    Ok(kib / 1024)
}
