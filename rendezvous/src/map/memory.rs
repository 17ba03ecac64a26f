//! The live map in the memory of this process.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use link::nat::{Reach, same_home};
use link::protocol::{
    ChannelInfo, Condition, EpochKey, MAX_PREVIEW, MAX_TEXT, Parameters, Publication, Schedule,
    SwarmReport,
};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use segment::SwarmId;
use swarm::{PeerHint, Time};
use ticket::{PeerId, Role};

use super::guide::Guide;
use super::homes::Homes;
use super::share::{Absorbed, Change, Instance, Untold};
use super::swarm::Swarm;
use super::view::{Member, Summary};
use super::{
    Bounds, Connection, Error, Kept, Listing, Map, Mismatch, Monitor, Node, Progress, Published,
    publication,
};
use crate::rank::{self, Asker, Candidate, SILENT};

/// A node that was not heard of for so long is told with this age at most.
const OLDEST_HINT: u64 = 60;

/// Viewers that are named as perhaps of one home; providers put thousands behind one address.
const NEIGHBOURS: usize = 6;

/// Which server a node is connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    /// This one.
    Here,
    /// Another.
    At(Instance),
}

pub(super) struct Present {
    pub(super) node: Node,
    pub(super) connection: Connection,
    pub(super) heard: Time,
    pub(super) swarms: BTreeSet<SwarmId>,
    pub(super) home: Home,
    pub(super) account: String,
}

/// The live map in the memory of this process. What it holds is bounded by the nodes that are
/// connected (the caller's bound) and by [`Bounds`].
pub struct Memory {
    bounds: Bounds,
    pub(super) nodes: HashMap<PeerId, Present>,
    pub(super) swarms: BTreeMap<SwarmId, Swarm>,
    /// Which swarm is a rendition's, by channel and rendition.
    renditions: BTreeMap<String, BTreeMap<String, SwarmId>>,
    pub(super) guide: Guide,
    /// Viewers by the address that they are seen at.
    homes: Homes,
    pub(super) monitor: Monitor,
    /// Nodes by account.
    accounts: BTreeMap<String, BTreeSet<PeerId>>,
    /// `None`: there are no others to be told.
    pub(super) untold: Option<Untold>,
    rng: Pcg64Mcg,
}

impl Memory {
    /// An empty map whose choices by chance follow from `seed`.
    pub fn new(bounds: Bounds, listings: &[Listing], seed: u64) -> Self {
        Self {
            bounds,
            nodes: HashMap::new(),
            swarms: BTreeMap::new(),
            renditions: BTreeMap::new(),
            guide: Guide::new(listings),
            homes: Homes::default(),
            monitor: Monitor::default(),
            accounts: BTreeMap::new(),
            untold: None,
            rng: Pcg64Mcg::seed_from_u64(seed),
        }
    }

    /// The same, but what changes is kept until [`Map::changes`] is called, for servers that share it.
    pub fn shared(bounds: Bounds, listings: &[Listing], seed: u64) -> Self {
        Self { untold: Some(Untold::default()), ..Self::new(bounds, listings, seed) }
    }

    /// Channels of before a restart: off air, where they were in the line-up.
    pub fn restore(&mut self, now: Time, mut kept: Vec<Kept>) {
        kept.truncate(self.bounds.swarms.saturating_sub(self.guide.len()));
        self.guide.restore(now, kept);
    }

    fn on_air(&self, channel: &str) -> impl Iterator<Item = &Swarm> {
        let renditions = self.renditions.get(channel).into_iter().flatten();
        renditions.filter_map(|(_, id)| self.swarms.get(id)).filter(|swarm| swarm.on_air)
    }

    /// Renditions of a channel, best first.
    fn ladder(&self, channel: &str) -> Vec<(String, u64)> {
        let mut ladder: Vec<(String, u64)> = self
            .on_air(channel)
            .map(|swarm| &swarm.publication.parameters)
            .map(|parameters| (parameters.rendition.clone(), parameters.bitrate))
            .collect();
        ladder.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ladder
    }

    pub(super) fn publishes(&self, peer: PeerId, channel: &str) -> bool {
        self.on_air(channel).any(|swarm| swarm.publishers.contains(&peer))
    }

    fn drop_if_over(&mut self, id: SwarmId) {
        let over = |swarm: &Swarm| !swarm.on_air && swarm.parts.is_empty();
        if self.swarms.get(&id).is_some_and(over)
            && let Some(swarm) = self.swarms.remove(&id)
        {
            let parameters = &swarm.publication.parameters;
            if let Some(renditions) = self.renditions.get_mut(&parameters.channel) {
                if renditions.get(&parameters.rendition) == Some(&id) {
                    renditions.remove(&parameters.rendition);
                }
                if renditions.is_empty() {
                    self.renditions.remove(&parameters.channel);
                }
            }
        }
    }

