//! Who may connect: tickets, revocations, and those who misbehaved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use ticket::{ChannelTicket, KeySet, Location, PeerId};

use super::Admit;
use super::clock::Clock;

/// Revocations outlive every ticket that could bear them.
const REVOKED_FOR: Duration = Duration::from_secs(31 * 60);
/// The most revocations and bans that are remembered, each; of more, the tenth that would lapse first is forgotten.
const MOST: usize = 100_000;

/// Checks peers against what the platform says.
pub(crate) struct Policy {
    me: PeerId,
    admit: Option<Admit>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    platform: Arc<str>,
    token: Option<Arc<str>>,
    location: Location,
    keys: Arc<KeySet>,
    revoked: Lapsing<String>,
    banned: Lapsing<PeerId>,
}

/// Things that are remembered for a while.
struct Lapsing<T>(BTreeMap<T, Instant>);

impl<T> Default for Lapsing<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> Lapsing<T> {
    fn insert(&mut self, item: T, lasting: Duration) {
        let now = Instant::now();
        if self.0.len() >= MOST {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() >= MOST {
            let mut all: Vec<Instant> = self.0.values().copied().collect();
            let (_, first, _) = all.select_nth_unstable(MOST / 10);
            self.0.retain(|_, until| *until > *first);
        }
        let until = self.0.entry(item).or_insert(now);
        *until = (*until).max(now + lasting);
    }

    fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.0.get(item).is_some_and(|until| *until > Instant::now())
    }
}

impl Policy {
    pub(crate) fn new(me: PeerId, platform: String, admit: Option<Admit>) -> Self {
        let state = State { platform: platform.into(), ..State::default() };
        Self { me, admit, state: RwLock::new(state) }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_platform(&self, platform: String) {
        self.write().platform = platform.into();
    }

    pub(crate) fn set_ticket(&self, token: String, location: Location) {
        let mut state = self.write();
        state.token = Some(token.into());
        state.location = location;
    }

    pub(crate) fn set_key_set(&self, keys: KeySet) {
        self.write().keys = Arc::new(keys);
    }

    /// Names the platform, if the configuration did not.
    pub(crate) fn name_platform(&self, platform: &str) {
        let mut state = self.write();
        if state.platform.is_empty() {
            state.platform = platform.into();
        }
    }

    /// The platform's name; empty if it is not known yet.
    pub(crate) fn platform(&self) -> Arc<str> {
        self.read().platform.clone()
    }

    /// The ticket that this node shows, if it has one yet.
    pub(crate) fn token(&self) -> Option<Arc<str>> {
        self.read().token.clone()
    }

    pub(crate) fn location(&self) -> Location {
        self.read().location
    }

    pub(crate) fn revoke(&self, sessions: &[String]) {
        let mut state = self.write();
        for session in sessions {
            state.revoked.insert(session.clone(), REVOKED_FOR);
        }
    }

    pub(crate) fn is_revoked(&self, session: &str) -> bool {
        self.read().revoked.contains(session)
    }

    pub(crate) fn ban(&self, peer: PeerId, lasting: Duration) {
        self.write().banned.insert(peer, lasting);
    }

    pub(crate) fn is_banned(&self, peer: &PeerId) -> bool {
        self.read().banned.contains(peer)
    }

    /// Whether `peer` may connect from this address with this token.
    ///
    /// # Errors
    /// The reason, fit to be told to the peer.
    pub(crate) fn check(
        &self,
        token: &str,
        peer: PeerId,
        addr: SocketAddr,
        clock: &Clock,
    ) -> Result<ChannelTicket, String> {
        if peer == self.me {
            return Err("this is the node itself".into());
        }
        if self.is_banned(&peer) {
            return Err("peer misbehaved".into());
        }
        let (keys, platform) = {
            let state = self.read();
            (state.keys.clone(), state.platform.clone())
        };
        if platform.is_empty() {
            return Err("not signed in yet".into());
        }
        let now = clock.platform_seconds();
        let ticket = ChannelTicket::check(token, &keys, &platform, peer, now)
            .map_err(|error| error.to_string())?;
        if self.is_revoked(&ticket.jti) {
            return Err(ticket::Error::Revoked.to_string());
        }
        if self.admit.as_ref().is_some_and(|admit| !admit(&ticket, addr)) {
            return Err("not admitted here".into());
        }
        Ok(ticket)
    }
}
