//! The first picture: the latest random access point at or before the playout point and all since, from the nearest
//! holder, while the set of parents is built. Asking is here; answering is in `burst`.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::gentle::Gentle;
use super::partner::Pid;
use super::repair::Flow;
use crate::{Begin, Message, Substreams, Time, TimeoutReason};

/// A holder that does not answer, or stops sending, for so long is given up for another.
const PATIENCE: Duration = Duration::from_millis(400);
/// Shards of a burst follow each other faster than this.
const PAUSE: Duration = Duration::from_millis(120);
/// A holder with little to spare is asked for this part of what is needed.
const FEW: u8 = 4;
/// A random access point that is due within this is better than an earlier one and all that came since: that takes as long.
const LEAD: Duration = Duration::from_millis(500);
/// What comes is measured for so long before it is reckoned with.
const MEASURED: Duration = Duration::from_millis(100);
/// Holders asked before the set of parents alone has to do.
const TRIES: usize = 3;

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Asked(Pid, Time),
    /// The burst comes; when its last shard came.
    Bursting(Pid, Time),
    Over,
}

/// A viewer's start.
#[derive(Debug, Default)]
pub(super) struct Start {
    state: State,
    tries: usize,
    range: Option<(u64, u64)>,
    /// When the first shard came.
    pub(super) flows: Option<Time>,
    /// How many shards of each segment the holder was asked for.
    asked: u8,
}

/// A start that waits for data, at a holder.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) peer: Pid,
    pub(super) playout: u64,
    pub(super) k: u8,
    /// When it came.
    pub(super) at: Time,
    /// Once begun: the next segment to send, and the last.
    pub(super) rest: Option<(u64, u64)>,
}

impl Start {
    /// Whether an answer is awaited: parents are asked for what follows the burst, so they wait for it too.
    pub(super) fn awaited(&self) -> bool {
        matches!(self.state, State::Asked(..))
    }

    /// First segment of the burst.
    pub(super) fn first(&self) -> Option<u64> {
        self.range.map(|(first, _)| first)
    }

    /// Last segment of the burst.
    pub(super) fn covered(&self) -> Option<u64> {
        self.range.map(|(_, last)| last)
    }

    /// What of a segment is still coming in the burst, and need not be pulled.
    pub(super) fn bursting(&self, number: u64, now: Time) -> Substreams {
        match (&self.state, self.range) {
            (State::Bursting(_, last), Some((first, until)))
                if now.since(*last) < PAUSE && (first..=until).contains(&number) =>
            {
                Substreams::first(self.asked)
            }
            _ => Substreams::NONE,
        }
    }
}

impl Engine {
    /// Asks the nearest holder for the first picture: one at home, else servers first.
    pub(super) fn maybe_start(&mut self) {
        if !self.is_viewer() || !matches!(self.start.state, State::Idle) {
            return;
        }
        let Some(platform) = self.platform() else { return };
        let waiting = self.gathering.is_none_or(|until| self.now < until);
        let holders = self.partners.iter().filter(|(_, partner)| {
            let may = partner.met && !self.in_reserve(partner);
            may && !partner.offered.is_empty() && !partner.start_tried
        });
        let best = holders.min_by_key(|(peer, partner)| {
            let viewer = partner.info.role == Role::Viewer;
            (!partner.at_home(), viewer, partner.nearness, partner.info.rtt, *peer)
        });
        let Some((peer, partner)) = best else { return };
        // A server may be about to answer.
        if partner.is_viewer() && !partner.at_home() && waiting {
            return;
        }
        // A burst is more than a whole stream for a moment: who has little to spare is asked for little, and the rest is
        // pulled from all who hold it.
        let spare = usize::from(partner.free) >= 2 * usize::from(self.config.k);
        let k = if spare { self.config.k } else { (self.config.k / FEW).max(1) };
        self.start.tries += 1;
        if let Some(partner) = self.partners.get_mut(peer) {
            partner.start_tried = true;
        }
        self.start.asked = k;
        self.start.state = State::Asked(peer, self.now);
        let delay = self.config.playout_delay.as_micros() as u64;
        // What is due before it can be there is not asked for.
        let playout = platform.saturating_add(LEAD.as_micros() as u64).saturating_sub(delay);
        self.send(peer, Message::Start { playout, k });
        self.timers.arm(TimeoutReason::Parents, self.now + PATIENCE);
    }

