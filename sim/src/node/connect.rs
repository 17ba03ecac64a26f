//! Connections come about and end.

use std::time::Duration;

use swarm::{ConnectError, Input, Message, PeerInfo};
use ticket::Role;

use super::Node;
use crate::event::{Load, What};
use crate::population::Nat;
use crate::post::Post;
use crate::setting::{IDLE, addr};
use crate::tally::{Steps, kind};

/// A dial that has had no answer for so long has failed, as in `link`.
const HANDSHAKE: u64 = 4_000_000;
/// Bytes of a message on the wire, about: it fits into a packet.
const MESSAGE: u32 = 300;

impl Node {
    /// Dials: a round trip and a half until the other side knows, half a one where a connection is open already; by way
    /// of rendezvous where both are behind NAT.
    pub(super) fn dial(&mut self, post: &mut Post<'_>, peer: u32) {
        if self.links.has(peer) || self.dialling.contains(&peer) {
            return;
        }
        self.dialling.push(peer);
        self.remind(post, post.now + HANDSHAKE, What::NoAnswer(peer));
        let setting = post.setting;
        let (mine, theirs) = (setting.nat(self.me), setting.nat(peer));
        let meets = mine.meets(theirs) || setting.housemates(self.me, peer);
        if !meets || setting.cut(self.me, peer, post.now).is_some() {
            return;
        }
        let warm = self.warm && setting.profile(peer).role == Role::Repeater;
        self.warm &= !warm;
        let way = setting.travel(self.me, peer, post.now, MESSAGE, u64::from(self.seq));
        let mut at = post.now + if warm { way } else { 3 * way };
        if mine != Nat::Open && theirs != Nat::Open {
            if !self.reaches_rendezvous(post) {
                return;
            }
            let [there, _] = setting.to_rendezvous(self.me, self.server);
            let [_, on] = setting.to_rendezvous(peer, self.server);
            at += there + on;
        }
        let event = self.event(at, peer, What::Dial);
        post.send(event, Load::None);
    }

    /// Somebody dials this node.
    pub(super) fn dialled(&mut self, post: &mut Post<'_>, peer: u32) {
        self.dialling.retain(|&dialled| dialled != peer);
        let new = self.links.add(peer, post.now);
        self.write(post, peer, What::Accept, Load::None);
        if new {
            self.connected(post, peer);
        }
    }

    pub(super) fn accepted(&mut self, post: &mut Post<'_>, peer: u32) {
        let before = self.dialling.len();
        self.dialling.retain(|&dialled| dialled != peer);
        if before == self.dialling.len() {
            if !self.links.has(peer) {
                self.refuse(post, peer);
            }
        } else if self.links.add(peer, post.now) {
            self.connected(post, peer);
        }
    }

    fn connected(&mut self, post: &mut Post<'_>, peer: u32) {
        let profile = post.setting.profile(peer);
        let steps = &mut self.steps;
        let viewer = profile.role == Role::Viewer;
        let step = if viewer { &mut steps.viewer } else { &mut steps.server };
        Steps::note(step, post.now - self.joined);
        let rtt = 2 * post.setting.latency(self.me, peer);
        let info = PeerInfo {
            role: profile.role,
            location: profile.location,
            rtt: Duration::from_micros(rtt),
            addrs: vec![addr(post.setting, peer)],
            household: post.setting.housemates(self.me, peer),
        };
        let peer = post.setting.id(peer);
        self.input(post, Input::Connected { peer, info });
    }

    pub(super) fn no_answer(&mut self, post: &mut Post<'_>, peer: u32) {
        let Some(place) = self.dialling.iter().position(|&dialled| dialled == peer) else { return };
        self.dialling.swap_remove(place);
        let (peer, error) = (post.setting.id(peer), ConnectError::Unreachable);
        self.input(post, Input::NotConnected { peer, error });
    }

    /// This node ends a connection.
    pub(super) fn part(&mut self, post: &mut Post<'_>, peer: u32) {
        self.write(post, peer, What::Part, Load::None);
        self.links.remove(peer);
        self.uplink.forget(peer);
    }

    /// The other side does.
    pub(super) fn parted(&mut self, post: &mut Post<'_>, peer: u32) {
        if self.links.remove(peer) {
            self.uplink.forget(peer);
            let peer = post.setting.id(peer);
            self.input(post, Input::Disconnected { peer });
        }
    }

    /// The other side has not been heard of for too long; unless it is back on a new connection.
    pub(super) fn lost(&mut self, post: &mut Post<'_>, peer: u32) {
        if self.links.get_mut(peer).is_some_and(|link| link.since + IDLE <= post.now) {
            self.parted(post, peer);
        }
    }

    /// Its system has been cut off: what crosses the border is gone.
    pub(super) fn cut(&mut self, post: &mut Post<'_>, cut: u16) {
        let asn = post.setting.cuts()[usize::from(cut)].asn;
        for peer in self.links.peers() {
            if post.setting.profile(peer).location.asn == Some(asn) {
                continue;
            }
            let at = post.now + post.setting.latency(self.me, peer);
            let event = self.event(at, peer, What::Lost);
            post.send(event, Load::None);
            self.lost(post, peer);
        }
    }

    pub(super) fn message_came(&mut self, post: &mut Post<'_>, from: u32, message: Message) {
        if !self.links.has(from) {
            self.refuse(post, from);
            return;
        }
        post.tally.messages[kind(&message)] += 1;
        let from = post.setting.id(from);
        self.input(post, Input::Message { from, message });
    }

    /// Tells a node that it is not connected here (QUIC's stateless reset).
    fn refuse(&mut self, post: &mut Post<'_>, peer: u32) {
        let travel = post.setting.travel(self.me, peer, post.now, MESSAGE, u64::from(self.seq));
        if post.setting.cut(self.me, peer, post.now).is_none() {
            let event = self.event(post.now + travel, peer, What::Part);
            post.send(event, Load::None);
        }
    }

    /// Writes over a connection: all arrives, in order, lost packets later.
    pub(super) fn write(&mut self, post: &mut Post<'_>, to: u32, what: What, load: Load) {
        let mut at = post.now;
        if let Some(cut) = post.setting.cut(self.me, to, post.now) {
            // What is not acknowledged is sent again until the connection is given up.
            if cut.from + IDLE < cut.to {
                return;
            }
            at = cut.to;
        }
        at += post.setting.travel(self.me, to, post.now, MESSAGE, u64::from(self.seq));
        let Some(link) = self.links.get_mut(to) else { return };
        at = at.max(link.last + 1);
        link.last = at;
        let event = self.event(at, to, what);
        post.send(event, load);
    }
}
