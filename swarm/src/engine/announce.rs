//! Telling partners what can be had here, and hearing it from them.

use std::time::Duration;

use super::Engine;
use super::partner::Pid;
use crate::output::Offence;
use crate::{Availability, Loss, Message, Substreams, Time, TimeoutReason};

/// Changes are told together after this.
const SOON: Duration = Duration::from_millis(100);
/// Nobody but children is told anything again sooner.
const SELDOM: Duration = Duration::from_secs(2);
/// Without a change it is told again after this, up to twice that: partners reckon what is held from the time since.
const EVERY: Duration = Duration::from_secs(12);
/// When it is looked whether there is something to tell again.
const LOOK: Duration = Duration::from_secs(3);

/// How much is free, in the steps that make a difference to those who choose.
fn roughly(free: u16) -> u8 {
    match free {
        0 => 0,
        1..=3 => 1,
        4..=16 => 2,
        _ => 3,
    }
}

impl Engine {
    pub(super) fn announce_soon(&mut self) {
        self.timers.arm(TimeoutReason::Announce, self.now + SOON);
    }

    /// Tells every partner that could take something what there is, if that is not what it was told last.
    pub(super) fn announce_all(&mut self) {
        let again = self.spread(LOOK);
        self.timers.set(TimeoutReason::Announce, self.now + again);
        for peer in self.partners.pids() {
            if let Some(next) = self.announce_to(peer) {
                self.timers.arm(TimeoutReason::Announce, next);
            }
        }
    }

    /// Tells one partner, if there is something to tell; when, if it is not yet time.
    fn announce_to(&mut self, peer: Pid) -> Option<Time> {
        let now = self.now;
        let partner = self.partners.get(peer)?;
        if !partner.met || (self.is_viewer() && !partner.is_viewer()) || !self.serves(peer) {
            return None;
        }
        let tellable = self.tellable(peer, Substreams::first(self.config.n));
        let ranks = self.sum_ranks(tellable);
        let free = self.free_for(peer);
        let since = now.since(partner.told_at);
        // Who cannot take anything need not know what there would be.
        let idle = free == 0 && partner.told_free == 0 && partner.takes.is_empty();
        let same = tellable == partner.told_it
            && ranks == partner.told_ranks
            && roughly(free) == partner.told_free;
        if (same || idle) && since < EVERY {
            return None;
        }
        // A server that has something at last is waited for by whoever met it while it had nothing.
        let first = !self.is_viewer() && partner.told_it.is_empty();
        if since < SELDOM && !first {
            return Some(partner.told_at + SELDOM);
        }
        let gone = partner.told_it.without(tellable);
        if !gone.is_empty() {
            self.send(peer, Message::Gone { substreams: gone });
        }
        let available = self.available_to(peer, tellable);
        if !available.is_empty() {
            self.send(peer, Message::Have { available, free });
        }
        self.note_told(peer, tellable, free);
        None
    }

    /// Notes what a partner was told of all that can be had here.
    pub(super) fn note_told(&mut self, peer: Pid, told: Substreams, free: u16) {
        let ranks = self.sum_ranks(told);
        if let Some(partner) = self.partners.get_mut(peer) {
            partner.told_it = told;
            partner.told_ranks = ranks;
            partner.told_free = roughly(free);
            partner.told_at = self.now;
        }
    }

    /// A sum that changes when a rank does.
    fn sum_ranks(&self, substreams: Substreams) -> u32 {
        let rank = |index: u8| self.paths.get(usize::from(index))?.as_ref().map(|path| path.rank);
        substreams.iter().filter_map(rank).fold(0, |sum, rank| sum + u32::from(rank))
    }

    /// Paths moved: children that take these must know before they feed anybody else.
    pub(super) fn tell_children(&mut self, moved: Substreams) {
        for peer in self.pushes.children(moved) {
            let wanted = self.takes(peer).and(moved);
            let available = self.available_to(peer, wanted);
            let told: Substreams = available.iter().map(|entry| entry.index).collect();
            let free = self.free_for(peer);
            if !available.is_empty() {
                self.send(peer, Message::Have { available, free });
            }
            // What now comes through the child itself cannot be its any more.
            let looped = wanted.without(told);
            if !looped.is_empty() {
                self.stop_pushing(peer, looped, Some(crate::Shed::Lost));
            }
        }
        self.announce_soon();
    }

    /// What cannot be had here any more.
    pub(super) fn tell_gone(&mut self, gone: Substreams) {
        for peer in self.pushes.children(gone) {
            let lost = self.takes(peer).and(gone);
            self.stop_pushing(peer, lost, Some(crate::Shed::Lost));
        }
        self.announce_soon();
    }

    pub(super) fn have(&mut self, from: Pid, available: Vec<Availability>, free: u16) {
        self.note_available(from, available, free);
        self.maybe_start();
        self.fill();
    }

    pub(super) fn gone(&mut self, from: Pid, substreams: Substreams) {
        if let Some(partner) = self.partners.get_mut(from) {
            partner.withdraw(substreams);
        }
    }

    /// Notes what a partner has, and acts if a path of a parent came to name this node.
    pub(super) fn note_available(&mut self, from: Pid, available: Vec<Availability>, free: u16) {
        let (now, n, me) = (self.now, self.config.n, self.me);
        let ignorant = self.newest_told().is_none();
        let Some(partner) = self.partners.get_mut(from) else { return };
        if available.iter().any(|entry| entry.index >= n) {
            self.offend(from, Offence::Protocol);
            return;
        }
        partner.told = now;
        partner.free = free;
        if free > 0 {
            partner.back_off = now;
        }
        let mine = partner.feeds;
        let looped = available.iter().filter(|entry| entry.path.contains(&me));
        let looped: Substreams = looped.map(|entry| entry.index).collect();
        let changed = partner.note(available).and(mine);
        let looped = looped.and(mine);
        if !looped.is_empty() {
            self.send(from, Message::Unsubscribe { substreams: looped });
            self.lose(from, looped, Loss::Gone);
        }
        if !changed.is_empty() || !self.is_viewer() {
            self.refresh_paths(changed);
        }
        if ignorant && self.newest_told().is_some() {
            self.announce_soon();
        }
        self.pull_upstream();
    }
}
