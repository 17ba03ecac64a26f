//! Which rendition of a channel is received: down when the line does not carry it, up again when it may. Pure: no clock, no
//! network.
//!
//! **Down** as soon as two of the last eight segments did not come whole (a quarter of a second each, as segments are), to
//! the best rendition that four fifths of what arrived in the last two seconds would have carried, but one lower at least.
//! A gap in the source is not the line's fault and does not count, nor does what cannot be opened.
//!
//! **Up** one rung at a time, by trying: the better rendition is received beside the one that plays, which is what the line
//! must be able to carry for it to be worth it, and takes over once it has come whole for two seconds. If the one that plays
//! suffers meanwhile, the attempt is given up, and the next one waits longer: 6 s, then twice that, never more than 12 s, so
//! that a line that is well again is used within 20 s.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use swarm::Cause;

/// Segments that are looked back at.
const LOOK_BACK: usize = 8;
/// So many of them that are not whole are too many.
const TOO_MANY: usize = 2;
/// Delivery is measured over this.
const MEASURED: Duration = Duration::from_secs(2);
/// From one change to the first attempt at a better one, and the most that failed ones make of it.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(12));
/// After a change that did not come about, the next one down is not before.
const AGAIN: Duration = Duration::from_secs(2);
/// A better rendition has come whole for so many segments before it takes over.
pub(super) const PROOF: u32 = 8;

/// How a segment came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// Whole.
    Whole,
    /// Tables and sound alone.
    Sound,
    /// Not in time.
    Not(Cause),
}

/// What to receive instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// This lower one.
    Down(String),
    /// This better one, if it comes whole.
    Up(String),
}

/// The rungs of a channel and where on them it is.
#[derive(Debug)]
pub(super) struct Ladder {
    /// Names and bit rates (bits per second), best first.
    rungs: Vec<(String, u64)>,
    at: usize,
    came: VecDeque<bool>,
    /// What had arrived when, bytes.
    arrived: VecDeque<(Instant, u64)>,
    /// No attempt at a better one before.
    up_from: Instant,
    /// No attempt at a lower one before.
    down_from: Instant,
    patience: Duration,
}

impl Ladder {
    /// The ladder of a channel of which `playing` is received. `None` if there is nothing to choose from.
    pub(super) fn new(rungs: Vec<(String, u64)>, playing: &str, now: Instant) -> Option<Self> {
        let at = rungs.iter().position(|(name, _)| name == playing)?;
        (rungs.len() > 1).then(|| Self {
            rungs,
            at,
            came: VecDeque::new(),
            arrived: VecDeque::new(),
            up_from: now + PATIENCE.0,
            down_from: now,
            patience: PATIENCE.0,
        })
    }

    /// A segment of the rendition that plays came, or did not.
    pub(super) fn came(&mut self, now: Instant, came: Came) {
        if let Came::Not(Cause::SourceGap | Cause::Decoder) = came {
            return;
        }
        let well = came == Came::Whole;
        if self.came.len() == LOOK_BACK {
            self.came.pop_front();
        }
        self.came.push_back(well);
        if !well {
            self.up_from = self.up_from.max(now + self.patience);
        }
    }

