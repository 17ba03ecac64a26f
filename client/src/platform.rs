//! What the player takes channels from. [`Live`] is the platform over [`link`]; tests bring their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use link::protocol::ChannelInfo;
use link::{
    Joined, Node, NodeStats, Part, Played, Session, SessionError, SessionState, SwarmStats,
};
use segment::{Coding, ContentKey, SwarmId};
use tokio::sync::watch;

use crate::settings::Share;

/// Gives channels.
pub trait Platform: Send + Sync + 'static {
    /// Joins a channel. Dropping the feed leaves it.
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>>;
    /// What may be watched, in order of number.
    fn line_up(&self) -> Vec<ChannelInfo>;
    /// What the sockets have carried.
    fn wire(&self) -> NodeStats;
}

/// The segments of a channel that was joined.
pub trait Feed: Send + 'static {
    /// The next segment in order of number, when it is due; `None` once the channel is left. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Option<Played>>;
    /// What was counted.
    fn stats(&self) -> SwarmStats;
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
}

impl Feed for link::Swarm {
    fn next(&mut self) -> BoxFuture<'_, Option<Played>> {
        Box::pin(link::Swarm::next(self))
    }

    fn stats(&self) -> SwarmStats {
        link::Swarm::stats(self)
    }
}

/// The platform: a node and its session.
pub struct Live {
    node: Node,
    /// `None` once it is closed.
    session: Mutex<Option<Arc<Session>>>,
    state: watch::Receiver<SessionState>,
    rendition: Option<String>,
    spares: u8,
    share: Mutex<Share>,
}

impl Live {
    /// The platform as `session` gives it.
    pub fn new(
        node: Node,
        session: Session,
        rendition: Option<String>,
        spares: u8,
        share: Share,
    ) -> Arc<Self> {
        let state = session.state();
        let session = Mutex::new(Some(Arc::new(session)));
        Arc::new(Self { node, session, state, rendition, spares, share: Mutex::new(share) })
    }

    /// How the session is, and each change.
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The refresh token to keep for the next start.
    pub fn refresh_token(&self) -> Option<String> {
        self.session()?.refresh_token()
    }

    /// What may be sent to others in channels that are joined from now on.
    pub fn set_share(&self, share: Share) {
        *lock(&self.share) = share;
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

    fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    fn part(&self) -> Part {
        let share = *lock(&self.share);
        Part {
            uplink: Some(share.uplink()),
            max_pushed: None,
            serve: share.serve(),
            max_spares: self.spares,
        }
    }
}

impl Platform for Live {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        Box::pin(async move {
            let session = self.session().ok_or(SessionError::RendezvousUnreachable)?;
            let joined = session.join(channel, self.rendition.as_deref(), self.part()).await?;
            let Joined { swarm, spec, rendition, keys } = joined;
            Ok(Tuned {
                feed: Box::new(swarm),
                swarm: spec.swarm,
                coding: spec.coding,
                rendition,
                keys,
            })
        })
    }

    fn line_up(&self) -> Vec<ChannelInfo> {
        let mut line_up = self.state.borrow().line_up.clone();
        line_up.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
        line_up
    }

    fn wire(&self) -> NodeStats {
        self.node.stats()
    }
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
