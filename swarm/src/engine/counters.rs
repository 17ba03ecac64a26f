//! What is counted, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::Role;

use super::Engine;
use crate::{ByRole, Cause, ParentStats, Stats, Time};

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) startup: Option<Duration>,
    pub(super) stalls: u64,
    pub(super) stalled: Duration,
    pub(super) stall_causes: BTreeMap<Cause, u64>,
    pub(super) played: u64,
    pub(super) lost: u64,
    pub(super) rebuilt: u64,
    pub(super) bytes_in: ByRole,
    pub(super) bytes_out: ByRole,
    pub(super) home_in: u64,
    pub(super) home_out: u64,
    pub(super) duplicate_bytes: u64,
    pub(super) control_bytes: u64,
    pub(super) rejected_shards: u64,
    pub(super) failovers: u64,
    pub(super) failover_max: Duration,
    pub(super) failover_last: Duration,
}

/// Adds to the count of the other side's role.
pub(super) fn add(bytes: &mut ByRole, role: Role, count: u64) {
    match role {
        Role::Headend => bytes.headend += count,
        Role::Repeater => bytes.repeater += count,
        Role::Viewer | Role::Rendezvous => bytes.viewer += count,
    }
}

impl Engine {
    pub(super) fn count(&self, now: Time) -> Stats {
        let counters = &self.counters;
        let substreams = self.feeds.iter().filter(|feed| feed.flows()).filter_map(|feed| {
            let partner = self.partners.get(feed.parent)?;
            Some(ParentStats {
                index: feed.index,
                parent: partner.id,
                role: partner.info.role,
                location: partner.info.location,
            })
        });
        let (lag, behind_edge) = self.playing_at(now);
        Stats {
            startup: counters.startup,
            stalls: counters.stalls,
            stalled: counters.stalled,
            stall_causes: counters.stall_causes.clone(),
            lag,
            behind_edge,
            played: counters.played,
            lost: counters.lost,
            rebuilt: counters.rebuilt,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            home_in: counters.home_in,
            home_out: counters.home_out,
            duplicate_bytes: counters.duplicate_bytes,
            control_bytes: counters.control_bytes,
            rejected_shards: counters.rejected_shards,
            conflicts: self.window.conflicts,
            failovers: counters.failovers,
            failover_max: counters.failover_max,
            substreams: substreams.collect(),
            pushed: self.pushes.total(),
            standby: self.standby(now),
            partners: self.partners.len() as u32,
            known: self.known.len() as u32,
            exposure: self.exposure().most().into(),
        }
    }
}
