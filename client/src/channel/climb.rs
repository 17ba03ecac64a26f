//! The task that receives a channel: takes segments when they are due, opens them and hands them to outputs, and goes from
//! one rendition to another where the line asks for it.
//!
//! Renditions are cut alike: the same numbers, random access points and time stamps. So a change is made at a random access
//! point, where the next segment is taken from the other rendition. On the way up both are received until then. On the way
//! down the old one is received no more, so that the line is free for the lower one: what has come of it is played to its
//! end, and if that is before a random access point the sound of the lower one fills the time until there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use link::{Played, SessionError, SwarmStats};
use swarm::{Begin, Cause};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::ladder::{Came, Ladder, PROOF, Step};
use super::leg::{Leg, add, sum};
use super::running::{Counts, Running};
use super::seam::Seam;
use crate::output::Piece;
use crate::platform::{Platform, Tuned};
use crate::settings::Share;

/// How often counters are taken over while no segments come; with a ladder, whose steps follow from them, and without.
const REFRESH: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));
/// The other rendition's segment is waited for so long, as both are due at the same moment.
const HOLD: Duration = Duration::from_millis(80);
/// What plays suffers from an attempt at a better one if so many segments less are in hand than before, and for so long: one
/// less, or for a shorter time, may be only the moment.
const SLIPPED: (u32, Duration) = (2, Duration::from_millis(250));
/// A change that did not come about after so long is given up.
const GIVE_UP: Duration = Duration::from_secs(8);

/// What receives one channel.
pub(super) struct Climb {
    running: Arc<Running>,
    platform: Arc<dyn Platform>,
    /// What may be sent to others.
    share: watch::Receiver<Share>,
    leg: Leg,
    ladder: Option<Ladder>,
    ahead: Option<Ahead>,
    /// A segment of this rendition where the other may take over.
    held: Option<(Option<Piece>, tokio::time::Instant)>,
    /// A segment of the lower rendition, which takes over unless this one has it whole.
    offered: Option<(Piece, tokio::time::Instant)>,
    /// The number of the last segment that was played.
    last: Option<u64>,
    seam: Seam,
    /// The number of the last segment of this rendition that came, or was missed.
    reached: Option<u64>,
    /// The last number of which this rendition had nothing to play.
    lacked: Option<u64>,
    counts: Counts,
    /// What renditions that were left have counted.
    before: SwarmStats,
    sent: Arc<AtomicU64>,
    told: u64,
}

/// A rendition that may take over.
struct Ahead {
    way: Way,
    down: bool,
    since: Instant,
    /// So many segments of it have come whole in a row.
    whole: u32,
    /// Whether what plays has suffered since.
    harms: bool,
    /// What was in hand of what plays when this began, segments.
    in_hand: u32,
    /// Since when there is less.
    slipped: Option<Instant>,
}

enum Way {
    Joining(BoxFuture<'static, Result<Tuned, SessionError>>),
    Joined(Box<Leg>),
}

enum Heard {
    Joined(Result<Tuned, SessionError>),
    Played(Option<Played>),
}

impl Ahead {
    /// What becomes of it. Cancel safe.
    async fn next(ahead: &mut Option<Self>) -> Heard {
        match ahead {
            Some(Self { way: Way::Joining(joining), .. }) => Heard::Joined(joining.await),
            Some(Self { way: Way::Joined(leg), .. }) => Heard::Played(leg.next().await),
            None => std::future::pending().await,
        }
    }

    /// Whether it may take over at the next random access point.
    fn is_ready(&self) -> bool {
        self.down || self.whole >= PROOF
    }
}

impl Climb {
    pub(super) fn new(
        running: Arc<Running>,
        platform: Arc<dyn Platform>,
        tuned: Tuned,
        sent: Arc<AtomicU64>,
    ) -> Self {
        let share = tuned.share.clone();
        let mut leg = Leg::new(tuned);
        // Playing begins at a random access point.
        leg.entered = true;
        let rungs = platform.ladder(&running.channel);
        let ladder = Ladder::new(rungs, &leg.rendition, Instant::now());
        let (counts, before) = (Counts::default(), SwarmStats::default());
        Self {
            running,
            platform,
            share,
            leg,
            ladder,
            ahead: None,
            held: None,
            offered: None,
            last: None,
            seam: Seam::default(),
            reached: None,
            lacked: None,
            counts,
            before,
            sent,
            told: 0,
        }
    }

    /// Receives until the channel is left.
    pub(super) async fn run(mut self) {
        let running = self.running.clone();
        let refresh = if self.ladder.is_some() { REFRESH.0 } else { REFRESH.1 };
        let mut tick = tokio::time::interval(refresh);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let held = self.held.as_ref().map(|(_, until)| *until);
            let offered = self.offered.as_ref().map(|(_, until)| *until);
            let until = held.into_iter().chain(offered).min();
            let goes_on = tokio::select! {
                () = running.ended() => false,
                _ = tick.tick() => true,
                Ok(()) = self.share.changed() => {
                    self.share();
                    true
                }
                played = self.leg.next() => played.map(|played| self.came(played)).is_some(),
                heard = Ahead::next(&mut self.ahead) => {
                    self.heard(heard);
                    true
                }
                () = sleep_until(until) => {
                    match self.offered.take() {
                        Some((piece, _)) => self.take_over(piece),
                        None => self.release(),
                    }
                    true
                }
            };
            // What is chosen follows from what has come by now.
            self.count();
            if !goes_on || !self.choose() {
                break;
            }
        }
        self.count();
        self.release();
        drop(self);
        running.part();
    }

