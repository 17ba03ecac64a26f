//! What is counted, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use ticket::{Nearness, Role};

use super::Engine;
use crate::{ByRole, Cause, Failover, Moves, ParentStats, Stats, Time};

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
    pub(super) near_in: [u64; 4],
    pub(super) home_in: u64,
    pub(super) home_out: u64,
    pub(super) duplicate_bytes: u64,
    pub(super) control_bytes: u64,
    pub(super) rejected_shards: u64,
    pub(super) failovers: u64,
    pub(super) moves: Moves,
    pub(super) failover_max: Duration,
    pub(super) failover_last: Option<Failover>,
}

/// Adds to the count of the other side's role.
pub(super) fn add(bytes: &mut ByRole, role: Role, count: u64) {
    match role {
        Role::Headend => bytes.headend += count,
        Role::Repeater => bytes.repeater += count,
        Role::Viewer | Role::Rendezvous => bytes.viewer += count,
    }
}

/// Adds to the count of how near the other side is.
pub(super) fn add_near(bytes: &mut [u64; 4], nearness: Nearness, count: u64) {
    let [subset, asn, country, far] = bytes;
    *match nearness {
        Nearness::Subset => subset,
        Nearness::As => asn,
        Nearness::Country => country,
        Nearness::Far => far,
    } += count;
}

impl Engine {
    /// As of [`Stats::overdue`].
    fn overdue_segments(&self, now: Time) -> u32 {
        let Some(next) = self.playout.next.filter(|_| !self.rests) else { return 0 };
        let patience = self.config.segment * 6 / 5;
        let late = |slot: &super::window::Slot| !slot.whole() && now.since(slot.first) >= patience;
        let begun = self.window.from(next).filter(|(_, slot)| late(slot)).count();
        // The next one begins a segment after the newest.
        let silent = self.window.edge_at().is_some_and(|at| now.since(at) >= patience * 2);
        begun as u32 + u32::from(silent)
    }

    /// As of [`Stats::whole_to`].
    fn whole_to(&self) -> Option<u64> {
        let next = self.playout.next?;
        let whole = |&number: &u64| self.window.get(number).is_some_and(|slot| slot.whole());
        (next..).take_while(whole).last().or(next.checked_sub(1))
    }

    /// As of [`Stats::in_hand`], of what [`Stats::whole_to`] is.
    fn in_hand(&self, whole_to: Option<u64>) -> u32 {
        let run = whole_to.zip(self.playout.next);
        run.map_or(0, |(whole_to, next)| (whole_to + 1).saturating_sub(next) as u32)
    }

    pub(super) fn count(&self, now: Time) -> Stats {
        let counters = &self.counters;
        let whole_to = self.whole_to();
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
        let (frozen, stalls_now) = self.frozen(now);
        Stats {
            startup: counters.startup,
            stalls: counters.stalls + u64::from(stalls_now),
            stalled: counters.stalled + frozen,
            stall_causes: counters.stall_causes.clone(),
            lag,
            arrival: Duration::from_millis(self.lag_ms().into()),
            behind_edge,
            overdue: self.overdue_segments(now),
            whole_to,
            in_hand: self.in_hand(whole_to),
            played: counters.played,
            lost: counters.lost,
            rebuilt: counters.rebuilt,
            bytes_in: counters.bytes_in,
            bytes_out: counters.bytes_out,
            near_in: counters.near_in,
            home_in: counters.home_in,
            home_out: counters.home_out,
            duplicate_bytes: counters.duplicate_bytes,
            control_bytes: counters.control_bytes,
            rejected_shards: counters.rejected_shards,
            conflicts: self.window.conflicts,
            failovers: counters.failovers,
            moves: counters.moves,
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
