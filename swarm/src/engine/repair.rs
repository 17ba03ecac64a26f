//! Holes are pulled: by deadline, then importance, then rarity, from the least loaded.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::{PeerId, Role};

use super::Engine;
use super::partner::Partner;
use crate::output::{Offence, Urgency};
use crate::{Message, Output, ShardRef, Substreams, Time};

/// With less time than this servers are asked first.
const HURRY: Duration = Duration::from_millis(600);
/// A start begins so long before the playout point at most, or not much longer.
const LATE_START: Duration = Duration::from_millis(1200);
/// The most shards on their way from one partner, and over all.
const PER_PARTNER: u16 = 24;
const IN_ALL: usize = 192;
/// A pull that is not answered after this and one and a half round trips.
const ANSWER: Duration = Duration::from_millis(150);

/// A shard that was asked for.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) shard: ShardRef,
    pub(super) peer: PeerId,
    at: Time,
    fate: Fate,
}

/// What became of a pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Coming,
    /// It did not come in time: others are asked first.
    Late,
    /// The partner will not send it: it is not asked for this segment again.
    Refused,
}

impl Engine {
    /// Pulls what is missing and will not come by itself; whether anything is missing.
    pub(super) fn repair(&mut self) -> bool {
        self.expire_pulls();
        let holes = self.holes();
        let mut asks: BTreeMap<PeerId, (Vec<ShardRef>, Duration)> = BTreeMap::new();
        for &(number, left) in &holes {
            self.pull_segment(number, left, &mut asks);
        }
        for (peer, (mut shards, left)) in asks {
            shards.truncate(64);
            for &shard in &shards {
                self.pulls.push(Pull { shard, peer, at: self.now, fate: Fate::Coming });
            }
            if let Some(partner) = self.partners.get_mut(&peer) {
                partner.outstanding += shards.len() as u16;
            }
            let within_ms = left.as_millis().min(u128::from(u16::MAX)) as u16;
            self.send(peer, Message::Request { shards, within_ms });
        }
        !holes.is_empty()
    }