    /// Whether `publication` may stand beside what others publish now.
    fn admit(&self, peer: PeerId, publication: &Publication, id: SwarmId) -> Result<(), Error> {
        publication::check(publication)?;
        let parameters = &publication.parameters;
        let others = |swarm: &Swarm| swarm.publishers.iter().any(|other| *other != peer);
        for swarm in self.on_air(&parameters.channel).filter(|swarm| others(swarm)) {
            let other = &swarm.publication.parameters;
            if other.key != parameters.key {
                return Err(Mismatch::Secret(parameters.channel.clone()).into());
            }
            if other.rendition == parameters.rendition {
                publication::agree(publication, &swarm.publication, &swarm.keys)?;
            }
        }
        // A channel's key is its identity: it cannot be another channel's too.
        if let Some(swarm) = self.swarms.get(&id) {
            let other = &swarm.publication.parameters.channel;
            if *other != parameters.channel {
                return Err(Mismatch::Shared(other.clone()).into());
            }
        }
        let known = self.swarms.contains_key(&id) && self.guide.contains(&parameters.channel);
        let full = self.swarms.len().max(self.guide.len()) >= self.bounds.swarms;
        if full && !known { Err(Error::Full(self.bounds.swarms)) } else { Ok(()) }
    }

    /// A node of this server did something that others are told of.
    fn touched(&mut self, peer: PeerId) {
        if let Some(untold) = &mut self.untold
            && self.nodes.get(&peer).is_some_and(|present| present.home == Home::Here)
        {
            untold.node(peer);
        }
    }

    pub(super) fn enter(&mut self, now: Time, connection: Connection, node: Node, home: Home) {
        if let Some(before) = self.nodes.get(&node.peer) {
            let (connection, peer) = (before.connection, node.peer);
            self.depart(now, connection, peer);
        }
        let (peer, swarms) = (node.peer, BTreeSet::new());
        if node.role == Role::Viewer {
            self.homes.insert(node.seen, peer);
        }
        self.nodes.insert(
            peer,
            Present { node, connection, heard: now, swarms, home, account: String::new() },
        );
        self.touched(peer);
    }

    pub(super) fn set_account(&mut self, peer: PeerId, account: &str) {
        if let Some(present) = self.nodes.get_mut(&peer)
            && present.account.is_empty()
            && !account.is_empty()
        {
            present.account = account.to_owned();
            self.accounts.entry(account.to_owned()).or_default().insert(peer);
        }
    }

    /// A publication from wherever.
    pub(super) fn enter_publication(
        &mut self,
        now: Time,
        peer: PeerId,
        publication: Publication,
    ) -> Result<Published, Error> {
        let since = self.nodes.get(&peer).ok_or(Error::Unknown)?.connection;
        let id = publication::swarm(&publication.parameters);
        self.admit(peer, &publication, id)?;
        let channel = publication.parameters.channel.clone();
        let rendition = publication.parameters.rendition.clone();
        let before = self.ladder(&channel);
        self.swarms.entry(id).or_insert_with(|| Swarm::new(now, publication.clone()));
        self.join(now, peer, id).inspect_err(|_| self.drop_if_over(id))?;
        let named = self.guide.published(now, since, &channel, &publication.name);
        let swarm = self.swarms.get_mut(&id).ok_or(Error::NoSuchSwarm)?;
        let keys = swarm.publish(now, peer, publication);
        let renditions = self.renditions.entry(channel.clone()).or_default();
        if let Some(old) = renditions.insert(rendition, id).filter(|old| *old != id) {
            // The channel has a new secret: who is left in the old swarm finds no source there.
            if let Some(swarm) = self.swarms.get_mut(&old) {
                swarm.on_air = false;
                swarm.keys.clear();
            }
            self.drop_if_over(old);
        }
        let line_up = named || self.ladder(&channel) != before;
        Ok(Published { swarm: id, line_up, keys })
    }

    fn most_swarms(&self, role: Role) -> usize {
        match role {
            Role::Viewer => self.bounds.swarms_per_viewer,
            Role::Headend | Role::Repeater | Role::Rendezvous => self.bounds.swarms_per_server,
        }
    }
}

