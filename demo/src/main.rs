//! The demonstration: a platform, two channels, two repeaters, three viewers, on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Viewer, Watch};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval};

/// The channel that is watched.
const CLIP: &str = "clip";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let limit = limit()?;
    let mut end = End::new()?;
    // Dropping what stands already kills it.
    let (mut stage, mut viewer, others) = tokio::select! {
        stands = set() => stands?,
        () = end.asked() => return Ok(()),
    };

    let until = limit.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut tick = interval(Duration::from_secs(1));
    let played = loop {
        tokio::select! {
            _ = tick.tick() => {
                println!("{}", line(&viewer.figures().unwrap_or_default()));
                if viewer.has_ended() {
                    break Err(anyhow::anyhow!("the viewer ended:\n{}", viewer.log_tail()));
                }
                if until.is_some_and(|until| Instant::now() >= until) {
                    break Ok(());
                }
            }
            () = end.asked() => break Ok(()),
        }
    };
    // A slate is played without error too.
    let missing = stage.missing_at_headend().await;
    let figures = viewer.figures();
    let stopped = stop(viewer, others, &mut stage).await;
    let figures = played.and(figures)?;
    summary(&figures);
    stopped?;
    ensure!(figures.segments.played > 0, "nothing was played");
    ensure!(missing.is_none(), "at the headend is missing: {}", missing.unwrap_or_default());
    Ok(())
}

/// `DEMO_SECONDS`, if it is there and not empty.
fn limit() -> Result<Option<u64>> {
    match std::env::var("DEMO_SECONDS") {
        Ok(text) if !text.is_empty() => {
            let seconds = text.parse();
            Ok(Some(seconds.with_context(|| format!("DEMO_SECONDS={text}: not a number"))?))
        }
        _ => Ok(None),
    }
}

/// Sets the platform up and waits until the viewer plays.
async fn set() -> Result<(Stage, Viewer, Vec<Viewer>)> {
    let mut stage = Stage::set_apart(plan()?).await?;
    println!("console        {}", stage.console());

    // Two more in the audience, so that there is somebody to exchange with.
    let mut others = Vec::new();
    for address in ["127.0.1.21", "127.0.2.21"] {
        others.push(stage.watch(Watch::new(address, CLIP))?);
    }
    // The figures are of somebody who comes to a channel that is on: one that began just now has nothing yet that is as
    // old as its delay.
    for other in &mut others {
        other.playing().await?;
    }
    let mut viewer =
        stage.watch(Watch { window: has_display(), ..Watch::new("127.0.1.20", CLIP) })?;
    viewer.playing().await?;
    println!("local stream   {}channels/{CLIP}/stream.ts", viewer.local());
    println!("playlist       {}channels.m3u", viewer.local());
    println!("stop with Ctrl-C");
    Ok((stage, viewer, others))
}

/// Whoever may end the demonstration: Ctrl-C, a supervisor, or a terminal that is closed.
struct End {
    signals: [Signal; 3],
}

impl End {
    fn new() -> Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    /// Waits until the end is asked for.
    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn stop(viewer: Viewer, others: Vec<Viewer>, stage: &mut Stage) -> Result<()> {
    viewer.stop().await?;
    for other in others {
        other.stop().await?;
    }
    stage.strike().await
}

fn plan() -> Result<Plan> {
    let clip = match std::env::var_os("CLIP").map(PathBuf::from) {
        Some(path) => {
            ensure!(path.is_file(), "CLIP={}: no such file", path.display());
            Some(path)
        }
        None => demo::clip(),
    };
    let source = match clip {
        Some(path) => Source::File(path.canonicalize()?),
        None => {
            println!("no clip here: a generated picture with sound takes its place");
            Source::Test
        }
    };
    Ok(Plan {
        channels: vec![Channel::new(CLIP, source), Channel::new("test", Source::Test)],
        repeaters: vec![Repeater::at("127.0.1.250"), Repeater::at("127.0.2.250")],
        ..Plan::default()
    })
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

fn line(figures: &Figures) -> String {
    let viewers = figures.substreams.iter().filter(|parent| parent.role == "viewer").count();
    format!(
        "{:>5} segments  lag {:.1} s  stalls {}  {} sub-streams ({viewers} from viewers)  {:.1} MB in, {:.1} MB out",
        figures.segments.played,
        figures.lag_ms / 1e3,
        figures.stalls,
        figures.substreams.len(),
        figures.bytes_in.sum() as f64 / 1e6,
        figures.bytes_out as f64 / 1e6,
    )
}

fn summary(figures: &Figures) {
    let share = |bytes: u64| 100.0 * bytes as f64 / figures.bytes_in.sum().max(1) as f64;
    println!("played         {} segments, {} lost", figures.segments.played, figures.segments.lost);
    println!("start          {:.0} ms", figures.startup_ms.unwrap_or(0.0));
    println!("stalls         {} ({:.0} ms)", figures.stalls, figures.stall_ms);
    println!(
        "media from     repeaters {:.0} %, viewers {:.0} %, headend {:.0} %",
        share(figures.bytes_in.repeater),
        share(figures.bytes_in.viewer),
        share(figures.bytes_in.headend),
    );
}
