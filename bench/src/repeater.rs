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

use crate::children::{self, CHANNEL, Counters, Ground, Parent};
use crate::delay::Sample;
use crate::processor;

/// Until the repeater's cache of segments is full: the playout delay and what is kept beyond it.
const CACHE: Duration = Duration::from_millis(6_500);

/// Only a run that fails waits for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A platform with one repeater under load.
pub(crate) struct Running {
    stage: Stage,
    ground: Ground,
    tasks: JoinSet<()>,
    endpoints: Vec<Endpoint>,
    counters: Arc<Counters>,
    sample: Option<Sample>,
    empty: u64,
}

impl Running {
    /// Sets the stage and starts the repeater, alone on core 0, with the channel in its cache.
    ///
    /// # Errors
    /// If a program does not start.
    pub(crate) async fn start(clip: &Path) -> Result<Self> {
        let stage = Stage::set(Plan {
            channels: vec![Channel::pass_through(CHANNEL, Source::File(clip.to_owned()))],
            repeaters: vec![Repeater::at("127.0.1.250")],
            headend_feeds_viewers: true,
        })
        .await?;
        let ground = Ground::read(stage.folder())?;
        let pid = stage.repeaters[0].pid().context("the repeater runs")?;
        processor::pin(pid, 0)?;
        let mut this = Self {
            stage,
            ground,
            tasks: JoinSet::new(),
            endpoints: Vec::new(),
            counters: Arc::default(),
            sample: None,
            empty: 0,
        };
        // It joins a swarm a moment after the headend has published it.
        this.says("carrying").await?;
        // A first child, so that the repeater carries the channel.
        this.add(1).await?;
        this.flows().await?;
        sleep(CACHE).await;
        this.empty = processor::resident(this.pid()?)?;
        Ok(this)
    }

    /// So many more children subscribe to K sub-streams each.
    ///
    /// # Errors
    /// If one is not let in.
    pub(crate) async fn add(&mut self, children: usize) -> Result<()> {
        for _ in 0..children {
            let child = self.ground.child(Parent::Repeater).await?;
            let substreams = children::choice(self.endpoints.len());
            let counters = self.counters.clone();
            self.tasks.spawn(children::read(child.partner.quic().clone(), counters.clone()));
            self.tasks.spawn(children::subscribe(child.partner, substreams, counters));
            self.endpoints.push(child.endpoint);
        }
        Ok(())
    }

    /// Waits until this stands in the repeater's log.
    async fn says(&self, what: &str) -> Result<()> {
        let said = async {
            while !self.stage.repeaters[0].log().contains(what) {
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
            self.sample = Some(Sample::start(self.stage.folder()).await?);
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

    /// What children have read, and what was refused.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Memory per child beyond the cache of segments and the program with one child, bytes.
    ///
    /// # Errors
    /// If the repeater has ended.
    pub(crate) fn memory_per_child(&self) -> Result<u64> {
        let grown = processor::resident(self.pid()?)?.saturating_sub(self.empty);
        Ok(grown / (self.endpoints.len() as u64 - 1).max(1))
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
