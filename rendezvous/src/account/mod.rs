//! This rendezvous' own account at auth: it signs in as a node, which also lists it for others,
//! keeps the key set fresh and hears of revocations. While auth is away it goes on with the last
//! good copy.

mod client;
mod keep;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service::Stop;
use service::config::SecretText;
use service::status::Need;
use ticket::{KeyPurpose, KeySet, PeerId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hub::{Hub, Trust};

pub use client::{Advertised, Client, Error};
pub use keep::{Keep, Kept};

/// Auth lists a rendezvous for a minute after each sign-in.
const RENEW: Duration = Duration::from_secs(30);
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
/// Nobody should wait longer than this for a restarted auth to be noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// Between two looks at the key set, however many unknown keys tickets name.
const LOOKS: Duration = Duration::from_secs(1);
/// The key set is looked at this often, so that nodes learn of new keys in good time.
const LOOK: Duration = Duration::from_secs(15);
/// One long poll, seconds.
const POLL: u64 = 25;

/// This rendezvous' account at auth.
pub struct Account {
    client: Client,
    credential: SecretText,
    me: PeerId,
    advertised: Advertised,
    hub: Arc<Hub>,
    keep: Mutex<Keep>,
    /// The ticket that opens the revocations.
    ticket: watch::Sender<Option<String>>,
    auth: Need,
    keys: Need,
}

impl Account {
    /// An account; what was kept in `folder` counts from now on.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(
        client: Client,
        credential: SecretText,
        me: PeerId,
        advertised: Advertised,
        hub: Arc<Hub>,
        folder: &Path,
        status: &service::Status,
    ) -> std::io::Result<Self> {
        let keep = Keep::open(folder)?;
        let (auth, keys) = (status.need("auth"), status.need("key set"));
        let kept = keep.get();
        if let Ok(set) = KeySet::from_json(&kept.key_set) {
            tracing::info!(platform = %kept.platform, "starts with the key set of last time");
            hub.revoke(&kept.revoked);
            hub.set_trust(Trust { platform: kept.platform.clone(), keys: set });
            keys.ok();
        }
        Ok(Self {
            client,
            credential,
            me,
            advertised,
            hub,
            keep: Mutex::new(keep),
            ticket: watch::Sender::new(None),
            auth,
            keys,
        })
    }

    /// Does its work until the stop.
    pub async fn run(self, stop: Stop) {
        tokio::select! {
            () = stop.requested() => {}
            () = self.stay_signed_in() => {}
            () = self.follow_keys() => {}
            () = self.follow_revocations() => {}
        }
    }

    fn missed(&self, error: &Error) {
        self.hub.set_auth_away(matches!(error, Error::Unreachable(_)));
    }

    fn keep(&self, change: impl FnOnce(&mut Kept)) {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner).change(change);
    }

    fn kept<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(self.keep.lock().unwrap_or_else(PoisonError::into_inner).get())
    }

    async fn stay_signed_in(&self) {
        let mut pause = PAUSE;
        loop {
            let credential = self.credential.expose();
            match self.client.sign_in(credential, self.me, &self.advertised).await {
                Ok(signed) => {
                    pause = PAUSE;
                    let first = self.ticket.borrow().is_none();
                    self.ticket.send_replace(Some(signed.ticket));
                    self.keep(|kept| kept.platform = signed.platform);
                    self.auth.ok();
                    self.hub.set_auth_away(false);
                    if let Some(theirs) = signed.time {
                        let offset = self.hub.wall() as f64 - theirs as f64;
                        self.hub.metrics().clock_offset.set(offset / 1e6);
                    }
                    if first {
                        // Auth publishes this server's key from now on.
                        self.look_at_keys().await;
                    }
                    sleep(RENEW).await;
                }
                Err(error) => {
                    self.missed(&error);
                    self.auth.missing(error.to_string());
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn follow_keys(&self) {
        let mut earliest = Instant::now();
        loop {
            tokio::select! {
                () = self.hub.key_set_wanted() => sleep_until(earliest).await,
                () = sleep(LOOK) => {}
            }
            self.look_at_keys().await;
            earliest = Instant::now() + LOOKS;
        }
    }

    async fn look_at_keys(&self) {
        let platform = self.kept(|kept| kept.platform.clone());
        match self.client.key_set().await {
            Ok(keys) if !platform.is_empty() => {
                let listed = keys.find(&self.me.to_string(), KeyPurpose::ChannelTicket).is_some();
                self.keep(|kept| kept.key_set = keys.to_json());
                self.hub.set_trust(Trust { platform, keys });
                if listed {
                    self.keys.ok();
                } else {
                    self.keys.missing("auth does not publish the key of this rendezvous yet");
                }
            }
            // Known keys go on counting.
            Ok(_) => {}
            Err(error) if self.hub.trust().is_none() => self.keys.missing(error.to_string()),
            Err(error) => tracing::debug!(%error, "no look at the key set"),
        }
        self.hub.key_set_seen();
    }

    async fn follow_revocations(&self) {
        let mut tickets = self.ticket.subscribe();
        let mut pause = PAUSE;
        loop {
            let ticket = tickets.borrow_and_update().clone();
            let Some(ticket) = ticket else {
                // Err cannot be: the sender is a part of this.
                let _ = tickets.changed().await;
                continue;
            };
            let after = self.kept(|kept| kept.after);
            match self.client.revocations(&ticket, after, POLL).await {
                Ok(news) => {
                    pause = PAUSE;
                    self.hub.set_auth_away(false);
                    if !news.revoked.is_empty() {
                        tracing::info!(sessions = news.revoked.len(), "revoked");
                        self.hub.revoke(&news.revoked);
                    }
                    self.keep(|kept| {
                        kept.after = news.next;
                        kept.revoked.extend(news.revoked);
                    });
                }
                Err(Error::Refused { status: 401, .. }) => {
                    // The next ticket may do better.
                    let _ = tokio::time::timeout(LONGEST_PAUSE, tickets.changed()).await;
                }
                Err(error) => {
                    self.missed(&error);
                    tracing::debug!(%error, "no look at revocations");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
