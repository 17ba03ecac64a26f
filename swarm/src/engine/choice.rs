//! Which parents for which sub-streams.

use std::time::Duration;

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
/// A viewer that has just come subscribes to viewers only for so long after it has gathered some.
const OTHERS_FIRST: Duration = Duration::from_millis(400);
/// Each hop from the source: a shallow tree is quick, and little hangs on who leaves.
const HOP: i64 = 25;
/// Each further sub-stream from the same viewer, or the same server.
const SAME_VIEWER: i64 = 80;
const SAME_SERVER: i64 = 25;
/// Each sub-stream that is behind the same viewer already: who leaves is to take one along.
const SHARED: i64 = 250;
/// More than N-K sub-streams would be.
const EXPOSED: i64 = 120;
/// What comes from a viewer of the same home costs nothing outside of it: this is more than all the others together.
const HOME: i64 = 10_000;

/// How many of this node's sub-streams pass through each ancestor, servers apart: those are meant to be behind many.
pub(super) struct Exposure {
    ancestors: Vec<(ShortId, u16)>,
    servers: Vec<ShortId>,
}

impl Exposure {
    fn behind(&self, short: ShortId) -> u16 {
        let place = self.ancestors.binary_search_by_key(&short, |&(other, _)| other);
        place.map_or(0, |place| self.ancestors[place].1)
    }

    /// Adds a sub-stream, or (-1) takes it out again.
    fn add<'a>(&mut self, path: impl Iterator<Item = &'a ShortId>, count: i16) {
        for &short in path {
            if self.servers.binary_search(&short).is_ok() {
                continue;
            }
            match self.ancestors.binary_search_by_key(&short, |&(other, _)| other) {
                Ok(place) => {
                    let behind = &mut self.ancestors[place].1;
                    *behind = behind.saturating_add_signed(count);
                }
                Err(place) => self.ancestors.insert(place, (short, count.max(0) as u16)),
            }
        }
    }

    /// The most sub-streams that are behind one of these.
    fn worst<'a>(&self, path: impl Iterator<Item = &'a ShortId>) -> u16 {
        path.map(|&short| self.behind(short)).max().unwrap_or(0)
    }

    /// The most sub-streams that are behind one viewer.
    pub(super) fn most(&self) -> u16 {
        self.ancestors.iter().map(|&(_, behind)| behind).max().unwrap_or(0)
    }
}

