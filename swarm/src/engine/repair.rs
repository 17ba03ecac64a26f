//! Holes are pulled: by deadline, then importance, then rarity, from the least loaded.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::partner::{Partner, Pid};
use crate::output::{Offence, Urgency};
use crate::{Message, Output, ShardRef, Substreams, Time, TimeoutReason};

/// With less time than this servers are asked first.
const HURRY: Duration = Duration::from_millis(600);
/// A start begins so long before the playout point at most, or not much longer.
const LATE_START: Duration = Duration::from_millis(1200);
/// The most shards on their way from one partner, and over all; and from one with little to spare while a start looks for
/// what it needs: others are about to answer.
const PER_PARTNER: u16 = 24;
const AT_START: u16 = 5;
const IN_ALL: usize = 192;
/// A pull that is not answered after this and one and a half round trips, if others take no longer.
const ANSWER: Duration = Duration::from_millis(150);
/// No pull is waited for longer, and after this it is not thought to come any more.
const LONGEST: Duration = Duration::from_millis(800);
const LOST: Duration = Duration::from_secs(3);
/// Shards that a viewer has on their way before it knows how fast they come, and at least.
const FIRST: usize = 24;
const LEAST: usize = 8;
/// A viewer that nobody feeds pulls what is due within this.
const DUE_SOON: Duration = Duration::from_secs(1);

/// Refused pulls are asked of others after this: several answers may come together.
const REFUSED: Duration = Duration::from_millis(5);

/// After a refusal a partner is not asked for the same segment sooner.
const ASK_AGAIN: Duration = Duration::from_millis(150);

/// A shard that was asked for and is awaited.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) shard: ShardRef,
    pub(super) peer: Pid,
    at: Time,
    /// Whether it has not come in time: others are asked, but it may still come.
    pub(super) late: bool,
}

/// How fast pulled shards come, and how many may be on their way: what is asked for beyond what a line carries comes late,
/// is asked for again, and comes twice.
#[derive(Debug)]
pub(super) struct Flow {
    /// From question to shard: a moving mean and its deviation, microseconds (RFC 6298).
    mean: u64,
    deviation: u64,
    /// Shards on their way at one time: it grows with each that comes in time, and is halved if one does not (RFC 5681).
    most: usize,
    halved: Time,
}

impl Flow {
    pub(super) fn new(now: Time) -> Self {
        Self { mean: 0, deviation: 0, most: FIRST, halved: now }
    }

    /// Of who comes because its line is short, or may be.
    pub(super) fn careful(now: Time) -> Self {
        Self { most: LEAST, ..Self::new(now) }
    }

    fn came(&mut self, took: Duration, late: bool) {
        let took = took.as_micros() as u64;
        if self.mean == 0 {
            (self.mean, self.deviation) = (took, took / 2);
        } else {
            self.deviation = (self.deviation * 3 + self.mean.abs_diff(took)) / 4;
            self.mean = (self.mean * 7 + took) / 8;
        }
        if !late {
            self.most = (self.most + 1).min(IN_ALL);
        }
    }

    /// What comes later than this is late.
    fn patience(&self, rtt: Duration) -> Duration {
        let usual = Duration::from_micros(self.mean.saturating_add(4 * self.deviation));
        usual.min(LONGEST).max(ANSWER + rtt * 3 / 2)
    }

    fn missed(&mut self, now: Time, rtt: Duration) {
        if now.since(self.halved) >= self.patience(rtt) {
            self.halved = now;
            self.most = (self.most / 2).max(LEAST);
        }
    }
}

/// What is to be asked of one partner.
struct Ask {
    peer: Pid,
    shards: Vec<ShardRef>,
    within: Duration,
}

/// Who may be asked for shards of one segment.
struct Holder {
    peer: Pid,
    has: Substreams,
    late: bool,
    /// Not of this home, though there is time.
    away: bool,
    wrong: bool,
    load: u16,
    /// The most that may be on its way from it.
    most: u16,
    rtt: Duration,
}

impl Engine {
    /// Pulls what is missing and will not come by itself; whether anything is missing.
    pub(super) fn repair(&mut self) -> bool {
        self.expire_pulls();
        if self.gentle.most(self.now) < self.config.k {
            return false;
        }
        self.aim();
        let holes = self.holes();
        let mut asks: Vec<Ask> = Vec::new();
        let mut may = self.may_pull();
        for &(number, left) in &holes {
            if may == 0 {
                break;
            }
            self.pull_segment(number, left, &mut asks, &mut may);
        }
        for Ask { peer, mut shards, within } in asks {
            shards.truncate(64);
            for &shard in &shards {
                self.pulls.push(Pull { shard, peer, at: self.now, late: false });
            }
            if let Some(partner) = self.partners.get_mut(peer) {
                partner.outstanding += shards.len() as u16;
            }
            let within_ms = within.as_millis().min(u128::from(u16::MAX)) as u16;
            self.send(peer, Message::Request { shards, within_ms });
        }
        !holes.is_empty()
    }

