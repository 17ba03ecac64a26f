//! What flows out: children, admission, cut-through.

use std::time::Duration;

use segment::LayerSet;
use ticket::Role;

use super::Engine;
use super::partner::Pid;
use crate::output::{Offence, Urgency};
use crate::{Grant, Message, Output, Refusal, Serve, ShardRef, Shed, Substreams, Time};

/// One sub-stream to one child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    pub(super) peer: Pid,
    /// First segment wanted.
    pub(super) from: u64,
    since: Time,
    /// To a viewer of this home: it takes no uplink.
    home: bool,
    /// To a viewer that nobody but servers can feed.
    servers_only: bool,
}

/// Children by sub-stream.
#[derive(Debug)]
pub(super) struct Pushes {
    by_index: Vec<Vec<Push>>,
    demanded: Substreams,
    total: u32,
    /// Of those, to viewers of this home.
    home: u32,
    /// And to viewers that nobody but servers can feed.
    servers_only: u32,
}

impl Pushes {
    pub(super) fn new(n: usize) -> Self {
        Self {
            by_index: vec![Vec::new(); n],
            demanded: Substreams::NONE,
            total: 0,
            home: 0,
            servers_only: 0,
        }
    }

    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// Those that stay in this home.
    pub(super) fn home(&self) -> u32 {
        self.home
    }

    /// Those to viewers that nobody but servers can feed.
    fn servers_only(&self) -> u32 {
        self.servers_only
    }

    /// Those that take uplink.
    pub(super) fn outside(&self) -> u32 {
        self.total - self.home
    }

    pub(super) fn to(&self, index: u8) -> &[Push] {
        self.by_index.get(usize::from(index)).map_or(&[], Vec::as_slice)
    }

    /// Sub-streams that somebody takes.
    pub(super) fn demanded(&self) -> Substreams {
        self.demanded
    }

    /// Who takes any of these.
    pub(super) fn children(&self, substreams: Substreams) -> Vec<Pid> {
        let mut children: Vec<Pid> =
            substreams.iter().flat_map(|index| self.to(index)).map(|push| push.peer).collect();
        children.sort_unstable();
        children.dedup();
        children
    }

    fn add(&mut self, index: u8, push: Push) {
        if let Some(list) = self.by_index.get_mut(usize::from(index)) {
            list.push(push);
            self.demanded.insert(index);
            self.total += 1;
            self.home += u32::from(push.home);
            self.servers_only += u32::from(push.servers_only);
        }
    }

    /// Takes out; which were there.
    fn remove(&mut self, peer: Pid, substreams: Substreams) -> Substreams {
        let mut removed = Substreams::NONE;
        for index in substreams.and(self.demanded).iter() {
            let Some(list) = self.by_index.get_mut(usize::from(index)) else { continue };
            if let Some(place) = list.iter().position(|push| push.peer == peer) {
                let push = list.remove(place);
                self.total -= 1;
                self.home -= u32::from(push.home);
                self.servers_only -= u32::from(push.servers_only);
                removed.insert(index);
                if list.is_empty() {
                    self.demanded.remove(index);
                }
            }
        }
        removed
    }

    /// A partner that took these is gone.
    pub(super) fn forget(&mut self, peer: Pid, takes: Substreams) {
        self.remove(peer, takes);
    }

    /// How many that take uplink were added after `then`.
    pub(super) fn outside_since(&self, then: Time) -> u32 {
        let all = self.by_index.iter().flatten();
        all.filter(|push| !push.home && push.since > then).count() as u32
    }

    /// Those that take uplink and were added before: the sub-stream, its child, and since when.
    pub(super) fn settled(&self, then: Time) -> Vec<(u8, Pid, Time)> {
        let all = self.by_index.iter().enumerate();
        let all = all.flat_map(|(index, list)| list.iter().map(move |push| (index as u8, push)));
        let old = all.filter(|(_, push)| !push.home && push.since <= then);
        old.map(|(index, push)| (index, push.peer, push.since)).collect()
    }

    /// The one that was added last of those that take uplink and that `may_go`, and when.
    fn newest(&self, may_go: impl Fn(&Push) -> bool) -> Option<(u8, Pid, Time)> {
        let all = self.by_index.iter().enumerate();
        let all = all.flat_map(|(index, list)| list.iter().map(move |push| (index as u8, push)));
        let all = all.filter(|(_, push)| !push.home && may_go(push));
        let newest = all.max_by_key(|(index, push)| (push.since, *index));
        newest.map(|(index, push)| (index, push.peer, push.since))
    }
}

