//! Which rendition of a channel is received: down when the line does not carry it, up again when it may. Pure: no clock, no
//! network.
//!
//! **Down** as soon as the line is seen to choke, long before what is missing is due: a segment that began to come is not
//! whole though its time is over, while the socket receives something, but less than four fifths of what the rendition needs,
//! for half a second. A pause of the line is no reason: nothing comes then, and all at once afterwards; the playout delay
//! covers it. Else, when two of the last eight segments did not come whole (a quarter of a second each, as segments are). To
//! the best rendition that what arrived lately would have carried (four fifths of it, or five fourths if the line chokes), but
//! one lower at least. A gap in the source is not the line's fault and does not count, nor does what cannot be opened, or what
//! is missing in the first second after a change.
//!
//! **Up** one rung at a time, by trying: the better rendition is received beside the one that plays, which is what the line
//! must be able to carry for it to be worth it, one sub-stream after the other, and takes over once it has come whole for two
//! seconds. If the one that plays suffers meanwhile, or less of it is in hand, the attempt is given up, and the next one waits
//! longer: 6 s, then twice that, never more than 12 s, so that a line that is well again is used within 20 s.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use swarm::Cause;

/// Segments that are looked back at.
const LOOK_BACK: usize = 8;
/// So many of them that are not whole are too many.
const TOO_MANY: usize = 2;
/// Delivery is measured over this.
const MEASURED: Duration = Duration::from_secs(2);
/// The same where a line chokes; and in each half of it something has to come.
const SHORTLY: Duration = Duration::from_millis(500);
/// So little is nothing, bits per second: what keeps connections alive.
const NOTHING: u64 = 40_000;
/// A line that chokes does so for this long: the end of a pause looks like it for a moment.
const CHOKES: Duration = Duration::from_millis(150);
/// What a rendition costs beyond its rate, bits per second: headers and proofs of eight shards four times a second, as measured.
const PROOFS: u64 = 150_000;
/// What comes says nothing before a rendition has been received for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// What is missing so soon after a change is no reason for another one.
const CLEARED: Duration = Duration::from_secs(1);
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
    /// Since when what plays falls behind.
    behind: Option<Instant>,
    /// Since when the line chokes.
    choked: Option<Instant>,
    /// Since when this rendition is received.
    since: Instant,
    /// What is missing before says nothing of it.
    clear_from: Instant,
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
            behind: None,
            choked: None,
            since: now,
            clear_from: now,
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
        // What the rendition before had sent is still in the line, and says nothing of this one.
        if !well && now < self.clear_from {
            return;
        }
        if self.came.len() == LOOK_BACK {
            self.came.pop_front();
        }
        self.came.push_back(well);
        if !well {
            self.up_from = self.up_from.max(now + self.patience);
        }
    }

    /// So many bytes have arrived on the socket up to now; so many segments of the rendition that plays are overdue.
    pub(super) fn arrived(&mut self, now: Instant, bytes: u64, overdue: u32) {
        self.arrived.push_back((now, bytes));
        while self
            .arrived
            .get(1)
            .is_some_and(|(at, _)| now.saturating_duration_since(*at) > MEASURED)
        {
            self.arrived.pop_front();
        }
        self.behind = (overdue > 0).then(|| self.behind.unwrap_or(now));
        let needed = self.rungs[self.at].1 / 10 * 8;
        let flows = |rate: Option<u64>| rate.is_some_and(|rate| rate > NOTHING);
        let chokes = overdue > 0
            && now.saturating_duration_since(self.since) >= SETTLED
            && flows(self.rate(now, SHORTLY / 2))
            && self.rate(now, SHORTLY).is_some_and(|rate| rate > NOTHING && rate < needed);
        self.choked = chokes.then(|| self.choked.unwrap_or(now));
    }

    /// Whether what plays suffers.
    pub(super) fn suffers(&self) -> bool {
        self.came.iter().filter(|well| !**well).count() >= TOO_MANY
    }

    /// Whether the line does not carry what plays, though nothing need be missing yet.
    pub(super) fn chokes(&self, now: Instant) -> bool {
        self.choked.is_some_and(|since| now.saturating_duration_since(since) >= CHOKES)
    }

    /// Whether what plays has been behind for a moment.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        self.behind.is_some_and(|since| now.saturating_duration_since(since) >= CHOKES)
    }

    /// What is to be received instead, if anything.
    pub(super) fn step(&self, now: Instant) -> Option<Step> {
        let chokes = self.chokes(now);
        if chokes || self.suffers() {
            if !self.may_go_down(now) {
                return None;
            }
            // What comes through a line that chokes is at most what it carries: senders have just found out. Else it may
            // have been more than that.
            let carried = match chokes {
                true => self.rate(now, SHORTLY).unwrap_or(0) / 4 * 5,
                false => self.rate(now, MEASURED).unwrap_or(0) / 10 * 8,
            };
            return self.lower(carried).map(Step::Down);
        }
        let calm = now >= self.up_from && self.behind.is_none();
        let better = self.at.checked_sub(1).filter(|_| calm)?;
        Some(Step::Up(self.rungs[better].0.clone()))
    }

    /// The best of the lower renditions that this carries, bits per second, else the lowest.
    fn lower(&self, carried: u64) -> Option<String> {
        let lower = self.rungs.get(self.at + 1..)?;
        let fits = lower.iter().find(|(_, rate)| rate + PROOFS <= carried).or(lower.last())?;
        Some(fits.0.clone())
    }

    /// Whether a change that did not come about was long enough ago.
    pub(super) fn may_go_down(&self, now: Instant) -> bool {
        now >= self.down_from
    }

    /// The lowest rendition.
    pub(super) fn lowest(&self) -> Option<String> {
        self.rungs.last().map(|(name, _)| name.clone())
    }

    /// What arrived in this time up to now, bits per second; `None` if it was not looked at for so long.
    fn rate(&self, now: Instant, span: Duration) -> Option<u64> {
        let age = |at: &Instant| now.saturating_duration_since(*at);
        let (_, last) = self.arrived.back()?;
        // Within a span that is measured at its start and end only, from the oldest on.
        let from = self.arrived.iter().rev().find(|(at, _)| age(at) >= span);
        let (at, first) = from.or(self.arrived.front().filter(|_| span == MEASURED))?;
        let millis = age(at).as_millis() as u64;
        last.saturating_sub(*first).saturating_mul(8_000).checked_div(millis)
    }

    /// This one plays from now on.
    pub(super) fn changed(&mut self, now: Instant, to: &str) {
        let Some(at) = self.rungs.iter().position(|(name, _)| name == to) else { return };
        if at < self.at {
            self.patience = PATIENCE.0;
        }
        self.at = at;
        self.came.clear();
        self.since = now;
        self.clear_from = now + CLEARED;
        (self.behind, self.choked) = (None, None);
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
            ladder.arrived(now, rate / 8 * u64::from(i) / 4, 0);
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

    const STEP: Duration = Duration::from_millis(50);

    /// The line carries so many bits per second for so long, at the end of the segment's every quarter second if it comes
    /// easily; so many segments are overdue.
    fn line(
        ladder: &mut Ladder,
        now: &mut Instant,
        total: &mut u64,
        (ms, rate, overdue): (u64, u64, u32),
    ) -> Option<Step> {
        let mut step = None;
        for _ in 0..ms / 50 {
            *now += STEP;
            *total += rate / 8 / 20;
            ladder.arrived(*now, *total, overdue);
            step = step.or(ladder.step(*now).filter(|step| matches!(step, Step::Down(_))));
        }
        step
    }

    #[test]
    fn a_line_that_chokes_is_left_before_anything_is_missing() {
        let start = Instant::now();
        let (mut now, mut total) = (start, 0);
        let mut ladder = ladder("main", start);
        assert_eq!(line(&mut ladder, &mut now, &mut total, (3_000, 4_200_000, 0)), None);
        // What was on its way is overdue a moment later.
        assert_eq!(line(&mut ladder, &mut now, &mut total, (300, 1_000_000, 0)), None);
        let step = line(&mut ladder, &mut now, &mut total, (400, 1_000_000, 1));
        assert_eq!(step, Some(Step::Down("low".into())));
    }

    #[test]
    fn a_pause_of_the_line_or_of_a_parent_is_no_reason() {
        let start = Instant::now();
        let (mut now, mut total) = (start, 0);
        let mut ladder = ladder("main", start);
        let mut on = |what| line(&mut ladder, &mut now, &mut total, what);
        assert_eq!(on((3_000, 4_200_000, 0)), None);
        // Nothing at all, and all at once.
        assert_eq!(on((700, 0, 2)), None);
        assert_eq!(on((100, 20_000_000, 1)), None);
        assert_eq!(on((500, 4_200_000, 0)), None);
        // One of eight sub-streams is missing.
        assert_eq!(on((1_000, 3_700_000, 2)), None);
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
