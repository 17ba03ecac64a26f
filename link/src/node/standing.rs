//! What is remembered of peers that have parted, so that coming back wipes nothing out: an engine begins anew with
//! whoever enters its swarm.

use std::collections::BTreeMap;
use std::time::Duration;

use segment::SwarmId;
use ticket::PeerId;
use tokio::time::Instant;

/// A peer may enter a swarm so often at once: zapping to and fro.
const BURST: u32 = 20;
/// And then once in this time: who zaps between two channels as fast as keys are pressed is held up for less than that.
const EACH: Duration = Duration::from_secs(1);
/// Who is refused and may come within this is told when. Whom an engine dropped is told nothing.
pub(crate) const SOON: Duration = EACH;
/// Whom an engine dropped for misbehaving does not enter for so long, even if the swarm was left and joined again.
const AWAY: Duration = Duration::from_secs(10 * 60);
/// The most peers that are remembered; of more, the tenth that would be forgotten first is forgotten.
const MOST: usize = 20_000;

/// How peers stand in swarms.
#[derive(Default)]
pub(crate) struct Standing {
    /// When all is forgotten: each entry moves it `EACH` ahead (a leaky bucket).
    lapses: BTreeMap<(SwarmId, PeerId), Instant>,
}

impl Standing {
    /// Whether a peer may enter a swarm.
    pub(crate) fn may_enter(&self, swarm: SwarmId, peer: PeerId, now: Instant) -> bool {
        self.wait(swarm, peer, now).is_zero()
    }

    /// How long a peer has to wait until it may enter a swarm.
    fn wait(&self, swarm: SwarmId, peer: PeerId, now: Instant) -> Duration {
        let lapses = self.lapses.get(&(swarm, peer));
        lapses.map_or(Duration::ZERO, |at| at.saturating_duration_since(now + EACH * (BURST - 1)))
    }

    /// Counts a peer's entry. A refused one does not count.
    ///
    /// # Errors
    /// If it may not enter: how long it has to wait.
    pub(crate) fn enter(
        &mut self,
        swarm: SwarmId,
        peer: PeerId,
        now: Instant,
    ) -> Result<(), Duration> {
        let wait = self.wait(swarm, peer, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        let lapses = self.lapses.get(&(swarm, peer)).map_or(now, |lapses| now.max(*lapses));
        self.set(swarm, peer, lapses + EACH, now);
        Ok(())
    }

    /// An engine dropped the peer.
    pub(crate) fn misbehaved(&mut self, swarm: SwarmId, peer: PeerId, now: Instant) {
        self.set(swarm, peer, now + AWAY + EACH * (BURST - 1), now);
    }

    fn set(&mut self, swarm: SwarmId, peer: PeerId, lapses: Instant, now: Instant) {
        if self.lapses.len() >= MOST {
            self.lapses.retain(|_, lapses| *lapses > now);
        }
        if self.lapses.len() >= MOST {
            let mut all: Vec<Instant> = self.lapses.values().copied().collect();
            let (_, first, _) = all.select_nth_unstable(MOST / 10);
            self.lapses.retain(|_, lapses| *lapses > *first);
        }
        self.lapses.insert((swarm, peer), lapses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: SwarmId = SwarmId([1; 16]);
    const OTHER: SwarmId = SwarmId([2; 16]);

    fn peer(n: u32) -> PeerId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        PeerId(bytes)
    }

    #[test]
    fn who_enters_again_and_again_waits() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(standing.enter(SWARM, peer(1), now), Ok(()));
        }
        assert_eq!(standing.enter(SWARM, peer(1), now), Err(EACH));
        let half = EACH / 2;
        assert_eq!(standing.enter(SWARM, peer(1), now + half), Err(half), "it did not count");
        assert_eq!(standing.enter(OTHER, peer(1), now), Ok(()), "each swarm by itself");
        assert_eq!(standing.enter(SWARM, peer(2), now), Ok(()), "each peer by itself");
        assert_eq!(standing.enter(SWARM, peer(1), now + EACH), Ok(()));
        assert_eq!(standing.enter(SWARM, peer(1), now + EACH), Err(EACH));
    }

    #[test]
    fn an_hour_between_two_channels_holds_nobody_up() {
        let (mut standing, mut now) = (Standing::default(), Instant::now());
        for change in 0..7200 {
            now += EACH / 2;
            let swarm = if change % 2 == 0 { SWARM } else { OTHER };
            assert_eq!(standing.enter(swarm, peer(1), now), Ok(()), "change {change}");
        }
    }

    #[test]
    fn who_misbehaved_stays_away_and_is_not_dialled() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        standing.misbehaved(SWARM, peer(1), now);
        let left = Duration::from_millis(1);
        assert!(!standing.may_enter(SWARM, peer(1), now + AWAY - left));
        assert_eq!(standing.enter(SWARM, peer(1), now), Err(AWAY));
        assert_eq!(standing.enter(SWARM, peer(1), now + AWAY - left), Err(left));
        assert_eq!(standing.enter(SWARM, peer(1), now + AWAY), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_misbehaved() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        standing.misbehaved(SWARM, peer(0), now);
        for n in 1..3 * MOST as u32 {
            let at = now + Duration::from_nanos(u64::from(n));
            assert_eq!(standing.enter(SWARM, peer(n), at), Ok(()));
            assert!(standing.lapses.len() <= MOST);
        }
        assert!(!standing.may_enter(SWARM, peer(0), now));
    }
}
