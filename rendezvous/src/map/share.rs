//! What servers that share one map tell each other, and how it enters the map of another.
//!
//! Each server speaks for the nodes that are connected to it, and for nobody else. A [`Change`] holds
//! the whole state of what it is about, so that hearing one twice, or missing one, does no harm.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use link::protocol::{Condition, MAX_PREVIEW, Publication, Schedule, Swarm as Id, SwarmReport};
use segment::SwarmId;
use serde::{Deserialize, Serialize};
use swarm::Time;
use ticket::{PeerId, Role};

use super::memory::{Home, Memory};
use super::{Connection, Map, Node};

/// Names a server that shares the map: its peer id.
pub type Instance = PeerId;

/// A node as its server knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Who and where.
    pub node: Node,
    /// Its connection there; the greatest of all servers is where the node is.
    pub connection: Connection,
    /// Milliseconds since it was heard of.
    pub age_ms: u64,
    /// The account that it is signed in with.
    pub account: String,
    /// The swarms that it takes part in, and what it last reported of each.
    pub parts: Vec<(Id, Option<SwarmReport>)>,
}

/// Something that is otherwise now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A node's connection has ended.
    Gone {
        /// Who.
        peer: PeerId,
        /// Which connection.
        connection: Connection,
    },
    /// A node is here, and does this.
    Node(Record),
    /// A headend publishes this; holds content keys, so it travels sealed.
    Publication {
        /// The headend.
        peer: PeerId,
        /// Its connection.
        connection: Connection,
        /// What it announced.
        publication: Publication,
        /// The channel's place in the line-up, and since when (as connections are numbered).
        number: (u32, Connection),
    },
    /// A headend tells how a channel fares.
    Condition {
        /// The headend.
        peer: PeerId,
        /// What it tells.
        condition: Condition,
    },
    /// A headend shows what a channel shows.
    Preview {
        /// The headend.
        peer: PeerId,
        /// The channel's id.
        channel: String,
        /// A small JPEG picture.
        jpeg: Vec<u8>,
    },
    /// A headend tells what the source of a channel says is on.
    OnAir {
        /// The headend.
        peer: PeerId,
        /// What.
        schedule: Schedule,
    },
    /// A headend says what became of an order.
    Done {
        /// The headend.
        peer: PeerId,
        /// The order's number.
        number: u64,
        /// Why it was not done.
        problem: Option<String>,
    },
}

/// What hearing of a change meant here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Absorbed {
    /// The line-up is another now.
    pub line_up: bool,
    /// There are new content keys of this swarm.
    pub keys: Option<SwarmId>,
    /// This node was connected here, and is elsewhere now.
    pub left: Option<PeerId>,
    /// Something else is on, on this channel.
    pub on_air: Option<String>,
}

/// What was changed here and others have not been told.
#[derive(Default)]
pub(super) struct Untold {
    nodes: BTreeSet<PeerId>,
    publications: BTreeSet<(PeerId, SwarmId)>,
    gone: BTreeMap<PeerId, Connection>,
    conditions: BTreeSet<(PeerId, String)>,
    previews: BTreeSet<(PeerId, String)>,
    on_air: BTreeSet<(PeerId, String)>,
    done: Vec<(PeerId, u64, Option<String>)>,
}

impl Untold {
    pub(super) fn node(&mut self, peer: PeerId) {
        self.nodes.insert(peer);
    }

    pub(super) fn publication(&mut self, peer: PeerId, swarm: SwarmId) {
        self.publications.insert((peer, swarm));
    }

    pub(super) fn condition(&mut self, peer: PeerId, channel: String) {
        self.conditions.insert((peer, channel));
    }

    pub(super) fn preview(&mut self, peer: PeerId, channel: String) {
        self.previews.insert((peer, channel));
    }

    pub(super) fn on_air(&mut self, peer: PeerId, channel: String) {
        self.on_air.insert((peer, channel));
    }

    pub(super) fn done(&mut self, peer: PeerId, number: u64, problem: Option<String>) {
        self.done.push((peer, number, problem));
    }

    pub(super) fn gone(&mut self, peer: PeerId, connection: Connection) {
        self.nodes.remove(&peer);
        self.publications.retain(|(publisher, _)| *publisher != peer);
        self.gone.insert(peer, connection);
    }
}

