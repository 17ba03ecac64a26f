//! The task that owns everything a window shows.

mod account;
mod seat;
mod show;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use url::Url;

use self::account::Signing;
use self::seat::{Seat, busy};
use super::{Command, Shared};
use crate::account::State;
use crate::bus;
use crate::choices::{self, Fault, Settings};
use crate::guide::Guide;
use crate::platform::Platform as _;
use crate::problem::Problem;
use crate::settings::Config;
use crate::sharing::{self, Meter, Upload};
use crate::vault::Vault;

/// How often the view is brought up to date beside changes.
const TICK: Duration = Duration::from_millis(250);
/// Choices are written so long after a change.
const SAVE: Duration = Duration::from_millis(500);
/// What was sent is written so often.
const SAVE_METER: Duration = Duration::from_secs(30);

pub(super) struct Core {
    config: Config,
    shared: Arc<Shared>,
    state: Arc<State>,
    vault: Vault,
    metered: watch::Receiver<bool>,
    file: choices::File,
    settings: Settings,
    /// When choices are to be written.
    save: Option<Instant>,
    /// Choices that are being written: keys are answered meanwhile, however slow the disk is.
    saving: Option<BoxFuture<'static, io::Result<()>>>,
    saved_meter: Instant,
    meter: Meter,
    guide: Arc<Guide>,
    signing: Option<Signing>,
    /// Whether a person asked for this attempt, and where.
    by_hand: Option<Url>,
    /// When to sign in again by itself.
    sign_in_at: Option<Instant>,
    /// Why nobody is signed in.
    refused: Option<Problem>,
    /// What is to be played once it can be.
    wanted: Option<String>,
    /// Whether a channel is to be chosen as soon as the line-up is known.
    chooses: bool,
    seat: Option<Seat>,
    faults: Vec<Problem>,
    unsaved: Option<Problem>,
    no_sound: bool,
    picture: Option<String>,
}