    fn expire_pulls(&mut self) {
        let now = self.now;
        let oldest = self.window.oldest().unwrap_or_default().max(self.playout.next.unwrap_or(0));
        self.pulls.retain(|pull| pull.shard.number >= oldest);
        for pull in self.pulls.iter_mut().filter(|pull| pull.fate == Fate::Coming) {
            let Some(partner) = self.partners.get_mut(&pull.peer) else { continue };
            if now.since(pull.at) >= ANSWER + partner.info.rtt * 3 / 2 {
                pull.fate = Fate::Late;
                partner.outstanding = partner.outstanding.saturating_sub(1);
            }
        }
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

    fn pull_segment(
        &self,
        number: u64,
        left: Duration,
        asks: &mut BTreeMap<PeerId, (Vec<ShardRef>, Duration)>,
    ) {
        let slot = self.window.get(number);
        let hurry = left < HURRY;
        // A segment that has only begun to come is given the time that its slowest feed needs.
        let slowest = self.feeds.iter().map(|feed| feed.grace()).max().unwrap_or_default();
        let age = slot.map_or(slowest, |slot| self.now.since(slot.first));
        if !hurry && age < slowest.min(Duration::from_millis(500)) {
            return;
        }
        let held = slot.map_or(Substreams::NONE, |slot| slot.came());
        let coming: Substreams = self
            .pulls
            .iter()
            .filter(|pull| pull.fate == Fate::Coming && pull.shard.number == number)
            .map(|pull| pull.shard.index)
            .collect();
        let expected = if hurry { Substreams::NONE } else { self.expected(number).without(held) };
        let missing = slot.map_or(self.config.k, |slot| slot.missing());
        let own: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        // A repeater wants what its children take; a viewer anything, its own sub-streams first.
        let due = usize::from(missing).saturating_sub((coming.len() + expected.len()).into());
        // Who was let down once asks for one more than it needs.
        let down = self.pulls.iter().any(|p| p.fate == Fate::Late && p.shard.number == number);
        let due = due + usize::from(down && hurry && due > 0);
        let open = Substreams::first(self.config.n).without(held).without(coming).without(expected);
        let order = open.and(own).iter().chain(open.without(own).iter()).take(64);
        let mut left_to_ask =
            if self.is_viewer() { due } else { due.min(open.and(own).len().into()) };
        for index in order {
            if left_to_ask == 0 || self.pulls.len() >= IN_ALL {
                return;
            }
            let shard = ShardRef { number, index };
            if let Some(peer) = self.holder(shard, hurry, asks) {
                let (shards, within) = asks.entry(peer).or_insert((Vec::new(), left));
                shards.push(shard);
                *within = (*within).min(left);
                left_to_ask -= 1;
            }
        }
    }

    /// Whom to ask for a shard.
    fn holder(
        &self,
        shard: ShardRef,
        hurry: bool,
        asks: &BTreeMap<PeerId, (Vec<ShardRef>, Duration)>,
    ) -> Option<PeerId> {
        let load = |peer: &PeerId, partner: &Partner| {
            let asked = asks.get(peer).map_or(0, |(shards, _)| shards.len() as u16);
            partner.outstanding + asked
        };
        let had = |peer: &PeerId, fate: Fate| {
            let tried = self.pulls.iter().filter(|pull| pull.fate == fate && pull.peer == *peer);
            tried.filter(|pull| pull.shard.number == shard.number).count()
        };
        self.partners
            .iter()
            .filter(|(_, partner)| partner.met && self.may_feed_me(partner.info.role))
            .filter(|(peer, partner)| {
                load(peer, partner) < PER_PARTNER && had(peer, Fate::Refused) == 0
            })
            .filter(|(_, partner)| self.could_have(partner, shard))
            .min_by_key(|(peer, partner)| {
                let server = partner.info.role != Role::Viewer;
                (
                    had(peer, Fate::Late),
                    hurry != server,
                    load(peer, partner),
                    partner.info.rtt,
                    *peer,
                )
            })
            .map(|(&peer, _)| peer)
    }

    /// Whether a partner has, or can make, a shard: by what it told, and the time since.
    fn could_have(&self, partner: &Partner, shard: ShardRef) -> bool {
        let Some(newest) = partner.newest() else { return false };
        let segment = (self.config.segment.as_micros() as u64).max(1);
        let since = self.now.since(partner.told).as_micros() as u64 / segment;
        // A viewer tells what may be subscribed to, and holds more than that: it plays.
        let can = partner.info.role == Role::Viewer
            || partner.offers.len() >= usize::from(self.config.k)
            || partner.offers.contains_key(&shard.index);
        can && newest.saturating_add(since) >= shard.number
    }

    /// A shard came: it is not on its way any more. Whether it had been asked for.
    pub(super) fn pull_came(&mut self, from: &PeerId, shard: ShardRef) -> bool {
        let place = self.pulls.iter().position(|pull| pull.shard == shard && pull.peer == *from);
        let Some(place) = place else { return false };
        let pull = self.pulls.swap_remove(place);
        if let Some(partner) = self.partners.get_mut(from)
            && pull.fate == Fate::Coming
        {
            partner.outstanding = partner.outstanding.saturating_sub(1);
        }
        true
    }

    pub(super) fn unavailable(&mut self, from: PeerId, shards: &[ShardRef]) {
        let mut broken = 0;
        for pull in self.pulls.iter_mut().filter(|pull| pull.peer == from) {
            if pull.fate == Fate::Coming && shards.contains(&pull.shard) {
                pull.fate = Fate::Refused;
                broken += 1;
            }
        }
        if let Some(partner) = self.partners.get_mut(&from) {
            partner.answered = Some(self.now);
            partner.outstanding = partner.outstanding.saturating_sub(broken);
            // It may be busy, or have moved on: no offence, but others are asked first for a while.
            partner.refusals = partner.refusals.saturating_add(broken);
        }
        if broken > 0 {
            self.repair();
        }
    }

    pub(super) fn requested(&mut self, from: PeerId, shards: Vec<ShardRef>, within_ms: u16) {
        if shards.iter().any(|shard| shard.index >= self.config.n) {
            self.offend(from, Offence::Protocol);
            return;
        }
        let allowed = self.charge(&from, 1 + shards.len() as u32) && self.serves(&from);
        let deadline = self.now + Duration::from_millis(within_ms.into());
        let mut not = Vec::new();
        let pushed = self.pushes.total();
        for shard in shards {
            let slot = self.window.get(shard.number).filter(|_| allowed);
            let held = slot.filter(|slot| slot.held().contains(shard.index));
            match held.map(|slot| (slot.layers_of(shard.index), slot.shard_bytes)) {
                Some((layers, bytes)) if self.uplink.spend(bytes, pushed, self.now) => {
                    let urgency = Urgency::Repair;
                    let output = Output::SendShard { to: from, shard, layers, deadline, urgency };
                    self.out.push_back(output);
                }
                _ => not.push(shard),
            }
        }
        if !not.is_empty() {
            self.send(from, Message::Unavailable { shards: not });
        }
    }
}