impl Memory {
    fn record(&self, now: Time, peer: PeerId) -> Option<Record> {
        let present = self.nodes.get(&peer).filter(|present| present.home == Home::Here)?;
        let part = |id: &SwarmId| {
            let part = self.swarms.get(id)?.parts.get(&peer)?;
            Some((id.0, part.report.clone()))
        };
        Some(Record {
            node: present.node.clone(),
            connection: present.connection,
            age_ms: now.since(present.heard).as_millis() as u64,
            account: present.account.clone(),
            parts: present.swarms.iter().filter_map(part).collect(),
        })
    }

    fn shown(&self, peer: PeerId, swarm: SwarmId) -> Option<Change> {
        let present = self.nodes.get(&peer).filter(|present| present.home == Home::Here)?;
        let swarm = self.swarms.get(&swarm).filter(|swarm| swarm.publishers.contains(&peer))?;
        let mut publication = swarm.publication.clone();
        publication.keys = swarm.keys();
        let number = self.guide.claim(&publication.parameters.channel)?;
        Some(Change::Publication { peer, connection: present.connection, publication, number })
    }

    pub(super) fn untold_changes(&mut self, now: Time) -> Vec<Change> {
        let untold = self.untold.as_mut().map(std::mem::take).unwrap_or_default();
        let gone = untold.gone.into_iter();
        let mut changes: Vec<Change> =
            gone.map(|(peer, connection)| Change::Gone { peer, connection }).collect();
        changes.extend(
            untold.nodes.iter().filter_map(|&peer| self.record(now, peer)).map(Change::Node),
        );
        let publications = untold.publications.into_iter();
        changes.extend(publications.filter_map(|(peer, swarm)| self.shown(peer, swarm)));
        for (peer, channel) in untold.conditions {
            let told = self.monitor.from(peer).find(|told| told.channel == channel);
            changes.extend(told.cloned().map(|condition| Change::Condition { peer, condition }));
        }
        for (peer, channel) in untold.previews {
            let jpeg = self.monitor.preview(now, &channel).map(|preview| preview.jpeg.clone());
            changes.extend(jpeg.map(|jpeg| Change::Preview { peer, channel, jpeg }));
        }
        let done = untold.done.into_iter();
        changes.extend(done.map(|(peer, number, problem)| Change::Done { peer, number, problem }));
        for (peer, channel) in untold.on_air {
            let programmes = self.monitor.programmes(now, &channel).to_vec();
            changes.push(Change::OnAir { peer, schedule: Schedule { channel, programmes } });
        }
        in_order(&mut changes);
        changes
    }

    pub(super) fn all_own(&self, now: Time) -> Vec<Change> {
        let mut changes: Vec<Change> = self
            .nodes
            .keys()
            .filter_map(|&peer| self.record(now, peer))
            .map(Change::Node)
            .collect();
        for (id, swarm) in &self.swarms {
            changes.extend(swarm.publishers.iter().filter_map(|&peer| self.shown(peer, *id)));
        }
        in_order(&mut changes);
        changes
    }

