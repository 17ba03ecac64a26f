//! How much later shards come through a repeater than straight from the headend.
//!
//! Some children stand in a process of their own, before all others on their core (if the system lets it): what they wait
//! for is the repeater, not the other children that read beside them.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::children::{self, Ground, Parent};

/// Children of the repeater whose shards are noted.
const SAMPLE: usize = 10;

type Which = (u64, u8);

/// When shards came: straight from the headend, and through the repeater.
#[derive(Default)]
struct Arrivals {
    straight: HashMap<Which, Instant>,
    through: Vec<(Which, Instant)>,
    /// The longest time between capture and arrival through the repeater.
    oldest: Duration,
}

/// What was added, milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) median: f64,
    pub(crate) most: f64,
    /// How long after its capture the last shard came that came latest, milliseconds.
    pub(crate) oldest: f64,
}

/// The process with these children.
pub(crate) struct Sample {
    process: Child,
    said: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Sample {
    /// Starts it on a stage, and waits until its children are met.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) async fn start(stage: &Path, channels: usize) -> Result<Self> {
        let mut process = Command::new("nice")
            .args(["-n", "-20"])
            .arg(std::env::current_exe()?)
            .arg("sample")
            .arg(stage)
            .arg(channels.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start a sample of children")?;
        let said = BufReader::new(process.stdout.take().context("its stdout")?).lines();
        let mut sample = Self { process, said };
        sample.said.next_line().await?.context("the sample has ended")?;
        Ok(sample)
    }

    /// What has come since it was last asked.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) async fn delays(&mut self) -> Result<Option<Delays>> {
        let ask = self.process.stdin.as_mut().context("its stdin")?;
        ask.write_all(b"\n").await?;
        let line = self.said.next_line().await?.context("the sample has ended")?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// The process: says that it is ready, then delays whenever it reads a line, until there are no more.
///
/// # Errors
/// If the children are not let in.
pub(crate) async fn sample(stage: &Path, channels: usize) -> Result<()> {
    let ground = Ground::read(stage, channels)?;
    let arrivals = Arc::new(Mutex::new(Arrivals::default()));
    let mut endpoints = Vec::new();
    for place in 0..=SAMPLE {
        let straight = place == SAMPLE;
        let parent = if straight { Parent::Headend } else { Parent::Repeater };
        let child = ground.child(parent, 0).await?;
        let substreams = if straight { children::all() } else { children::choice(place) };
        let noted = arrivals.clone();
        tokio::spawn(children::note(child.partner.quic().clone(), move |shard| {
            let (which, now) = ((shard.header().number, shard.index()), Instant::now());
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            match straight {
                true => drop(noted.straight.insert(which, now)),
                false => {
                    let captured = Duration::from_micros(shard.header().capture);
                    let age = SystemTime::now().duration_since(UNIX_EPOCH + captured);
                    noted.oldest = noted.oldest.max(age.unwrap_or_default());
                    noted.through.push((which, now));
                }
            }
        }));
        tokio::spawn(children::subscribe(child.partner, substreams, Arc::default()));
        endpoints.push(child.endpoint);
    }
    println!("ready");
    let asked = || std::io::stdin().read_line(&mut String::new());
    while tokio::task::spawn_blocking(asked).await?? > 0 {
        let came = std::mem::take(&mut *arrivals.lock().unwrap_or_else(PoisonError::into_inner));
        println!("{}", serde_json::to_string(&delays(&came))?);
    }
    Ok(())
}

fn delays(came: &Arrivals) -> Option<Delays> {
    let mut delays: Vec<Duration> = came
        .through
        .iter()
        .filter_map(|(shard, at)| Some(at.saturating_duration_since(*came.straight.get(shard)?)))
        .collect();
    delays.sort_unstable();
    let at = |share: f64| {
        delays.get((delays.len() as f64 * share) as usize).map(|delay| delay.as_secs_f64() * 1e3)
    };
    Some(Delays { median: at(0.5)?, most: at(0.99)?, oldest: came.oldest.as_secs_f64() * 1e3 })
}
