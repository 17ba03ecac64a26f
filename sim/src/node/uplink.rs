//! What waits to be sent.

use std::collections::VecDeque;

use swarm::{ShardRef, Substreams, Time, Urgency};

/// A shard that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) to: u32,
    pub(crate) shard: ShardRef,
    pub(crate) deadline: Time,
    pub(crate) urgency: Urgency,
    pub(crate) since: u64,
}

/// The queue in front of the uplink: by urgency, then in order of coming.
#[derive(Default, Debug)]
pub(crate) struct Uplink {
    queues: [VecDeque<Waiting>; 3],
    /// When the line has sent what it is sending.
    pub(crate) free: u64,
    /// Whether an event will come then.
    pub(crate) awaited: bool,
}

impl Uplink {
    pub(crate) fn put(&mut self, waiting: Waiting) {
        self.queues[waiting.urgency as usize].push_back(waiting);
    }

    pub(crate) fn next(&mut self) -> Option<Waiting> {
        self.queues.iter_mut().find_map(VecDeque::pop_front)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Takes pushes of these sub-streams to a peer out.
    pub(crate) fn cancel(&mut self, to: u32, substreams: Substreams) {
        let pushes = &mut self.queues[Urgency::Push as usize];
        pushes.retain(|waiting| waiting.to != to || !substreams.contains(waiting.shard.index));
    }

    /// Takes out all for a peer.
    pub(crate) fn forget(&mut self, to: u32) {
        for queue in &mut self.queues {
            queue.retain(|waiting| waiting.to != to);
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

    #[test]
    fn repairs_go_before_pushes_and_pushes_before_starts() {
        let mut uplink = Uplink::default();
        for (index, urgency) in [(0, Urgency::Start), (1, Urgency::Push), (2, Urgency::Repair)] {
            uplink.put(waiting(1, index, urgency));
        }
        let order: Vec<u8> = std::iter::from_fn(|| uplink.next()).map(|w| w.shard.index).collect();
        assert_eq!(order, [2, 1, 0]);
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
        assert!(uplink.is_empty());
    }
}
