//! Coming to know peers: candidates, connections, hellos, exchange.

use std::time::Duration;

use ticket::{PeerId, Role};

use super::known::{Conduct, Dialable};
use super::partner::{Partner, Pid};
use super::{Engine, Feed};
use crate::output::{Offence, Parting};
use crate::{
    ConnectError, Message, Offer, Output, PeerHint, PeerInfo, Substreams, Time, TimeoutReason,
};

/// Dialled at once when a viewer joins.
const HANDFUL: usize = 8;
/// Rendezvous is asked at most this often.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Questions beyond the allowance that are only left without an answer; two in a tenth of a second are forgotten.
const MAX_EXCESS: u32 = 50;
/// Candidates are refreshed at least this often.
const REFRESH: Duration = Duration::from_secs(60);
/// Who parts with less than this of what it may ask for does not get it anew by coming again.
const FAIR: u32 = 128;
/// The most peers remembered from one session to the next.
const MAX_GOOD: usize = 32;
/// A viewer without a full set of parents for so long meets others.
const LACKING: Duration = Duration::from_millis(1500);
/// So many at a time.
const ROTATED: usize = 4;
/// Known peers are exchanged this often.
const EXCHANGE: Duration = Duration::from_secs(15);

impl Engine {
    pub(super) fn connected(&mut self, peer: PeerId, mut info: PeerInfo) {
        if peer == self.config.me {
            return;
        }
        info.household &= self.is_viewer() && info.role == Role::Viewer;
        if let Some(offence) = self.known.banned(&peer) {
            self.out.push_back(Output::Disconnect { peer, reason: Parting::Misbehaved(offence) });
            return;
        }
        if let Some(before) = self.partners.find(&peer) {
            self.disconnected(before);
        }
        let hint = PeerHint {
            peer,
            role: info.role,
            location: info.location,
            addrs: info.addrs.iter().copied().take(4).collect(),
            age_s: 0,
        };
        self.known.hear(hint, None, self.now);
        self.known.answered(&peer, false, self.now);
        if self.partners.len() >= usize::from(self.config.max_partners) && !self.make_room(&info) {
            self.out.push_back(Output::Disconnect { peer, reason: Parting::Unneeded });
            return;
        }
        let nearness = self.config.location.nearness(&info.location);
        let partner = Partner::new(peer, info, nearness, self.now);
        let Some(pid) = self.partners.insert(partner) else { return };
        if let (Some(before), Some(partner)) =
            (self.known.conduct(&peer, self.now), self.partners.get_mut(pid))
        {
            partner.demerits = before.demerits;
            (partner.allowance, partner.excess) = (before.allowance, before.excess);
            partner.allowance_at = before.at;
        }
        let offer = self.offer_to(pid, Substreams::first(self.config.n), true);
        let told = offer.available.iter().map(|entry| entry.index).collect();
        let free = offer.free;
        self.send(pid, Message::Hello(offer));
        self.tell_reach(pid);
        self.note_told(pid, told, free);
    }

    /// A useless partner goes for a new one, the farthest first; a viewer makes room for servers in any case.
    fn make_room(&mut self, coming: &PeerInfo) -> bool {
        let nearness = self.config.location.nearness(&coming.location);
        let idle = |partner: &Partner| {
            partner.feeds.is_empty() && partner.takes.is_empty() && self.settled(partner.since)
        };
        let candidate = self
            .partners
            .iter()
            .filter(|(_, partner)| partner.is_viewer() && !partner.at_home() && idle(partner))
            .max_by_key(|(peer, partner)| (partner.nearness, *peer))
            .map(|(peer, partner)| (peer, partner.nearness));
        match candidate {
            Some((peer, far))
                if far > nearness || coming.household || coming.role != Role::Viewer =>
            {
                self.drop_partner(peer, Parting::Unneeded);
                true
            }
            _ => false,
        }
    }

    pub(super) fn settled(&self, since: Time) -> bool {
        self.now.since(since) > Duration::from_secs(5)
    }

    pub(super) fn not_connected(&mut self, peer: &PeerId, _error: ConnectError) {
        self.known.answered(peer, true, self.now);
        self.dial();
    }

