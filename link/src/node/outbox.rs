//! What waits to be sent to one peer.
//!
//! Control frames go first and in order; a peer that does not read them is cut off. Shards wait in
//! order of urgency and deadline, bounded in bytes and age: the oldest pushes are dropped first. A server sends who starts
//! in a swarm the burst before it pushes what is newer: on a thin line the newest would keep out what is due first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use segment::SwarmId;
use swarm::{ShardRef, Substreams, Time, Urgency};
use tokio::sync::Notify;

/// Control frames that may wait, bytes.
const MAX_CONTROL: usize = 512 << 10;
/// Shards that may wait, bytes.
const MAX_SHARDS: usize = 8 << 20;
/// A push that waited longer is dropped: its receiver has long pulled it elsewhere.
const MAX_PUSH_AGE: Duration = Duration::from_secs(2);
/// What QUIC has had for longer may come late, after a pause of the line: QUIC waits ever longer before it sends it again.
const COMING: Duration = Duration::from_secs(1);

/// A shard that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) swarm: SwarmId,
    pub(crate) shard: ShardRef,
    /// What stands before a shard on its stream.
    pub(crate) head: Bytes,
    pub(crate) wire: Bytes,
    pub(crate) deadline: Time,
    pub(crate) urgency: Urgency,
    /// When it was queued.
    pub(crate) since: Time,
}

/// The queues of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Whether bursts go before pushes of the same swarm.
    bursts_first: bool,
    queues: Mutex<Queues>,
    control: Notify,
    shards: Notify,
    /// A swarm was forgotten.
    gone: Notify,
}

#[derive(Default)]
struct Queues {
    control: VecDeque<Vec<u8>>,
    control_bytes: usize,
    /// By urgency, deadline and age.
    shards: BTreeMap<(Urgency, Time, u64), Waiting>,
    shard_bytes: usize,
    /// What QUIC has and has not brought yet, and since when.
    under_way: Vec<(SwarmId, ShardRef, Time)>,
    sequence: u64,
    /// Swarms whose shards are not to go on, though QUIC has them already.
    forgotten: Vec<SwarmId>,
    closed: bool,
}

impl Queues {
    fn remove(&mut self, key: (Urgency, Time, u64)) -> Option<Waiting> {
        let waiting = self.shards.remove(&key)?;
        self.shard_bytes -= waiting.wire.len();
        Some(waiting)
    }

    /// Whether a shard that is asked for is on its way already or waits to be sent as soon: it is not sent twice. What
    /// waits less urgently makes way for it.
    fn comes_anyway(&mut self, asked: &Waiting) -> bool {
        if asked.urgency == Urgency::Push {
            return false;
        }
        let coming = self.under_way.iter().any(|&(swarm, shard, at)| {
            (swarm, shard) == (asked.swarm, asked.shard) && asked.since.since(at) < COMING
        });
        if coming {
            return true;
        }
        let same = |other: &Waiting| (other.swarm, other.shard) == (asked.swarm, asked.shard);
        let queued = self.shards.iter().find(|(_, other)| same(other)).map(|(key, _)| *key);
        let later = queued.filter(|(urgency, ..)| *urgency > asked.urgency);
        if let Some(key) = later {
            self.remove(key);
        }
        queued.is_some() && later.is_none()
    }

    /// What is sent next.
    fn next(&self, bursts_first: bool) -> Option<(Urgency, Time, u64)> {
        let (key, first) = self.shards.first_key_value()?;
        if !bursts_first || first.urgency != Urgency::Push {
            return Some(*key);
        }
        let mut bursts = self.shards.range((Urgency::Start, Time(0), 0)..);
        let burst = bursts.find(|(_, waiting)| waiting.swarm == first.swarm);
        Some(burst.map_or(*key, |(key, _)| *key))
    }

    /// What goes first when there is too much: the oldest push, else what is needed last.
    fn victim(&self) -> Option<(Urgency, Time, u64)> {
        let of = |urgency| {
            let first = (urgency, Time(0), 0);
            let last = (urgency, Time(u64::MAX), u64::MAX);
            self.shards.range(first..=last)
        };
        let push = of(Urgency::Push).next();
        let start = of(Urgency::Start).next_back();
        let repair = of(Urgency::Repair).next_back();
        push.or(start).or(repair).map(|(key, _)| *key)
    }
}

