//! Sending one channel to many: the repeater beside its limit (UDP with segmentation offload, with and without a
//! cipher) and a peer (quinn as it comes), all in one run.
//!
//! The sender stands alone on core 0; receivers and everybody else share core 1. What counts is payload that
//! receivers read per second of the sender's processor time, so that a busy machine makes the run longer,
//! not the figure smaller.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::figure::Figure;
use crate::load::{Load, PACKET};
use crate::{bare, processor, repeater, udp};

/// Before each measurement, so that windows are open and paths known.
const WARM: Duration = Duration::from_secs(2);

/// Measures, `runs` times.
///
/// # Errors
/// If a program does not start or a child is not let in.
pub(crate) async fn measure(load: Load, runs: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.ts");
    system_tests::clip::constant_rate(&clip, load.mbit).await?;
    let [mut plain_udp, mut sealed, mut quinn, mut ours, mut memory] = [const { Vec::new() }; 5];
    for _ in 0..runs {
        plain_udp.push(plain(load, false).await?);
        sealed.push(plain(load, true).await?);
        quinn.push(bare_quinn(load).await?);
        let mut running = repeater::Running::start(&clip).await?;
        running.add(load.children - 1).await?;
        let bytes = &running.counters().bytes;
        ours.push(rate("the repeater", load, running.pid()?, bytes).await?);
        memory.push(running.memory_per_child()? as f64 / 1024.0);
        let refused = running.counters().refused.load(Ordering::Relaxed);
        if refused > 0 {
            println!("(the repeater refused {refused} sub-streams for a while)");
        }
        running.stop().await?;
    }
    let at = format!("{} children, {} Mbit/s: ", load.children, load.mbit);
    let of = |what: &str| format!("{at}{what}");
    Ok(vec![
        Figure::ratio(of("repeater, of UDP with AES-128-GCM"), &ours, &sealed).at_least(0.45),
        Figure::ratio(of("repeater, of quinn as it comes"), &ours, &quinn).at_least(1.2),
        Figure::new(of("repeater"), "Gbit/s/core", ours),
        Figure::new(of("quinn as it comes"), "Gbit/s/core", quinn),
        Figure::new(of("UDP, offload, AES-128-GCM"), "Gbit/s/core", sealed),
        Figure::new(of("UDP, offload"), "Gbit/s/core", plain_udp),
        Figure::new(of("memory per child"), "KiB", memory).below(64.0),
    ])
}

/// The limit alone: Gbit/s per core of UDP with a cipher.
///
/// # Errors
/// If the sender does not start.
pub(crate) async fn sealed_udp(load: Load) -> Result<f64> {
    plain(load, true).await
}

async fn plain(load: Load, seal: bool) -> Result<f64> {
    let (receivers, bytes) = udp::receive(load.children).await?;
    let mut args = vec!["send-udp".to_owned()];
    if seal {
        args.push("--seal".into());
    }
    args.extend(receivers.iter().map(ToString::to_string));
    let mut sender = sender(load, &args)?;
    let name = if seal { "sealed UDP" } else { "UDP" };
    let rate = rate(name, load, sender.id().context("the sender ended")?, &bytes).await?;
    sender.kill().await?;
    // Receivers count whole packets; of these so much is payload.
    Ok(rate * load.shard() as f64 / (udp::packets(load) * PACKET) as f64)
}

async fn bare_quinn(load: Load) -> Result<f64> {
    let mut sender = sender(load, &["send-quinn".to_owned()])?;
    let said = sender.stdout.take().context("its stdout")?;
    let line = BufReader::new(said).lines().next_line().await?.context("the sender ended")?;
    let bytes = bare::receive(&bare::Place::read(&line)?, load.children).await?;
    let rate = rate("quinn", load, sender.id().context("the sender ended")?, &bytes).await?;
    sender.kill().await?;
    Ok(rate)
}

fn sender(load: Load, args: &[String]) -> Result<Child> {
    let (children, mbit) = (load.children.to_string(), load.mbit.to_string());
    let part = &args[0];
    Command::new(std::env::current_exe()?)
        .args([part, "--children", &children, "--mbit", &mbit])
        .args(&args[1..])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start a sender")
}

/// Gbit/s of what was read per second of the sender's processor time; says so if less than nine tenths of the
/// load came through, since the figure is that of another load then.
pub(crate) async fn rate(name: &str, load: Load, sender: u32, bytes: &AtomicU64) -> Result<f64> {
    sleep(WARM).await;
    let (time, before) = (processor::seconds(sender)?, bytes.load(Ordering::Relaxed));
    let from = std::time::Instant::now();
    sleep(Duration::from_secs(load.seconds)).await;
    let took = from.elapsed().as_secs_f64();
    let (time, read) = (processor::seconds(sender)? - time, bytes.load(Ordering::Relaxed) - before);
    let wanted = load.children as f64 * f64::from(load.mbit) * 1e6 / 8.0 * took;
    if (read as f64) < 0.9 * wanted {
        println!("(only {:.0} % of the load of {name} came through)", 100.0 * read as f64 / wanted);
    }
    Ok(read as f64 * 8.0 / 1e9 / time)
}
