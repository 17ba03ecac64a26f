//! Which parents for which sub-streams.

use ticket::{Nearness, Role, ShortId};

use super::Engine;
use super::partner::{Partner, Pid};
use super::path::MAX_PATH;
use crate::Substreams;

/// One step of nearness. All other terms of a parent's cost are weighed against it.
const NEARNESS: i64 = 100;
/// A repeater's uplink is paid for, so viewers are preferred to a repeater that is as near.
const REPEATER: i64 = 90;
/// The same for the headend, which is one for all.
const HEADEND: i64 = 400;
/// A server with little to spare is left to those who have nobody else.
const SCARCE: i64 = 220;
/// Each hop from the source: a shallow tree is quick, and little hangs on who leaves.
pub(super) const HOP: i64 = 25;
/// Each further sub-stream from the same viewer, or the same server.
const SAME_VIEWER: i64 = 80;
const SAME_SERVER: i64 = 25;
/// More than N-K sub-streams already pass through it.
const EXPOSED: i64 = 60;

/// The ancestors of all sub-streams, each as often as it occurs, in order.
struct Exposure(Vec<ShortId>);

impl Exposure {
    fn behind(&self, short: ShortId) -> usize {
        let first = self.0.partition_point(|&other| other < short);
        self.0[first..].iter().take_while(|&&other| other == short).count()
    }
}

/// A partner that could be a parent.
struct Choice {
    peer: Pid,
    cost: i64,
    viewer: bool,
    free: u16,
    used: i64,
    offered: Substreams,
}

impl Choice {
    fn rank(&self) -> i64 {
        self.cost + self.used * if self.viewer { SAME_VIEWER } else { SAME_SERVER }
    }
}

impl Engine {
    /// What a partner costs as a parent; less is better.
    pub(super) fn cost(&self, partner: &Partner, best_lag: u32) -> i64 {
        let near = match partner.nearness {
            Nearness::Subset => 0,
            Nearness::As => NEARNESS,
            Nearness::Country => 2 * NEARNESS,
            Nearness::Far => 3 * NEARNESS,
        };
        if !self.is_viewer() {
            // A chain of repeaters is for those that cannot reach the headend.
            return near + if partner.info.role == Role::Headend { 0 } else { 10 * NEARNESS };
        }
        let paid = match partner.info.role {
            Role::Headend => HEADEND,
            Role::Repeater if self.settled_set() => REPEATER,
            _ => 0,
        };
        let room = usize::from(partner.free) + usize::from(partner.feeds.len());
        let scarce = !partner.is_viewer() && room <= 2 * usize::from(self.config.k);
        let lag = i64::from(partner.lag_ms.saturating_sub(best_lag).min(1500)) / 5;
        near + paid + lag + if scarce && self.settled_set() { SCARCE } else { 0 }
    }

    /// The least lag that any partner tells.
    pub(super) fn best_lag(&self) -> u32 {
        let told = self.partners.values().filter(|partner| !partner.offered.is_empty());
        told.map(|partner| partner.lag_ms).min().unwrap_or_default()
    }

    /// What of a partner's offers may be taken: it does not come through this node, and is not too deep.
    pub(super) fn takable(&self, partner: &Partner) -> Substreams {
        let sound = partner
            .offers()
            .iter()
            .filter(|offer| offer.path.len() + 1 < MAX_PATH && !offer.path.contains(&self.me));
        sound.map(|offer| offer.index).collect::<Substreams>().without(partner.takes)
    }

    fn choices(&self) -> Vec<Choice> {
        let best_lag = self.best_lag();
        let exposed = self.exposure();
        let slack = usize::from(self.config.n - self.config.k.min(self.config.n));
        let usable = self.partners.iter().filter(|(_, partner)| {
            let may = partner.met && self.may_feed_me(partner.info.role);
            may && partner.free > 0 && self.now >= partner.back_off && !partner.offered.is_empty()
        });
        usable
            .map(|(peer, partner)| {
                let viewer = partner.is_viewer();
                let exposure = match viewer && exposed.behind(partner.short) >= slack.max(1) {
                    true => EXPOSED,
                    false => 0,
                };
                Choice {
                    peer,
                    cost: self.cost(partner, best_lag) + exposure + self.depth(partner),
                    viewer,
                    free: partner.free,
                    used: partner.feeds.len().into(),
                    offered: self.takable(partner),
                }
            })
            .filter(|choice| !choice.offered.is_empty())
            .collect()
    }

