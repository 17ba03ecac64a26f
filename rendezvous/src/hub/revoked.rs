//! Sessions that ended before their tickets expire.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use swarm::Time;

/// For how long a revocation matters at least: channel tickets live for 30 min, and clocks differ.
const KEPT: Duration = Duration::from_secs(35 * 60);

/// The most that are held; beyond it the oldest are forgotten.
const MOST: usize = 100_000;

/// The revoked sessions (`jti`) that tickets may still name, with the reason.
pub(super) struct Revoked {
    reasons: HashMap<String, String>,
    order: VecDeque<(Time, String)>,
    kept: Duration,
}

impl Revoked {
    /// None yet. `lapsed`: tickets that expired so long ago may still be shown.
    pub(super) fn new(lapsed: Duration) -> Self {
        Self { reasons: HashMap::new(), order: VecDeque::new(), kept: KEPT + lapsed }
    }

    /// Adds a session; gives whether it is new.
    pub(super) fn insert(&mut self, now: Time, session: &str, reason: &str) -> bool {
        if self.reasons.insert(session.to_owned(), reason.to_owned()).is_some() {
            return false;
        }
        self.order.push_back((now, session.to_owned()));
        self.forget(now);
        true
    }

    pub(super) fn reason(&self, session: &str) -> Option<&str> {
        self.reasons.get(session).map(String::as_str)
    }

    /// The newest `most`.
    pub(super) fn newest(&self, most: usize) -> Vec<String> {
        let skip = self.order.len().saturating_sub(most);
        self.order.iter().skip(skip).map(|(_, session)| session.clone()).collect()
    }

    pub(super) fn forget(&mut self, now: Time) {
        while let Some((since, _)) = self.order.front() {
            if self.order.len() <= MOST && now.since(*since) < self.kept {
                break;
            }
            if let Some((_, session)) = self.order.pop_front() {
                self.reasons.remove(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_are_forgotten_when_no_ticket_can_name_them() {
        let mut revoked = Revoked::new(Duration::ZERO);
        assert!(revoked.insert(Time(0), "a", "signed out"));
        assert!(!revoked.insert(Time(1), "a", "signed out"));
        let later = Time(0) + Duration::from_secs(31 * 60);
        assert!(revoked.insert(later, "b", "account disabled"));
        assert_eq!(revoked.reason("a"), Some("signed out"));
        assert_eq!(revoked.newest(1), ["b"]);
        revoked.forget(Time(0) + KEPT);
        assert_eq!((revoked.reason("a"), revoked.newest(9)), (None, vec!["b".to_owned()]));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut revoked = Revoked::new(Duration::ZERO);
        for i in 0..MOST + 5 {
            revoked.insert(Time(i as u64), &i.to_string(), "");
        }
        assert_eq!((revoked.order.len(), revoked.reasons.len()), (MOST, MOST));
        assert!(revoked.reason("4").is_none() && revoked.reason("5").is_some());
    }
}
