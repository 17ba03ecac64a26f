//! The channel that is chosen: how it is started, how it fares, and when it is tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use link::SessionError;
use swarm::Cause;

use super::{Mode, Phase, Shared, Transport};
use crate::Error;
use crate::channel::Running;
use crate::guide::Guide;
use crate::player::Player;
use crate::problem::{self, Problem};
use crate::timeshift::{Position, Start, Status, TimeShift, Trouble};

/// Who zaps again within this is still looking: the channel is started once the keys rest.
const LOOKING: Duration = Duration::from_millis(300);
/// How long keys must rest.
const REST: Duration = Duration::from_millis(150);
/// Between two attempts where the platform may answer otherwise soon.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two attempts after a refusal.
const REFUSED: Duration = Duration::from_secs(15);
/// A channel that ended by itself is started again after this.
const ENDED: Duration = Duration::from_millis(500);
/// After so long without a segment the picture is frozen.
const FROZEN: Duration = Duration::from_millis(1_200);
/// A channel that gives nothing for so long is joined anew.
const REJOIN: Duration = Duration::from_secs(12);
/// Who is less behind the edge than this is live.
const AT_EDGE: Duration = Duration::from_secs(2);

pub(super) struct Tuner {
    shared: Arc<Shared>,
    player: Player,
    folder: PathBuf,
    cache: u64,
    channel: Option<String>,
    /// The one before, for going back.
    before: Option<String>,
    chosen_at: Instant,
    last_zap: Option<Instant>,
    /// When it is to be joined.
    due: Option<Instant>,
    tuning: Option<BoxFuture<'static, Result<Arc<Running>, Error>>>,
    running: Option<Arc<Running>>,
    tuned_at: Instant,
    /// When something of the channel came last.
    heard: Option<Instant>,
    shift: Option<TimeShift>,
    /// Why it is not played.
    refused: Option<Problem>,
    /// Whether it will be tried again.
    hopeful: bool,
    transport: Transport,
    pictured: bool,
}

impl Tuner {
    pub(super) fn new(shared: Arc<Shared>, player: Player, folder: PathBuf, cache: u64) -> Self {
        let generation = shared.view.borrow().transport.generation + 1;
        let transport = Transport { generation, ..Transport::default() };
        let now = Instant::now();
        shared.now().player = Some(player.clone());
        Self {
            shared,
            player,
            folder,
            cache,
            channel: None,
            before: None,
            chosen_at: now,
            last_zap: None,
            due: None,
            tuning: None,
            running: None,
            tuned_at: now,
            heard: None,
            shift: None,
            refused: None,
            hopeful: true,
            transport,
            pictured: false,
        }
    }

    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    pub(super) fn before(&self) -> Option<String> {
        self.before.clone()
    }

    /// Whether the channel is being tried again, or could be.
    pub(super) fn is_waiting(&self) -> bool {
        self.channel.is_some() && self.running.is_none()
    }

    /// Chooses a channel.
    pub(super) fn zap(&mut self, channel: &str) {
        let now = Instant::now();
        let looking = self.last_zap.replace(now).is_some_and(|last| now - last < LOOKING);
        if self.channel.as_deref() == Some(channel)
            && (self.running.is_some() || self.tuning.is_some())
        {
            return;
        }
        if self.channel.as_deref() != Some(channel) {
            self.before = self.channel.replace(channel.to_owned()).or(self.before.take());
        }
        self.chosen_at = now;
        self.leave();
        self.due = Some(if looking { now + REST } else { now });
    }

    /// Chooses no channel.
    pub(super) fn stop(&mut self) -> Player {
        self.before = self.channel.take().or(self.before.take());
        self.leave();
        self.player.clone()
    }

    /// Forgets what was received, so that another channel can be.
    fn leave(&mut self) {
        self.due = None;
        self.tuning = None;
        self.running = None;
        self.heard = None;
        self.shift = None;
        self.refused = None;
        self.hopeful = true;
        self.pictured = false;
        let generation = self.transport.generation + 1;
        self.transport = Transport { generation, ..Transport::default() };
        let mut now = self.shared.now();
        now.shift = None;
        now.start = None;
        now.picture_ms = 0;
    }

    /// Joins anew now, keeping what can be rewound.
    pub(super) fn retry(&mut self) {
        if self.channel.is_some() && self.tuning.is_none() {
            self.running = None;
            self.due = Some(Instant::now());
        }
    }

