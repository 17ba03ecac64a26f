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
/// The most shards on their way from one partner, and over all.
const PER_PARTNER: u16 = 24;
const IN_ALL: usize = 192;
/// A pull that is not answered after this and one and a half round trips.
const ANSWER: Duration = Duration::from_millis(150);

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
    wrong: bool,
    load: u16,
    rtt: Duration,
}

impl Engine {
    /// Pulls what is missing and will not come by itself; whether anything is missing.
    pub(super) fn repair(&mut self) -> bool {
        self.expire_pulls();
        let holes = self.holes();
        let mut asks: Vec<Ask> = Vec::new();
        for &(number, left) in &holes {
            self.pull_segment(number, left, &mut asks);
        }
        for Ask { peer, mut shards, within } in asks {
            shards.truncate(64);
            for &shard in &shards {
                self.pulls.push(Pull { shard, peer, at: self.now });
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
        let (partners, let_down) = (&mut self.partners, &mut self.let_down);
        self.pulls.retain(|pull| {
            let Some(partner) = partners.get_mut(pull.peer) else { return false };
            let late = now.since(pull.at) >= ANSWER + partner.info.rtt * 3 / 2;
            if late {
                partner.outstanding = partner.outstanding.saturating_sub(1);
                partner.late.insert(pull.shard.number);
                let_down.insert(pull.shard.number);
            }
            !late
        });
    }

    /// Segments that are not whole though they should be, with the time left: the most urgent first; of equally urgent
    /// ones those that begin at a random access point.
    fn holes(&self) -> Vec<(u64, Duration)> {
        let Some(newest) = self.window.newest() else { return Vec::new() };
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
        let burst = self.start.bursting(self.now);
        let mut holes = Vec::new();
        for number in first..=newest {
            let slot = self.window.get(number);
            let gap = self.window.gap.is_some_and(|(a, b)| (a..=b).contains(&number));
            let in_burst = burst.is_some_and(|(a, b)| (a..=b).contains(&number));
            if gap || in_burst || slot.is_some_and(|slot| slot.whole()) {
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

    fn pull_segment(&self, number: u64, left: Duration, asks: &mut Vec<Ask>) {
        let slot = self.window.get(number);
        let hurry = left < HURRY;
        // A segment that has only begun to come is given the time that its slowest feed needs.
        let slowest = self.feeds.iter().map(|feed| feed.grace()).max().unwrap_or_default();
        let age = slot.map_or(slowest, |slot| self.now.since(slot.first));
        if !hurry && age < slowest.min(Duration::from_millis(500)) {
            return;
        }
        let held = slot.map_or(Substreams::NONE, |slot| slot.came());
        let awaited = self.pulls.iter().filter(|pull| pull.shard.number == number);
        let coming: Substreams = awaited.map(|pull| pull.shard.index).collect();
        let expected = if hurry { Substreams::NONE } else { self.expected(number).without(held) };
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
            if left_to_ask == 0 || self.pulls.len() >= IN_ALL {
                return;
            }
            let able =
                |holder: &&mut Holder| holder.has.contains(index) && holder.load < PER_PARTNER;
            let best = holders.iter_mut().filter(able);
            let Some(holder) = best.min_by_key(|h| (h.late, h.wrong, h.load, h.rtt, h.peer)) else {
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
        }
    }

    /// Who may be asked for shards of a segment.
    fn segment_holders(&self, number: u64, hurry: bool, asks: &[Ask]) -> Vec<Holder> {
        let asked = |peer: Pid| {
            asks.iter().find(|ask| ask.peer == peer).map_or(0, |ask| ask.shards.len() as u16)
        };
        let holder = |(peer, partner): (Pid, &Partner)| {
            if !partner.met
                || !self.may_feed_me(partner.info.role)
                || self.refused(partner, number, hurry)
            {
                return None;
            }
            let has = self.could_have(partner, number);
            (!has.is_empty()).then(|| Holder {
                peer,
                has,
                late: partner.late.contains(number),
                // In a hurry servers are asked first, else viewers.
                wrong: hurry == partner.is_viewer(),
                load: partner.outstanding + asked(peer),
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
        let Some(partner) = self.partners.get_mut(from) else { return false };
        let Some(place) = place else { return partner.late.contains(shard.number) };
        self.pulls.swap_remove(place);
        partner.outstanding = partner.outstanding.saturating_sub(1);
        true
    }

    pub(super) fn unavailable(&mut self, from: Pid, shards: &[ShardRef]) {
        let before = self.pulls.len();
        self.pulls.retain(|pull| pull.peer != from || !shards.contains(&pull.shard));
        let refused = before - self.pulls.len();
        let Some(partner) = self.partners.get_mut(from) else { return };
        if refused == 0 {
            return;
        }
        partner.answered = Some(self.now);
        partner.outstanding = partner.outstanding.saturating_sub(refused as u16);
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
        let pushed = self.pushes.total();
        for shard in shards {
            let slot = self.window.get(shard.number).filter(|_| allowed);
            let held = slot.filter(|slot| slot.held().contains(shard.index));
            match held.map(|slot| (slot.layers_of(shard.index), slot.shard_bytes)) {
                Some((layers, bytes)) if self.uplink.spend(bytes, pushed, self.now) => {
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