    fn share(&mut self) {
        let share = *self.share.borrow_and_update();
        self.leg.set_share(share);
        if let Some(Ahead { way: Way::Joined(leg), .. }) = &self.ahead {
            leg.set_share(share);
        }
    }

    /// A segment of the rendition that plays.
    fn came(&mut self, played: Played) {
        self.release();
        let number = number(&played);
        self.reached = Some(number);
        let mut opened = self.leg.open(&played, &mut self.counts);
        if let Some(ladder) = &mut self.ladder {
            ladder.came(Instant::now(), opened.came);
        }
        match opened.came {
            Came::Not(Cause::Decoder) => {}
            Came::Not(cause) => self.counts.missing = Some(cause),
            Came::Sound | Came::Whole => {}
        }
        let whole = opened.came == Came::Whole;
        if opened.piece.is_none() {
            self.lacked = Some(number);
        }
        // Both have this one: the lower one's is taken only if it has more.
        if let Some((piece, _)) = self.offered.take_if(|(piece, _)| piece.number <= number)
            && !whole
            && piece.number == number
        {
            self.held = Some((opened.piece, tokio::time::Instant::now()));
            return self.take_over(piece);
        }
        let mut waits = false;
        if let Some(ahead) = &mut self.ahead {
            ahead.harms |= !whole;
            // Going down, something of the other one may come right after what is missing here.
            let missing = ahead.down && !whole;
            waits = missing || (opened.entrance && ahead.is_ready() && ahead.whole > 0);
        }
        if let Some(piece) = opened.piece.as_mut().filter(|piece| piece.random_access)
            && !std::mem::replace(&mut self.leg.entered, true)
        {
            // Its sound was played before: counters of packets do not go on.
            (piece.gap, piece.switched) = (true, true);
        }
        if waits {
            self.held = Some((opened.piece, tokio::time::Instant::now() + HOLD));
        } else if let Some(piece) = opened.piece {
            self.play(piece);
        }
    }

    /// The other rendition did not take over where it could have.
    fn release(&mut self) {
        if let Some((Some(piece), _)) = self.held.take() {
            self.play(piece);
        }
    }

    fn play(&mut self, mut piece: Piece) {
        // Who has joined anew may have another rendition than before, or an encoder that was started anew.
        piece.switched |= self.last.is_none() | self.seam.begins(&piece);
        self.last = Some(piece.number);
        self.counts.last = Some(Instant::now());
        self.counts.last_is_sound = !piece.whole;
        self.counts.sound_only += u64::from(!piece.whole);
        self.counts.missing = None;
        // Whoever hears of the piece finds the figures with it.
        self.count();
        self.running.play(piece);
    }

    /// Something of the rendition that may take over.
    fn heard(&mut self, heard: Heard) {
        let Some(ahead) = &mut self.ahead else { return };
        match heard {
            Heard::Joined(Ok(tuned)) => {
                ahead.way = Way::Joined(Box::new(Leg::new(tuned)));
            }
            Heard::Joined(Err(error)) => {
                tracing::info!(%error, "another rendition cannot be had");
                self.give_up();
            }
            Heard::Played(None) => self.give_up(),
            Heard::Played(Some(played)) => {
                let Way::Joined(leg) = &mut ahead.way else { return };
                // What it cannot open is no fault of what plays.
                let opened = leg.open(&played, &mut Counts::default());
                let whole = opened.came == Came::Whole;
                ahead.whole = if whole { ahead.whole + 1 } else { 0 };
                let (down, ready) = (ahead.down, ahead.is_ready());
                let Some(piece) = opened.piece else { return };
                if !ready || self.last.is_some_and(|last| piece.number <= last) {
                    return;
                }
                let waits = |(held, _): &(Option<Piece>, _)| {
                    held.as_ref().is_none_or(|held| !held.whole && held.number <= piece.number)
                };
                if piece.random_access || (down && self.held.as_ref().is_some_and(waits)) {
                    self.take_over(piece);
                } else if down && self.offered.is_none() {
                    // Both are due at the same moment, which may be over.
                    let due = piece.due.map_or_else(tokio::time::Instant::now, Into::into);
                    match due + HOLD {
                        over if over <= tokio::time::Instant::now() => self.take_over(piece),
                        until => self.offered = Some((piece, until)),
                    }
                }
            }
        }
    }

