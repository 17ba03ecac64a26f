//! What the player takes channels from. [`Live`] is the platform over [`link`]; tests bring their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use link::protocol::ChannelInfo;
use link::{
    Joined, Node, NodeStats, Part, Played, Session, SessionError, SessionState, SwarmStats,
};
use segment::{Coding, ContentKey, SwarmId};
use swarm::Begin;
use tokio::sync::watch;

use crate::good_peers::{GoodPeers, Kept};
use crate::guide::Guide;
use crate::settings::Share;

/// Gives channels.
pub trait Platform: Send + Sync + 'static {
    /// Joins a channel. Dropping the feed leaves it.
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>>;
    /// Joins this rendition of a channel, whichever is usual; what is before `begin_at` is played from elsewhere.
    fn join_rendition<'a>(
        &'a self,
        channel: &'a str,
        rendition: &'a str,
        begin_at: Option<Begin>,
    ) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        let _ = (rendition, begin_at);
        self.join(channel)
    }
    /// The renditions of a channel to choose from as the line allows: names and bit rates (bits per second), best first.
    /// None if one is fixed.
    fn ladder(&self, channel: &str) -> Vec<(String, u64)> {
        let _ = channel;
        Vec::new()
    }
    /// What may be watched, in order of number.
    fn line_up(&self) -> Vec<ChannelInfo>;
    /// What the sockets have carried.
    fn wire(&self) -> NodeStats;
    /// What is on.
    fn guide(&self) -> Arc<Guide> {
        Arc::default()
    }
}

/// The segments of a channel that was joined.
pub trait Feed: Send + 'static {
    /// The next segment in order of number, when it is due; `None` once the channel is left. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Option<Played>>;
    /// What was counted.
    fn stats(&self) -> SwarmStats;
    /// Receives no more, so that the line is free; what has come is still given when it is due.
    fn rest(&self) {}
    /// What may be sent to others in this channel from now on.
    fn set_share(&self, share: Share) {
        let _ = share;
    }
}

/// A channel that was joined.
pub struct Tuned {
    /// Its segments.
    pub feed: Box<dyn Feed>,
    /// The swarm's name.
    pub swarm: SwarmId,
    /// The rendition's code.
    pub coding: Coding,
    /// The rendition's name.
    pub rendition: String,
    /// Content keys: the epoch now and the next.
    pub keys: watch::Receiver<Vec<ContentKey>>,
    /// What may be sent to others, and each change.
    pub share: watch::Receiver<Share>,
}

impl Feed for link::Swarm {
    fn next(&mut self) -> BoxFuture<'_, Option<Played>> {
        Box::pin(link::Swarm::next(self))
    }

    fn stats(&self) -> SwarmStats {
        link::Swarm::stats(self)
    }

    fn rest(&self) {
        link::Swarm::rest(self);
    }

    fn set_share(&self, share: Share) {
        self.set_uplink(Some(share.uplink()));
        self.set_serve(share.serve());
    }
}

/// The platform: a node and its session.
pub struct Live {
    node: Node,
    /// `None` once it is closed.
    session: Mutex<Option<Arc<Session>>>,
    state: watch::Receiver<SessionState>,
    rendition: Mutex<Option<String>>,
    spares: u8,
    share: watch::Sender<Share>,
    guide: watch::Receiver<Arc<Guide>>,
    good: Arc<GoodPeers>,
}

impl Live {
    /// The platform as `session` gives it.
    pub(crate) fn new(
        node: Node,
        session: Session,
        rendition: Option<String>,
        spares: u8,
        share: Share,
        guide: watch::Receiver<Arc<Guide>>,
        good: GoodPeers,
    ) -> Arc<Self> {
        let state = session.state();
        let session = Mutex::new(Some(Arc::new(session)));
        let rendition = Mutex::new(rendition);
        let share = watch::Sender::new(share);
        let good = Arc::new(good);
        Arc::new(Self { node, session, state, rendition, spares, share, guide, good })
    }

    /// How the session is, and each change.
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The refresh token to keep for the next start.
    pub fn refresh_token(&self) -> Option<String> {
        self.session()?.refresh_token()
    }

    /// What may be sent to others from now on, in the channels that are received too.
    pub fn set_share(&self, share: Share) {
        let changed = self.share.send_if_modified(|now| std::mem::replace(now, share) != share);
        if changed {
            self.node.set_max_egress(Some(share.uplink()));
        }
    }

    /// The rendition of channels that are joined from now on; `None`: the best.
    pub fn set_rendition(&self, rendition: Option<String>) {
        *lock(&self.rendition) = rendition;
    }

    /// This node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Peers that were good to have.
    pub(crate) fn good_peers(&self) -> &GoodPeers {
        &self.good
    }

    /// Leaves the platform: signs out if `sign_out`, and closes the socket. Nothing can be joined any more.
    pub async fn close(&self, sign_out: bool) {
        let session = lock(&self.session).take();
        // Somebody who is joining right now keeps the session a moment longer, but not from ending.
        match session.and_then(Arc::into_inner) {
            Some(session) if sign_out => session.sign_out().await,
            session => drop(session),
        }
        self.node.shutdown().await;
    }

    /// The renditions of a channel, best first.
    fn renditions(&self, channel: &str) -> Vec<(String, u64)> {
        let state = self.state.borrow();
        let known = state.line_up.iter().find(|info| info.id == channel);
        known.map(|info| info.renditions.clone()).unwrap_or_default()
    }

    async fn enter(
        &self,
        channel: &str,
        rendition: Option<&str>,
        begin_at: Option<Begin>,
    ) -> Result<Tuned, SessionError> {
        let session = self.session().ok_or(SessionError::RendezvousUnreachable)?;
        // From here on: a change while the channel is joined is not missed.
        let share = self.share.subscribe();
        let joined = session.join(channel, rendition, self.part(begin_at)).await?;
        let Joined { swarm, spec, rendition, keys } = joined;
        let (id, good) = (spec.swarm, self.good.clone());
        swarm.remember(good.of(id));
        Ok(Tuned {
            feed: Box::new(Kept { swarm, id, good }),
            swarm: spec.swarm,
            coding: spec.coding,
            rendition,
            keys,
            share,
        })
    }

    fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    fn part(&self, begin_at: Option<Begin>) -> Part {
        let share = *self.share.borrow();
        Part {
            uplink: Some(share.uplink()),
            max_pushed: None,
            serve: share.serve(),
            max_spares: self.spares,
            begin_at,
        }
    }
}

impl Platform for Live {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        let fixed = lock(&self.rendition).clone();
        // Channels that are known not to have it are played as they are.
        let known = self.renditions(channel);
        let has = |name: &String| known.is_empty() || known.iter().any(|(known, _)| known == name);
        let rendition = fixed.filter(has);
        Box::pin(async move { self.enter(channel, rendition.as_deref(), None).await })
    }

    fn join_rendition<'a>(
        &'a self,
        channel: &'a str,
        rendition: &'a str,
        begin_at: Option<Begin>,
    ) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        Box::pin(self.enter(channel, Some(rendition), begin_at))
    }

    fn ladder(&self, channel: &str) -> Vec<(String, u64)> {
        match &*lock(&self.rendition) {
            Some(_) => Vec::new(),
            None => self.renditions(channel),
        }
    }

    fn line_up(&self) -> Vec<ChannelInfo> {
        let mut line_up = self.state.borrow().line_up.clone();
        line_up.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
        line_up
    }

    fn wire(&self) -> NodeStats {
        self.node.stats()
    }

    fn guide(&self) -> Arc<Guide> {
        self.guide.borrow().clone()
    }
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