/// What others are told of a node.
fn hint(now: Time, present: &Present) -> PeerHint {
    let Node { peer, role, location, addrs, .. } = &present.node;
    let age_s = now.since(present.heard).as_secs().min(OLDEST_HINT) as u8;
    PeerHint { peer: *peer, role: *role, location: *location, addrs: addrs.clone(), age_s }
}

impl Map for Memory {
    fn arrive(&mut self, now: Time, connection: Connection, node: Node) {
        self.enter(now, connection, node, Home::Here);
    }

    fn depart(&mut self, now: Time, connection: Connection, peer: PeerId) {
        if self.nodes.get(&peer).is_none_or(|present| present.connection != connection) {
            return;
        }
        let Some(present) = self.nodes.remove(&peer) else { return };
        self.homes.remove(present.node.seen, &peer);
        if let Some(nodes) = self.accounts.get_mut(&present.account) {
            nodes.remove(&peer);
            if nodes.is_empty() {
                self.accounts.remove(&present.account);
            }
        }
        if let (Home::Here, Some(untold)) = (present.home, &mut self.untold) {
            untold.gone(peer, connection);
        }
        for id in present.swarms {
            if let Some(swarm) = self.swarms.get_mut(&id) {
                swarm.leave(now, peer);
            }
            self.drop_if_over(id);
        }
    }

    fn heard(&mut self, now: Time, peer: PeerId) {
        if let Some(present) = self.nodes.get_mut(&peer) {
            present.heard = now;
        }
    }

    fn publish(
        &mut self,
        now: Time,
        peer: PeerId,
        publication: Publication,
    ) -> Result<Published, Error> {
        let published = self.enter_publication(now, peer, publication)?;
        if let Some(untold) = &mut self.untold {
            untold.publication(peer, published.swarm);
        }
        Ok(published)
    }

    fn resolve(&self, channel: &str, rendition: Option<&str>) -> Option<SwarmId> {
        let name = match rendition {
            Some(name) => name.to_owned(),
            None => self.ladder(channel).into_iter().next()?.0,
        };
        let id = *self.renditions.get(channel)?.get(&name)?;
        self.swarms.get(&id).filter(|swarm| swarm.on_air).map(|_| id)
    }

    fn channel_of(&self, swarm: SwarmId) -> Option<&str> {
        self.swarms.get(&swarm).map(|swarm| swarm.publication.parameters.channel.as_str())
    }

    fn publication(&self, swarm: SwarmId) -> Option<(Parameters, Vec<EpochKey>)> {
        let swarm = self.swarms.get(&swarm)?;
        Some((swarm.publication.parameters.clone(), swarm.keys()))
    }

    fn join(&mut self, now: Time, peer: PeerId, swarm: SwarmId) -> Result<(), Error> {
        let role = self.nodes.get(&peer).ok_or(Error::Unknown)?.node.role;
        let most = self.most_swarms(role);
        let present = self.nodes.get_mut(&peer).ok_or(Error::Unknown)?;
        let entered = self.swarms.get_mut(&swarm).ok_or(Error::NoSuchSwarm)?;
        if !present.swarms.contains(&swarm) && present.swarms.len() >= most {
            return Err(Error::TooManySwarms(most));
        }
        let new = present.swarms.insert(swarm);
        entered.enter(now, peer, role, present.node.location);
        if new {
            self.touched(peer);
        }
        Ok(())
    }

    fn leave(&mut self, now: Time, peer: PeerId, swarm: SwarmId) {
        if let Some(present) = self.nodes.get_mut(&peer) {
            present.swarms.remove(&swarm);
            self.touched(peer);
        }
        if let Some(left) = self.swarms.get_mut(&swarm) {
            left.leave(now, peer);
        }
        self.drop_if_over(swarm);
    }

    fn takes_part(&self, peer: PeerId, swarm: SwarmId) -> bool {
        self.nodes.get(&peer).is_some_and(|present| present.swarms.contains(&swarm))
    }

    fn swarms_of(&self, peer: PeerId) -> Vec<SwarmId> {
        let present = self.nodes.get(&peer);
        present.into_iter().flat_map(|present| present.swarms.iter().copied()).collect()
    }

    fn report(&mut self, now: Time, peer: PeerId, report: SwarmReport) -> Option<Progress> {
        self.heard(now, peer);
        self.touched(peer);
        self.swarms.get_mut(&SwarmId(report.swarm))?.report(peer, report)
    }

    fn condition(&mut self, now: Time, peer: PeerId, condition: Condition) {
        if condition.is_bounded() && self.publishes(peer, &condition.channel) {
            if let Some(untold) = &mut self.untold {
                untold.condition(peer, condition.channel.clone());
            }
            self.monitor.tell(now, peer, condition);
        }
    }