    /// Pulls that have had no answer: others are asked first.
    fn expire_pulls(&mut self) {
        let now = self.now;
        // With few on their way a line is not full, and asking twice costs little; nor is a repeater's.
        let waited = self.pulls.iter().filter(|pull| !pull.late).count();
        let full = self.is_viewer() && waited > LEAST;
        let (partners, let_down, flow) = (&mut self.partners, &mut self.let_down, &mut self.flow);
        self.pulls.retain_mut(|pull| {
            let Some(partner) = partners.get_mut(pull.peer) else { return false };
            let rtt = partner.info.rtt;
            let patience = if full { flow.patience(rtt) } else { ANSWER + rtt * 3 / 2 };
            if !pull.late && now.since(pull.at) >= patience {
                pull.late = true;
                partner.outstanding = partner.outstanding.saturating_sub(1);
                partner.late.insert(pull.shard.number);
                let_down.insert(pull.shard.number);
                flow.missed(now, rtt);
            }
            now.since(pull.at) < LOST
        });
    }

    /// How many more shards may be pulled now.
    fn may_pull(&self) -> usize {
        let most = if self.is_viewer() { self.flow.most } else { IN_ALL };
        most.saturating_sub(self.pulls.iter().filter(|pull| !pull.late).count())
    }

    /// Segments that are not whole though they should be, with the time left: the most urgent first; of equally urgent
    /// ones those that begin at a random access point.
    fn holes(&self) -> Vec<(u64, Duration)> {
        let covered = self.start.covered().map(|last| self.believable(last));
        let newest = self.window.newest().max(covered).max(self.told_alone());
        let Some(newest) = newest else { return Vec::new() };
        let first = match self.config.role {
            Role::Viewer => match self.playout.next.or(self.start.first()) {
                Some(next) => next,
                None => self.window.oldest().unwrap_or(newest),
            },
            Role::Repeater if !self.feeds.is_empty() => self.window.oldest().unwrap_or(newest),
            _ => return Vec::new(),
        };
        // What a holder promised is not proven: never look back further than what is kept.
        let first = first.max(newest.saturating_sub(self.window.most() as u64));
        let mut holes = Vec::new();
        for number in first..=newest {
            let slot = self.window.get(number);
            let gap = self.window.gap.is_some_and(|(a, b)| (a..=b).contains(&number));
            if gap || slot.is_some_and(|slot| slot.whole()) {
                continue;
            }
            let late = self.now.since(self.deadline(number));
            let late_start = if late < LATE_START { 500_000 } else { 0 };
            let mut left = self.deadline(number).0.saturating_sub(self.now.0);
            if !self.is_viewer() {
                // Others need it earlier; and who starts needs what was due a second ago.
                left = left.saturating_sub(HURRY.as_micros() as u64).max(late_start);
            } else if self.playout.next.is_none_or(|next| number >= next) {
                // While a start catches up, what was due is still of use.
                left = left.max(500_000);
            }
            if left > 0 {
                let random_access = slot.is_some_and(|slot| slot.random_access);
                holes.push((left / 500_000, !random_access, number, Duration::from_micros(left)));
            }
        }
        holes.sort_unstable();
        holes.into_iter().map(|(_, _, number, left)| (number, left)).collect()
    }

    /// The newest segment that partners tell of, for a viewer that nobody feeds: nothing else tells it what there is, and
    /// until it finds parents it lives on what it pulls. What is not due soon may still come from a parent: it would come twice.
    fn told_alone(&self) -> Option<u64> {
        if !self.is_viewer() || self.feeds.iter().any(|feed| feed.flows()) {
            return None;
        }
        self.window.newest()?;
        let told = self.partners.values().filter_map(|partner| partner.newest()).max()?;
        let told = self.believable(told);
        let soon = self.now + DUE_SOON;
        (told.saturating_sub(16)..=told).rev().find(|&number| self.deadline(number) <= soon)
    }