    /// A connection is gone; who leaves the swarm says so before.
    pub(super) fn disconnected(&mut self, peer: Pid) {
        self.part_with(peer, false);
    }

    /// A partner is one no longer: it leaves the swarm, or parts for another reason.
    pub(super) fn part_with(&mut self, peer: Pid, leaves: bool) {
        let Some(partner) = self.partners.get(peer) else { return };
        if partner.is_viewer() {
            self.churn.parted(self.now.since(partner.since), leaves);
        }
        self.known.parted(&partner.id, self.now);
        if partner.demerits > 0 || partner.excess > 0 || partner.allowance < FAIR {
            let Partner { id, demerits, allowance, excess, .. } = *partner;
            let at = partner.allowance_at;
            self.known.part(id, Conduct { demerits, allowance, excess, at });
        }
        self.pushes.forget(peer, partner.takes);
        self.pulls.retain(|pull| pull.peer != peer);
        self.pending.retain(|pending| pending.peer != peer);
        self.waiting.retain(|waiting| waiting.peer != peer);
        self.complaint = self.complaint.filter(|(from, _)| *from != peer);
        self.promised = self.promised.filter(|promise| !promise.concerns(peer));
        self.dropped_to.retain(|(child, _)| *child != peer);
        self.owed.forget(peer);
        self.partners.remove(peer);
        self.start_lost(peer);
        self.lose_parent(peer);
        self.timers.arm(TimeoutReason::Peers, self.now + Duration::from_millis(200));
    }

    /// Peers of an earlier session.
    pub(super) fn remembered(&mut self, peers: Vec<PeerHint>) {
        for hint in peers.into_iter().take(MAX_GOOD) {
            if hint.peer != self.config.me {
                self.known.remember(PeerHint { age_s: 0, ..hint }, self.now);
            }
        }
        self.dial();
    }

    /// Peers that are good to have: those that feed this node, the longest first, and servers.
    pub(super) fn good(&self) -> Vec<PeerHint> {
        let good = self.partners.values().filter(|p| !p.feeds.is_empty() || !p.is_viewer());
        let mut good: Vec<_> = good.map(|p| (p.since, p.id)).collect();
        good.sort_unstable();
        let hint = |(_, id)| self.known.hint(&id, self.now);
        good.into_iter().filter_map(hint).take(MAX_GOOD).collect()
    }

    pub(super) fn candidates(&mut self, peers: Vec<PeerHint>) {
        self.hear_all(None, peers);
        self.dial();
    }

    /// Peers that another peer has heard of.
    pub(super) fn heard_of(&mut self, from: Pid, peers: Vec<PeerHint>) {
        if self.charge(from, 1) {
            self.hear_all(Some(from), peers);
            self.dial();
        }
    }

    /// What `by` says of others; only servers are believed about servers.
    fn hear_all(&mut self, by: Option<Pid>, peers: Vec<PeerHint>) {
        let by = by.and_then(|by| self.partners.get(by));
        let by_viewer = by.is_some_and(Partner::is_viewer);
        let by = by.map(|partner| partner.short);
        for mut hint in peers.into_iter().take(64) {
            if hint.peer != self.config.me && hint.age_s <= 60 {
                if by_viewer {
                    hint.role = Role::Viewer;
                }
                self.known.hear(hint, by, self.now);
            }
        }
    }

    /// How many partners this node looks for by itself; others come by themselves.
    fn sought(&self) -> usize {
        let sought = match self.config.role {
            Role::Viewer => {
                let whole = self.settled_set();
                if whole { HANDFUL.max(2 * usize::from(self.config.k)) } else { HANDFUL * 3 }
            }
            Role::Repeater => 4,
            Role::Headend | Role::Rendezvous => 0,
        };
        sought.min(self.config.max_partners.into())
    }

