//! Telling partners what can be had here, and hearing it from them.

use std::time::Duration;

use ticket::{PeerId, Role};

use super::Engine;
use crate::output::Offence;
use crate::{Availability, Message, Substreams, TimeoutReason};

/// Changes are told together after this.
const SOON: Duration = Duration::from_millis(100);
/// Without a change it is told again after this, up to twice that.
const EVERY: Duration = Duration::from_secs(3);

impl Engine {
    pub(super) fn announce_soon(&mut self) {
        self.timers.arm(TimeoutReason::Announce, self.now + SOON);
    }

    /// Tells every partner that could take something what there is.
    pub(super) fn announce_all(&mut self) {
        let again = self.spread(EVERY);
        self.timers.set(TimeoutReason::Announce, self.now + again);
        let partners: Vec<PeerId> = self
            .partners
            .iter()
            .filter(|(_, partner)| partner.info.role == Role::Viewer || !self.is_viewer())
            .map(|(&peer, _)| peer)
            .collect();
        for peer in partners {
            self.announce_to(&peer);
        }
    }

    fn announce_to(&mut self, peer: &PeerId) {
        if !self.serves(peer) {
            return;
        }
        let available = self.available_to(peer, Substreams::first(self.config.n));
        let told: Substreams = available.iter().map(|entry| entry.index).collect();
        let free = self.free_for(peer);
        let Some(partner) = self.partners.get_mut(peer) else { return };
        let gone = partner.told_it.without(told);
        partner.told_it = told;
        if !gone.is_empty() {
            self.send(*peer, Message::Gone { substreams: gone });
        }
        if !available.is_empty() {
            self.send(*peer, Message::Have { available, free });
        }
    }

    /// Paths moved: children that take these must know before they feed anybody else.
    pub(super) fn tell_children(&mut self, moved: Substreams) {
        for peer in self.pushes.children(moved) {
            let wanted = self.pushes.of(&peer).and(moved);
            let available = self.available_to(&peer, wanted);
            let told: Substreams = available.iter().map(|entry| entry.index).collect();
            let free = self.free_for(&peer);
            if !available.is_empty() {
                self.send(peer, Message::Have { available, free });
            }
            // What now comes through the child itself cannot be its any more.
            let looped = wanted.without(told);
            if !looped.is_empty() {
                self.stop_pushing(&peer, looped, Some(crate::Shed::Lost));
            }
        }
        self.announce_soon();
    }

    /// What cannot be had here any more.
    pub(super) fn tell_gone(&mut self, gone: Substreams) {
        for peer in self.pushes.children(gone) {
            let lost = self.pushes.of(&peer).and(gone);
            self.stop_pushing(&peer, lost, Some(crate::Shed::Lost));
        }
        self.announce_soon();
    }

    pub(super) fn have(&mut self, from: PeerId, available: Vec<Availability>, free: u16) {
        self.note_available(&from, available, free);
        self.maybe_start();
        self.fill();
    }

    pub(super) fn gone(&mut self, from: PeerId, substreams: Substreams) {
        if let Some(partner) = self.partners.get_mut(&from) {
            partner.offers.retain(|&index, _| !substreams.contains(index));
        }
    }

    /// Notes what a partner has, and acts if a path of a parent came to name this node.
    pub(super) fn note_available(
        &mut self,
        from: &PeerId,
        available: Vec<Availability>,
        free: u16,
    ) {
        let (now, n, me) = (self.now, self.config.n, self.me);
        let ignorant = self.newest_told().is_none();
        let Some(partner) = self.partners.get_mut(from) else { return };
        if available.iter().any(|entry| entry.index >= n) {
            self.offend(*from, Offence::Protocol);
            return;
        }
        partner.told = now;
        partner.free = free;
        if free > 0 {
            partner.back_off = now;
        }
        let mut looped = Substreams::NONE;
        for entry in available {
            if entry.path.contains(&me) {
                looped.insert(entry.index);
            }
            partner.offers.insert(entry.index, entry);
        }
        let mine: Substreams =
            self.feeds.iter().filter(|feed| feed.parent == *from).map(|feed| feed.index).collect();
        let looped = looped.and(mine);
        if !looped.is_empty() {
            self.send(*from, Message::Unsubscribe { substreams: looped });
            self.lose(from, looped);
        }
        self.refresh_paths();
        if ignorant && self.newest_told().is_some() {
            self.announce_soon();
        }
        self.pull_upstream();
    }
}
