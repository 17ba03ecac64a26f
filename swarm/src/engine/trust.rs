//! Who misbehaved, and what follows.

use super::Engine;
use super::partner::Pid;
use crate::Output;
use crate::output::{Offence, Parting};

/// Demerits at which a peer is dropped for good.
const LIMIT: u32 = 100;

impl Offence {
    /// What one costs. A shard that fails its proof cannot be an honest peer's: every node checks before it forwards.
    /// The others can happen to honest peers now and then.
    fn demerits(self) -> u32 {
        match self {
            Self::BadShard => LIMIT,
            Self::Replay | Self::Protocol => LIMIT / 2,
            Self::Flood => LIMIT / 4,
            Self::BrokenPromise => LIMIT / 5,
            Self::FalseAvailability => LIMIT / 20,
        }
    }
}

impl Engine {
    pub(super) fn bad_shard(&mut self, from: Pid) {
        self.counters.rejected_shards += 1;
        self.offend(from, Offence::BadShard);
    }

    /// Notes an offence; whether the peer was dropped for it.
    pub(super) fn offend(&mut self, peer: Pid, offence: Offence) -> bool {
        let Some(partner) = self.partners.get_mut(peer) else { return false };
        partner.demerits += offence.demerits();
        if partner.demerits < LIMIT {
            return false;
        }
        self.known.ban(partner.id, offence, self.now);
        self.drop_partner(peer, Parting::Misbehaved(offence));
        true
    }

    /// Gives a partner up.
    pub(super) fn drop_partner(&mut self, peer: Pid, reason: Parting) {
        if let Some(id) = self.partners.get(peer).map(|partner| partner.id) {
            self.out.push_back(Output::Disconnect { peer: id, reason });
            self.part_with(peer, reason == Parting::Silent);
        }
    }

    /// Demerits fade: what honest peers do now and then is forgiven.
    pub(super) fn forgive(&mut self) {
        for partner in self.partners.values_mut() {
            partner.demerits = partner.demerits.saturating_sub(1);
        }
    }
}