    /// So many media bytes have arrived up to now, over all that is received.
    pub(super) fn arrived(&mut self, now: Instant, bytes: u64) {
        self.arrived.push_back((now, bytes));
        while self
            .arrived
            .get(1)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > MEASURED)
        {
            self.arrived.pop_front();
        }
    }

    /// Whether what plays suffers.
    pub(super) fn suffers(&self) -> bool {
        self.came.iter().filter(|well| !**well).count() >= TOO_MANY
    }

    /// What is to be received instead, if anything.
    pub(super) fn step(&self, now: Instant) -> Option<Step> {
        if self.suffers() {
            if now < self.down_from {
                return None;
            }
            let carried = self.delivered() / 10 * 8;
            let lower = self.rungs.get(self.at + 1..)?;
            let fits = lower.iter().find(|(_, rate)| *rate <= carried).or(lower.last())?;
            return Some(Step::Down(fits.0.clone()));
        }
        let better = self.at.checked_sub(1).filter(|_| now >= self.up_from)?;
        Some(Step::Up(self.rungs[better].0.clone()))
    }

    /// What arrived lately, bits per second.
    fn delivered(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.arrived.front(), self.arrived.back())
        else {
            return 0;
        };
        let millis = to.saturating_duration_since(*from).as_millis() as u64;
        last.saturating_sub(*first).saturating_mul(8_000).checked_div(millis).unwrap_or(0)
    }

    /// This one plays from now on.
    pub(super) fn changed(&mut self, now: Instant, to: &str) {
        let Some(at) = self.rungs.iter().position(|(name, _)| name == to) else { return };
        if at < self.at {
            self.patience = PATIENCE.0;
        }
        self.at = at;
        self.came.clear();
        self.up_from = now + self.patience;
    }

    /// The other one did not come, or not whole.
    pub(super) fn failed(&mut self, now: Instant) {
        self.down_from = now + AGAIN;
        self.patience = (self.patience * 2).min(PATIENCE.1);
        self.up_from = now + self.patience;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(playing: &str, now: Instant) -> Ladder {
        let rungs = [("main", 4_000_000), ("half", 1_500_000), ("low", 600_000), ("sound", 64_000)];
        let rungs = rungs.map(|(name, rate)| (name.to_owned(), rate)).to_vec();
        Ladder::new(rungs, playing, now).unwrap()
    }

    /// Two seconds at so many bits per second, of which the last segments are not whole.
    fn two_seconds(ladder: &mut Ladder, from: Instant, rate: u64, bad: usize) -> Instant {
        for i in 0..=8_u32 {
            let now = from + i * Duration::from_millis(250);
            ladder.arrived(now, rate / 8 * u64::from(i) / 4);
            if i > 0 {
                let bad = usize::try_from(8 - i).unwrap() < bad;
                ladder.came(now, if bad { Came::Sound } else { Came::Whole });
            }
        }
        from + Duration::from_secs(2)
    }

    #[test]
    fn it_goes_down_to_what_the_line_carried() {
        let start = Instant::now();
        for (rate, wanted) in
            [(3_900_000, "half"), (1_000_000, "low"), (500_000, "sound"), (10_000, "sound")]
        {
            let mut ladder = ladder("main", start);
            let now = two_seconds(&mut ladder, start, rate, 2);
            assert_eq!(ladder.step(now), Some(Step::Down(wanted.into())), "{rate}");
        }
    }

    #[test]
    fn one_bad_segment_or_a_gap_of_the_source_is_no_reason() {
        let start = Instant::now();
        let mut ladder = ladder("main", start);
        let now = two_seconds(&mut ladder, start, 3_000_000, 1);
        for _ in 0..20 {
            ladder.came(now, Came::Not(Cause::SourceGap));
        }
        assert_eq!(ladder.step(now), None);
    }

    #[test]
    fn it_tries_one_better_after_a_while_and_later_if_that_fails() {
        let start = Instant::now();
        let mut ladder = ladder("low", start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(ladder.step(after(5)), None);
        assert_eq!(ladder.step(after(6)), Some(Step::Up("half".into())));
        ladder.failed(after(7));
        assert_eq!(ladder.step(after(18)), None);
        assert_eq!(ladder.step(after(19)), Some(Step::Up("half".into())));
        for _ in 0..5 {
            ladder.failed(after(20));
        }
        assert_eq!(ladder.step(after(32)), Some(Step::Up("half".into())), "never longer than 12 s");
        ladder.changed(after(33), "half");
        assert_eq!(ladder.step(after(39)), Some(Step::Up("main".into())), "patient no more");
    }

    #[test]
    fn the_lowest_has_nothing_lower_and_one_rung_is_no_ladder() {
        let now = Instant::now();
        let mut ladder = ladder("sound", now);
        let later = two_seconds(&mut ladder, now, 0, 8);
        assert_eq!(ladder.step(later), None);
        assert!(Ladder::new(vec![("main".into(), 1)], "main", now).is_none());
        assert!(Ladder::new(vec![("a".into(), 2), ("b".into(), 1)], "gone", now).is_none());
    }
}