    fn preview(&mut self, now: Time, peer: PeerId, channel: String, jpeg: Vec<u8>) {
        if jpeg.len() <= MAX_PREVIEW && self.publishes(peer, &channel) {
            if let Some(untold) = &mut self.untold {
                untold.preview(peer, channel.clone());
            }
            self.monitor.show(now, channel, jpeg);
        }
    }

    fn on_air(&mut self, now: Time, peer: PeerId, schedule: Schedule) -> bool {
        if !schedule.is_bounded() || !self.publishes(peer, &schedule.channel) {
            return false;
        }
        if let Some(untold) = &mut self.untold {
            untold.on_air(peer, schedule.channel.clone());
        }
        self.monitor.on_air(now, peer, schedule)
    }

    fn done(&mut self, now: Time, peer: PeerId, number: u64, problem: Option<String>) {
        let headend = self.nodes.get(&peer).is_some_and(|known| known.node.role == Role::Headend);
        if headend && problem.as_deref().is_none_or(|text| text.len() <= MAX_TEXT) {
            if let Some(untold) = &mut self.untold {
                untold.done(peer, number, problem.clone());
            }
            self.monitor.done(now, peer, number, problem);
        }
    }

    fn headends(&self) -> Vec<Node> {
        let nodes = self.nodes.values().map(|known| &known.node);
        nodes.filter(|node| node.role == Role::Headend).cloned().collect()
    }

    fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn publishers(&self, channel: &str) -> Vec<PeerId> {
        let all: BTreeSet<PeerId> =
            self.on_air(channel).flat_map(|swarm| swarm.publishers.iter().copied()).collect();
        all.into_iter().collect()
    }

    fn find(&mut self, now: Time, peer: PeerId, swarm: SwarmId) -> Vec<PeerHint> {
        let (Some(present), Some(swarm)) = (self.nodes.get(&peer), self.swarms.get(&swarm)) else {
            return Vec::new();
        };
        let Node { role, location, reach, seen, .. } = present.node;
        let asker = Asker { peer, role, location };
        let pool: Vec<Candidate> = swarm
            .pool(&location, &mut self.rng)
            .into_iter()
            .filter_map(|peer| {
                let (part, present) = (swarm.parts.get(&peer)?, self.nodes.get(&peer)?);
                let (role, location) = (part.role, part.location);
                // Two viewers who are known not to meet are not to try.
                if asker.role == Role::Viewer
                    && role == Role::Viewer
                    && !reach.meets(&present.node.reach, same_home(seen, present.node.seen))
                {
                    return None;
                }
                let age = now.since(present.heard);
                Some(Candidate { peer, role, location, age, capacity: part.capacity() })
            })
            .collect();
        rank::rank(&asker, &pool, rank::MOST, &mut self.rng)
            .into_iter()
            .filter_map(|candidate| Some(hint(now, self.nodes.get(&candidate.peer)?)))
            .collect()
    }

    fn reached(&mut self, peer: PeerId, reach: Reach) {
        if let Some(present) = self.nodes.get_mut(&peer)
            && present.node.reach != reach
        {
            present.node.reach = reach;
            self.touched(peer);
        }
    }

    fn neighbours(&self, now: Time, peer: PeerId, swarm: SwarmId) -> Vec<PeerHint> {
        let Some(here) = self.nodes.get(&peer).map(|present| &present.node) else {
            return Vec::new();
        };
        let others = self.homes.of(here.seen).filter(|other| **other != peer);
        others
            .filter_map(|other| self.nodes.get(other))
            .filter(|other| other.swarms.contains(&swarm) && now.since(other.heard) <= SILENT)
            .filter(|other| here.reach.meets(&other.node.reach, true))
            .take(NEIGHBOURS)
            .map(|other| hint(now, other))
            .collect()
    }

    fn introduce(&self, from: PeerId, to: PeerId) -> Option<(IpAddr, IpAddr)> {
        let (from, to) = (self.nodes.get(&from)?, self.nodes.get(&to)?);
        let viewers = from.node.role == Role::Viewer && to.node.role == Role::Viewer;
        let together = !from.swarms.is_disjoint(&to.swarms);
        let home = same_home(from.node.seen, to.node.seen);
        let may = from.node.peer != to.node.peer
            && viewers
            && together
            && from.node.reach.meets(&to.node.reach, home);
        may.then_some((from.node.seen, to.node.seen))
    }

    fn members(&self, swarm: SwarmId, role: Role) -> Vec<PeerId> {
        let parts = self.swarms.get(&swarm).into_iter().flat_map(|swarm| &swarm.parts);
        parts.filter(|(_, part)| part.role == role).map(|(peer, _)| *peer).collect()
    }

