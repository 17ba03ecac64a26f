//! What waits to be sent. As in `link`: each connection has a queue in order of urgency and deadline; connections take
//! turns of a shard each, in the order in which they came.

use std::collections::{BTreeMap, VecDeque};

use swarm::{ShardRef, Substreams, Time, Urgency};

/// What may be sent at once after a pause, as time at the full rate: as in `link`.
const BURST: u64 = 50_000;

/// A shard that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) to: u32,
    pub(crate) shard: ShardRef,
    pub(crate) deadline: Time,
    pub(crate) urgency: Urgency,
    pub(crate) since: u64,
}

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Uplink {
    /// The only one that waits: most go out at once.
    only: Option<Waiting>,
    /// Empty ones are kept: they are used again soon.
    queues: BTreeMap<u32, Vec<Waiting>>,
    /// Whose queues are not empty.
    turns: VecDeque<u32>,
    /// When all that was sent has passed at the rate that is lent.
    paid: u64,
    /// When an event will come that sends on.
    pub(crate) awaited: Option<u64>,
}

impl Uplink {
    pub(crate) fn put(&mut self, waiting: Waiting) {
        if self.is_empty() {
            self.only = Some(waiting);
            return;
        }
        self.line_up();
        self.append(waiting);
    }

    /// Puts the only one into its queue.
    fn line_up(&mut self) {
        if let Some(only) = self.only.take() {
            self.append(only);
        }
    }

    fn append(&mut self, waiting: Waiting) {
        let queue = self.queues.entry(waiting.to).or_default();
        if queue.is_empty() {
            self.turns.push_back(waiting.to);
        }
        queue.push(waiting);
    }

    /// The next shard, of the connection whose turn it is.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        if let Some(only) = self.only.take() {
            return Some(only);
        }
        loop {
            let peer = self.turns.pop_front()?;
            let Some(queue) = self.queues.get_mut(&peer) else { continue };
            // The first of the most urgent.
            let first = queue
                .iter()
                .enumerate()
                .min_by_key(|(place, waiting)| (waiting.urgency as u8, waiting.deadline, *place));
            let Some(place) = first.map(|(place, _)| place) else { continue };
            let waiting = queue.remove(place);
            if !queue.is_empty() {
                self.turns.push_back(peer);
            }
            return Some(waiting);
        }
    }

    /// When the rate that is lent allows another shard.
    pub(crate) fn ready(&self) -> u64 {
        self.paid
    }

    /// Notes a shard that took so long at that rate.
    pub(crate) fn spend(&mut self, now: u64, took: u64) {
        self.paid = self.paid.max(now.saturating_sub(BURST)) + took;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.only.is_none() && self.turns.is_empty()
    }

    /// Takes pushes of these sub-streams to a peer out.
    pub(crate) fn cancel(&mut self, to: u32, substreams: Substreams) {
        self.retain(to, |waiting| {
            waiting.urgency != Urgency::Push || !substreams.contains(waiting.shard.index)
        });
    }

    /// Takes out all for a peer.
    pub(crate) fn forget(&mut self, to: u32) {
        self.retain(to, |_| false);
        self.queues.remove(&to);
    }

    fn retain(&mut self, to: u32, keep: impl Fn(&Waiting) -> bool) {
        self.line_up();
        let Some(queue) = self.queues.get_mut(&to) else { return };
        queue.retain(keep);
        if queue.is_empty() {
            self.turns.retain(|&peer| peer != to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(to: u32, index: u8, urgency: Urgency) -> Waiting {
        let shard = ShardRef { number: 1, index };
        Waiting { to, shard, deadline: Time(0), urgency, since: 0 }
    }

    fn order(uplink: &mut Uplink) -> Vec<(u32, u8)> {
        std::iter::from_fn(|| uplink.next()).map(|w| (w.to, w.shard.index)).collect()
    }

    #[test]
    fn repairs_go_before_pushes_and_pushes_before_starts() {
        let mut uplink = Uplink::default();
        for (index, urgency) in [(0, Urgency::Start), (1, Urgency::Push), (2, Urgency::Repair)] {
            uplink.put(waiting(1, index, urgency));
        }
        assert_eq!(order(&mut uplink), [(1, 2), (1, 1), (1, 0)]);
    }

    #[test]
    fn connections_take_turns() {
        let mut uplink = Uplink::default();
        for (to, index) in [(1, 0), (1, 1), (1, 2), (2, 3), (3, 4), (3, 5)] {
            uplink.put(waiting(to, index, Urgency::Push));
        }
        assert_eq!(order(&mut uplink), [(1, 0), (2, 3), (3, 4), (1, 1), (3, 5), (1, 2)]);
        assert!(uplink.is_empty());
    }

    #[test]
    fn what_is_cancelled_is_not_sent() {
        let mut uplink = Uplink::default();
        uplink.put(waiting(1, 0, Urgency::Push));
        uplink.put(waiting(1, 0, Urgency::Repair));
        uplink.put(waiting(2, 0, Urgency::Push));
        uplink.cancel(1, Substreams::only(0));
        uplink.forget(2);
        assert_eq!(uplink.next().map(|waiting| waiting.urgency), Some(Urgency::Repair));
        assert!(uplink.is_empty() && uplink.next().is_none());
    }

    #[test]
    fn a_pause_allows_a_burst_of_fifty_milliseconds() {
        let mut uplink = Uplink::default();
        let sent = |uplink: &mut Uplink, now| {
            let mut sent = 0;
            while uplink.ready() <= now {
                uplink.spend(now, 10_000);
                sent += 1;
            }
            sent
        };
        assert_eq!(sent(&mut uplink, 1_000_000), 6);
        assert_eq!(sent(&mut uplink, 1_005_000), 0);
        assert_eq!(sent(&mut uplink, 1_010_000), 1);
    }
}