    pub(super) fn take_in(&mut self, now: Time, from: Instance, change: Change) -> Absorbed {
        match change {
            Change::Gone { peer, connection } => {
                if self.is_at(peer, from) {
                    self.depart(now, connection, peer);
                }
                Absorbed::default()
            }
            Change::Node(record) => self.take_node(now, from, record),
            Change::Condition { peer, condition } => {
                if self.is_at(peer, from)
                    && condition.is_bounded()
                    && self.publishes(peer, &condition.channel)
                {
                    self.monitor.tell(now, peer, condition);
                }
                Absorbed::default()
            }
            Change::Preview { peer, channel, jpeg } => {
                if self.is_at(peer, from)
                    && jpeg.len() <= MAX_PREVIEW
                    && self.publishes(peer, &channel)
                {
                    self.monitor.show(now, channel, jpeg);
                }
                Absorbed::default()
            }
            Change::Done { peer, number, problem } => {
                if self.is_at(peer, from) {
                    self.monitor.done(now, peer, number, problem);
                }
                Absorbed::default()
            }
            Change::OnAir { peer, schedule } => {
                let channel = schedule.channel.clone();
                let believed = self.is_at(peer, from)
                    && schedule.is_bounded()
                    && self.publishes(peer, &channel);
                let changed = believed && self.monitor.on_air(now, peer, schedule);
                Absorbed { on_air: changed.then_some(channel), ..Absorbed::default() }
            }
            Change::Publication { peer, connection, publication, number } => {
                let known = self.nodes.get(&peer);
                let theirs = known.is_some_and(|known| {
                    known.home == Home::At(from) && known.connection == connection
                });
                if !theirs {
                    return Absorbed::default();
                }
                let channel = publication.parameters.channel.clone();
                match self.enter_publication(now, peer, publication) {
                    Ok(published) => Absorbed {
                        line_up: self.guide.settle(&channel, number) || published.line_up,
                        keys: published.keys.then_some(published.swarm),
                        ..Absorbed::default()
                    },
                    Err(error) => {
                        tracing::warn!(%channel, headend = ?peer, %error, "another rendezvous' publication does not fit");
                        Absorbed::default()
                    }
                }
            }
        }
    }

    fn is_at(&self, peer: PeerId, from: Instance) -> bool {
        self.nodes.get(&peer).is_some_and(|known| known.home == Home::At(from))
    }

    fn take_node(&mut self, now: Time, from: Instance, record: Record) -> Absorbed {
        let peer = record.node.peer;
        let known = self.nodes.get(&peer).map(|known| (known.connection, known.home));
        let mut absorbed = Absorbed::default();
        match known {
            Some((connection, _)) if connection > record.connection => return absorbed,
            Some((connection, _)) if connection == record.connection => {
                if let Some(known) = self.nodes.get_mut(&peer) {
                    known.node.reach = record.node.reach;
                }
            }
            _ => {
                if matches!(known, Some((_, Home::Here))) {
                    absorbed.left = Some(peer);
                }
                self.enter(now, record.connection, record.node, Home::At(from));
                self.set_account(peer, &record.account);
            }
        }
        let heard = Time(now.0.saturating_sub(record.age_ms.saturating_mul(1000)));
        let Some(known) = self.nodes.get_mut(&peer) else { return absorbed };
        known.heard = heard;
        let still: BTreeSet<SwarmId> = record.parts.iter().map(|(id, _)| SwarmId(*id)).collect();
        let left: Vec<SwarmId> = known.swarms.difference(&still).copied().collect();
        left.into_iter().for_each(|swarm| self.leave(now, peer, swarm));
        for (id, report) in record.parts {
            // A swarm whose headend was not heard of yet: the next report says it again.
            if self.join(now, peer, SwarmId(id)).is_ok()
                && let Some(report) = report
                && let Some(swarm) = self.swarms.get_mut(&SwarmId(id))
            {
                swarm.report(peer, report);
            }
        }
        absorbed
    }

    pub(super) fn forget_those(
        &mut self,
        now: Time,
        from: Instance,
        but: Option<&HashSet<PeerId>>,
    ) {
        let over = |peer: &PeerId| but.is_none_or(|kept| !kept.contains(peer));
        let those: Vec<(PeerId, Connection)> = self
            .nodes
            .iter()
            .filter(|(peer, known)| known.home == Home::At(from) && over(peer))
            .map(|(peer, known)| (*peer, known.connection))
            .collect();
        those.into_iter().for_each(|(peer, connection)| self.depart(now, connection, peer));
    }

    pub(super) fn keep_servers(&mut self, now: Time) {
        for known in self.nodes.values_mut() {
            if known.home != Home::Here && known.node.role != Role::Viewer {
                known.heard = now;
            }
        }
    }
}

/// Who left, then headends, then what they publish, then who takes part in it.
fn in_order(changes: &mut [Change]) {
    changes.sort_by_key(|change| match change {
        Change::Gone { .. } => 0,
        Change::Node(record) if record.node.role == Role::Headend => 1,
        Change::Publication { .. } => 2,
        Change::Node(_) => 3,
        Change::Condition { .. }
        | Change::Preview { .. }
        | Change::OnAir { .. }
        | Change::Done { .. } => 4,
    });
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