    /// Joins anew now if nothing is received.
    pub(super) fn retry_if_waiting(&mut self) {
        if self.is_waiting() {
            self.retry();
        }
    }

    /// Waits until something is to be done, and does it. Cancel safe.
    pub(super) async fn next(&mut self) {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due.into()).await;
            self.due = None;
            let Some(channel) = self.channel.clone() else { return };
            let (player, since) = (self.player.clone(), self.chosen_at);
            self.tuned_at = Instant::now();
            self.tuning = Some(Box::pin(async move { player.play(&channel, since).await }));
        }
        if let Some(tuning) = &mut self.tuning {
            let tuned = tuning.await;
            self.tuning = None;
            return self.tuned(tuned);
        }
        if let Some(running) = &self.running {
            let running = running.clone();
            running.ended().await;
            self.running = None;
            self.due = Some(Instant::now() + ENDED);
            return;
        }
        std::future::pending().await
    }

    fn tuned(&mut self, tuned: Result<Arc<Running>, Error>) {
        self.tuned_at = Instant::now();
        match tuned {
            Ok(running) => {
                let shift = match &self.shift {
                    Some(shift) => shift.clone(),
                    None => {
                        let shift = TimeShift::new(&self.folder, self.cache);
                        self.shift = Some(shift.clone());
                        self.transport.generation += 1;
                        let mut now = self.shared.now();
                        now.shift = Some(shift.clone());
                        now.start = Some(Start::Live);
                        now.generation = self.transport.generation;
                        shift
                    }
                };
                running.keep(Some(shift));
                self.running = Some(running);
                self.refused = None;
                self.hopeful = true;
            }
            Err(error) => {
                let name = self.name();
                tracing::info!(channel = self.channel, %error, "cannot be played now");
                let (pause, hopeful) = match &error {
                    Error::Session(SessionError::NotEntitled(_) | SessionError::Refused(_)) => {
                        (REFUSED, false)
                    }
                    Error::TooManyChannels(_) => (REFUSED, false),
                    _ => (AGAIN, true),
                };
                self.refused = Some(problem::of_error(&error, &name));
                self.hopeful = hopeful;
                self.due = Some(self.tuned_at + pause);
            }
        }
    }

    /// The channel's name for people.
    fn name(&self) -> String {
        let Some(channel) = &self.channel else { return String::new() };
        let view = self.shared.view.borrow();
        let known = view.line_up.iter().find(|known| known.id == *channel);
        known.map_or_else(|| channel.clone(), |known| known.name.clone())
    }

    /// How long the channel has given nothing.
    fn silence(&self) -> Duration {
        let last = self.running.as_ref().and_then(|running| running.counts().last);
        last.max(self.heard).unwrap_or(self.chosen_at).elapsed()
    }

    /// Looks after what is received. To be called a few times per second.
    pub(super) fn tick(&mut self, guide: &Guide, connected: bool) {
        let status = self.shift.as_ref().map(TimeShift::status).unwrap_or_default();
        let Status { oldest, edge, on_disk, .. } = status;
        let transport = &mut self.transport;
        (transport.oldest, transport.edge, transport.on_disk) = (oldest, edge, on_disk);
        if transport.mode == Mode::Behind
            && transport.shown.zip(edge).is_some_and(|(shown, edge)| edge.since(shown) < AT_EDGE)
        {
            transport.mode = Mode::Live;
        }
        self.transport.can_restart = self.beginning(guide).is_some();
        // What feeds it may have changed: who joins anew asks the platform for all of it.
        self.heard = self.running.as_ref().and_then(|r| r.counts().last).max(self.heard);
        let waited = self.silence().min(self.tuned_at.elapsed());
        if connected && self.running.is_some() && waited > REJOIN {
            tracing::info!(channel = self.channel, "nothing comes: it is joined anew");
            self.retry();
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let Some(channel) = self.channel.clone() else { return Phase::Choosing };
        if self.refused.is_some() && !self.hopeful {
            return Phase::Stopped { channel };
        }
        let transport = &self.transport;
        let behind = match (transport.mode, transport.shown, transport.edge) {
            (Mode::Paused, ..) => true,
            (Mode::Behind, Some(shown), Some(edge)) => edge.since(shown) > AT_EDGE,
            _ => false,
        };
        let began = transport.edge.is_some();
        let flows = self.silence() < FROZEN;
        match () {
            () if !began => Phase::Starting { channel },
            () if flows || behind => Phase::Playing { channel },
            () => Phase::Frozen { channel },
        }
    }

    /// What is wrong with the channel. `connected`: the platform can be reached.
    pub(super) fn problems(&self, connected: bool, patience: Duration) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.refused.clone().into_iter().collect();
        match self.shift.as_ref().and_then(|shift| shift.status().trouble) {
            Some(Trouble::Small) => problems.push(Problem::DiskFull),
            Some(Trouble::Off(why)) => problems.push(Problem::CacheOff { why }),
            None => {}
        }
        if self.channel.is_none() || self.refused.is_some() {
            return problems;
        }
        let silence = self.silence();
        let counts = self.running.as_ref().map(|running| running.counts()).unwrap_or_default();
        let channel = self.name();
        let began = self.transport.edge.is_some();
        let late = if began { FROZEN } else { patience };
        if silence > late {
            problems.push(match counts.missing {
                _ if !connected => Problem::NoNetwork,
                Some(Cause::SourceGap) => Problem::SourceGone { channel },
                Some(Cause::Downlink) => Problem::Downlink,
                _ => Problem::NothingComes { channel },
            });
        } else if began && counts.last_is_sound {
            problems.push(Problem::SoundOnly);
        }
        problems
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport.clone()
    }

    pub(super) fn set_cache(&mut self, bytes: u64) {
        self.cache = bytes;
        if let Some(shift) = &self.shift {
            shift.set_limit(bytes);
        }
    }

    pub(super) fn shown(&mut self, position: Position) {
        self.transport.shown = Some(position);
    }

    pub(super) fn pictured(&mut self) {
        if !std::mem::replace(&mut self.pictured, true) {
            let taken = self.chosen_at.elapsed().as_millis();
            self.shared.now().picture_ms = u64::try_from(taken).unwrap_or(u64::MAX).max(1);
        }
    }

    pub(super) fn pause(&mut self) {
        if self.transport.edge.is_some() {
            self.transport.mode = Mode::Paused;
        }
    }

    pub(super) fn resume(&mut self) {
        if self.transport.mode != Mode::Paused {
            return;
        }
        self.transport.mode = Mode::Behind;
        // What was paused at may be kept no more.
        if let (Some(shown), Some(oldest)) = (self.transport.shown, self.transport.oldest)
            && shown < oldest
        {
            self.go(Start::At(oldest));
        }
    }

    pub(super) fn toggle_pause(&mut self) {
        if self.transport.mode == Mode::Paused { self.resume() } else { self.pause() }
    }

    pub(super) fn seek_to(&mut self, position: Position) {
        let Transport { oldest: Some(oldest), edge: Some(edge), .. } = self.transport else {
            return;
        };
        if edge.since(position) < AT_EDGE {
            return self.live();
        }
        let position = position.max(oldest);
        self.transport.mode = Mode::Behind;
        self.transport.shown = Some(position);
        self.go(Start::At(position));
    }

    pub(super) fn seek_by(&mut self, seconds: i64) {
        if let Some(from) = self.transport.shown.or(self.transport.edge) {
            self.seek_to(from.plus(seconds));
        }
    }

    pub(super) fn live(&mut self) {
        if self.transport.edge.is_some() {
            self.transport.mode = Mode::Live;
            self.transport.shown = self.transport.edge;
            self.go(Start::Live);
        }
    }

    /// Where what is on began, if that is kept.
    fn beginning(&self, guide: &Guide) -> Option<Position> {
        let (oldest, edge) = self.transport.oldest.zip(self.transport.edge)?;
        let at = self.transport.shown.unwrap_or(edge);
        let start = guide.on(self.channel()?, at.time())?.start;
        let start = start.duration_since(std::time::UNIX_EPOCH).ok()?;
        let start = Position(u64::try_from(start.as_micros()).ok()?);
        (start >= oldest).then_some(start)
    }

    pub(super) fn restart_programme(&mut self, guide: &Guide) {
        if let Some(start) = self.beginning(guide) {
            self.seek_to(start);
        }
    }

    fn go(&mut self, start: Start) {
        self.transport.generation += 1;
        let mut now = self.shared.now();
        now.start = Some(start);
        now.generation = self.transport.generation;
    }
}