impl Engine {
    /// Whether this node feeds such a peer at all.
    pub(super) fn serves(&self, peer: Pid) -> bool {
        let Some(partner) = self.partners.get(peer) else { return false };
        match self.config.serve {
            Serve::All => true,
            Serve::Repeaters => matches!(partner.info.role, Role::Repeater | Role::Headend),
            Serve::Nobody => false,
        }
    }

    /// What is pushed to a partner.
    pub(super) fn takes(&self, peer: Pid) -> Substreams {
        self.partners.get(peer).map_or(Substreams::NONE, |partner| partner.takes)
    }

    /// How many more sub-streams it would push to this peer.
    pub(super) fn free_for(&self, peer: Pid) -> u16 {
        if !self.serves(peer) {
            return 0;
        }
        if self.is_at_home(peer) {
            return self.free_at_home();
        }
        let kept = self.kept_for_hard(peer) + self.owed.before(peer, self.now);
        let taken = self.pushes.outside() + kept;
        let mut free = self.uplink.capacity().saturating_sub(taken);
        if self.goes_before_others(peer) {
            free = free.max(self.reserved().saturating_sub(self.pushes.servers_only()));
        }
        free.min(u32::from(u16::MAX)) as u16
    }

    /// Whom nobody but servers can feed takes the place of others, which can be fed by each other: up to this many
    /// sub-streams. The others have to get the channel from somewhere.
    fn reserved(&self) -> u32 {
        self.uplink.capacity().div_ceil(2)
    }

    /// Whether others make room for this one here.
    fn goes_before_others(&self, peer: Pid) -> bool {
        !self.is_viewer() && self.partners.get(peer).is_some_and(|partner| partner.servers_only)
    }

    pub(super) fn subscribed(&mut self, from: Pid, substreams: Substreams, first: u64) {
        if substreams.iter().any(|index| index >= self.config.n) {
            self.offend(from, Offence::Protocol);
            return;
        }
        if !self.charge(from, 1 + u32::from(substreams.len())) {
            return;
        }
        self.make_place(from);
        let mut granted = Substreams::NONE;
        let mut reason = None;
        // What nobody takes yet goes first: it spreads more different sub-streams among the children. In a crowd few
        // are open anyway.
        let mut asked: Vec<u8> = substreams.iter().collect();
        asked.sort_by_key(|&index| (self.pushes.to(index).len(), index));
        for index in asked {
            match self.refusal(from, index) {
                Some(refusal) => reason = Some(refusal),
                None => {
                    granted.insert(index);
                    if let Some(partner) = self.partners.get_mut(from)
                        && !partner.takes.contains(index)
                    {
                        partner.takes.insert(index);
                        let push = Push {
                            peer: from,
                            from: first,
                            since: self.owed.pay(from, self.now).unwrap_or(self.now),
                            home: partner.at_home(),
                            servers_only: partner.servers_only,
                        };
                        self.pushes.add(index, push);
                    }
                }
            }
        }
        let refused = substreams.without(granted);
        let reason = reason.filter(|_| !refused.is_empty());
        if reason == Some(Refusal::Full) {
            self.owed.renew(from, self.now);
        }
        self.send(from, Message::Grant(Grant { granted, refused, reason }));
        if self.goes_before_others(from) {
            self.shed_overload();
        }
        self.send_backlog(from, granted, first);
        if !granted.is_empty() {
            self.warm_for(from);
            self.pull_upstream();
        }
    }

    fn refusal(&self, peer: Pid, index: u8) -> Option<Refusal> {
        let partner = self.partners.get(peer)?;
        if !self.serves(peer) {
            return Some(Refusal::NotServed);
        }
        let Some(path) = self.paths.get(usize::from(index)).and_then(Option::as_ref) else {
            return Some(Refusal::NotHeld);
        };
        if path.names(partner.short) || partner.feeds.contains(index) {
            return Some(Refusal::Loop);
        }
        let already = partner.takes.contains(index);
        let open = partner.at_home() || self.open().contains(index);
        let closed = self.free_for(peer) == 0 || !open;
        (!already && closed).then_some(Refusal::Full)
    }

