//! What the owners of a node tell its driver, and what it tells them. The latest wins where one
//! value replaces another, so that nothing here grows without bound.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use segment::{Shard, SwarmId};
use swarm::{Begin, PeerHint, Serve, Stats};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{JoinSpec, NodeStats, Played};

/// Segments that wait to be published; the oldest are dropped.
const MAX_PUBLISH: usize = 32;
/// Peers that wait to be told to an engine; the last ones are dropped.
const MAX_CANDIDATES: usize = 256;
/// Segments that wait to be taken by the player; the oldest are dropped.
const MAX_PLAYED: usize = 64;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The driver's letterbox.
#[derive(Default)]
pub(crate) struct Mail {
    box_: Mutex<Letters>,
    knock: Notify,
    stats: Mutex<NodeStats>,
}

/// What has come since the driver last looked.
#[derive(Default)]
pub(crate) struct Letters {
    /// Swarms joined and left, in order.
    pub(crate) swarms: Vec<Membership>,
    /// Swarms that have something in their inbox.
    pub(crate) dirty: BTreeSet<SwarmId>,
    /// There is a new ticket to show.
    pub(crate) ticket: bool,
    /// The platform's clock was set.
    pub(crate) clock: bool,
    /// Sessions were revoked.
    pub(crate) revoked: bool,
    /// The end; tell when it is done.
    pub(crate) shutdown: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Letters {
    fn burn(&mut self) {
        for membership in self.swarms.drain(..) {
            if let Membership::Join(_, shared) = membership {
                shared.close();
            }
        }
        self.dirty.clear();
        self.shutdown.clear();
    }
}

/// A swarm joined or left.
pub(crate) enum Membership {
    Join(Box<JoinSpec>, Arc<Shared>),
    /// What is in is still played.
    Rest(SwarmId, Arc<Shared>),
    Leave(SwarmId, Arc<Shared>),
}

impl Mail {
    pub(crate) fn post(&self, write: impl FnOnce(&mut Letters)) {
        let mut letters = lock(&self.box_);
        write(&mut letters);
        if letters.closed {
            letters.burn();
        }
        self.knock.notify_one();
    }

    /// Nobody reads any more: what is posted is burnt, and who waits is told.
    pub(crate) fn close(&self) {
        let mut letters = lock(&self.box_);
        letters.closed = true;
        letters.burn();
    }

    /// Waits for letters and takes them.
    pub(crate) async fn take(&self) -> Letters {
        self.knock.notified().await;
        std::mem::take(&mut *lock(&self.box_))
    }

    pub(crate) fn set_stats(&self, stats: NodeStats) {
        *lock(&self.stats) = stats;
    }

    pub(crate) fn stats(&self) -> NodeStats {
        *lock(&self.stats)
    }
}

/// What a swarm's handle and the driver share.
#[derive(Default)]
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    played: Mutex<Screen>,
    ready: Notify,
    wants: Notify,
    stats: Mutex<Stats>,
    good: Mutex<Vec<PeerHint>>,
    limits: Mutex<Limits>,
    left: CancellationToken,
}

/// What the handle allows, as it was set last.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) uplink: Option<u64>,
    pub(crate) max_pushed: Option<u32>,
    pub(crate) serve: Serve,
}

/// What the handle tells the driver.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) publish: VecDeque<Vec<Shard>>,
    pub(crate) candidates: Vec<PeerHint>,
    pub(crate) neighbours: Vec<PeerHint>,
    pub(crate) remembered: Vec<PeerHint>,
    pub(crate) begin_at: Option<Begin>,
    pub(crate) uplink: Option<Option<u64>>,
    pub(crate) max_pushed: Option<Option<u32>>,
    pub(crate) serve: Option<Serve>,
}

#[derive(Default)]
struct Screen {
    queue: VecDeque<Played>,
    closed: bool,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits: Mutex::new(limits), ..Self::default() }
    }

    pub(crate) fn limits(&self) -> Limits {
        *lock(&self.limits)
    }

    /// Cancelled when the handle is dropped.
    pub(crate) fn left(&self) -> &CancellationToken {
        &self.left
    }

    pub(crate) fn publish(&self, shards: Vec<Shard>) {
        let mut inbox = lock(&self.inbox);
        inbox.publish.push_back(shards);
        if inbox.publish.len() > MAX_PUBLISH {
            inbox.publish.pop_front();
            tracing::warn!("a segment was dropped before it was published: the node is overloaded");
        }
    }

    pub(crate) fn candidates(&self, peers: Vec<PeerHint>) {
        let mut inbox = lock(&self.inbox);
        inbox.candidates.extend(peers);
        inbox.candidates.truncate(MAX_CANDIDATES);
    }

    /// What is before this segment is played from elsewhere.
    pub(crate) fn begin_at(&self, begin: Begin) {
        lock(&self.inbox).begin_at = Some(begin);
    }

    /// Peers that may be of this home; the latest count.
    pub(crate) fn neighbours(&self, peers: Vec<PeerHint>) {
        lock(&self.inbox).neighbours = peers;
    }

    /// Peers that were good in an earlier session.
    pub(crate) fn remember(&self, peers: Vec<PeerHint>) {
        lock(&self.inbox).remembered = peers;
    }

    pub(crate) fn set_uplink(&self, rate: Option<u64>) {
        lock(&self.limits).uplink = rate;
        lock(&self.inbox).uplink = Some(rate);
    }

    pub(crate) fn set_max_pushed(&self, most: Option<u32>) {
        lock(&self.limits).max_pushed = most;
        lock(&self.inbox).max_pushed = Some(most);
    }

    pub(crate) fn set_serve(&self, serve: Serve) {
        lock(&self.limits).serve = serve;
        lock(&self.inbox).serve = Some(serve);
    }

    pub(crate) fn take_inbox(&self) -> Inbox {
        std::mem::take(&mut *lock(&self.inbox))
    }

    pub(crate) fn play(&self, played: Played) {
        let mut screen = lock(&self.played);
        screen.queue.push_back(played);
        if screen.queue.len() > MAX_PLAYED {
            screen.queue.pop_front();
        }
        self.ready.notify_one();
    }

    /// No more will be played.
    pub(crate) fn close(&self) {
        lock(&self.played).closed = true;
        self.ready.notify_one();
    }

    pub(crate) async fn next(&self) -> Option<Played> {
        loop {
            {
                let mut screen = lock(&self.played);
                if let Some(played) = screen.queue.pop_front() {
                    return Some(played);
                }
                if screen.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    pub(crate) fn want_peers(&self) {
        self.wants.notify_one();
    }

    pub(crate) async fn wants_peers(&self) {
        self.wants.notified().await;
    }

    pub(crate) fn set_stats(&self, stats: Stats) {
        *lock(&self.stats) = stats;
    }

    pub(crate) fn stats(&self) -> Stats {
        lock(&self.stats).clone()
    }

    pub(crate) fn set_good(&self, peers: Vec<PeerHint>) {
        *lock(&self.good) = peers;
    }

    pub(crate) fn good(&self) -> Vec<PeerHint> {
        lock(&self.good).clone()
    }
}