    /// Dials known peers as far as more are wanted: servers and near ones first, some at random.
    pub(super) fn dial(&mut self) {
        let have = self.partners.len() + self.known.dialling();
        let mut room = self.sought().saturating_sub(have).min(HANDFUL);
        // Who lacks parents goes on looking, however many partners there are that have nothing to give.
        if room == 0 && self.lacking(LACKING) && have < usize::from(self.config.max_partners) {
            room = ROTATED;
        }
        let serving = |p: &&Partner| p.info.role != Role::Viewer && !self.in_reserve(p);
        let servers = self.partners.values().filter(serving).count();
        let mut servers_wanted = 2usize.saturating_sub(servers);
        if room == 0 && servers_wanted == 0 {
            return;
        }
        let starving = match self.config.role {
            Role::Viewer => self.lacking(Duration::ZERO) && self.feeds.is_empty(),
            // Its headend may start again at any moment, and all viewers wait for that. Other repeaters may be there still.
            _ => !self.feeds.iter().any(Feed::flows),
        };
        let reserve = self.wants_reserve();
        // Who has a repeater and knows no other gets the headend beside it.
        let repeaters_known = self.known.to_dial(self.now, starving).any(|dial| {
            let other = !reserve || self.partners.find(&dial.peer).is_none();
            dial.role == Role::Repeater && other
        });
        let viewer = self.is_viewer();
        let wanted = |dial: &Dialable| {
            let open =
                if viewer && dial.role != Role::Viewer { servers_wanted > 0 } else { room > 0 };
            open && self.may_feed_me(dial.role)
                && (dial.role != Role::Headend || !viewer || !repeaters_known)
                && self.partners.find(&dial.peer).is_none()
        };
        let mut ranked: Vec<_> = self
            .known
            .to_dial(self.now, starving)
            .filter(wanted)
            .map(|dial| (viewer || dial.role != Role::Headend, dial))
            .collect();
        ranked.sort_unstable();
        // Some by chance keep the swarm in one piece.
        if ranked.len() > HANDFUL {
            let pick = HANDFUL - 1 + self.chance((ranked.len() - HANDFUL + 1) as u32) as usize;
            ranked.swap(HANDFUL - 1, pick);
        }
        for (_, dial) in ranked {
            let server = dial.role != Role::Viewer;
            let wanted = if server && viewer { &mut servers_wanted } else { &mut room };
            if *wanted == 0 {
                continue;
            }
            *wanted -= 1;
            if dial.role == Role::Headend {
                self.reserve_dialled = Some(self.now);
            }
            if let Some(addrs) = self.known.dialled(&dial.peer, self.now) {
                self.out.push_back(Output::Connect { peer: dial.peer, role: dial.role, addrs });
            }
        }
    }

    /// Whether a node of this role may be a parent of this one.
    pub(super) fn may_feed_me(&self, role: Role) -> bool {
        match self.config.role {
            Role::Viewer => role != Role::Rendezvous,
            Role::Repeater => matches!(role, Role::Headend | Role::Repeater),
            Role::Headend | Role::Rendezvous => false,
        }
    }

    /// Known peers are tended now and then: dialled, exchanged, refreshed.
    pub(super) fn tend_peers(&mut self) {
        self.timers.set(TimeoutReason::Peers, self.now + Duration::from_secs(1));
        for partner in self.partners.values() {
            self.known.alive(&partner.id, self.now);
        }
        let partners = self.partners.pids();
        self.forgive();
        self.uplink.rise(self.now);
        self.choose_trees();
        self.rotate();
        self.dial();
        let few = self.partners.len() + self.known.dialling() < self.sought().min(HANDFUL);
        let short = self.is_viewer() && (few || self.lacking(LACKING));
        let upstream = self.partners.values().any(|partner| partner.info.role != Role::Viewer);
        let short = short || (self.config.role == Role::Repeater && !upstream);
        let asked = self.asked_for_peers;
        let every = if short { ASK_EVERY } else { REFRESH };
        if self.config.role != Role::Headend && asked.is_none_or(|at| self.now.since(at) >= every) {
            self.asked_for_peers = Some(self.now);
            self.out.push_back(Output::FindPeers);
        }
        if self.now.since(self.last_exchange) >= EXCHANGE && !partners.is_empty() {
            self.last_exchange = self.now;
            let pick = partners[self.chance(partners.len() as u32) as usize];
            let peers = self.hints_for(pick, 16);
            if !peers.is_empty() {
                self.send(pick, Message::Peers(peers));
            }
        }
    }

