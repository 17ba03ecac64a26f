//! Partners that could become parents at once: probed, so that they are known to be there.

use std::time::Duration;

use rand::Rng;
use ticket::{PeerId, Role};

use super::Engine;
use crate::output::Parting;
use crate::{Config, Message, Time, TimeoutReason};

/// Standby partners have answered within this.
const PROBED: Duration = Duration::from_secs(5);
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(2);
/// Nothing heard for so long, in spite of probes: gone.
const SILENT: Duration = Duration::from_secs(8);

impl Engine {
    /// Standby partners, as of `now`: no parents, but ready to be.
    pub(super) fn standby(&self, now: Time) -> u32 {
        let ready = self.partners.iter().filter(|(peer, partner)| {
            let probed = partner.answered.is_some_and(|at| now.since(at) <= PROBED);
            probed && !self.is_parent(peer) && !partner.offers.is_empty()
        });
        ready.count() as u32
    }

    pub(super) fn probe(&mut self, peer: PeerId) {
        let token = self.rng.next_u32();
        let Some(partner) = self.partners.get_mut(&peer) else { return };
        if partner.probe.is_none() {
            partner.probe = Some((token, self.now));
            self.send(peer, Message::Probe { token });
        }
    }

    /// Probes who might be needed, and gives up who is silent.
    pub(super) fn probe_partners(&mut self) {
        self.timers.set(TimeoutReason::Probe, self.now + ROUND);
        let now = self.now;
        let silent: Vec<PeerId> = self
            .partners
            .iter()
            .filter(|(_, partner)| now.since(partner.heard) >= SILENT)
            .map(|(&peer, _)| peer)
            .collect();
        for peer in silent {
            self.drop_partner(peer, Parting::Silent);
        }
        let mut ready: Vec<_> = self
            .partners
            .iter()
            .filter(|(peer, partner)| !self.is_parent(peer) && self.may_feed_me(partner.info.role))
            .filter(|(_, partner)| !partner.offers.is_empty())
            .map(|(&peer, partner)| {
                let full = partner.free == 0;
                (full, partner.nearness, partner.info.role != Role::Viewer, peer)
            })
            .collect();
        ready.sort_unstable();
        let standby = ready.into_iter().take(Config::STANDBY + 1).map(|(.., peer)| peer);
        let mut probe: Vec<PeerId> = standby.collect();
        // Who has said nothing for long is asked whether it is there.
        let quiet = self.partners.iter().filter(|(_, p)| now.since(p.heard) >= SILENT / 2);
        probe.extend(quiet.map(|(&peer, _)| peer));
        probe.sort_unstable();
        probe.dedup();
        for peer in probe {
            self.probe(peer);
        }
    }

    pub(super) fn probed(&mut self, from: PeerId, token: u32) {
        if self.charge(&from, 1) {
            let (free, lag_ms) = (self.free_for(&from), self.lag_ms());
            self.send(from, Message::ProbeReply { token, free, lag_ms });
        }
    }

    pub(super) fn probe_replied(&mut self, from: PeerId, token: u32, free: u16, lag_ms: u32) {
        let now = self.now;
        let Some(partner) = self.partners.get_mut(&from) else { return };
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
    }
}
