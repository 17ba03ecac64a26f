//! The one channel that the viewer has chosen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;
use crate::channel::{Channels, Lease, Running};
use crate::output::file::Sink;
use crate::stats::Stats;

/// Plays one channel after another. Clones share the choice.
#[derive(Clone)]
pub struct Player {
    channels: Channels,
    chosen: Arc<Mutex<Chosen>>,
    /// One change at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Chosen {
    /// The channel's id, also while it is being joined.
    name: String,
    /// When it was chosen.
    since: Option<Instant>,
    lease: Option<Lease>,
    sink: Option<Sink>,
}

impl Player {
    /// A player that plays nothing yet.
    pub fn new(channels: Channels) -> Self {
        Self { channels, chosen: Arc::default(), changing: Arc::default() }
    }

    /// Leaves the channel that is played and plays `channel`, which was asked for at `since` (the start time is counted
    /// from there).
    ///
    /// # Errors
    /// If it cannot be joined; nothing is played then.
    pub async fn play(&self, channel: &str, since: Instant) -> Result<Arc<Running>, Error> {
        let _one = self.changing.lock().await;
        let left = {
            let mut chosen = self.lock();
            channel.clone_into(&mut chosen.name);
            chosen.since = Some(since);
            chosen.lease.take()
        };
        if let Some(left) = &left {
            left.channel().record(None);
        }
        drop(left);
        let lease = self.channels.tune(channel, Duration::ZERO).await?;
        let running = lease.channel().clone();
        let mut chosen = self.lock();
        running.record(chosen.sink.clone());
        chosen.lease = Some(lease);
        Ok(running)
    }

    /// Plays nothing any more.
    pub async fn stop(&self) {
        let _one = self.changing.lock().await;
        let left = self.lock().lease.take();
        if let Some(left) = &left {
            left.channel().record(None);
        }
    }

    /// Records what is played into `sink`, over changes of channel.
    pub fn record(&self, sink: Option<Sink>) {
        let mut chosen = self.lock();
        if let Some(lease) = &chosen.lease {
            lease.channel().record(sink.clone());
        }
        chosen.sink = sink;
    }

    /// The channel that is played.
    pub fn playing(&self) -> Option<Arc<Running>> {
        self.lock().lease.as_ref().map(|lease| lease.channel().clone())
    }

    /// The channels that are received, the one that is played among them.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The figures of what is played.
    pub fn stats(&self) -> Stats {
        let (name, since, running) = {
            let chosen = self.lock();
            let running = chosen.lease.as_ref().map(|lease| lease.channel().clone());
            (chosen.name.clone(), chosen.since, running)
        };
        Stats::new(name, since, running.as_deref(), self.channels.platform().wire())
    }

    fn lock(&self) -> MutexGuard<'_, Chosen> {
        // What is behind the lock is whole after every statement that changes it.
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