    fn tick(&mut self, now: Time) -> bool {
        self.monitor.tick(now);
        let mut changed = false;
        let mut over = Vec::new();
        for (id, swarm) in &mut self.swarms {
            swarm.tick(now);
            let gone = |since: Time| now.since(since) >= self.bounds.off_air_after;
            if swarm.on_air && swarm.orphaned.is_some_and(gone) {
                swarm.on_air = false;
                swarm.keys.clear();
                changed = true;
                over.push(*id);
            }
        }
        over.into_iter().for_each(|id| self.drop_if_over(id));
        let (swarms, renditions) = (&self.swarms, &self.renditions);
        let on_air = |channel: &str| {
            let mut ids = renditions.get(channel).into_iter().flatten().map(|(_, id)| id);
            ids.any(|id| swarms.get(id).is_some_and(|swarm| swarm.on_air))
        };
        self.guide.tick(now, on_air) || changed
    }

    fn line_up(&self) -> Vec<ChannelInfo> {
        let mut line_up: Vec<ChannelInfo> = self
            .guide
            .iter()
            .map(|(id, entry)| {
                let renditions = self.ladder(id);
                ChannelInfo {
                    id: id.clone(),
                    name: entry.name.clone(),
                    number: entry.number,
                    logo: entry.logo.clone(),
                    live: !renditions.is_empty(),
                    renditions,
                }
            })
            .collect();
        line_up.sort_by_key(|channel| channel.number);
        line_up
    }

    fn kept(&self) -> Vec<Kept> {
        self.guide.kept()
    }

    fn summaries(&self, now: Time) -> Vec<Summary> {
        let mut summaries: Vec<_> =
            self.swarms.iter().map(|(id, swarm)| self.summary(now, *id, swarm)).collect();
        let number = |channel: &str| self.guide.get(channel).map_or(u32::MAX, |entry| entry.number);
        summaries.sort_by(|a, b| {
            (number(&a.channel), &a.channel, &a.rendition).cmp(&(
                number(&b.channel),
                &b.channel,
                &b.rendition,
            ))
        });
        summaries
    }

    fn belongs(&mut self, peer: PeerId, account: &str) {
        self.set_account(peer, account);
    }

    fn playing(&self, now: Time, account: &str) -> Vec<PeerId> {
        let nodes = self.accounts.get(account).into_iter().flatten();
        let mut playing: Vec<(Connection, PeerId)> = nodes
            .filter_map(|peer| {
                let present = self.nodes.get(peer)?;
                let plays = !present.swarms.is_empty() && now.since(present.heard) <= SILENT;
                plays.then_some((present.connection, *peer))
            })
            .collect();
        playing.sort();
        playing.into_iter().map(|(_, peer)| peer).collect()
    }

    fn report_of(&self, peer: PeerId, swarm: SwarmId) -> Option<SwarmReport> {
        self.swarms.get(&swarm)?.parts.get(&peer)?.report.clone()
    }

    fn connection_of(&self, peer: PeerId) -> Option<Connection> {
        self.nodes.get(&peer).map(|present| present.connection)
    }

    fn elsewhere(&self, peer: PeerId) -> Option<Instance> {
        match self.nodes.get(&peer)?.home {
            Home::Here => None,
            Home::At(instance) => Some(instance),
        }
    }

    fn changes(&mut self, now: Time) -> Vec<Change> {
        self.untold_changes(now)
    }

    fn everything(&self, now: Time) -> Vec<Change> {
        self.all_own(now)
    }

    fn absorb(&mut self, now: Time, from: Instance, change: Change) -> Absorbed {
        self.take_in(now, from, change)
    }

    fn forget(&mut self, now: Time, from: Instance, but: Option<&HashSet<PeerId>>) {
        self.forget_those(now, from, but);
    }

    fn hold(&mut self, now: Time) {
        self.keep_servers(now);
    }

    fn member(&self, now: Time, swarm: SwarmId, peer: PeerId) -> Option<Member> {
        let swarm = self.swarms.get(&swarm)?;
        self.shown_member(now, swarm, &peer, swarm.parts.get(&peer)?)
    }

    fn details(&self, now: Time, swarm: SwarmId, skip: usize, most: usize) -> Option<Vec<Member>> {
        let swarm = self.swarms.get(&swarm)?;
        let parts = swarm.parts.iter().skip(skip).take(most);
        Some(parts.filter_map(|(peer, part)| self.shown_member(now, swarm, peer, part)).collect())
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
