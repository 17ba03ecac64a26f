//! Children are woken once for all shards of a segment that come together, not once for each: their packets then leave in
//! few large pieces, and are acknowledged together.
//!
//! Shards of a segment come within a millisecond or so of each other. Who is to be woken waits until as many of a segment
//! have come as of the one before, or for [`WAIT`].

use std::collections::BTreeSet;
use std::time::Duration;

use segment::SwarmId;
use swarm::ShardRef;
use tokio::time::Instant;

/// The longest that a shard waits for others of its segment. Timers are as coarse as this.
const WAIT: Duration = Duration::from_millis(1);

/// Connections that have something to send and do not know it yet.
#[derive(Default)]
pub(super) struct Gather {
    conns: BTreeSet<u64>,
    until: Option<Instant>,
    /// Swarms whose burst is not complete, as far as is known.
    incomplete: BTreeSet<SwarmId>,
}

/// What of a swarm's newest segment was pushed so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Burst {
    number: u64,
    /// Indices, one bit each.
    seen: u64,
    /// How many of the segment before.
    before: u32,
}

impl Burst {
    /// A shard is pushed; whether others of its segment are to be expected.
    fn add(&mut self, shard: ShardRef) -> bool {
        if shard.number > self.number {
            *self = Self { number: shard.number, seen: 0, before: self.seen.count_ones() };
        }
        if shard.number == self.number {
            self.seen |= 1_u64.checked_shl(shard.index.into()).unwrap_or(0);
        }
        shard.number == self.number && self.seen.count_ones() < self.before
    }
}

impl Gather {
    /// A shard was queued for a connection, that need not be sent before others of its segment have come.
    pub(super) fn add(&mut self, conn: u64, swarm: SwarmId, shard: ShardRef, burst: &mut Burst) {
        self.conns.insert(conn);
        if burst.add(shard) {
            self.incomplete.insert(swarm);
            self.until.get_or_insert_with(|| Instant::now() + WAIT);
        } else {
            self.incomplete.remove(&swarm);
        }
    }

    /// When the wait is over.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Who is to be woken now, if the wait is over or nothing more is expected.
    pub(super) fn take(&mut self) -> BTreeSet<u64> {
        let over = self.until.is_none_or(|until| Instant::now() >= until);
        if !over && !self.incomplete.is_empty() {
            return BTreeSet::new();
        }
        self.until = None;
        self.incomplete.clear();
        std::mem::take(&mut self.conns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: SwarmId = SwarmId([1; 16]);

    fn push(gather: &mut Gather, burst: &mut Burst, number: u64, index: u8) {
        for conn in 0..3 {
            gather.add(conn, SWARM, ShardRef { number, index }, burst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_segment_wakes_once_when_it_is_complete() {
        let (mut gather, mut burst) = (Gather::default(), Burst::default());
        // Nothing is known of what is to come: each shard wakes.
        for index in 0..4 {
            push(&mut gather, &mut burst, 1, index);
            assert_eq!(gather.take().len(), 3);
        }
        for index in 0..3 {
            push(&mut gather, &mut burst, 2, index);
            assert!(gather.take().is_empty());
        }
        push(&mut gather, &mut burst, 2, 3);
        assert_eq!(gather.take().len(), 3);
        assert!(gather.take().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_does_not_come() {
        let (mut gather, mut burst) = (Gather::default(), Burst::default());
        push(&mut gather, &mut burst, 1, 0);
        push(&mut gather, &mut burst, 1, 1);
        gather.take();
        push(&mut gather, &mut burst, 2, 1);
        assert!(gather.take().is_empty());
        tokio::time::sleep_until(gather.until().unwrap()).await;
        assert_eq!(gather.take().len(), 3);
        assert!(gather.until().is_none());
    }
}