    fn pull_segment(&self, number: u64, left: Duration, asks: &mut Vec<Ask>, may: &mut usize) {
        let slot = self.window.get(number);
        let starting = self.is_viewer() && self.counters.startup.is_none();
        let hurry = left < HURRY && !starting;
        // A segment that has only begun to come is given the time that its slowest feed needs.
        let slowest = self.feeds.iter().map(|feed| feed.grace()).max().unwrap_or_default();
        let age = slot.map_or(slowest, |slot| self.now.since(slot.first));
        if !hurry && age < slowest.min(Duration::from_millis(500)) {
            return;
        }
        let held = slot.map_or(Substreams::NONE, |slot| slot.came());
        let awaited = self.pulls.iter().filter(|pull| pull.shard.number == number && !pull.late);
        let coming = awaited.map(|pull| pull.shard.index).collect::<Substreams>().without(held);
        let burst = self.start.bursting(number, self.now);
        let expected = if hurry { Substreams::NONE } else { self.expected(number) };
        let expected = expected.or(burst).without(held).without(coming);
        let missing = slot.map_or(self.config.k, |slot| slot.missing());
        let due = usize::from(missing).saturating_sub((coming.len() + expected.len()).into());
        // Who was let down once asks for one more than it needs.
        let due = due + usize::from(hurry && due > 0 && self.let_down.contains(number));
        let open = Substreams::first(self.config.n).without(held).without(coming).without(expected);
        // A repeater wants what its children take; a viewer anything, its own sub-streams first.
        let own: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        let mut left_to_ask =
            if self.is_viewer() { due } else { due.min(open.and(own).len().into()) };
        if left_to_ask == 0 {
            return;
        }
        let mut holders = self.segment_holders(number, hurry, asks);
        for index in open.and(own).iter().chain(open.without(own).iter()) {
            if left_to_ask == 0 || *may == 0 {
                return;
            }
            let able =
                |holder: &&mut Holder| holder.has.contains(index) && holder.load < holder.most;
            let best = holders.iter_mut().filter(able);
            let Some(holder) =
                best.min_by_key(|h| (h.late, h.away, h.wrong, h.load, h.rtt, h.peer))
            else {
                continue;
            };
            holder.load += 1;
            let (peer, shard) = (holder.peer, ShardRef { number, index });
            match asks.iter_mut().find(|ask| ask.peer == peer) {
                Some(ask) => {
                    ask.shards.push(shard);
                    ask.within = ask.within.min(left);
                }
                None => asks.push(Ask { peer, shards: vec![shard], within: left }),
            }
            left_to_ask -= 1;
            *may -= 1;
        }
    }

    /// Who may be asked for shards of a segment.
    fn segment_holders(&self, number: u64, hurry: bool, asks: &[Ask]) -> Vec<Holder> {
        let starting = self.is_viewer() && self.counters.startup.is_none();
        let plenty = 2 * usize::from(self.config.k);
        let asked = |peer: Pid| {
            asks.iter().find(|ask| ask.peer == peer).map_or(0, |ask| ask.shards.len() as u16)
        };
        let holder = |(peer, partner): (Pid, &Partner)| {
            if !partner.met
                || !self.may_feed_me(partner.info.role)
                || self.in_reserve(partner)
                || self.refused(partner, number, hurry)
            {
                return None;
            }
            let has = self.could_have(partner, number);
            (!has.is_empty()).then(|| Holder {
                peer,
                has,
                late: partner.late.contains(number),
                away: !hurry && !partner.at_home(),
                // In a hurry servers are asked first, else viewers.
                wrong: !starting && hurry == partner.is_viewer(),
                load: partner.outstanding + asked(peer),
                most: if starting && usize::from(partner.free) < plenty {
                    AT_START
                } else {
                    PER_PARTNER
                },
                rtt: partner.info.rtt,
            })
        };
        self.partners.iter().filter_map(holder).collect()
    }

    /// Whether a partner would not send a shard of this segment. It may hold more by now, but is asked again only once
    /// there is no time left for others.
    fn refused(&self, partner: &Partner, number: u64, hurry: bool) -> bool {
        let long_ago = hurry && self.now.since(partner.refused_at) >= ASK_AGAIN;
        partner.refused.contains(number) && !long_ago
    }

    /// What a partner has, or can make, of a segment: by what it told, and the time since.
    fn could_have(&self, partner: &Partner, number: u64) -> Substreams {
        let Some(newest) = partner.newest() else { return Substreams::NONE };
        let segment = (self.config.segment.as_micros() as u64).max(1);
        let since = self.now.since(partner.told).as_micros() as u64 / segment;
        if newest.saturating_add(since) < number {
            return Substreams::NONE;
        }
        // A viewer tells what may be subscribed to, and holds more than that: it plays.
        if partner.is_viewer() || partner.offered.len() >= self.config.k {
            return Substreams::first(self.config.n);
        }
        partner.offered
    }