    /// Whether a viewer's set of parents has not been full for so long.
    fn lacking(&self, time: Duration) -> bool {
        self.is_viewer()
            && self.gathering.is_some()
            && self.lacks_since.is_some_and(|since| self.now.since(since) >= time)
    }

    /// A viewer that lacks parents parts with partners that have nothing for it, so that others take their place.
    fn rotate(&mut self) {
        if !self.is_viewer() || self.settled_set() {
            self.lacks_since = None;
            return;
        }
        self.lacks_since.get_or_insert(self.now);
        if !self.lacking(LACKING) || self.partners.len() < self.sought() {
            return;
        }
        let (wanted, _) = self.wanted();
        let useless = self.partners.iter().filter(|(_, p)| {
            let idle = p.feeds.is_empty() && p.takes.is_empty() && p.is_viewer();
            let gives = p.free > 0 && !p.offered.and(wanted).is_empty();
            idle && !gives && !p.at_home() && self.settled(p.since)
        });
        let mut useless: Vec<_> = useless.map(|(peer, p)| (p.since, peer)).collect();
        useless.sort_unstable();
        for (_, peer) in useless.into_iter().take(ROTATED) {
            self.drop_partner(peer, Parting::Unneeded);
        }
    }

    fn hints_for(&self, peer: Pid, most: usize) -> Vec<PeerHint> {
        let Some(partner) = self.partners.get(peer) else { return Vec::new() };
        self.known.fresh(&partner.info.location, &partner.id, most, self.now)
    }

    /// What can be had here, for one peer.
    pub(super) fn offer_to(&self, peer: Pid, wanted: Substreams, peers: bool) -> Offer {
        let serves = self.serves(peer);
        Offer {
            available: if serves { self.available_to(peer, wanted) } else { Vec::new() },
            free: self.free_for(peer),
            lag_ms: self.lag_ms(),
            peers: if peers { self.hints_for(peer, 8) } else { Vec::new() },
        }
    }

    pub(super) fn hello(&mut self, from: Pid, offer: Offer) {
        let Some(partner) = self.partners.get_mut(from) else { return };
        if partner.met {
            self.offend(from, Offence::Flood);
            return;
        }
        partner.met = true;
        if partner.at_home() {
            self.look_at_home();
        }
        self.take_offer(from, offer);
        self.gather();
    }

    pub(super) fn searched(&mut self, from: Pid, wanted: Substreams) {
        if self.charge(from, 2) {
            self.open_for(from, wanted);
            let mut offer = self.offer_to(from, wanted, true);
            offer.free = self.free_to_give(from);
            self.send(from, Message::Offer(offer));
        }
    }

    pub(super) fn offered(&mut self, from: Pid, offer: Offer) {
        if let Some(partner) = self.partners.get_mut(from) {
            partner.answered = Some(self.now);
        }
        self.take_offer(from, offer);
        self.fill();
    }

    fn take_offer(&mut self, from: Pid, offer: Offer) {
        let Offer { available, free, lag_ms, peers } = offer;
        self.hear_all(Some(from), peers);
        if let Some(partner) = self.partners.get_mut(from) {
            partner.lag_ms = lag_ms;
        }
        self.note_available(from, available, free);
        self.dial();
    }

    /// Takes from what a partner may still ask for; whether it may. Who asks far too much is dropped.
    pub(super) fn charge(&mut self, peer: Pid, cost: u32) -> bool {
        let refill = u32::from(self.config.n) * 8;
        let now = self.now;
        let Some(partner) = self.partners.get_mut(peer) else { return false };
        let seconds = (now.since(partner.allowance_at).as_millis() / 100).min(1000) as u32;
        if seconds > 0 {
            partner.allowance = (partner.allowance + seconds * refill / 10).min(refill * 8);
            partner.allowance_at = now;
            partner.excess = partner.excess.saturating_sub(seconds * 2);
        }
        if partner.allowance < cost {
            // Honest peers may want more than they get, but they do not go on and on.
            partner.excess += 1;
            if partner.excess > MAX_EXCESS {
                self.offend(peer, Offence::Flood);
            }
            return false;
        }
        partner.allowance -= cost;
        true
    }
}
