//! How fast new connections may come from one address prefix, so that one network cannot keep the
//! others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use swarm::Time;

/// The most prefixes that are told apart; beyond it further ones share one allowance.
const PREFIXES: usize = 50_000;

/// Between two walks over the table, to clear it.
const CLEAR: Duration = Duration::from_secs(1);

/// The allowance of every prefix (/24 of IPv4, /56 of IPv6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Connections at once.
    pub burst: u32,
    /// And then each second.
    pub per_second: u32,
}

/// Counts connections by prefix.
pub struct Admission {
    allowance: Allowance,
    /// By prefix, the moment until which its allowance is used up, were it spent evenly.
    used: HashMap<u64, Time>,
    rest: Time,
    /// When the table was last cleared of those who have all of their allowance left: a flood must
    /// not make every connection cost a walk over it.
    cleared: Time,
}

impl Admission {
    /// Nobody has come yet.
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, used: HashMap::new(), rest: Time::default(), cleared: Time::default() }
    }

    /// Whether one more may come from `ip`.
    pub fn admit(&mut self, now: Time, ip: IpAddr) -> bool {
        let spacing = Duration::from_secs(1) / self.allowance.per_second.max(1);
        let ahead = spacing * self.allowance.burst;
        let prefix = prefix(ip);
        let full =
            |used: &HashMap<u64, Time>| used.len() >= PREFIXES && !used.contains_key(&prefix);
        if full(&self.used) && now.since(self.cleared) >= CLEAR {
            self.cleared = now;
            self.used.retain(|_, until| *until > now);
        }
        let until =
            if full(&self.used) { &mut self.rest } else { self.used.entry(prefix).or_default() };
        let after = (*until).max(now) + spacing;
        let fits = after <= now + ahead;
        if fits {
            *until = after;
        }
        fits
    }
}

fn prefix(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            u64::from(u32::from_be_bytes([0, a, b, c]))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, ..] = ip.octets();
            // The leading 1 keeps it apart from IPv4.
            u64::from_be_bytes([1, a, b, c, d, e, f, g])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time(1_000_000 + milliseconds * 1000)
    }

    #[test]
    fn a_prefix_is_held_back_and_others_are_not() {
        let mut admission = Admission::new(Allowance { burst: 5, per_second: 10 });
        let from = |last: u8| IpAddr::from([192, 0, 2, last]);
        let let_in = (0..20).filter(|&i| admission.admit(at(0), from(i))).count();
        assert_eq!(let_in, 5);
        assert!(admission.admit(at(0), [198, 51, 100, 1].into()));
        assert!(admission.admit(at(0), "2001:db8::1".parse().unwrap()));
        let let_in = (0..20).filter(|&i| admission.admit(at(200), from(i))).count();
        assert_eq!(let_in, 2);
        assert!(admission.admit(at(0), "::ffff:198.51.100.2".parse().unwrap()));
    }

    #[test]
    fn memory_is_bounded_and_a_flood_of_prefixes_shares_one_allowance() {
        let mut admission = Admission::new(Allowance { burst: 5, per_second: 1 });
        let prefix = |i: u32| IpAddr::from((i << 8).to_be_bytes());
        let flood = 10_000;
        let let_in = (0..PREFIXES as u32 + flood).filter(|&i| admission.admit(at(0), prefix(i)));
        assert_eq!(let_in.count(), PREFIXES + 5);
        assert_eq!(admission.used.len(), PREFIXES);
        assert!(admission.admit(at(60_000), prefix(99_999)));
        assert_eq!(admission.used.len(), 1);
    }
}
