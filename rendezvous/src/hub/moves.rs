//! Viewers that are seen at another address than the one they came from say hello again: seldom enough that this costs
//! nothing, whatever routers do.

use std::collections::HashMap;
use std::time::Duration;

use swarm::Time;
use ticket::PeerId;

/// A viewer says hello again no sooner than this after the last time.
const SETTLED: Duration = Duration::from_secs(5);
/// A router may show another address with each packet: each further time it has to wait twice as long, up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// After so long without moving it begins as others do.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// All viewers together, each second,
const PER_SECOND: u64 = 20;
/// and at once: a provider that gives out other addresses moves many. The rest follows.
const AT_ONCE: u64 = 200;

/// Who has moved lately. At most `AT_ONCE + PER_SECOND * FORGOTTEN` of them, some 12,000.
#[derive(Debug, Default)]
pub(super) struct Moves {
    recent: HashMap<PeerId, (u32, Time)>,
    /// Up to when turns are taken, microseconds; ahead of now by at most `AT_ONCE` of them.
    taken: u64,
    swept: Time,
}

impl Moves {
    /// Whether a viewer that is seen elsewhere is to say hello again now; its session has lasted so long.
    pub(super) fn may(&mut self, peer: PeerId, lasted: Duration, now: Time) -> bool {
        if now.since(self.swept) > FORGOTTEN / 10 {
            self.swept = now;
            self.recent.retain(|_, (_, last)| now.since(*last) < FORGOTTEN);
        }
        let last = self.recent.get(&peer).filter(|(_, last)| now.since(*last) < FORGOTTEN);
        let times = last.map_or(0, |(times, _)| *times);
        if lasted < (SETTLED * 2u32.pow(times.min(10))).min(LONGEST) {
            return false;
        }
        let turn = 1_000_000 / PER_SECOND;
        let taken = self.taken.max(now.0) + turn;
        if taken > now.0 + turn * AT_ONCE {
            return false;
        }
        self.taken = taken;
        self.recent.insert(peer, (times + 1, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        PeerId(id)
    }

    #[test]
    fn who_moves_with_each_packet_is_heard_less_and_less() {
        let mut moves = Moves::default();
        let (mut begun, mut hellos) = (0, Vec::new());
        for second in 0..3_600 {
            let lasted = Duration::from_secs(second - begun);
            if moves.may(peer(1), lasted, Time(second * 1_000_000)) {
                begun = second;
                hellos.push(second);
            }
        }
        assert_eq!(&hellos[..4], [5, 15, 35, 75]);
        assert!(hellos.len() <= 18, "{hellos:?}");
        // Who stays for long begins anew.
        assert!(moves.may(peer(1), SETTLED, Time(5_000 * 1_000_000)));
    }

    #[test]
    fn many_at_once_take_turns_and_all_come() {
        let mut moves = Moves::default();
        let mut waiting: Vec<u32> = (0..2_000).collect();
        let mut most = 0;
        for second in 10..200u64 {
            let before = waiting.len();
            waiting.retain(|n| {
                !moves.may(peer(*n), Duration::from_secs(60), Time(second * 1_000_000))
            });
            let said = before - waiting.len();
            if second > 10 {
                most = most.max(said);
            } else {
                assert_eq!(said as u64, AT_ONCE);
            }
        }
        assert!(waiting.is_empty(), "{}", waiting.len());
        assert!(most as u64 <= PER_SECOND, "{most}");
        assert_eq!(moves.recent.len(), 2_000);
        moves.may(peer(5_000), Duration::ZERO, Time(2_000 * 1_000_000));
        assert!(moves.recent.is_empty());
    }
}