    /// What the hops before a partner cost, over what it offers.
    fn depth(&self, partner: &Partner) -> i64 {
        let ranks: i64 = partner.offers().iter().map(|offer| i64::from(offer.rank)).sum();
        if self.is_viewer() { HOP * ranks / (partner.offers().len().max(1) as i64) } else { 0 }
    }

    /// How many sub-streams one viewer should be a parent for, with so many parents within reach: one if they are many,
    /// so that who leaves takes little along.
    pub(super) fn per_viewer(&self, reachable: usize) -> i64 {
        let k = usize::from(self.config.k);
        if reachable >= 2 * k { 1 } else { (k / reachable.max(1) + 1).max(2) as i64 }
    }

    /// How many of this node's sub-streams pass through each ancestor.
    fn exposure(&self) -> Exposure {
        let paths = self.paths.iter().flatten();
        let mut ancestors: Vec<ShortId> =
            paths.flat_map(|path| path.ancestors.iter().copied()).collect();
        ancestors.sort_unstable();
        Exposure(ancestors)
    }

    /// Up to `count` of the sub-streams in `wanted`, each with the parent to ask.
    pub(super) fn choose(&mut self, mut wanted: Substreams, count: usize) -> Vec<(Pid, u8)> {
        let mut choices = self.choices();
        for choice in &mut choices {
            choice.cost += i64::from(self.chance(20));
        }
        if choices.is_empty() {
            return Vec::new();
        }
        let limit = self.per_viewer(choices.len());
        let holders = self.holders();
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let has =
                |choice: &&mut Choice| choice.free > 0 && !choice.offered.and(wanted).is_empty();
            let order = |choice: &&mut Choice| {
                // One viewer for too many sub-streams only if there is nobody else.
                (choice.viewer && choice.used >= limit, choice.rank(), choice.peer)
            };
            let Some(best) = choices.iter_mut().filter(has).min_by_key(order) else { break };
            let (peer, offered) = (best.peer, best.offered.and(wanted));
            best.used += 1;
            best.free -= 1;
            let index = self.rarest(offered, &holders);
            wanted.remove(index);
            chosen.push((peer, index));
        }
        chosen
    }

    /// How many viewers within reach offer each sub-stream.
    pub(super) fn holders(&self) -> [u16; 64] {
        let mut holders = [0; 64];
        for partner in self.partners.values().filter(|partner| partner.is_viewer()) {
            for index in partner.offered.iter() {
                holders[usize::from(index & 63)] += 1;
            }
        }
        holders
    }

    /// What is lost and has children first, then what the fewest other viewers have: so the swarm as a whole holds as
    /// many different sub-streams as it can, and its members have something to exchange.
    fn rarest(&mut self, offered: Substreams, holders: &[u16; 64]) -> u8 {
        let mut best = (true, u16::MAX, u32::MAX, 0);
        for index in offered.iter() {
            let owed = self.debts.iter().any(|debt| debt.index == index)
                && !self.pushes.to(index).is_empty();
            let holders = holders[usize::from(index & 63)];
            best = best.min((!owed, holders, self.chance(1024), index));
        }
        best.3
    }

    /// The best upstream of a repeater for a sub-stream that it does not carry.
    pub(super) fn upstream_for(&self, index: u8) -> Option<Pid> {
        self.partners
            .iter()
            .filter(|(_, partner)| partner.met && self.may_feed_me(partner.info.role))
            .filter(|(_, partner)| {
                partner.offered.contains(index) && self.takable(partner).contains(index)
            })
            .min_by_key(|(peer, partner)| (self.cost(partner, 0), *peer))
            .map(|(peer, _)| peer)
    }
}
