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
use crate::processor::Look;
use crate::{bare, repeater, udp};

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
    let [mut plain_udp, mut sealed, mut quinn, mut proto] = [const { Vec::new() }; 4];
    let [mut ours, mut memory] = [const { Vec::new() }; 2];
    let [mut least, mut proved, mut child] = [const { Vec::new() }; 3];
    for _ in 0..runs {
        plain_udp.push(plain(load, false).await?);
        sealed.push(plain(load, true).await?);
        quinn.push(quic(load, "send-quinn").await?);
        proto.push(quic(load, "send-proto").await?);
        let mut running = repeater::Running::start(&clip, 1).await?;
        // What half of the children cost beside the other half: what the program and its cache take does not count.
        let rate = f64::from(load.mbit) * 1e6 / 8.0;
        let half = load.children / 2;
        running.fill(half).await?;
        running.settle(rate).await;
        let held = running.memory()?;
        running.fill(load.children).await?;
        running.settle(rate).await;
        let (before, look) = (running.each(), Look::begin(&[std::process::id()])?);
        let bytes = &running.counters().bytes;
        ours.push(steady_rate("the repeater", load, running.pid()?, bytes).await?);
        // Who got least, of what it asked for.
        let after = running.each();
        let grown = before.iter().zip(&after).map(|(before, after)| after - before).min();
        let wanted = rate * look.wall();
        least.push(100.0 * grown.unwrap_or_default() as f64 / wanted);
        child.push(look.share()? / load.children as f64);
        proved.push(running.proved().await);
        let grown = running.memory()?.saturating_sub(held);
        memory.push(grown as f64 / 1024.0 / (load.children - half) as f64);
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
        Figure::ratio(of("quinn-proto alone, of UDP with AES-128-GCM"), &proto, &sealed),
        Figure::new(of("quinn-proto alone, in a loop"), "Gbit/s/core", proto),
        Figure::new(of("UDP, offload, AES-128-GCM"), "Gbit/s/core", sealed),
        Figure::new(of("UDP, offload"), "Gbit/s/core", plain_udp),
        Figure::new(of("memory per child"), "KiB", memory).below(64.0),
        Figure::new(of("who got least, of the channel"), "%", least).at_least(97.0),
        Figure::new(of("who could prove all they got"), "%", proved).at_least(100.0),
        Figure::new(of("a child that reads"), "% core", child),
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

/// A peer that speaks QUIC.
async fn quic(load: Load, part: &str) -> Result<f64> {
    let mut sender = sender(load, &[part.to_owned()])?;
    let said = sender.stdout.take().context("its stdout")?;
    let line = BufReader::new(said).lines().next_line().await?.context("the sender ended")?;
    let bytes = bare::receive(&bare::Place::read(&line)?, load.children).await?;
    let rate = rate(part, load, sender.id().context("the sender ended")?, &bytes).await?;
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
    steady_rate(name, load, sender, bytes).await
}

/// The same of what runs steadily already.
async fn steady_rate(name: &str, load: Load, sender: u32, bytes: &AtomicU64) -> Result<f64> {
    let (look, before) = (Look::begin(&[sender])?, bytes.load(Ordering::Relaxed));
    sleep(Duration::from_secs(load.seconds)).await;
    let (time, read) = (look.seconds()?, bytes.load(Ordering::Relaxed) - before);
    let wanted = load.children as f64 * f64::from(load.mbit) * 1e6 / 8.0 * look.wall();
    if (read as f64) < 0.9 * wanted {
        println!("(only {:.0} % of the load of {name} came through)", 100.0 * read as f64 / wanted);
    }
    Ok(read as f64 * 8.0 / 1e9 / time)
}