    /// What is held already of a new subscription, oldest segment first.
    fn send_backlog(&mut self, to: Pid, substreams: Substreams, first: u64) {
        let mut backlog = Vec::new();
        for (number, slot) in self.window.from(first) {
            for index in slot.held().and(substreams).iter() {
                backlog.push((ShardRef { number, index }, slot.layers_of(index)));
            }
        }
        // A few are holes of a child that moves; many are a start, which may not hold up what is pushed.
        let few = backlog.len() <= usize::from(substreams.len()) * 3;
        let urgency = if few { Urgency::Repair } else { Urgency::Start };
        let cost = backlog.len() as u32 / 2;
        if !backlog.is_empty() && self.charge(to, cost) {
            let pushed = self.pushes.outside();
            for (shard, layers) in backlog {
                let bytes = self.window.get(shard.number).map_or(0, |slot| slot.shard_bytes);
                // A start takes what pushes leave; what it lacks is pulled.
                if !few && !self.is_viewer() && !self.uplink.spend(bytes, pushed, self.now) {
                    break;
                }
                self.send_shard(to, shard, layers, urgency);
            }
        }
    }

    pub(super) fn send_shard(
        &mut self,
        to: Pid,
        shard: ShardRef,
        layers: LayerSet,
        urgency: Urgency,
    ) {
        let due = self.deadline(shard.number);
        self.send_due(to, shard, layers, due, urgency);
    }

    /// The same; its segment is of no more use to players after `due`.
    fn send_due(
        &mut self,
        to: Pid,
        shard: ShardRef,
        layers: LayerSet,
        due: Time,
        urgency: Urgency,
    ) {
        let Some(partner) = self.partners.get(to) else { return };
        let deadline = match urgency {
            Urgency::Start => due.max(self.now + Duration::from_secs(2)),
            _ if partner.is_viewer() => due.max(self.now + Duration::from_millis(50)),
            _ => due + self.config.keep.saturating_sub(self.config.playout_delay),
        };
        let to = partner.id;
        self.out.push_back(Output::SendShard { to, shard, layers, deadline, urgency });
    }

    /// Gives a shard that is held to all children of its sub-stream.
    pub(super) fn push(&mut self, shard: ShardRef) {
        let Some(slot) = self.window.get_mut(shard.number) else { return };
        if slot.pushed.contains(shard.index) {
            return;
        }
        slot.pushed.insert(shard.index);
        let layers = slot.layers_of(shard.index);
        if !self.pushes.demanded().contains(shard.index) {
            return;
        }
        let due = self.deadline(shard.number);
        for place in 0..self.pushes.to(shard.index).len() {
            let push = self.pushes.to(shard.index)[place];
            if shard.number >= push.from {
                self.send_due(push.peer, shard, layers, due, Urgency::Push);
            }
        }
    }

    pub(super) fn unsubscribed(&mut self, from: Pid, substreams: Substreams) {
        if self.charge(from, 1) {
            self.stop_pushing(from, substreams, None);
            self.pull_upstream();
        }
    }

    /// Stops pushing, and tells the child if it was not its wish.
    pub(super) fn stop_pushing(&mut self, to: Pid, substreams: Substreams, why: Option<Shed>) {
        let stopped = self.pushes.remove(to, substreams);
        let Some(partner) = self.partners.get_mut(to).filter(|_| !stopped.is_empty()) else {
            return;
        };
        partner.takes = partner.takes.without(stopped);
        self.out.push_back(Output::Cancel { to: partner.id, substreams: stopped });
        if let Some(reason) = why {
            self.send(to, Message::Shed { substreams: stopped, reason });
        }
    }

    /// Sheds the newest children until the uplink carries the rest; gives each that lost a sub-stream, and since when it
    /// had that. At a server those that nobody else can feed come last, as far as there is room kept for them.
    pub(super) fn shed_overload(&mut self) -> Vec<(Pid, Time)> {
        let mut shed = Vec::new();
        while self.pushes.outside() > self.uplink.capacity() {
            let kept = !self.is_viewer() && self.pushes.servers_only() <= self.reserved();
            let others = self.pushes.newest(|push| !(kept && push.servers_only));
            let Some((index, peer, since)) = others.or_else(|| self.pushes.newest(|_| true)) else {
                break;
            };
            self.stop_pushing(peer, Substreams::only(index), Some(Shed::Overload));
            shed.push((peer, since));
        }
        shed
    }

    pub(super) fn serve(&mut self, serve: Serve) {
        self.config.serve = serve;
        for peer in self.pushes.children(Substreams::first(self.config.n)) {
            if !self.serves(peer) {
                self.stop_pushing(peer, Substreams(u64::MAX), Some(Shed::Leaving));
            }
        }
        self.announce_soon();
    }
}
