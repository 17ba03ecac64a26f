//! What guessing costs.
//!
//! Every failure fills a bucket that leaks with time; a full one refuses (429). There are buckets
//! per account and address prefix together, per account, and per prefix. The second one alone would
//! let anybody lock an account's owner out, so it only stops prefixes that have failed on the
//! account themselves; and a device that signed in to the account before is judged by a bucket of
//! its own and by no other.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config;

/// Buckets kept at most; beyond it the emptiest are forgotten.
const MOST: usize = 100_000;

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
    level: f64,
    at: Instant,
}

/// All buckets.
pub(crate) struct Limits {
    config: config::Limits,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// One attempt, counted as a failure until it is taken back.
#[must_use]
pub(crate) struct Attempt<'a> {
    limits: &'a Limits,
    keys: Vec<Key>,
}

/// Refused; it makes sense to try again after this time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany(pub(crate) Duration);

fn name_key(username: &str) -> u128 {
    let hash = blake3::hash(username.as_bytes());
    let (start, _) = hash.as_bytes().split_at(16);
    u128::from_le_bytes(start.try_into().expect("split at 16"))
}

impl Limits {
    pub(crate) fn new(config: config::Limits) -> Self {
        Self { config, buckets: Mutex::default() }
    }

    /// Before a password is checked. `known`: the device's key if it signed in to this account
    /// before.
    pub(crate) fn password(
        &self,
        username: &str,
        from: IpAddr,
        known: Option<[u8; 32]>,
        now: Instant,
    ) -> Result<Attempt<'_>, TooMany> {
        let (account, network) = (name_key(username), Network::from(from));
        if let Some(device) = known {
            return self.take(vec![Key::Device(account, device)], now);
        }
        let pair = Key::Pair(account, network);
        let mut keys = vec![pair, Key::Network(network)];
        if self.level(&pair, now) > 0.0 {
            keys.push(Key::Account(account));
            self.take(keys, now)
        } else {
            // A prefix's first attempt is not refused for what others did, but it counts.
            let mut attempt = self.take(keys, now)?;
            self.add(Key::Account(account), now);
            attempt.keys.push(Key::Account(account));
            Ok(attempt)
        }
    }

    /// Before an administrator's token is checked.
    pub(crate) fn administrator(&self, from: IpAddr, now: Instant) -> Result<Attempt<'_>, TooMany> {
        self.take(vec![Key::Administrator(from.into())], now)
    }

    /// After a node came with a wrong credential. A right one is never refused: nobody guesses
    /// it, and whoever shares a prefix with a node must not be able to lock it out.
    pub(crate) fn wrong_credential(&self, from: IpAddr, now: Instant) -> Result<(), TooMany> {
        self.take(vec![Key::Network(from.into())], now).map(drop)
    }

    fn take(&self, keys: Vec<Key>, now: Instant) -> Result<Attempt<'_>, TooMany> {
        let mut buckets = self.lock();
        let mut wait = Duration::ZERO;
        for key in &keys {
            let (most, every) = self.rule(key);
            let excess = level(&buckets, key, every, now) + 1.0 - most;
            if excess > 1e-6 {
                wait = wait.max(every.mul_f64(excess));
            }
        }
        if !wait.is_zero() {
            return Err(TooMany(wait));
        }
        for key in &keys {
            self.add_to(&mut buckets, *key, now);
        }
        Ok(Attempt { limits: self, keys })
    }

    fn add(&self, key: Key, now: Instant) {
        self.add_to(&mut self.lock(), key, now);
    }

    fn add_to(&self, buckets: &mut HashMap<Key, Bucket>, key: Key, now: Instant) {
        let (most, every) = self.rule(&key);
        let level = level(buckets, &key, every, now);
        if buckets.len() >= MOST && !buckets.contains_key(&key) {
            self.forget(buckets, now);
        }
        buckets.insert(key, Bucket { level: (level + 1.0).min(most), at: now });
    }

    /// Makes room: the empty ones go, and if these are few, the emptier half.
    fn forget(&self, buckets: &mut HashMap<Key, Bucket>, now: Instant) {
        let levels = |buckets: &HashMap<Key, Bucket>| -> Vec<(Key, f64)> {
            buckets.keys().map(|key| (*key, level(buckets, key, self.rule(key).1, now))).collect()
        };
        let mut all = levels(buckets);
        all.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        let empty = all.partition_point(|(_, level)| *level <= 0.0);
        for (key, _) in &all[..empty.max(all.len() / 2)] {
            buckets.remove(key);
        }
    }

    fn level(&self, key: &Key, now: Instant) -> f64 {
        level(&self.lock(), key, self.rule(key).1, now)
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

fn level(buckets: &HashMap<Key, Bucket>, key: &Key, every: Duration, now: Instant) -> f64 {
    buckets.get(key).map_or(0.0, |bucket| {
        let leaked = now.saturating_duration_since(bucket.at).as_secs_f64() / every.as_secs_f64();
        (bucket.level - leaked).max(0.0)
    })
}

impl Attempt<'_> {
    /// It was right: earlier failures of the same one are forgiven, others keep theirs.
    pub(crate) fn right(self) {
        let mut buckets = self.limits.lock();
        for key in &self.keys {
            match key {
                Key::Pair(..) | Key::Device(..) => {
                    buckets.remove(key);
                }
                Key::Account(_) | Key::Network(_) | Key::Administrator(_) => {
                    give_back(&mut buckets, key)
                }
            }
        }
    }

    /// It could not be judged, so it does not count.
    pub(crate) fn void(self) {
        let mut buckets = self.limits.lock();
        for key in &self.keys {
            give_back(&mut buckets, key);
        }
    }
}

