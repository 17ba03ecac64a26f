//! Places that an overloaded server took back. Once it has room again they are for those who had them, whoever came first
//! before the others, as long as they still ask: newcomers pay for an overload.

use std::time::Duration;

use super::Engine;
use super::partner::Pid;
use crate::Time;

/// Who does not ask again for so long has found another parent.
const ASKS: Duration = Duration::from_secs(3);

/// What is owed to one child.
#[derive(Clone, Copy, Debug)]
struct Claim {
    child: Pid,
    /// Sub-streams.
    count: u32,
    /// Since when it had them.
    since: Time,
    /// When it lost them, or asked last.
    asked: Time,
}

/// See the module. No more than there are partners.
#[derive(Debug, Default)]
pub(super) struct Owed(Vec<Claim>);

impl Owed {
    /// What is still owed to a child.
    fn of(&mut self, child: Pid, now: Time) -> Option<&mut Claim> {
        self.0.retain(|claim| now.since(claim.asked) < ASKS);
        self.0.iter_mut().find(|claim| claim.child == child)
    }

    /// A child lost a sub-stream that it had since then.
    fn add(&mut self, child: Pid, since: Time, now: Time) {
        match self.of(child, now) {
            Some(claim) => {
                claim.count += 1;
                claim.since = claim.since.min(since);
                claim.asked = now;
            }
            None => self.0.push(Claim { child, count: 1, since, asked: now }),
        }
    }

    /// A child gets a sub-stream, again if it had lost one; then since when it counts as having it.
    pub(super) fn pay(&mut self, child: Pid, now: Time) -> Option<Time> {
        let claim = self.of(child, now)?;
        claim.count -= 1;
        let since = claim.since;
        self.0.retain(|claim| claim.count > 0);
        Some(since)
    }

    /// A child has asked in vain.
    pub(super) fn renew(&mut self, child: Pid, now: Time) {
        if let Some(claim) = self.of(child, now) {
            claim.asked = now;
        }
    }

    pub(super) fn forget(&mut self, child: Pid) {
        self.0.retain(|claim| claim.child != child);
    }

    /// Places that are kept for others than this one.
    pub(super) fn before(&self, asker: Pid, now: Time) -> u32 {
        let own = self.0.iter().find(|claim| claim.child == asker).map(|claim| claim.since);
        let others = self.0.iter().filter(|claim| claim.child != asker);
        let first = others.filter(|claim| own.is_none_or(|own| claim.since < own));
        first.filter(|claim| now.since(claim.asked) < ASKS).map(|claim| claim.count).sum()
    }
}

impl Engine {
    /// Sheds until the uplink carries the rest, after it has turned out to carry less than was thought. A server remembers
    /// from whom.
    pub(super) fn shed_fallen(&mut self) {
        let shed = self.shed_overload();
        if self.is_viewer() {
            return;
        }
        for (child, since) in shed {
            self.owed.add(child, since, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use ticket::Role;

    use super::super::hand::{id, meet, server, subscribe};
    use super::*;

    #[test]
    fn newcomers_wait_until_those_who_were_shed_have_their_places_again() {
        let mut engine = server(Role::Headend);
        for number in 1..=3 {
            meet(&mut engine, number, &[]);
        }
        // Nothing says yet how much it carries.
        for (second, child) in [(10, 1), (11, 2)] {
            for index in 0..8 {
                assert!(subscribe(&mut engine, second, child, index));
            }
        }
        engine.now = Time(20_000_000);
        assert!(engine.uplink.fall(16, engine.now));
        engine.shed_fallen();
        let [one, two, three] = [1, 2, 3].map(|n| engine.partners.find(&id(n)).unwrap());
        let left = engine.takes(two).len();
        assert_eq!(engine.takes(one).len(), 8, "the newest is shed");
        assert!(left < 8);
        assert!(!subscribe(&mut engine, 21, 2, 7), "it is still full");
        // There is room for one more.
        engine.uplink.max_pushed(Some(8 + u32::from(left) + 1));
        engine.uplink.limit(None, engine.now);
        assert_eq!((engine.free_for(two), engine.free_for(three)), (1, 0));
        assert!(!subscribe(&mut engine, 22, 3, 0));
        assert!(subscribe(&mut engine, 23, 2, 7));
        // Who has it again is no newcomer, and the rest is owed only as long as it is asked for.
        engine.uplink.max_pushed(Some(40));
        assert!(engine.free_for(three) < 40 - 8 - u16::from(left) - 1);
        assert!(subscribe(&mut engine, 30, 3, 0));
        engine.uplink.max_pushed(Some(8 + u32::from(left) + 1));
        engine.shed_fallen();
        assert!(engine.takes(two).contains(7) && engine.takes(three).is_empty());
    }

    #[test]
    fn what_is_not_asked_for_any_more_is_not_owed_any_more() {
        let mut engine = server(Role::Headend);
        (1..=2).for_each(|number| meet(&mut engine, number, &[]));
        let [one, two] = [1, 2].map(|n| engine.partners.find(&id(n)).unwrap());
        let at = |second: u64| Time(second * 1_000_000);
        let mut owed = Owed::default();
        owed.add(one, at(1), at(10));
        owed.add(one, at(2), at(10));
        owed.renew(one, at(12));
        assert_eq!((owed.before(two, at(14)), owed.before(one, at(14))), (2, 0));
        assert_eq!(owed.before(two, at(15)), 0);
        owed.renew(one, at(16));
        assert_eq!((owed.before(two, at(16)), owed.pay(one, at(16))), (0, None));
        owed.add(one, at(3), at(20));
        assert_eq!((owed.pay(one, at(21)), owed.pay(one, at(21))), (Some(at(3)), None));
        assert!(owed.0.is_empty());
    }
}
