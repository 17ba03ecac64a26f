//! A sub-stream that flows in from one parent, or is asked for.

use std::time::Duration;

use super::partner::Pid;
use crate::{Failover, Loss, Time};

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) index: u8,
    pub(super) parent: Pid,
    pub(super) asked: Time,
    pub(super) granted: Option<Time>,
    /// When its last shard came.
    pub(super) last: Option<Time>,
    /// The newest segment whose shard came this way.
    pub(super) newest: u64,
    /// First segment asked for.
    pub(super) from: u64,
    /// How long after the first shard of a segment this feed's comes: a moving mean, microseconds.
    pub(super) late_us: u64,
    /// The mean deviation from that.
    spread_us: u64,
    /// Shards that did not come, of the last 16: one bit each.
    missed: u16,
    /// Since when it is late.
    pub(super) suspect: Option<Time>,
    /// The feed that is given up once this one flows.
    pub(super) replaces: Option<(u8, Pid)>,
    /// The lost sub-stream that this one makes good.
    pub(super) makes_good: Option<Lost>,
}

impl Feed {
    pub(super) fn new(index: u8, parent: Pid, from: u64, now: Time) -> Self {
        Self {
            index,
            parent,
            asked: now,
            granted: None,
            last: None,
            newest: 0,
            from,
            late_us: 0,
            spread_us: 0,
            missed: 0,
            suspect: None,
            replaces: None,
            makes_good: None,
        }
    }

    pub(super) fn flows(&self) -> bool {
        self.last.is_some()
    }

    /// How long after the first shard of a segment this feed's is late: the mean and four deviations, as transports
    /// reckon it (RFC 6298), and some more.
    pub(super) fn grace(&self) -> Duration {
        Duration::from_micros(60_000 + self.late_us + 4 * self.spread_us)
    }

    /// The same, when another parent is looked for if its own does not say that it is there.
    pub(super) fn doubt(&self) -> Duration {
        Duration::from_micros(40_000 + self.late_us + 2 * self.spread_us)
    }

    /// And when its parent is asked that: a question costs little, and takes a round trip.
    pub(super) fn ask(&self) -> Duration {
        Duration::from_micros(20_000 + self.late_us + self.spread_us)
    }

    /// Shards that did not come, of the last 16.
    pub(super) fn lost(&self) -> u8 {
        self.missed.count_ones() as u8
    }

    /// A shard came: `behind` is the time since the first shard of its segment, if that says anything.
    pub(super) fn came(&mut self, number: u64, behind: Option<Duration>, now: Time) {
        if self.flows() && number > self.newest {
            let jump = (number - self.newest).min(16);
            let holes = (1u32 << (jump - 1)) - 1;
            self.missed = ((u32::from(self.missed) << jump) | holes) as u16;
        }
        if let Some(behind) = behind {
            let behind = behind.as_micros() as u64;
            self.spread_us = (self.spread_us * 3 + self.late_us.abs_diff(behind)) / 4;
            self.late_us = (self.late_us * 7 + behind) / 8;
        }
        self.last = Some(now);
        self.newest = self.newest.max(number);
        self.suspect = None;
    }
}

/// A sub-stream that was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) index: u8,
    pub(super) why: Loss,
    /// When its last shard came.
    pub(super) last: Time,
    /// When it was known to be lost.
    pub(super) at: Time,
    /// Parents that were asked since in vain.
    pub(super) refused: u8,
    pub(super) unanswered: u8,
}

impl Lost {
    /// What a feed leaves behind that is lost now: itself, if it flowed, else what it was to make good, once more.
    pub(super) fn by(feed: &Feed, why: Loss, now: Time) -> Option<Self> {
        if let Some(last) = feed.last {
            return Some(Self { index: feed.index, why, last, at: now, refused: 0, unanswered: 0 });
        }
        let mut lost = feed.makes_good?;
        let count = if why == Loss::Shed { &mut lost.refused } else { &mut lost.unanswered };
        *count = count.saturating_add(1);
        Some(lost)
    }

    /// Whether this is the same loss.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.index, self.last) == (other.index, other.last)
    }

    /// It flows again, by this feed, whose first shard came now.
    pub(super) fn made_good(&self, feed: &Feed, segment: Duration, now: Time) -> Failover {
        let granted = feed.granted.unwrap_or(now);
        Failover {
            why: self.why,
            gap: now.since(self.last).saturating_sub(segment),
            noticed: self.at.since(self.last),
            chosen: feed.asked.since(self.at),
            answered: granted.since(feed.asked),
            flowed: now.since(granted),
            refused: self.refused,
            unanswered: self.unanswered,
        }
    }
}

/// A sub-stream that was lost and does not flow again yet.
#[derive(Debug)]
pub(super) struct Debt {
    pub(super) lost: Lost,
    /// Whether a feed is to make it good.
    pub(super) asked: bool,
    /// Whether that flows, or nothing is lacking.
    pub(super) paid: bool,
}
