//! What a channel does, counted: read by metrics and health.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::config::Channel;
use crate::source::health::Health;

/// Figures of one rendition.
#[derive(Debug, Default)]
pub struct Output {
    /// Bytes of segments cut.
    pub bytes: AtomicU64,
    /// Segments cut.
    pub segments: AtomicU64,
    /// Segments dropped because the queue behind the cutter was full.
    pub dropped: AtomicU64,
}

/// Figures of one channel. Written by its threads, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    /// How its sources fare, the most wanted first.
    pub sources: Vec<Arc<Health>>,
    /// Whether pictures come from the source, rather than from the slate.
    pub source_up: AtomicBool,
    /// Pictures that left.
    pub pictures: AtomicU64,
    /// What was cut, by rendition in the order of the ladder.
    pub outputs: Vec<Arc<Output>>,
    /// Times that the source was lost.
    pub losses: AtomicU64,
    /// Times that another source took over.
    pub switches: AtomicU64,
    /// Times that the channel's media part failed and began anew.
    pub restarts: AtomicU64,
    /// How far the media part is behind its clock, microseconds.
    pub lag_us: AtomicI64,
    /// Why the source is away, or the channel is failing.
    trouble: Mutex<Option<String>>,
}

impl Stats {
    /// Of a channel that has not begun.
    pub fn new(channel: &Channel) -> Self {
        let health = |source| Arc::new(Health::new(channel, source));
        Self {
            sources: channel.sources().map(health).collect(),
            outputs: channel.ladder().iter().map(|_| Arc::default()).collect(),
            ..Self::default()
        }
    }

    /// Which of its sources plays, from 0.
    pub fn active(&self) -> usize {
        self.sources.iter().position(|health| health.is_active()).unwrap_or(0)
    }

    /// Another source took over.
    pub fn turned(&self) {
        self.switches.fetch_add(1, Relaxed);
        let index = self.active();
        let states: Vec<_> = self.sources.iter().map(|health| health.state().name()).collect();
        tracing::warn!(source = index + 1, states = states.join(" "), "another source plays");
    }

    /// Whether a source that stands by could take over.
    pub fn has_relief(&self) -> bool {
        self.sources.iter().any(|health| !health.is_active() && health.state().rank() > 0)
    }

    /// Notes whether the source is there. Counts a loss.
    pub fn set_source_up(&self, up: bool) {
        if self.source_up.swap(up, Relaxed) && !up {
            self.losses.fetch_add(1, Relaxed);
        }
        if up {
            self.set_trouble(None);
        }
    }

    /// Notes what is wrong.
    pub fn set_trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = why;
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<String> {
        let own = self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let away = || {
            let up = self.source_up.load(Relaxed);
            self.sources.iter().filter(|_| !up).find_map(|health| health.trouble())
        };
        own.or_else(away)
    }
}