    /// From this segment on the other rendition plays.
    fn take_over(&mut self, mut piece: Piece) {
        let Some(Ahead { way: Way::Joined(mut leg), .. }) = self.ahead.take() else { return };
        leg.begins();
        leg.entered = piece.random_access;
        self.offered = None;
        let replaced = |(held, _): &mut (Option<Piece>, _)| {
            held.as_ref().is_none_or(|held| held.number >= piece.number)
        };
        let held = self.held.take_if(replaced);
        self.release();
        let left = std::mem::replace(&mut self.leg, *leg);
        self.before = add(&self.before, left.stats());
        // It was counted when it came, and is not played; or is played after all.
        if let Some((Some(_), _)) = held {
            self.before.played = self.before.played.saturating_sub(1);
        }
        if self.lacked.take().is_some_and(|lacked| lacked >= piece.number) {
            self.before.lost = self.before.lost.saturating_sub(1);
        }
        // What neither has given.
        let reached = self.reached.replace(piece.number);
        let skipped = reached.map_or(0, |reached| piece.number.saturating_sub(reached + 1));
        self.before.lost += skipped;
        tracing::info!(
            channel = %self.running.channel,
            from = %left.rendition,
            to = %self.leg.rendition,
            number = piece.number,
            "another rendition"
        );
        self.running.is_now(&self.leg.rendition, self.leg.coding);
        if let Some(ladder) = &mut self.ladder {
            ladder.changed(Instant::now(), &self.leg.rendition);
        }
        // Counters of packets do not go on from one to the other. A decoder begins anew with the picture.
        (piece.gap, piece.switched) = (true, piece.random_access);
        self.play(piece);
    }

    fn give_up(&mut self) {
        tracing::debug!(channel = %self.running.channel, "no other rendition for now");
        if let Some(Ahead { way: Way::Joined(leg), .. }) = self.ahead.take() {
            // It was paid for.
            let SwarmStats { bytes_in, bytes_out, home_out, control_bytes, .. } = leg.stats();
            let paid =
                SwarmStats { bytes_in, bytes_out, home_out, control_bytes, ..Default::default() };
            let now = std::mem::take(&mut self.before);
            self.before = add(&paid, now);
        }
        if let Some(ladder) = &mut self.ladder {
            ladder.failed(Instant::now());
        }
    }

    /// Changes the rendition where that is due. `false` if nothing is received any more.
    fn choose(&mut self) -> bool {
        let now = Instant::now();
        let Some(ladder) = &mut self.ladder else { return true };
        if let Some(ahead) = &mut self.ahead {
            let slips = self.leg.stats().in_hand + SLIPPED.0 <= ahead.in_hand;
            ahead.slipped = slips.then(|| ahead.slipped.unwrap_or(now));
        }
        let slipped = |ahead: &Ahead| ahead.slipped.is_some_and(|at| now - at >= SLIPPED.1);
        match &self.ahead {
            // The one before it did not come, and this one is received no more.
            None if self.leg.rests && !ladder.may_go_down(now) => {}
            None if self.leg.rests => {
                let Some(lowest) = ladder.lowest() else { return false };
                self.try_one(lowest, true, now);
            }
            None => match ladder.step(now) {
                Some(Step::Down(name)) => {
                    self.leg.rest();
                    self.try_one(name, true, now);
                }
                Some(Step::Up(name)) => self.try_one(name, false, now),
                None => {}
            },
            Some(ahead) if ahead.down => return now - ahead.since <= GIVE_UP,
            Some(ahead) if ahead.harms || slipped(ahead) || ladder.is_behind(now) => self.give_up(),
            Some(ahead) if now - ahead.since > GIVE_UP => self.give_up(),
            Some(_) => {}
        }
        true
    }

    /// Joins another rendition.
    fn try_one(&mut self, name: String, down: bool, now: Instant) {
        tracing::debug!(channel = %self.running.channel, name, down, "another rendition is tried");
        let (platform, channel) = (self.platform.clone(), self.running.channel.clone());
        // A line that may be short is not to carry what is there already.
        let SwarmStats { whole_to, in_hand, .. } = self.leg.stats();
        let begin_at = whole_to.map(|whole_to| Begin { number: whole_to + 1, gently: !down });
        let joining = async move { platform.join_rendition(&channel, &name, begin_at).await };
        let way = Way::Joining(Box::pin(joining));
        let (since, whole, harms, slipped) = (now, 0, false, None);
        self.ahead = Some(Ahead { way, down, since, whole, harms, in_hand, slipped });
    }

    fn count(&mut self) {
        let now = self.leg.stats();
        if let Some(ladder) = &mut self.ladder {
            let overdue = if self.leg.rests { 0 } else { now.overdue };
            ladder.arrived(Instant::now(), self.platform.wire().wire_in, overdue);
        }
        let swarm = add(&self.before, now);
        // What stays in the home is not upload.
        let out = sum(swarm.bytes_out).saturating_sub(swarm.home_out);
        self.sent.fetch_add(out.saturating_sub(self.told), Relaxed);
        self.told = self.told.max(out);
        self.counts.swarm = swarm;
        self.running.tell(&self.counts);
    }
}

fn number(played: &Played) -> u64 {
    match played {
        Played::Segment { header, .. } => header.number,
        Played::Missed { number, .. } => *number,
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