impl Outbox {
    /// Of a server: what a burst takes from pushes on this connection, it takes from the same receiver.
    pub(crate) fn of_server() -> Self {
        Self { bursts_first: true, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a control frame; `false` if the peer reads too slowly.
    pub(crate) fn control(&self, frame: Vec<u8>) -> bool {
        let mut queues = self.lock();
        queues.control_bytes += frame.len();
        queues.control.push_back(frame);
        self.control.notify_one();
        queues.control_bytes <= MAX_CONTROL
    }

    /// The control frames that wait, joined; `None` once closed and empty.
    pub(crate) async fn next_control(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut queues = self.lock();
                if !queues.control.is_empty() {
                    queues.control_bytes = 0;
                    return Some(queues.control.drain(..).flatten().collect());
                }
                if queues.closed {
                    return None;
                }
            }
            self.control.notified().await;
        }
    }

    /// Whether all control frames were taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.lock().control.is_empty()
    }

    /// Queues a shard, of which the receiver's task learns by [`Outbox::wake`]; gives those that had to go for it.
    pub(crate) fn shard(&self, waiting: Waiting) -> Vec<Waiting> {
        let mut queues = self.lock();
        if queues.closed || queues.comes_anyway(&waiting) {
            return Vec::new();
        }
        queues.sequence += 1;
        let key = (waiting.urgency, waiting.deadline, queues.sequence);
        queues.shard_bytes += waiting.wire.len();
        queues.shards.insert(key, waiting);
        let mut dropped = Vec::new();
        while queues.shard_bytes > MAX_SHARDS {
            let Some(victim) = queues.victim().and_then(|key| queues.remove(key)) else { break };
            dropped.push(victim);
        }
        dropped
    }

    /// Since when the pushed shard has waited that has waited longest.
    pub(crate) fn oldest_push(&self) -> Option<Time> {
        let queues = self.lock();
        let pushes = queues.shards.values().filter(|waiting| waiting.urgency == Urgency::Push);
        pushes.map(|waiting| waiting.since).min()
    }

    /// There is something to be sent.
    pub(crate) fn wake(&self) {
        self.shards.notify_one();
    }

    /// Shards that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().shards.len()
    }

    /// Takes pushes of these sub-streams out.
    pub(crate) fn cancel(&self, swarm: SwarmId, substreams: Substreams) {
        self.remove_where(|waiting| {
            waiting.urgency == Urgency::Push
                && waiting.swarm == swarm
                && substreams.contains(waiting.shard.index)
        });
    }

    /// Takes all of a swarm out, and lets who sends take back what is under way.
    pub(crate) fn forget(&self, swarm: SwarmId) {
        self.remove_where(|waiting| waiting.swarm == swarm);
        let mut queues = self.lock();
        queues.under_way.retain(|(other, ..)| *other != swarm);
        // As long as nobody looks it is the same few swarms.
        if !queues.forgotten.contains(&swarm) {
            queues.forgotten.push(swarm);
        }
        self.gone.notify_one();
    }

    /// Waits until swarms were forgotten; gives them. Cancel safe.
    pub(crate) async fn forgotten(&self) -> Vec<SwarmId> {
        loop {
            let forgotten = std::mem::take(&mut self.lock().forgotten);
            if !forgotten.is_empty() {
                return forgotten;
            }
            self.gone.notified().await;
        }
    }

    fn remove_where(&self, mut gone: impl FnMut(&Waiting) -> bool) {
        let mut queues = self.lock();
        queues.shards.retain(|_, waiting| !gone(waiting));
        queues.shard_bytes = queues.shards.values().map(|waiting| waiting.wire.len()).sum();
    }

    /// Waits until there is a shard; `false` once closed.
    pub(crate) async fn wait_shard(&self) -> bool {
        loop {
            {
                let queues = self.lock();
                if queues.closed {
                    return false;
                }
                if !queues.shards.is_empty() {
                    return true;
                }
            }
            self.shards.notified().await;
        }
    }

    /// The shard to be sent next, and those before it that would come too late if each takes `way` to arrive. Its deadline
    /// is when it has to be gone by.
    pub(crate) fn take_shard(&self, now: Time, way: Duration) -> (Option<Waiting>, Vec<Waiting>) {
        let mut queues = self.lock();
        let mut late = Vec::new();
        while let Some(key) = queues.next(self.bursts_first) {
            let Some(mut waiting) = queues.remove(key) else { break };
            waiting.deadline = waiting.deadline - way;
            let aged = waiting.urgency == Urgency::Push && now.since(waiting.since) > MAX_PUSH_AGE;
            if waiting.deadline < now || aged {
                late.push(waiting);
            } else {
                queues.under_way.push((waiting.swarm, waiting.shard, now));
                return (Some(waiting), late);
            }
        }
        (None, late)
    }

    /// These were taken, and have arrived or are sent no more.
    pub(crate) fn settled<'a>(&self, shards: impl Iterator<Item = &'a Waiting>) {
        let mut queues = self.lock();
        for Waiting { swarm, shard, .. } in shards {
            let same = |other: &(SwarmId, ShardRef, Time)| (other.0, other.1) == (*swarm, *shard);
            let place = queues.under_way.iter().position(same);
            if let Some(place) = place {
                queues.under_way.swap_remove(place);
            }
        }
    }

    /// Nothing more is queued or sent.
    pub(crate) fn close(&self) {
        let mut queues = self.lock();
        queues.closed = true;
        queues.shards.clear();
        queues.shard_bytes = 0;
        queues.under_way.clear();
        self.control.notify_one();
        self.shards.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: SwarmId = SwarmId([1; 16]);

    fn waiting(urgency: Urgency, number: u64, deadline: u64, bytes: usize) -> Waiting {
        Waiting {
            swarm: SWARM,
            shard: ShardRef { number, index: number as u8 % 12 },
            head: Bytes::new(),
            wire: vec![0; bytes].into(),
            deadline: Time(deadline),
            urgency,
            since: Time(0),
        }
    }

    fn number(waiting: Option<Waiting>) -> Option<u64> {
        waiting.map(|waiting| waiting.shard.number)
    }

    #[test]
    fn repairs_go_before_pushes_and_the_soonest_deadline_first() {
        let outbox = Outbox::default();
        for (urgency, n, deadline) in [
            (Urgency::Start, 1, 10),
            (Urgency::Push, 2, 30),
            (Urgency::Push, 3, 20),
            (Urgency::Repair, 4, 40),
        ] {
            assert!(outbox.shard(waiting(urgency, n, deadline, 10)).is_empty());
        }
        let order: Vec<_> =
            (0..4).map(|_| number(outbox.take_shard(Time(0), Duration::ZERO).0)).collect();
        assert_eq!(order, [Some(4), Some(3), Some(2), Some(1)]);
    }

    #[test]
    fn a_server_sends_a_burst_before_pushes_of_its_swarm_alone() {
        let outbox = Outbox::of_server();
        let other = SwarmId([2; 16]);
        outbox.shard(waiting(Urgency::Push, 5, 10, 10));
        outbox.shard(Waiting { swarm: other, ..waiting(Urgency::Push, 4, 20, 10) });
        outbox.shard(waiting(Urgency::Start, 2, 90, 10));
        outbox.shard(waiting(Urgency::Start, 1, 80, 10));
        outbox.shard(Waiting { swarm: SwarmId([3; 16]), ..waiting(Urgency::Start, 3, 1, 10) });
        let order: Vec<_> =
            (0..5).map(|_| number(outbox.take_shard(Time(0), Duration::ZERO).0)).collect();
        assert_eq!(order, [Some(1), Some(2), Some(5), Some(4), Some(3)]);
    }

    #[test]
    fn what_is_late_is_not_sent() {
        let outbox = Outbox::default();
        outbox.shard(waiting(Urgency::Push, 1, 10, 10));
        outbox.shard(waiting(Urgency::Push, 2, 30, 10));
        let (next, late) = outbox.take_shard(Time(20), Duration::ZERO);
        assert_eq!((number(next), late.len()), (Some(2), 1));
        outbox.shard(waiting(Urgency::Push, 3, 60_000_000, 10));
        let (next, late) = outbox.take_shard(Time(5_000_000), Duration::ZERO);
        assert_eq!((number(next), late.len()), (None, 1));
    }

    #[test]
    fn what_would_come_too_late_is_not_sent() {
        let outbox = Outbox::default();
        outbox.shard(waiting(Urgency::Push, 1, 30_000, 10));
        outbox.shard(waiting(Urgency::Push, 2, 60_000, 10));
        let (next, late) = outbox.take_shard(Time(20_000), Duration::from_millis(15));
        assert_eq!((next.as_ref().map(|next| next.deadline), late.len()), (Some(Time(45_000)), 1));
        assert_eq!(number(next), Some(2));
    }

    #[test]
    fn what_comes_anyway_is_not_sent_twice() {
        let outbox = Outbox::default();
        let shards = |numbers: &[u64]| {
            numbers.iter().for_each(|&n| drop(outbox.shard(waiting(Urgency::Push, n, n * 10, 10))));
        };
        shards(&[1, 2, 3]);
        // A push that waits goes first if it is asked for, once; as a start it would only go later.
        outbox.shard(waiting(Urgency::Start, 3, 90, 10));
        outbox.shard(waiting(Urgency::Repair, 3, 90, 10));
        outbox.shard(waiting(Urgency::Repair, 3, 90, 10));
        let (taken, _) = outbox.take_shard(Time(0), Duration::ZERO);
        assert_eq!((number(taken.clone()), outbox.waiting()), (Some(3), 2));
        // It is on its way.
        outbox.shard(waiting(Urgency::Repair, 3, 90, 10));
        assert_eq!(outbox.waiting(), 2);
        // Not for ever.
        let asked = Waiting { since: Time(2_000_000), ..waiting(Urgency::Repair, 3, 90, 10) };
        outbox.shard(asked);
        assert_eq!(outbox.waiting(), 3);
        assert_eq!(number(outbox.take_shard(Time(0), Duration::ZERO).0), Some(3));
        // It has arrived, or was lost for good.
        outbox.settled(taken.iter());
        outbox.settled(taken.iter());
        outbox.shard(waiting(Urgency::Repair, 3, 90, 10));
        assert_eq!(outbox.waiting(), 3);
    }

    #[test]
    fn the_oldest_pushes_make_room() {
        let outbox = Outbox::default();
        outbox.shard(waiting(Urgency::Repair, 1, 10, 1 << 20));
        for n in 2..9 {
            assert!(outbox.shard(waiting(Urgency::Push, n, n * 10, 1 << 20)).is_empty());
        }
        let dropped = outbox.shard(waiting(Urgency::Push, 9, 90, 1 << 20));
        assert_eq!(dropped.iter().map(|w| w.shard.number).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn cancelling_takes_pushes_of_those_substreams_only() {
        let outbox = Outbox::default();
        for n in 0..3 {
            outbox.shard(waiting(Urgency::Push, n, 10, 10));
        }
        outbox.shard(waiting(Urgency::Repair, 1, 10, 10));
        outbox.cancel(SwarmId([2; 16]), Substreams::first(64));
        outbox.cancel(SWARM, Substreams::only(1));
        let order: Vec<_> =
            (0..4).map(|_| number(outbox.take_shard(Time(0), Duration::ZERO).0)).collect();
        assert_eq!(order, [Some(1), Some(0), Some(2), None]);
    }

    #[tokio::test]
    async fn what_is_forgotten_is_told_to_who_sends_once() {
        let outbox = Outbox::default();
        outbox.shard(waiting(Urgency::Repair, 1, 10, 10));
        outbox.forget(SWARM);
        outbox.forget(SWARM);
        assert_eq!((outbox.waiting(), outbox.forgotten().await), (0, vec![SWARM]));
        assert!(futures::FutureExt::now_or_never(outbox.forgotten()).is_none());
    }

    #[test]
    fn a_peer_that_does_not_read_control_is_told_apart() {
        let outbox = Outbox::default();
        assert!(outbox.control(vec![0; MAX_CONTROL]));
        assert!(!outbox.control(vec![0; 1]));
    }
}