impl Core {
    pub(super) fn new(
        config: Config,
        state: Arc<State>,
        (file, settings, faults): (choices::File, Settings, Vec<Fault>),
        shared: Arc<Shared>,
    ) -> Self {
        let name = |fault: Fault| {
            tracing::warn!(key = fault.key, why = fault.why, "a setting could not be read");
            Problem::Setting { key: fault.key }
        };
        Self {
            meter: Meter::open(&config.state_folder()),
            config,
            shared,
            vault: Vault::file(state.clone()),
            state,
            metered: bus::metered::watch(),
            file,
            settings,
            save: None,
            saving: None,
            saved_meter: Instant::now(),
            guide: Arc::default(),
            signing: None,
            by_hand: None,
            sign_in_at: Some(Instant::now()),
            refused: None,
            wanted: None,
            chooses: false,
            seat: None,
            faults: faults.into_iter().map(name).collect(),
            unsaved: None,
            no_sound: false,
            picture: None,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        self.vault = Vault::open(self.state.clone()).await;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let done = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Close(done)) => break Some(done),
                    Some(command) => self.told(command).await,
                    None => break None,
                },
                signed = maybe(&mut self.signing) => {
                    self.signing = None;
                    self.signed(signed).await;
                }
                saved = maybe(&mut self.saving) => self.saved(saved),
                () = busy(&mut self.seat) => {}
                // Its end is no change: the core ends before.
                Ok(()) = self.metered.changed() => {}
                _ = tick.tick() => self.tick().await,
            }
            self.publish();
        };
        self.end().await;
        // By now nothing holds the state folder any more: another one may start.
        if let Some(done) = done {
            let _nobody_waits = done.send(());
        }
    }

    async fn told(&mut self, command: Command) {
        match command {
            Command::SignIn(sign_in) => self.sign_in(sign_in).await,
            Command::SignOut => self.sign_out().await,
            Command::Zap(channel) => self.zap(channel),
            Command::ZapBy(steps) => self.zap_by(steps),
            Command::ZapNumber(number) => {
                let view = self.shared.view.borrow().clone();
                if let Some(channel) = view.line_up.iter().find(|channel| channel.number == number)
                {
                    self.zap(channel.id.clone());
                }
            }
            Command::ZapBack => {
                if let Some(before) = self.seat.as_ref().and_then(|seat| seat.tuner.before()) {
                    self.zap(before);
                }
            }
            Command::Stop => {
                if let Some(seat) = &mut self.seat {
                    seat.tuner.stop().stop().await;
                }
            }
            Command::Retry => {
                self.sign_in_at = self.sign_in_at.map(|_| Instant::now());
                if let Some(seat) = &mut self.seat {
                    seat.tuner.retry();
                }
            }
            Command::NoSound(none) => self.no_sound = none,
            Command::Decoder(outcome) => self.picture = outcome.err(),
            Command::Change(change) => self.change(change),
            Command::Close(_) => {}
            transport => {
                if let Some(seat) = &mut self.seat {
                    seat.transport(transport, &self.guide);
                }
            }
        }
    }

    fn change(&mut self, change: Box<dyn FnOnce(&mut Settings) + Send>) {
        let before = self.settings.clone();
        change(&mut self.settings);
        let settings = &mut self.settings;
        settings.volume = settings.volume.min(100);
        settings.cache_mb = settings.cache_mb.min(choices::MAX_CACHE_MB);
        settings.sharing.kbits = settings.sharing.kbits.min(choices::MAX_SHARE_KBITS);
        if *settings == before {
            return;
        }
        self.save.get_or_insert(Instant::now() + SAVE);
        let cache = settings.cache_bytes();
        let rendition = (settings.quality != before.quality).then(|| self.rendition());
        if let Some(seat) = &mut self.seat {
            seat.tuner.set_cache(cache);
            if let Some(rendition) = rendition {
                seat.viewer.live.set_rendition(rendition);
                seat.tuner.retry();
            }
        }
        self.share();
    }

    /// The rendition to ask for: as chosen, else as configured.
    fn rendition(&self) -> Option<String> {
        let chosen = self.settings.rendition().map(str::to_owned);
        chosen.or_else(|| self.config.playback.rendition.clone())
    }

    /// Lets the viewer's choice about sharing hold.
    fn share(&mut self) -> Upload {
        let (state, share) =
            sharing::decide(&self.settings.sharing, *self.metered.borrow(), self.meter.month());
        if let Some(seat) = &self.seat {
            seat.viewer.live.set_share(share);
        }
        Upload {
            now_bits: self.meter.rate(),
            month_bytes: self.meter.month(),
            state,
            limit_bits: share.uplink(),
        }
    }

    fn zap(&mut self, channel: String) {
        self.picture = None;
        match &mut self.seat {
            Some(seat) => {
                self.chooses = false;
                seat.tuner.zap(&channel);
                if self.settings.last_channel.as_ref() != Some(&channel) {
                    self.settings.last_channel = Some(channel);
                    self.save.get_or_insert(Instant::now() + SAVE);
                }
            }
            None => self.wanted = Some(channel),
        }
    }

    fn zap_by(&mut self, steps: i32) {
        let Some(seat) = &self.seat else { return };
        let line_up = seat.viewer.live.line_up();
        let Ok(count) = i32::try_from(line_up.len()) else { return };
        if count == 0 {
            return;
        }
        let now = seat.tuner.channel();
        let at = line_up.iter().position(|info| Some(info.id.as_str()) == now);
        let next = match at.and_then(|at| i32::try_from(at).ok()) {
            Some(at) => (at + steps % count).rem_euclid(count),
            None => 0,
        };
        let next = usize::try_from(next).ok().and_then(|next| line_up.get(next));
        if let Some(next) = next.map(|info| info.id.clone()) {
            self.zap(next);
        }
    }

    async fn tick(&mut self) {
        if self.sign_in_at.is_some_and(|at| at <= Instant::now()) {
            self.sign_in_by_itself();
        }
        if let Some(seat) = &mut self.seat {
            seat.viewer.remember().await;
            let state = seat.state.borrow_and_update().clone();
            if let Some(why) = &state.refused {
                return self.expelled(why).await;
            }
            self.meter.count(Instant::now(), seat.player.channels().sent());
            self.guide = seat.viewer.live.guide();
            seat.tuner.tick(&self.guide, state.rendezvous);
        }
        self.choose();
        if self.saving.is_none() && self.save.is_some_and(|at| at <= Instant::now()) {
            self.save = None;
            self.saving = Some(self.write());
        }
        if self.saved_meter.elapsed() > SAVE_METER {
            self.saved_meter = Instant::now();
            self.meter.save();
        }
    }

    /// Writes choices as they are now.
    fn write(&self) -> BoxFuture<'static, io::Result<()>> {
        let (file, settings) = (self.file.clone(), self.settings.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&settings));
        // It does not panic, nor is it ended.
        Box::pin(async move { written.await.unwrap_or(Ok(())) })
    }

    fn saved(&mut self, saved: io::Result<()>) {
        self.saving = None;
        let unsaved = |error: io::Error| Problem::SettingsNotKept { why: error.to_string() };
        self.unsaved = saved.err().map(unsaved);
    }

    async fn end(mut self) {
        self.signing = None;
        if let Some(saving) = self.saving.take() {
            let _told_before = saving.await;
        }
        if self.save.take().is_some() {
            let saved = self.write().await;
            self.saved(saved);
        }
        self.unseat(false).await;
        self.meter.save();
        self.meter.written().await;
    }
}

/// The future's outcome; never, if there is none. Cancel safe.
async fn maybe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
