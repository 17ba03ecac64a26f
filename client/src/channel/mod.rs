//! Channels that are received now, each once, whoever uses it: the player, readers of the local address.
//!
//! A channel is joined for the first user and left when the last is gone: at once after the player, some seconds after
//! readers, because those who fetch HLS come and go with every request.

mod climb;
mod ladder;
mod leg;
mod running;
mod seam;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::platform::Platform;

pub use running::Running;

/// How often idle channels are looked at.
const SWEEP: Duration = Duration::from_millis(500);

/// The channels that are received now. Clones share them.
#[derive(Clone)]
pub struct Channels {
    inner: Arc<Inner>,
}

struct Inner {
    platform: Arc<dyn Platform>,
    most: usize,
    slots: Mutex<HashMap<String, Slot>>,
    /// Per channel that was ever joined, whether the last one to be received has been left for good.
    parted: tokio::sync::Mutex<HashMap<String, CancellationToken>>,
    tasks: TaskTracker,
    /// Media bytes sent to others, over all channels that ever were received.
    sent: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// One channel's place.
struct Slot {
    place: Arc<Place>,
    users: usize,
    /// When it is to be left, if nobody comes.
    until: Option<Instant>,
}

/// What users of one channel share.
struct Place {
    /// Filled by the first user; the others wait for that.
    running: tokio::sync::Mutex<Option<Arc<Running>>>,
    stop: CancellationToken,
}

/// The right to use a channel; as long as there is one, the channel is received.
pub struct Lease {
    running: Arc<Running>,
    _claim: Claim,
}

/// A user of a slot, also while the channel is being joined.
struct Claim {
    inner: Arc<Inner>,
    channel: String,
    place: Arc<Place>,
    linger: Duration,
}

impl Channels {
    /// No channels yet; at most `most` (at least 1) at one time. Needs a tokio runtime.
    pub fn new(platform: Arc<dyn Platform>, most: usize) -> Self {
        let inner = Arc::new(Inner {
            platform,
            most: most.max(1),
            slots: Mutex::default(),
            parted: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            sent: Arc::default(),
            stop: CancellationToken::new(),
        });
        let sweeper = Arc::downgrade(&inner);
        let stop = inner.stop.clone();
        inner.tasks.spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = tick.tick() => match sweeper.upgrade() {
                        Some(inner) => inner.sweep(Instant::now()),
                        None => break,
                    },
                }
            }
        });
        Self { inner }
    }

    /// Uses a channel, which is joined if need be. `linger`: how long it is kept after this user, should that be the last.
    ///
    /// # Errors
    /// If the platform refuses, or too many channels are used already.
    pub async fn tune(&self, channel: &str, linger: Duration) -> Result<Lease, Error> {
        let mut claim = self.claim(channel)?;
        let running = {
            let mut running = claim.place.running.lock().await;
            match &*running {
                Some(running) => running.clone(),
                None => {
                    // Whoever was here before must be gone, or its leaving could be taken for ours.
                    let before = self.inner.parted.lock().await.get(channel).cloned();
                    if let Some(before) = before {
                        before.cancelled().await;
                    }
                    let tuned = self.inner.platform.join(channel).await?;
                    let stop = claim.place.stop.clone();
                    let begun = Running::start(
                        channel,
                        tuned,
                        self.inner.platform.clone(),
                        stop,
                        &self.inner.tasks,
                        self.inner.sent.clone(),
                    );
                    let parted = begun.parted().clone();
                    self.inner.parted.lock().await.insert(channel.to_owned(), parted);
                    running.insert(begun).clone()
                }
            }
        };
        claim.linger = linger;
        Ok(Lease { running, _claim: claim })
    }

    /// The channels that are received now, in no order.
    pub fn received(&self) -> Vec<String> {
        self.inner.lock().keys().cloned().collect()
    }

    /// Media bytes sent to other viewers, over all channels since this was made.
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Relaxed)
    }

    /// What the channels are taken from.
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.inner.platform
    }

    /// Leaves all channels and waits until that is done.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        for (_, slot) in self.inner.lock().drain() {
            slot.place.stop.cancel();
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn claim(&self, channel: &str) -> Result<Claim, Error> {
        let mut slots = self.inner.lock();
        if slots.get(channel).is_some_and(|slot| slot.place.stop.is_cancelled()) {
            // It ended by itself; those who still use it do not keep it.
            slots.remove(channel);
        }
        if !slots.contains_key(channel) && slots.len() >= self.inner.most {
            let idle = slots.iter().filter(|(_, slot)| slot.users == 0);
            let oldest = idle.min_by_key(|(_, slot)| slot.until).map(|(name, _)| name.clone());
            match oldest.and_then(|name| slots.remove(&name)) {
                Some(idle) => idle.place.stop.cancel(),
                None => return Err(Error::TooManyChannels(self.inner.most)),
            }
        }
        let slot = slots.entry(channel.to_owned()).or_insert_with(|| Slot {
            place: Arc::new(Place {
                running: tokio::sync::Mutex::new(None),
                stop: self.inner.stop.child_token(),
            }),
            users: 0,
            until: None,
        });
        slot.users += 1;
        Ok(Claim {
            inner: self.inner.clone(),
            channel: channel.to_owned(),
            place: slot.place.clone(),
            linger: Duration::ZERO,
        })
    }
}

impl Inner {
    fn sweep(&self, now: Instant) {
        self.lock().retain(|channel, slot| {
            let over = slot.users == 0 && slot.until.is_none_or(|until| until <= now);
            if over {
                tracing::debug!(channel, "nobody uses it any more");
                slot.place.stop.cancel();
            }
            !over
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        // The map is whole after every statement that changes it.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The channel.
    pub fn channel(&self) -> &Arc<Running> {
        &self.running
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut slots = self.inner.lock();
        let Some(slot) = slots.get_mut(&self.channel) else { return };
        if !Arc::ptr_eq(&slot.place, &self.place) {
            return;
        }
        slot.users -= 1;
        slot.until = slot.until.max(Some(Instant::now() + self.linger));
        if slot.users == 0 && slot.until <= Some(Instant::now()) {
            slot.place.stop.cancel();
            slots.remove(&self.channel);
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
