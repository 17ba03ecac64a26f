//! The task that receives a channel: takes segments when they are due, opens them and hands them to outputs, and goes from
//! one rendition to another where the line asks for it.
//!
//! Renditions are cut alike: the same numbers, random access points and time stamps. So a change is made at a random access
//! point, where the next segment is taken from the other rendition. Until that one is there both are received, unless the
//! line is so full that the new one gets no way in: then the old one is left first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use link::{Played, SessionError, SwarmStats};
use swarm::Cause;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::ladder::{Came, Ladder, PROOF, Step};
use super::leg::{Leg, add, sum};
use super::running::{Counts, Running};
use crate::output::Piece;
use crate::platform::{Platform, Tuned};
use crate::settings::Share;

/// How often counters are taken over while no segments come.
const REFRESH: Duration = Duration::from_millis(500);
/// At a random access point the other rendition's segment is waited for so long, as both are due at the same moment.
const HOLD: Duration = Duration::from_millis(80);
/// A lower rendition that gets no way in for so long is given the line alone.
const CROWDED: Duration = Duration::from_millis(2_500);
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
    /// The last segment of this rendition before a random access point of the other, which may take over there.
    held: Option<(Option<Piece>, tokio::time::Instant)>,
    /// The number of the last segment that was played.
    last: Option<u64>,
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
        let leg = Leg::new(tuned);
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
            last: None,
            counts,
            before,
            sent,
            told: 0,
        }
    }

    /// Receives until the channel is left.
    pub(super) async fn run(mut self) {
        let running = self.running.clone();
        let mut tick = tokio::time::interval(REFRESH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let until = self.held.as_ref().map(|(_, until)| *until);
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
                    self.release();
                    true
                }
            };
            if !goes_on || !self.choose() {
                break;
            }
            self.count();
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
        let opened = self.leg.open(played, &mut self.counts);
        if let Some(ladder) = &mut self.ladder {
            ladder.came(Instant::now(), opened.came);
        }
        match opened.came {
            Came::Not(Cause::Decoder) => {}
            Came::Not(cause) => self.counts.missing = Some(cause),
            Came::Sound | Came::Whole => {}
        }
        let mut waits = false;
        if let Some(ahead) = &mut self.ahead {
            ahead.harms |= !matches!(opened.came, Came::Whole);
            waits = opened.entrance && ahead.is_ready() && ahead.whole > 0;
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
        piece.switched |= self.last.is_none();
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
            Heard::Joined(Ok(tuned)) => ahead.way = Way::Joined(Box::new(Leg::new(tuned))),
            Heard::Joined(Err(error)) => {
                tracing::info!(%error, "another rendition cannot be had");
                self.give_up();
            }
            Heard::Played(None) => self.give_up(),
            Heard::Played(Some(played)) => {
                let Way::Joined(leg) = &mut ahead.way else { return };
                // What it cannot open is no fault of what plays.
                let opened = leg.open(played, &mut Counts::default());
                let whole = opened.came == Came::Whole;
                ahead.whole = if whole { ahead.whole + 1 } else { 0 };
                let Some(piece) = opened.piece.filter(|piece| piece.random_access) else { return };
                if ahead.is_ready() && self.last.is_none_or(|last| piece.number > last) {
                    self.take_over(piece);
                }
            }
        }
    }

    /// From this segment on the other rendition plays.
    fn take_over(&mut self, mut piece: Piece) {
        let Some(Ahead { way: Way::Joined(mut leg), .. }) = self.ahead.take() else { return };
        leg.begins();
        let replaced = |(held, _): &mut (Option<Piece>, _)| {
            held.as_ref().is_none_or(|held| held.number >= piece.number)
        };
        let held = self.held.take_if(replaced);
        self.release();
        let left = std::mem::replace(&mut self.leg, *leg);
        self.before = add(&self.before, left.stats());
        if let Some((Some(_), _)) = held {
            // It was counted when it came, and is not played.
            self.before.played = self.before.played.saturating_sub(1);
        }
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
        // Counters of packets do not go on from one to the other.
        (piece.gap, piece.switched) = (true, true);
        self.play(piece);
    }

    fn give_up(&mut self) {
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
        match &self.ahead {
            None => {
                let Some(step) = ladder.step(now) else { return true };
                let (name, down) = match step {
                    Step::Down(name) => (name, true),
                    Step::Up(name) => (name, false),
                };
                tracing::debug!(channel = %self.running.channel, name, down, "another rendition is tried");
                let (platform, channel) = (self.platform.clone(), self.running.channel.clone());
                let joining = async move { platform.join_rendition(&channel, &name).await };
                let way = Way::Joining(Box::pin(joining));
                self.ahead = Some(Ahead { way, down, since: now, whole: 0, harms: false });
            }
            Some(ahead) if ahead.down => {
                let waited = now - ahead.since;
                if waited > GIVE_UP {
                    return false;
                }
                if waited > CROWDED && ladder.suffers() {
                    self.leg.leave();
                }
            }
            Some(ahead) if ahead.harms || now - ahead.since > GIVE_UP => self.give_up(),
            Some(_) => {}
        }
        true
    }

    fn count(&mut self) {
        let now = self.leg.stats();
        let other = match &self.ahead {
            Some(Ahead { way: Way::Joined(leg), .. }) => sum(leg.stats().bytes_in),
            _ => 0,
        };
        let swarm = add(&self.before, now);
        if let Some(ladder) = &mut self.ladder {
            ladder.arrived(Instant::now(), sum(swarm.bytes_in) + other);
        }
        // What stays in the home is not upload.
        let out = sum(swarm.bytes_out).saturating_sub(swarm.home_out);
        self.sent.fetch_add(out.saturating_sub(self.told), Relaxed);
        self.told = self.told.max(out);
        self.counts.swarm = swarm;
        self.running.tell(&self.counts);
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
