//! Pulls that ask a repeater for what it is pulling itself: it sends them on when the segment is whole, instead of sending
//! the asker away to those who have it from the same repeater.

use ticket::Role;

use super::Engine;
use super::partner::Pid;
use crate::output::Urgency;
use crate::{Output, ShardRef, Time};

/// The most that wait.
const MOST: usize = 256;

/// A pull that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) peer: Pid,
    shard: ShardRef,
    /// The asker's.
    deadline: Time,
}

impl Engine {
    /// Lets a pull wait if what it asks for is on its way here; whether it does.
    pub(super) fn wait(&mut self, peer: Pid, shard: ShardRef, deadline: Time) -> bool {
        let coming = self.config.role == Role::Repeater
            && self.pulls.iter().any(|pull| pull.shard.number == shard.number && !pull.late);
        if !coming || self.waiting.len() >= MOST {
            return false;
        }
        self.waiting.push(Waiting { peer, shard, deadline });
        true
    }

    /// A segment is whole: who waits for shards of it gets them.
    pub(super) fn answer_waiting(&mut self, number: u64) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(layers) = self.window.get(number).map(|slot| slot.layers()) else { return };
        for Waiting { peer, shard, deadline } in std::mem::take(&mut self.waiting) {
            if shard.number != number {
                if deadline > self.now {
                    self.waiting.push(Waiting { peer, shard, deadline });
                }
                continue;
            }
            if let Some(to) = self.partners.get(peer).map(|partner| partner.id) {
                let urgency = Urgency::Repair;
                self.out.push_back(Output::SendShard { to, shard, layers, deadline, urgency });
            }
        }
    }
}