fn give_back(buckets: &mut HashMap<Key, Bucket>, key: &Key) {
    if let Some(bucket) = buckets.get_mut(key) {
        bucket.level = (bucket.level - 1.0).max(0.0);
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

    /// A failure, or how long to wait.
    fn fail(limits: &Limits, name: &str, from: &str, now: Instant) -> Option<Duration> {
        limits.password(name, ip(from), None, now).err().map(|TooMany(wait)| wait)
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
        limits.password("anna", ip(HOME), None, now).unwrap().right();
        for _ in 0..5 {
            assert_eq!(fail(&limits, "anna", HOME, now), None);
        }
        assert!(fail(&limits, "anna", HOME, now).is_some());
    }

    #[test]
    fn what_could_not_be_judged_does_not_count() {
        let (limits, now) = (limits(), Instant::now());
        for _ in 0..100 {
            limits.password("anna", ip(HOME), None, now).unwrap().void();
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
        limits.password("anna", ip(AWAY), None, now).unwrap().right();
    }

    #[test]
    fn an_attacker_at_home_does_not_lock_a_known_device_out() {
        let (limits, now) = (limits(), Instant::now());
        while fail(&limits, "anna", HOME, now).is_none() {}
        assert!(fail(&limits, "anna", HOME, now).is_some());
        limits.password("anna", ip(HOME), Some([1; 32]), now).unwrap().right();
        // But even a known device cannot guess without end.
        let attempts =
            (0..100).filter(|_| limits.password("anna", ip(HOME), Some([2; 32]), now).is_ok());
        assert_eq!(attempts.count(), 5);
    }

    #[test]
    fn one_prefix_cannot_try_many_accounts() {
        let (limits, now) = (limits(), Instant::now());
        let tried = (0..1000).filter(|i| fail(&limits, &format!("user-{i}"), HOME, now).is_none());
        assert_eq!(tried.count(), 60);
        assert!(limits.wrong_credential(ip(HOME), now).is_err());
        assert!(limits.wrong_credential(ip(AWAY), now).is_ok());
        assert!(limits.administrator(ip(HOME), now).is_ok(), "administrators are judged apart");
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