    /// A shard came: it is not on its way any more. Whether it had been asked for.
    pub(super) fn pull_came(&mut self, from: Pid, shard: ShardRef) -> bool {
        let place = self.pulls.iter().position(|pull| pull.shard == shard && pull.peer == from);
        let Some(place) = place else { return false };
        let mut held_up = self.may_pull() == 0;
        let pull = self.pulls.swap_remove(place);
        if !pull.late
            && let Some(partner) = self.partners.get_mut(from)
        {
            held_up |= partner.outstanding >= PER_PARTNER;
            partner.outstanding = partner.outstanding.saturating_sub(1);
        }
        self.flow.came(self.now.since(pull.at), pull.late);
        if held_up {
            self.timers.arm(TimeoutReason::Repair, self.now + REFUSED);
        }
        true
    }

    pub(super) fn unavailable(&mut self, from: Pid, shards: &[ShardRef]) {
        let before = self.pulls.len();
        let refused = |pull: &Pull| pull.peer == from && shards.contains(&pull.shard);
        let waited = self.pulls.iter().filter(|pull| !pull.late && refused(pull)).count();
        self.pulls.retain(|pull| !refused(pull));
        let refused = before - self.pulls.len();
        let Some(partner) = self.partners.get_mut(from) else { return };
        if refused == 0 {
            return;
        }
        partner.answered = Some(self.now);
        partner.outstanding = partner.outstanding.saturating_sub(waited as u16);
        partner.refused_at = self.now;
        // It may be busy, or have moved on: no offence, but it is not asked for this segment again.
        for shard in shards {
            partner.refused.insert(shard.number);
        }
        self.timers.arm(TimeoutReason::Repair, self.now + REFUSED);
    }

    pub(super) fn requested(&mut self, from: Pid, shards: Vec<ShardRef>, within_ms: u16) {
        if shards.iter().any(|shard| shard.index >= self.config.n) {
            self.offend(from, Offence::Protocol);
            return;
        }
        let allowed = self.charge(from, 1 + shards.len() as u32) && self.serves(from);
        let deadline = self.now + Duration::from_millis(within_ms.into());
        let mut not = Vec::new();
        let (pushed, home) = (self.pushes.outside(), self.is_at_home(from));
        for shard in shards {
            let slot = self.window.get(shard.number).filter(|_| allowed);
            let held = slot.filter(|slot| slot.held().contains(shard.index));
            match held.map(|slot| (slot.layers_of(shard.index), slot.shard_bytes)) {
                Some((layers, bytes)) if home || self.uplink.spend(bytes, pushed, self.now) => {
                    let urgency = Urgency::Repair;
                    let Some(to) = self.partners.get(from).map(|partner| partner.id) else {
                        return;
                    };
                    self.out.push_back(Output::SendShard { to, shard, layers, deadline, urgency });
                }
                None if allowed && self.wait(from, shard, deadline) => {}
                _ => not.push(shard),
            }
        }
        if !not.is_empty() {
            self.send(from, Message::Unavailable { shards: not });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_what_comes_in_time_and_is_halved_once_for_what_does_not() {
        let mut flow = Flow::new(Time(0));
        for _ in 0..10 {
            flow.came(Duration::from_millis(40), false);
        }
        assert_eq!(flow.most, FIRST + 10);
        let rtt = Duration::from_millis(20);
        for now in [10_000_000, 10_001_000, 10_002_000] {
            flow.missed(Time(now), rtt);
        }
        assert_eq!(flow.most, (FIRST + 10) / 2);
        for second in 11..30 {
            flow.missed(Time(second * 1_000_000), rtt);
        }
        assert_eq!(flow.most, LEAST);
    }

    #[test]
    fn a_slow_line_is_given_time_within_bounds_whatever_the_round_trip() {
        let mut flow = Flow::new(Time(0));
        let rtt = Duration::from_millis(20);
        assert_eq!(flow.patience(rtt), ANSWER + rtt * 3 / 2);
        for _ in 0..50 {
            flow.came(Duration::from_millis(500), true);
        }
        let patience = flow.patience(rtt);
        assert!(patience > Duration::from_millis(490) && patience <= LONGEST, "{patience:?}");
        flow.came(Duration::from_secs(3600), true);
        assert_eq!(flow.patience(rtt), LONGEST);
        let far = Duration::from_secs(5);
        assert_eq!(flow.patience(far), ANSWER + far * 3 / 2);
    }
}