/// A partner that could be a parent.
struct Choice {
    peer: Pid,
    cost: i64,
    viewer: bool,
    home: bool,
    free: u16,
    used: i64,
    offered: Substreams,
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
        let lag = i64::from(partner.lag_ms.saturating_sub(best_lag).min(1500)) / 5;
        let home = if partner.at_home() { HOME } else { 0 };
        near + self.server_cost(partner) + self.public(partner) + lag - home
    }

    /// What it costs more that a parent is a server.
    fn server_cost(&self, partner: &Partner) -> i64 {
        let paid = match partner.info.role {
            Role::Headend => HEADEND,
            Role::Repeater if self.settled_set() => REPEATER,
            _ => 0,
        };
        let room = usize::from(partner.free) + usize::from(partner.feeds.len());
        let scarce = !partner.is_viewer() && room <= 2 * usize::from(self.config.k);
        paid + if scarce && self.settled_set() { SCARCE } else { 0 }
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

    /// How many sub-streams one server should be a parent for: no more than a viewer can lose at once.
    /// Only viewers mind.
    pub(super) fn per_server(&self) -> i64 {
        match self.is_viewer() {
            true => i64::from(self.config.n.saturating_sub(self.config.k)).max(1),
            false => i64::MAX,
        }
    }

    /// Whether a viewer that has just come leaves servers to those who find nobody else: what it needs for its start is pulled,
    /// and viewers are about to answer.
    fn spares_servers(&self) -> bool {
        self.is_viewer()
            && self.gathering.is_some_and(|until| self.now < until + OTHERS_FIRST)
            && (self.partners.values().any(|p| p.is_viewer()) || self.known.dialling() > 0)
    }

    /// Whether a partner can be asked for anything now.
    pub(super) fn usable(&self, partner: &Partner, spared: bool) -> bool {
        let may = partner.met && self.may_feed_me(partner.info.role);
        let may = may && (partner.is_viewer() || !spared) && !self.in_reserve(partner);
        let idle = !partner.silent && self.now >= partner.back_off;
        may && idle && partner.free > 0 && !partner.offered.is_empty()
    }

    fn choices(&self) -> Vec<Choice> {
        let best_lag = self.best_lag();
        let spared = self.spares_servers();
        let usable = self.partners.iter().filter(|(_, partner)| self.usable(partner, spared));
        let choice = |(peer, partner): (Pid, &Partner)| Choice {
            peer,
            cost: self.cost(partner, best_lag),
            viewer: partner.is_viewer(),
            home: partner.at_home(),
            free: partner.free,
            used: partner.feeds.len().into(),
            offered: self.takable(partner),
        };
        usable.map(choice).filter(|choice| !choice.offered.is_empty()).collect()
    }

    /// What a sub-stream of a partner costs beside the partner: its hops, and what it has in common with others.
    pub(super) fn way(&self, partner: &Partner, index: u8, exposure: &Exposure) -> i64 {
        if !self.is_viewer() {
            return 0;
        }
        let Some(offer) = partner.offer(index) else { return 0 };
        // The first ancestor is the source.
        let path = offer.path.iter().skip(1).chain(partner.is_viewer().then_some(&partner.short));
        let shared = exposure.worst(path);
        let slack = u16::from(self.config.n.saturating_sub(self.config.k)).max(1);
        let exposed = if shared >= slack { EXPOSED } else { 0 };
        // Who is interior in few trees takes those from as near to the source as it can: all below gain by it.
        let root = !partner.is_viewer()
            && 4 * self.open.len() <= self.config.n
            && self.open.contains(index)
            && self.uplink.capacity() >= u32::from(self.config.k);
        let exposed = exposed - if root { self.server_cost(partner) } else { 0 };
        HOP * i64::from(offer.rank) + SHARED * i64::from(shared) + exposed
    }

    /// How many sub-streams one viewer should be a parent for, with so many parents within reach: one if they are many,
    /// so that who leaves takes little along.
    pub(super) fn per_viewer(&self, reachable: usize) -> i64 {
        let k = usize::from(self.config.k);
        if reachable >= 2 * k { 1 } else { (k / reachable.max(1) + 1).max(2) as i64 }
    }

    /// How many of this node's sub-streams pass through each ancestor.
    pub(super) fn exposure(&self) -> Exposure {
        let partners = self.partners.values().filter(|partner| !partner.is_viewer());
        let mut servers: Vec<ShortId> =
            partners.map(|partner| partner.short).chain(self.known.servers()).collect();
        servers.sort_unstable();
        let mut exposure = Exposure { ancestors: Vec::new(), servers };
        for path in self.paths.iter().flatten() {
            exposure.add(path.ancestors.iter().skip(1), 1);
        }
        exposure
    }

    /// Adds what one sub-stream comes through, or (-1) takes it out.
    pub(super) fn count_path(&self, exposure: &mut Exposure, index: u8, count: i16) {
        if let Some(path) = self.paths.get(usize::from(index)).and_then(Option::as_ref) {
            exposure.add(path.ancestors.iter().skip(1), count);
        }
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
        let mut exposure = self.exposure();
        let mut chosen = Vec::new();
        while chosen.len() < count {
            let mut best: Option<(bool, i64, Pid, usize)> = None;
            for (place, choice) in choices.iter().enumerate() {
                let open = choice.offered.and(wanted);
                let (peer, cost) = (choice.peer, choice.cost);
                let Some(partner) = self.partners.get(peer).filter(|_| choice.free > 0) else {
                    continue;
                };
                let ways = open.iter().map(|index| self.way(partner, index, &exposure));
                let Some(way) = ways.min() else { continue };
                let same = match choice.viewer {
                    true if choice.home => 0,
                    true => SAME_VIEWER,
                    false => SAME_SERVER,
                };
                // One parent for too many sub-streams only if there is nobody else, or it is of this home.
                let most = if choice.viewer { limit } else { self.per_server() };
                let over = choice.used >= most && !choice.home;
                let key = (over, cost + choice.used * same + way, peer, place);
                if best.is_none_or(|best| key < best) {
                    best = Some(key);
                }
            }
            let Some((.., peer, place)) = best else { break };
            let choice = &mut choices[place];
            choice.used += 1;
            choice.free -= 1;
            let open = choice.offered.and(wanted);
            let index = self.rarest(peer, open, &holders, &exposure);
            if let Some(partner) = self.partners.get(peer)
                && let Some(offer) = partner.offer(index)
                && self.is_viewer()
            {
                let own = partner.is_viewer().then_some(&partner.short);
                exposure.add(offer.path.iter().skip(1).chain(own), 1);
            }
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

    /// Of the sub-streams that come a good way: what is lost and has children first, then what the fewest other viewers
    /// have, so that the swarm as a whole holds as many different ones as it can, and its members have something to
    /// exchange; of equals, data: it need not be rebuilt.
    fn rarest(
        &mut self,
        peer: Pid,
        offered: Substreams,
        holders: &[u16; 64],
        exposure: &Exposure,
    ) -> u8 {
        let way = |index| self.partners.get(peer).map_or(0, |p| self.way(p, index, exposure));
        let ways: Vec<(u8, i64)> = offered.iter().map(|index| (index, way(index))).collect();
        let least = ways.iter().map(|&(_, way)| way).min().unwrap_or(0);
        let mut best = (true, u16::MAX, true, u32::MAX, 0);
        for (index, way) in ways {
            let owed = self.debts.iter().any(|debt| debt.lost.index == index)
                && !self.pushes.to(index).is_empty();
            if way > least + HOP && !owed {
                continue;
            }
            let holders = holders[usize::from(index & 63)];
            let parity = index >= self.config.k;
            best = best.min((!owed, holders, parity, self.chance(1024), index));
        }
        best.4
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