    /// Playing goes on elsewhere up to this segment: it begins here, whether a decoder could or not, and all that has been
    /// made since is pulled in order of deadline, no faster than the line lets it. A burst would begin at a random access
    /// point before it, and come all at once.
    pub(super) fn begin_at(&mut self, Begin { number, gently }: Begin) {
        if !self.is_viewer() || self.playout.next.is_some() {
            return;
        }
        self.start.state = State::Over;
        self.flow = Flow::careful(self.now);
        self.gentle = if gently { Gentle::Waits } else { Gentle::Not };
        self.playout.begin_at(number, self.now);
        self.timers.arm(TimeoutReason::Repair, self.now);
    }

    pub(super) fn starting(&mut self, from: Pid, range: Option<(u64, u64)>) {
        match self.start.state {
            State::Asked(peer, _) if peer == from => {}
            _ => return,
        }
        // No honest holder keeps more than this.
        let most = 4 * 60 * 4;
        match range.filter(|(first, last)| last - first < most) {
            Some(range) => {
                self.start.range = Some(range);
                self.start.state = State::Bursting(from, self.now);
                self.timers.arm(TimeoutReason::Parents, self.now + PATIENCE);
                self.fill();
                self.mend();
            }
            None => self.next_holder(),
        }
    }

    fn next_holder(&mut self) {
        self.start.state = if self.start.tries < TRIES { State::Idle } else { State::Over };
        self.maybe_start();
        self.fill();
    }

    pub(super) fn start_lost(&mut self, peer: Pid) {
        match self.start.state {
            State::Asked(holder, _) if holder == peer => self.next_holder(),
            State::Bursting(holder, _) if holder == peer => self.start.state = State::Over,
            _ => {}
        }
    }

    /// While nothing plays yet: if what is due before the next random access point cannot be there before that is due,
    /// playing begins with that one, and nothing before it is wanted.
    pub(super) fn aim(&mut self) {
        if self.playout.next.is_some() {
            return;
        }
        let Some(((first, last), platform)) = self.start.range.zip(self.platform()) else { return };
        let bytes = self.counters.bytes_in;
        let bytes = bytes.headend + bytes.repeater + bytes.viewer;
        let took = self.now.since(self.start.flows.unwrap_or(self.now));
        if took < MEASURED || bytes == 0 {
            return;
        }
        let point = platform.saturating_sub(self.config.playout_delay.as_micros() as u64);
        let next = self.window.iter().find(|(_, slot)| slot.random_access && slot.capture > point);
        let Some((next, slot)) = next.filter(|&(next, _)| next > first) else { return };
        let wait = Duration::from_micros(slot.capture - point);
        // What a holder promised is not proven: never look back further than what is kept.
        let first = first.max(next.saturating_sub(self.window.most() as u64));
        let left = |number: u64| {
            let slot = self.window.get(number);
            let shard = slot.map_or(0, |slot| slot.shard_bytes).max(1);
            let missing = slot.map_or(self.config.k, |slot| slot.missing());
            u64::from(shard) * u64::from(missing)
        };
        let missing: u64 = (first..next).map(left).sum();
        let needs = took.as_micros() as u64 * missing / bytes;
        if Duration::from_micros(needs) > wait {
            self.start.range = Some((next, last.max(next)));
        }
    }

    /// A shard of the burst came.
    pub(super) fn start_progress(&mut self, from: Pid, number: u64) {
        if let (State::Bursting(holder, last), Some((first, until))) =
            (&mut self.start.state, self.start.range)
            && *holder == from
            && (first..=until).contains(&number)
        {
            *last = self.now;
            self.timers.arm(TimeoutReason::Repair, self.now + PAUSE);
        }
    }

    /// What has had no answer for too long.
    pub(super) fn start_timeout(&mut self) {
        let now = self.now;
        match self.start.state {
            State::Idle => self.maybe_start(),
            State::Asked(_, at) if now.since(at) >= PATIENCE => self.next_holder(),
            State::Asked(_, at) => self.timers.arm(TimeoutReason::Parents, at + PATIENCE),
            State::Bursting(_, last) if now.since(last) >= PATIENCE => {
                self.start.state = State::Over;
                self.timers.arm(TimeoutReason::Repair, now);
            }
            State::Bursting(_, last) => self.timers.arm(TimeoutReason::Parents, last + PATIENCE),
            State::Over => {}
        }
    }
}
