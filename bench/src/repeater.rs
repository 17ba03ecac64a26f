//! The real repeater: fed by a real headend, with children that show tickets, subscribe and read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Plan, Repeater, Source, Stage};
use link::Endpoint;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::children::{self, Counters, Ground, Parent, Tally};
use crate::delay::Sample;
use crate::processor;

/// Until the repeater's cache of segments is full: the playout delay and what is kept beyond it.
const CACHE: Duration = Duration::from_millis(6_500);
/// The first children of a channel.
const FIRST: usize = children::N as usize;
/// Only a run that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What children prove is looked at for so long.
const PROOF: Duration = Duration::from_millis(2_500);
/// Segments that each has to prove in that time.
const SEGMENTS: usize = 6;

/// A platform with one repeater under load.
pub(crate) struct Running {
    stage: Stage,
    ground: Ground,
    channels: usize,
    tallies: Vec<Arc<Tally>>,
    tasks: JoinSet<()>,
    endpoints: Vec<Endpoint>,
    counters: Arc<Counters>,
    sample: Option<Sample>,
}

impl Running {
    /// Sets the stage and starts the repeater, alone on core 0, with these many channels in its cache.
    ///
    /// # Errors
    /// If a program does not start.
    pub(crate) async fn start(clip: &Path, channels: usize) -> Result<Self> {
        let channel =
            |i| Channel::pass_through(&children::channel(i), Source::File(clip.to_owned()));
        let stage = Stage::set(Plan {
            channels: (0..channels).map(channel).collect(),
            repeaters: vec![Repeater::at("127.0.1.250")],
            headend_feeds_viewers: true,
        })
        .await?;
        let ground = Ground::read(stage.folder(), channels)?;
        let pid = stage.repeaters[0].pid().context("the repeater runs")?;
        processor::pin(pid, 0)?;
        let mut this = Self {
            stage,
            ground,
            channels,
            tallies: Vec::new(),
            tasks: JoinSet::new(),
            endpoints: Vec::new(),
            counters: Arc::default(),
            sample: None,
        };
        // It joins a swarm a moment after the headend has published it.
        this.says("carrying", channels).await?;
        // First children, who want every sub-stream between them: the repeater takes K in and makes the others, and keeps
        // what it makes with the segment, for all.
        this.add(channels * FIRST).await?;
        this.flows().await?;
        sleep(CACHE).await;
        Ok(this)
    }

    /// As many more children as are missing to so many.
    ///
    /// # Errors
    /// If one is not let in.
    pub(crate) async fn fill(&mut self, children: usize) -> Result<()> {
        self.add(children.saturating_sub(self.endpoints.len())).await
    }

    /// So many more children subscribe to K sub-streams each, of one channel after the other.
    ///
    /// # Errors
    /// If one is not let in.
    pub(crate) async fn add(&mut self, children: usize) -> Result<()> {
        for _ in 0..children {
            let place = self.endpoints.len();
            let channel = place % self.channels;
            let child = self.ground.child(Parent::Repeater, channel).await?;
            let substreams = children::choice(place / self.channels);
            let counters = self.counters.clone();
            let tally = self.ground.tally(channel, counters.clone());
            self.tallies.push(tally.clone());
            self.tasks.spawn(children::read(child.partner.quic().clone(), tally));
            self.tasks.spawn(children::subscribe(child.partner, substreams, counters));
            self.endpoints.push(child.endpoint);
        }
        Ok(())
    }

    /// Bytes that each child has read.
    pub(crate) fn each(&self) -> Vec<u64> {
        self.tallies.iter().map(|tally| tally.bytes()).collect()
    }

    /// The share of the children, per cent, who prove every shard and get enough of every segment while we look. They do
    /// it beside what is measured: it takes their core as much as reading does.
    pub(crate) async fn proved(&self) -> f64 {
        self.counters.proving.store(true, Ordering::Relaxed);
        sleep(PROOF).await;
        self.counters.proving.store(false, Ordering::Relaxed);
        // What was under way.
        sleep(Duration::from_millis(300)).await;
        let proved = |tally: &&Arc<Tally>| tally.proven().is_some_and(|most| most >= SEGMENTS);
        let proved = self.tallies.iter().filter(proved).count();
        100.0 * proved as f64 / self.tallies.len() as f64
    }

    /// Waits until this stands so often in the repeater's log.
    async fn says(&self, what: &str, times: usize) -> Result<()> {
        let said = async {
            while self.stage.repeaters[0].log().matches(what).count() < times {
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, said).await.context("the repeater carries nothing")
    }

    /// Waits until shards come.
    async fn flows(&self) -> Result<()> {
        let come = async {
            while self.counters.bytes.load(Ordering::Relaxed) == 0 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, come).await.context("the repeater sends nothing")
    }

    /// Children whose shards are noted join the others.
    ///
    /// # Errors
    /// If they do not come about.
    pub(crate) async fn sample(&mut self) -> Result<&mut Sample> {
        if self.sample.is_none() {
            self.sample = Some(Sample::start(self.stage.folder(), self.channels).await?);
        }
        self.sample.as_mut().context("there is one")
    }

    /// The repeater's process id.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.stage.repeaters[0].pid().context("the repeater ended")
    }

    /// What the children of the present group have read, and what was refused.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Children that come from now on are counted by themselves.
    pub(crate) fn begin_group(&mut self) {
        self.counters = Arc::default();
    }

    /// Waits until each child reads nine tenths of this, bytes per second: a repeater learns what its line carries in
    /// steps, and lets nobody in beyond. Goes on after a while in any case.
    pub(crate) async fn settle(&self, rate: f64) {
        let mut before = self.each();
        let settled = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                let now = self.each();
                let least = now.iter().zip(&before).map(|(now, before)| now - before).min();
                if least.unwrap_or_default() as f64 >= 0.9 * rate {
                    return;
                }
                before = now;
            }
        };
        if tokio::time::timeout(PATIENCE, settled).await.is_err() {
            println!("(not every child is fed after {PATIENCE:?})");
        }
    }

    /// What the repeater holds in memory, bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn memory(&self) -> Result<u64> {
        processor::resident(self.pid()?)
    }

    /// Ends everything.
    ///
    /// # Errors
    /// If a program does not stop in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.sample.take());
        self.tasks.shutdown().await;
        self.stage.strike().await
    }
}
