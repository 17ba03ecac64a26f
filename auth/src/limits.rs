//! What guessing costs.
//!
//! Every failure fills a bucket that leaks with time; a full one refuses (429). There are buckets
//! per account and address prefix together, per account, and per prefix. The second one alone would
//! let anybody lock an account's owner out, so it only stops prefixes that have failed on the
//! account themselves; and a device that signed in to the account before is judged by a bucket of
//! its own and by no other.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::config;

/// Buckets kept at most; beyond it the emptiest are forgotten.
const MOST: usize = 100_000;

/// The longest wait for open attempts.
const PATIENCE: Duration = Duration::from_secs(10);

/// /24 of IPv4, /56 of IPv6: what one household or small attacker has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 72)).into(),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Pair(u128, Network),
    Account(u128),
    Network(Network),
    Administrator(Network),
    Device(u128, [u8; 32]),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Failures not forgiven yet.
    level: f64,
    at: Instant,
    /// Attempts of which it is not known yet what they are.
    open: u32,
}

/// All buckets.
pub(crate) struct Limits {
    config: config::Limits,
    buckets: Mutex<HashMap<Key, Bucket>>,
    /// Wakes those who wait for open attempts.
    settled: Notify,
}

/// One attempt. Dropped without a verdict, it was a failure.
#[must_use]
pub(crate) struct Attempt<'a> {
    limits: &'a Limits,
    keys: Vec<Key>,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Right,
    Wrong,
    Void,
}

/// Refused; it makes sense to try again after this time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany(pub(crate) Duration);

/// Why there is no attempt now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Denied {
    TooMany(Duration),
    /// It depends on what becomes of attempts that are open: a family that signs in at once with
    /// the right password is no attack.
    Open,
}

fn name_key(username: &str) -> u128 {
    let hash = blake3::hash(username.as_bytes());
    let (start, _) = hash.as_bytes().split_at(16);
    u128::from_le_bytes(start.try_into().expect("split at 16"))
}

impl Limits {
    pub(crate) fn new(config: config::Limits) -> Self {
        Self { config, buckets: Mutex::default(), settled: Notify::new() }
    }

