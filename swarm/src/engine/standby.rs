//! Partners that could become parents at once: probed, so that they are known to be there.

use std::time::Duration;

use rand::Rng;

use super::Engine;
use super::partner::Pid;
use crate::output::Parting;
use crate::{Config, Message, Substreams, Time, TimeoutReason};

/// Standby partners have answered within this.
const PROBED: Duration = Duration::from_secs(5);
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(2);
/// Nothing heard for so long, in spite of probes: gone.
const SILENT: Duration = Duration::from_secs(20);

impl Engine {
    /// Standby partners, as of `now`: no parents, but ready to be, with room for one more.
    pub(super) fn standby(&self, now: Time) -> u32 {
        let ready = self.partners.values().filter(|partner| {
            let probed = partner.answered.is_some_and(|at| now.since(at) <= PROBED);
            probed && partner.feeds.is_empty() && partner.free > 0 && !partner.offered.is_empty()
        });
        ready.count() as u32
    }

    pub(super) fn probe(&mut self, peer: Pid) {
        let token = self.rng.next_u32();
        let Some(partner) = self.partners.get_mut(peer) else { return };
        if partner.probe.is_none() {
            partner.probe = Some((token, self.now));
            self.send(peer, Message::Probe { token });
        }
    }

    /// Probes who might be needed, and gives up who is silent.
    pub(super) fn probe_partners(&mut self) {
        self.timers.set(TimeoutReason::Probe, self.now + ROUND);
        let now = self.now;
        let gone = self.partners.iter().filter(|(_, p)| now.since(p.heard) >= SILENT);
        let silent: Vec<Pid> = gone.map(|(peer, _)| peer).collect();
        for peer in silent {
            self.drop_partner(peer, Parting::Silent);
        }
        let able = self.partners.iter().filter(|(_, partner)| {
            let may = self.may_feed_me(partner.info.role) && !partner.offered.is_empty();
            may && partner.feeds.is_empty()
        });
        // First those that have room, and something that does not come here already.
        let taken: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        let mut ready: Vec<_> = able
            .map(|(peer, partner)| {
                let full = partner.free == 0;
                let same = partner.offered.without(taken).is_empty();
                (full, same, partner.nearness, !partner.is_viewer(), peer)
            })
            .collect();
        ready.sort_unstable();
        let standby = ready.into_iter().take(Config::STANDBY + 1).map(|(.., peer)| peer);
        let mut probe: Vec<Pid> = standby.collect();
        // Who has said nothing for long is asked whether it is there.
        let quiet = self.partners.iter().filter(|(_, p)| now.since(p.heard) >= SILENT / 2);
        probe.extend(quiet.map(|(peer, _)| peer));
        probe.sort_unstable();
        probe.dedup();
        for peer in probe {
            self.probe(peer);
        }
    }

    pub(super) fn probed(&mut self, from: Pid, token: u32) {
        if self.charge(from, 1) {
            let (free, lag_ms) = (self.free_for(from), self.lag_ms());
            self.send(from, Message::ProbeReply { token, free, lag_ms });
        }
    }

    pub(super) fn probe_replied(&mut self, from: Pid, token: u32, free: u16, lag_ms: u32) {
        let now = self.now;
        let Some(partner) = self.partners.get_mut(from) else { return };
        let Some((expected, at)) = partner.probe else { return };
        if expected != token {
            return;
        }
        partner.probe = None;
        partner.answered = Some(now);
        partner.info.rtt = (partner.info.rtt + now.since(at)) / 2;
        partner.free = free;
        partner.lag_ms = lag_ms;
        if free > 0 {
            partner.back_off = partner.back_off.min(now);
        }
        self.call_off(from);
    }
}
