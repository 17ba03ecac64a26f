//! What auth says: whose signatures count, and who is revoked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use link::protocol::{Event, Refusal};
use ticket::{KeyPurpose, KeySet, PeerId};
use tokio::sync::{Notify, watch};

use super::{Hub, REVOKED_AT_ONCE};

/// Whose signatures count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trust {
    /// The platform's name: the tickets' audience.
    pub platform: String,
    /// The published keys.
    pub keys: KeySet,
}

/// A session that ended before its time.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Revocation {
    /// The tickets' `jti`.
    pub session: String,
    /// Why, fit to be shown to its user.
    #[serde(default)]
    pub reason: String,
}

pub(super) struct Keeper {
    now: RwLock<Option<Arc<Trust>>>,
    /// Counts the looks at auth's key set.
    looks: watch::Sender<u64>,
    wanted: Notify,
    /// Auth did not answer last time.
    away: AtomicBool,
}

impl Default for Keeper {
    fn default() -> Self {
        let (looks, wanted) = (watch::Sender::new(0), Notify::new());
        Self { now: RwLock::new(None), looks, wanted, away: AtomicBool::new(true) }
    }
}

impl Hub {
    /// Whose signatures count now; `None`: nothing is known yet.
    pub fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these signatures count; nodes are told of a new key set.
    pub fn set_trust(&self, trust: Trust) {
        let before = {
            let mut now = self.trust.now.write().unwrap_or_else(PoisonError::into_inner);
            now.replace(Arc::new(trust.clone()))
        };
        if before.is_none_or(|before| before.keys != trust.keys) {
            let json = trust.keys.to_json();
            for seat in self.lock().seats.values() {
                self.push(seat, Event::KeySet(json.clone()));
            }
        }
    }

    /// Whether auth answered when it was last asked.
    pub fn set_auth_away(&self, away: bool) {
        self.trust.away.store(away, Ordering::Relaxed);
    }

    pub(super) fn auth_away(&self) -> bool {
        self.trust.away.load(Ordering::Relaxed)
    }

    /// These servers sign channel tickets: asks for a fresh key set if a key of theirs is not known.
    pub fn expect_signers(&self, mut servers: impl Iterator<Item = PeerId>) {
        let Some(trust) = self.trust() else { return };
        let known = |server: &PeerId| {
            trust.keys.find(&server.to_string(), KeyPurpose::ChannelTicket).is_some()
        };
        if servers.any(|server| !known(&server)) {
            self.trust.wanted.notify_one();
        }
    }

    /// The key set was looked at, whether it changed or not, or could not be had.
    pub fn key_set_seen(&self) {
        self.trust.looks.send_modify(|looks| *looks += 1);
    }

    /// Waits until somebody needs a fresh key set.
    pub async fn key_set_wanted(&self) {
        self.trust.wanted.notified().await;
    }

    /// Asks for a fresh key set and waits until it was looked at, 2 s at most: a ticket names a key
    /// that is not known here, perhaps because it is new.
    pub async fn fresh_key_set(&self) {
        let mut looks = self.trust.looks.subscribe();
        looks.mark_unchanged();
        self.trust.wanted.notify_one();
        let _ = tokio::time::timeout(Duration::from_secs(2), looks.changed()).await;
    }

    /// These sessions have ended: their nodes are refused and dropped, and everyone is told.
    pub fn revoke(&self, revocations: &[Revocation]) {
        let now = self.now();
        let mut state = self.lock();
        let mut new = Vec::new();
        for Revocation { session, reason } in revocations {
            if session.len() <= 128 && state.revoked.insert(now, session, reason) {
                new.push(session.clone());
            }
        }
        self.metrics.revocations.inc_by(new.len() as u64);
        for seat in state.seats.values() {
            if let Some(reason) = state.revoked.reason(&seat.ticket.jti) {
                seat.outbox.refuse(Refusal::Revoked, revoked(reason));
            } else {
                for some in new.chunks(REVOKED_AT_ONCE) {
                    self.push(seat, Event::Revoked(some.to_vec()));
                }
            }
        }
    }
}

/// What the user of a revoked session is told.
pub(super) fn revoked(reason: &str) -> String {
    if reason.is_empty() { "session was revoked".into() } else { reason.to_owned() }
}
