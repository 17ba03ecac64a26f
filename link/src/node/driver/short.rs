//! Engines hear at once that the uplink carries less than they have promised: what waits tells it before it is late.

use std::time::Duration;

use swarm::{Input, Time};

use super::Driver;

/// A push that has waited longer says that the uplink does not carry what was promised.
const LONG: Duration = Duration::from_millis(350);
/// What engines are told of a rate: some is left for what waits.
const LEFT: f64 = 0.9;
/// After so long without such a wait they are told of more,
const CALM: Duration = Duration::from_secs(2);
/// by this much, up to what is allowed.
const MORE: f64 = 1.25;

/// What engines were told of the uplink, while it carries less than is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Short {
    /// Bits per second.
    rate: u64,
    since: Time,
}

/// What engines are told next: `rate` is what the uplink carries now, `waited` how long the oldest push has. The inner
/// `None`: what is allowed holds again.
fn next(
    short: Option<Short>,
    now: Time,
    rate: u64,
    waited: Duration,
    most: u64,
) -> Option<Option<Short>> {
    let told = (rate as f64 * LEFT) as u64;
    if waited > LONG {
        // Once for each fall: what was just told takes a moment to show.
        let due = short.is_none_or(|short| told < short.rate && now.since(short.since) > LONG);
        return (due && told < most).then_some(Some(Short { rate: told, since: now }));
    }
    let short = short.filter(|short| now.since(short.since) > CALM)?;
    let more = (short.rate as f64 * MORE) as u64;
    Some((more < most).then_some(Short { rate: more, since: now }))
}

impl Driver {
    /// Looks at what waits; to be called a few times a second.
    pub(super) fn look_at_uplink(&mut self) {
        let Some(uplink) = self.egress.uplink() else { return };
        let now = self.clock.now();
        let outside = self.conns.values().filter(|conn| !conn.household);
        let oldest = outside.filter_map(|conn| conn.outbox.oldest_push()).min();
        let waited = oldest.map_or(Duration::ZERO, |since| now.since(since));
        let limits = self.parts.values().map(|part| part.shared.limits().uplink);
        let most = limits.map(|limit| limit.unwrap_or(u64::MAX)).max().unwrap_or(u64::MAX);
        let rate = uplink.state().rate;
        let Some(short) = next(self.short, now, rate, waited, most) else { return };
        tracing::debug!(?short, rate, "what the uplink carries");
        self.short = short;
        for (swarm, part) in &self.parts {
            let limit = part.shared.limits().uplink;
            let rate = match (short, limit) {
                (None, limit) => limit,
                (Some(short), limit) => Some(limit.map_or(short.rate, |most| most.min(short.rate))),
            };
            self.inputs.push_back((*swarm, Input::Uplink { rate }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Duration = Duration::from_millis(400);

    fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn a_fall_is_told_at_once_and_what_comes_after_it_step_by_step() {
        let most = 2_000_000;
        assert_eq!(next(None, at(0), 500_000, Duration::ZERO, most), None, "nothing waits");
        let fell = next(None, at(0), 1_000_000, WAITS, most).unwrap();
        assert_eq!(fell, Some(Short { rate: 900_000, since: at(0) }));
        assert_eq!(next(fell, at(100), 800_000, WAITS, most), None, "it was just told");
        assert_eq!(next(fell, at(500), 1_100_000, WAITS, most), None, "it has not fallen further");
        let further = next(fell, at(500), 500_000, WAITS, most).unwrap();
        assert_eq!(further, Some(Short { rate: 450_000, since: at(500) }));
        let (mut short, mut now, mut steps) = (further, 500, 0);
        while short.is_some() {
            assert_eq!(next(short, at(now + 1_000), 500_000, Duration::ZERO, most), None);
            now += 2_001;
            short = next(short, at(now), 500_000, Duration::ZERO, most).unwrap();
            steps += 1;
        }
        assert_eq!(steps, 7);
    }

    #[test]
    fn what_is_allowed_is_never_exceeded() {
        assert_eq!(next(None, at(0), 5_000_000, WAITS, 2_000_000), None);
    }
}