    /// Before a password is checked. `known`: the device's key if it signed in to this account
    /// before. Waits while it depends on attempts whose passwords are being checked.
    pub(crate) async fn password(
        &self,
        username: &str,
        from: IpAddr,
        known: Option<[u8; 32]>,
    ) -> Result<Attempt<'_>, TooMany> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            match self.try_password(username, from, known, Instant::now()) {
                Ok(attempt) => return Ok(attempt),
                Err(Denied::TooMany(wait)) => return Err(TooMany(wait)),
                Err(Denied::Open) => {
                    timeout_at(deadline.into(), settled)
                        .await
                        .map_err(|_| TooMany(Duration::from_secs(1)))?;
                }
            }
        }
    }

    fn try_password(
        &self,
        username: &str,
        from: IpAddr,
        known: Option<[u8; 32]>,
        now: Instant,
    ) -> Result<Attempt<'_>, Denied> {
        let (account, network) = (name_key(username), Network::from(from));
        let mut buckets = self.lock();
        if let Some(device) = known {
            let keys = vec![Key::Device(account, device)];
            self.admit(&buckets, &keys, now)?;
            return Ok(self.open(&mut buckets, keys, now));
        }
        let keys = vec![Key::Pair(account, network), Key::Network(network), Key::Account(account)];
        // A prefix that has not failed yet is not refused for what others did; but it counts.
        let fresh = self.level(&buckets, &keys[0], now) <= 0.0;
        self.admit(&buckets, if fresh { &keys[..2] } else { &keys }, now)?;
        Ok(self.open(&mut buckets, keys, now))
    }

    /// Whether an administrator's token from there is looked at.
    pub(crate) fn administrator(&self, from: IpAddr, now: Instant) -> Result<(), TooMany> {
        self.judge(Key::Administrator(from.into()), now)
    }

    /// After somebody came with a wrong administrator's token.
    pub(crate) fn wrong_administrator(&self, from: IpAddr, now: Instant) {
        self.fail(&mut self.lock(), Key::Administrator(from.into()), now);
    }

    /// After a node came with a wrong credential. A right one is never refused: nobody guesses
    /// it, and whoever shares a prefix with a node must not be able to lock it out.
    pub(crate) fn wrong_credential(&self, from: IpAddr, now: Instant) -> Result<(), TooMany> {
        let key = Key::Network(from.into());
        self.judge(key, now)?;
        self.fail(&mut self.lock(), key, now);
        Ok(())
    }

    fn judge(&self, key: Key, now: Instant) -> Result<(), TooMany> {
        match self.admit(&self.lock(), &[key], now) {
            Err(Denied::TooMany(wait)) => Err(TooMany(wait)),
            Ok(()) | Err(Denied::Open) => Ok(()),
        }
    }

    fn admit(
        &self,
        buckets: &HashMap<Key, Bucket>,
        keys: &[Key],
        now: Instant,
    ) -> Result<(), Denied> {
        let mut wait = Duration::ZERO;
        let mut open = false;
        for key in keys {
            let (most, every) = self.rule(key);
            let level = self.level(buckets, key, now);
            let excess = level + 1.0 - most;
            if excess > 1e-6 {
                wait = wait.max(every.mul_f64(excess));
            }
            let unsettled = buckets.get(key).map_or(0, |bucket| bucket.open);
            open |= excess + f64::from(unsettled) > 1e-6;
        }
        match (wait.is_zero(), open) {
            (false, _) => Err(Denied::TooMany(wait)),
            (true, true) => Err(Denied::Open),
            (true, false) => Ok(()),
        }
    }

    fn open(
        &self,
        buckets: &mut HashMap<Key, Bucket>,
        keys: Vec<Key>,
        now: Instant,
    ) -> Attempt<'_> {
        for key in &keys {
            self.bucket(buckets, *key, now).open += 1;
        }
        Attempt { limits: self, keys, verdict: Verdict::Wrong }
    }

    fn fail(&self, buckets: &mut HashMap<Key, Bucket>, key: Key, now: Instant) {
        let (most, _) = self.rule(&key);
        let level = self.level(buckets, &key, now);
        let bucket = self.bucket(buckets, key, now);
        (bucket.level, bucket.at) = ((level + 1.0).min(most), now);
    }

    fn bucket<'a>(
        &self,
        buckets: &'a mut HashMap<Key, Bucket>,
        key: Key,
        now: Instant,
    ) -> &'a mut Bucket {
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            self.forget(buckets, now);
        }
        buckets.entry(key).or_insert(Bucket { level: 0.0, at: now, open: 0 })
    }

    /// Makes room: the empty ones go, and if these are few, the emptier half. Open ones stay;
    /// they are as many as passwords are being checked.
    fn forget(&self, buckets: &mut HashMap<Key, Bucket>, now: Instant) {
        let mut all: Vec<(Key, f64)> = buckets
            .iter()
            .filter(|(_, bucket)| bucket.open == 0)
            .map(|(key, _)| (*key, self.level(buckets, key, now)))
            .collect();
        all.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        let empty = all.partition_point(|(_, level)| *level <= 0.0);
        for (key, _) in &all[..empty.max(all.len() / 2)] {
            buckets.remove(key);
        }
    }

    fn level(&self, buckets: &HashMap<Key, Bucket>, key: &Key, now: Instant) -> f64 {
        let (_, every) = self.rule(key);
        buckets.get(key).map_or(0.0, |bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.level - passed / every.as_secs_f64()).max(0.0)
        })
    }

    fn rule(&self, key: &Key) -> (f64, Duration) {
        let config = &self.config;
        let (most, every) = match key {
            Key::Pair(..) | Key::Device(..) => (config.pair_failures, config.pair_forgiven_every),
            Key::Account(_) => (config.account_failures, config.account_forgiven_every),
            Key::Network(_) | Key::Administrator(_) => {
                (config.prefix_failures, config.prefix_forgiven_every)
            }
        };
        (f64::from(most), every.get())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Bucket>> {
        // The map is whole after every statement that changes it.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It was right: earlier failures of the same one are forgiven, others keep theirs.
    pub(crate) fn right(mut self) {
        self.verdict = Verdict::Right;
    }

    /// It could not be judged, so it does not count.
    pub(crate) fn void(mut self) {
        self.verdict = Verdict::Void;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut buckets = self.limits.lock();
        for key in &self.keys {
            if let Some(bucket) = buckets.get_mut(key) {
                bucket.open = bucket.open.saturating_sub(1);
                if self.verdict == Verdict::Right && matches!(key, Key::Pair(..) | Key::Device(..))
                {
                    bucket.level = 0.0;
                }
            }
            if self.verdict == Verdict::Wrong {
                self.limits.fail(&mut buckets, *key, now);
            }
        }
        drop(buckets);
        self.limits.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.7";
    const AWAY: &str = "198.51.100.9";

    fn limits() -> Limits {
        Limits::new(config::Limits::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A failure, or how long to wait. At `now`, whatever time the test takes.
    fn fail(limits: &Limits, name: &str, from: &str, now: Instant) -> Option<Duration> {
        match limits.try_password(name, ip(from), None, now) {
            Ok(mut attempt) => {
                attempt.verdict = Verdict::Void;
                let keys = attempt.keys.clone();
                drop(attempt);
                keys.iter().for_each(|key| limits.fail(&mut limits.lock(), *key, now));
                None
            }
            Err(Denied::TooMany(wait)) => Some(wait),
            Err(Denied::Open) => panic!("nothing is open"),
        }
    }

    fn attempt<'a>(
        limits: &'a Limits,
        from: &str,
        known: Option<[u8; 32]>,
        now: Instant,
    ) -> Attempt<'a> {
        limits.try_password("anna", ip(from), known, now).unwrap_or_else(|_| panic!("refused"))
    }

    #[test]
    fn guessing_is_stopped_and_forgiven_one_by_one() {
        let (limits, now) = (limits(), Instant::now());
        for _ in 0..5 {
            assert_eq!(fail(&limits, "anna", HOME, now), None);
        }
        let wait = fail(&limits, "anna", HOME, now).unwrap();
        assert_eq!(wait, Duration::from_secs(20));
        assert_eq!(fail(&limits, "anna", "192.0.2.200", now), Some(wait), "the same prefix");
        assert_eq!(fail(&limits, "berta", HOME, now), None, "another account");
        assert_eq!(fail(&limits, "anna", HOME, now + wait), None);
        assert!(fail(&limits, "anna", HOME, now + wait).is_some());
    }

    #[test]
    fn a_right_password_forgives() {
        let (limits, now) = (limits(), Instant::now());
        for _ in 0..4 {
            assert_eq!(fail(&limits, "anna", HOME, now), None);
        }
        attempt(&limits, HOME, None, now).right();
        for _ in 0..5 {
            assert_eq!(fail(&limits, "anna", HOME, now), None);
        }
        assert!(fail(&limits, "anna", HOME, now).is_some());
    }

    #[test]
    fn what_could_not_be_judged_does_not_count() {
        let (limits, now) = (limits(), Instant::now());
        for _ in 0..100 {
            attempt(&limits, HOME, None, now).void();
        }
        assert_eq!(fail(&limits, "anna", HOME, now), None);
    }

    #[test]
    fn an_attacker_elsewhere_does_not_lock_the_owner_out() {
        let (limits, now) = (limits(), Instant::now());
        let mut refused = 0;
        for i in 0..1000_u32 {
            let from = Ipv4Addr::from_bits(0x0a00_0000 + (i % 50) * 256).to_string();
            refused += u32::from(fail(&limits, "anna", &from, now).is_some());
        }
        // Fifty first attempts, and what the account allows; the rest is refused.
        assert!(refused >= 1000 - 50 - 20, "{refused}");
        attempt(&limits, AWAY, None, now).right();
    }

    #[test]
    fn an_attacker_at_home_does_not_lock_a_known_device_out() {
        let (limits, now) = (limits(), Instant::now());
        while fail(&limits, "anna", HOME, now).is_none() {}
        assert!(fail(&limits, "anna", HOME, now).is_some());
        attempt(&limits, HOME, Some([1; 32]), now).right();
        // But even a known device cannot guess without end.
        let guess = || limits.try_password("anna", ip(HOME), Some([2; 32]), Instant::now()).is_ok();
        assert_eq!((0..100).filter(|_| guess()).count(), 5);
    }

    #[tokio::test]
    async fn many_who_are_right_at_once_wait_for_each_other() {
        let limits = limits();
        let open: Vec<_> = (0..5).map(|_| attempt(&limits, HOME, None, Instant::now())).collect();
        let next = limits.try_password("anna", ip(HOME), None, Instant::now());
        assert_eq!(next.err(), Some(Denied::Open));
        let waiting = limits.password("anna", ip(HOME), None);
        let (last, ()) = tokio::join!(waiting, async { open.into_iter().for_each(Attempt::right) });
        last.unwrap_or_else(|_| panic!("refused")).right();
        // Had they been wrong, the next one would be refused.
        let open: Vec<_> = (0..5).map(|_| attempt(&limits, HOME, None, Instant::now())).collect();
        let waiting = limits.password("anna", ip(HOME), None);
        let (last, ()) = tokio::join!(waiting, async { drop(open) });
        assert!(last.is_err());
    }

    #[test]
    fn one_prefix_cannot_try_many_accounts() {
        let (limits, now) = (limits(), Instant::now());
        let tried = (0..1000).filter(|i| fail(&limits, &format!("user-{i}"), HOME, now).is_none());
        assert_eq!(tried.count(), 60);
        assert!(limits.wrong_credential(ip(HOME), now).is_err());
        assert!(limits.wrong_credential(ip(AWAY), now).is_ok());
        assert!(limits.administrator(ip(HOME), now).is_ok(), "administrators are judged apart");
        (0..60).for_each(|_| limits.wrong_administrator(ip(HOME), now));
        assert!(limits.administrator(ip(HOME), now).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let limits = limits();
        let now = Instant::now();
        for i in 0..60_000_u32 {
            let from = Ipv4Addr::from_bits(i << 8).to_string();
            let _ = fail(&limits, &i.to_string(), &from, now);
        }
        assert!(limits.lock().len() <= MOST);
    }

    #[test]
    fn prefixes_are_what_one_household_has() {
        let network = |text: &str| Network::from(ip(text));
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.254"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:ff::2"));
        assert_ne!(network("2001:db8:0:100::1"), network("2001:db8:0:ff::2"));
    }
}
