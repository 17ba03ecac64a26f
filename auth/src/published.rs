//! What everybody may know: the keys in force and where rendezvous servers are.

use std::collections::HashSet;

use ticket::{ChannelTicket, Identity, Issuer, KeyPurpose, KeySet, PublishedKey};

use crate::store::{Rendezvous, SigningKey};

/// A rendezvous server not heard of for longer is not listed, seconds. They report each minute.
const FRESH: i64 = 150;

/// Its key is published for longer: the tickets that it signed live on.
const KEY_FRESH: i64 = FRESH + ChannelTicket::LIFETIME as i64 + 60;

/// Rendezvous servers listed at most; with the signing keys they stay below what readers take.
const MOST: usize = 32;

/// A picture of the database, taken anew when something changes.
pub(crate) struct Published {
    keys: Vec<SigningKey>,
    /// Signs user tickets with the newest key.
    pub(crate) issuer: Issuer,
    rendezvous: Vec<Rendezvous>,
    /// While auth was down nobody could report: silence counts from its start.
    started: i64,
}

impl Published {
    /// None without a key that signs.
    pub(crate) fn new(
        keys: Vec<SigningKey>,
        mut rendezvous: Vec<Rendezvous>,
        started: i64,
    ) -> Option<Self> {
        let key = keys.iter().find(|key| key.retired_at.is_none())?;
        let issuer = Issuer::new(&key.kid, &Identity::from_seed(key.seed));
        let mut known = HashSet::new();
        rendezvous.retain(|server| known.insert(server.device));
        Some(Self { keys, issuer, rendezvous, started })
    }

    /// The key set at `now`: keys of auth, then those of rendezvous servers.
    pub(crate) fn keys(&self, now: i64) -> KeySet {
        let own = self.keys.iter().filter(|key| key.is_published(now)).map(|key| PublishedKey {
            kid: key.kid.clone(),
            key: Identity::from_seed(key.seed).id(),
            purpose: KeyPurpose::UserTicket,
        });
        let others = self.heard_of(now, KEY_FRESH).map(|server| PublishedKey {
            kid: server.device.to_string(),
            key: server.device,
            purpose: KeyPurpose::ChannelTicket,
        });
        KeySet::new(own.take(KeySet::MAX_KEYS - MOST).chain(others).collect())
    }

    /// The rendezvous servers in work at `now`, the one heard of last first.
    pub(crate) fn directory(&self, now: i64) -> impl Iterator<Item = &Rendezvous> {
        self.heard_of(now, FRESH).filter(|server| !server.quic.is_empty())
    }

    fn heard_of(&self, now: i64, within: i64) -> impl Iterator<Item = &Rendezvous> {
        self.rendezvous
            .iter()
            .filter(move |server| now - server.seen_at.max(self.started) <= within)
            .take(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn key(kid: &str, retired_at: Option<i64>) -> SigningKey {
        SigningKey { kid: kid.into(), seed: [1; 32], created_at: NOW, retired_at }
    }

    fn server(seed: u8, seen_at: i64) -> Rendezvous {
        let device = Identity::from_seed([seed; 32]).id();
        Rendezvous { device, quic: vec!["127.0.0.1:1".into()], http: None, seen_at }
    }

    #[test]
    fn without_a_signing_key_nothing_is_published() {
        assert!(Published::new(vec![], vec![], NOW).is_none());
        assert!(Published::new(vec![key("old", Some(NOW))], vec![], NOW).is_none());
    }

    #[test]
    fn retired_keys_stay_until_their_tickets_have_expired() {
        let keys = vec![key("new", None), key("old", Some(NOW))];
        let published = Published::new(keys, vec![], NOW).unwrap();
        let there = |now| published.keys(now).find("old", KeyPurpose::UserTicket).is_some();
        assert!(there(NOW) && there(NOW + 600));
        assert!(!there(NOW + 700));
        assert!(published.keys(NOW + 700).find("new", KeyPurpose::UserTicket).is_some());
    }

    #[test]
    fn silent_servers_leave_the_directory_and_later_the_key_set() {
        let servers = vec![server(2, NOW), server(3, NOW - 20), server(2, NOW - 30)];
        let published = Published::new(vec![key("k", None)], servers, NOW - 1000).unwrap();
        let listed = |now| published.directory(now).count();
        assert_eq!((listed(NOW), listed(NOW + 140), listed(NOW + 160)), (2, 1, 0));
        assert_eq!(published.keys(NOW + 160).keys().len(), 3);
        assert_eq!(published.keys(NOW + 3000).keys().len(), 1);
    }

    #[test]
    fn after_a_restart_servers_get_time_to_report() {
        let published =
            Published::new(vec![key("k", None)], vec![server(2, NOW - 5000)], NOW).unwrap();
        assert_eq!(published.directory(NOW + 100).count(), 1);
        assert_eq!(published.directory(NOW + 200).count(), 0);
    }
}
