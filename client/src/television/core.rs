//! The task that owns everything a window shows.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use link::{Login, SessionError, SessionState};
use service::Stop;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::tuner::Tuner;
use super::{Account, Channel, Command, Mode, Now, Phase, Shared, SignIn, Transport, View};
use crate::account::State;
use crate::bus;
use crate::channel::Channels;
use crate::choices::{self, Fault, Settings};
use crate::guide::Guide;
use crate::platform::Platform as _;
use crate::player::Player;
use crate::problem::{self, Problem};
use crate::settings::Config;
use crate::sharing::{self, Meter, Upload, UploadState};
use crate::vault::{Kept, Vault};
use crate::viewer::{Viewer, Wanted};
use crate::{Error, local};

/// How often the view is brought up to date beside changes.
const TICK: Duration = Duration::from_millis(250);
/// Choices are written so long after a change.
const SAVE: Duration = Duration::from_millis(500);
/// What was sent is written so often.
const SAVE_METER: Duration = Duration::from_secs(30);
/// Between two attempts to sign in by itself.
const SIGN_IN_AGAIN: Duration = Duration::from_secs(2);
/// The first segment of a channel is waited for so long before it is called a problem.
const FIRST: Duration = Duration::from_secs(6);
/// How long the local address's last replies are waited for.
const SERVING: Duration = Duration::from_millis(500);

/// What comes of an attempt to sign in.
type Signing = BoxFuture<'static, Result<Viewer, Failure>>;

/// Why nobody is signed in.
enum Failure {
    /// No sign-in is remembered or configured.
    Nobody,
    /// It did not go.
    Failed(Error),
}

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

/// What there is while somebody is signed in.
struct Seat {
    viewer: Viewer,
    state: watch::Receiver<SessionState>,
    tuner: Tuner,
    player: Player,
    serving: Stop,
    server: Option<JoinHandle<()>>,
    local: Option<SocketAddr>,
    /// The configured local address, if it was taken.
    taken: Option<SocketAddr>,
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

    // --- signing in and out

    async fn sign_in(&mut self, sign_in: SignIn) {
        let SignIn { server, user, password, remember } = sign_in;
        self.unseat(false).await;
        self.settings.server = Some(server.clone());
        self.settings.user = Some(user.clone());
        self.settings.remember = remember;
        self.save.get_or_insert(Instant::now() + SAVE);
        self.by_hand = Some(server.clone());
        self.sign_in_at = None;
        self.refused = None;
        let wanted = Wanted {
            server,
            user: Some(user.clone()),
            login: Login::User { username: user, password },
            remember,
            share: crate::settings::Share::Off,
        };
        self.begin(Ok(wanted));
    }

    /// Signs in as configured, or as remembered.
    fn sign_in_by_itself(&mut self) {
        self.by_hand = None;
        self.sign_in_at = None;
        let account = &self.config.account;
        let password = account.password.as_ref().and_then(|password| password.read().ok());
        let wanted = match (&self.config.server, &account.user, password) {
            (Some(server), Some(user), Some(password)) => Ok(Wanted {
                server: server.clone(),
                user: Some(user.clone()),
                login: Login::User {
                    username: user.clone(),
                    password: password.expose().to_owned(),
                },
                remember: account.remember,
                share: crate::settings::Share::Off,
            }),
            (server, ..) => Err(server.clone()),
        };
        self.begin(wanted);
    }

    /// Begins to sign in: as wanted, or as remembered for a server (`None`: any).
    fn begin(&mut self, wanted: Result<Wanted, Option<Url>>) {
        let (config, vault) = (self.config.clone(), self.vault.clone());
        self.signing = Some(Box::pin(async move {
            let wanted = match wanted {
                Ok(wanted) => wanted,
                Err(server) => {
                    let last = vault.last().await;
                    let fits =
                        last.filter(|last| server.is_none_or(|server| server == last.server));
                    let last = fits.ok_or(Failure::Nobody)?;
                    Wanted {
                        server: last.server,
                        user: last.user,
                        login: Login::Refresh { token: last.refresh_token },
                        remember: true,
                        share: crate::settings::Share::Off,
                    }
                }
            };
            Viewer::sign_in(&config, vault, wanted, Instant::now()).await.map_err(Failure::Failed)
        }));
    }

    async fn signed(&mut self, signed: Result<Viewer, Failure>) {
        let by_hand = self.by_hand.take();
        match signed {
            Ok(viewer) => self.sit(viewer).await,
            Err(Failure::Nobody) => {}
            Err(Failure::Failed(error)) => {
                tracing::info!(%error, "not signed in");
                self.refused = Some(match (&error, &by_hand) {
                    (Error::Session(SessionError::AuthUnreachable(_)), Some(server)) => {
                        let server = server.host_str().unwrap_or_default().to_owned();
                        Problem::WrongServer { server }
                    }
                    (error, _) => problem::of_error(error, ""),
                });
                let passing = matches!(
                    &error,
                    Error::Session(
                        SessionError::AuthUnreachable(_)
                            | SessionError::RendezvousUnreachable
                            | SessionError::TooMany(_)
                    ) | Error::Socket { .. }
                );
                if by_hand.is_none() && passing {
                    self.sign_in_at = Some(Instant::now() + SIGN_IN_AGAIN);
                }
            }
        }
    }

    /// Somebody is signed in.
    async fn sit(&mut self, viewer: Viewer) {
        self.refused = None;
        self.meter.restart();
        viewer.live.set_rendition(self.rendition());
        let state = viewer.live.state();
        let channels = Channels::new(viewer.live.clone(), self.config.local.max_channels);
        let player = Player::new(channels);
        let serving = Stop::new();
        let listen = self.config.local.listen;
        let serve = |listen| {
            let router = local::router(player.clone(), &self.config.local);
            service::serve(listen, router, serving.clone())
        };
        let (served, taken) = match serve(listen).await {
            Ok(served) => (Some(served), None),
            Err(_) => (serve(SocketAddr::new(listen.ip(), 0)).await.ok(), Some(listen)),
        };
        let (local, server) = served.unzip();
        let folder = self.config.cache_folder();
        let cache = self.settings.cache_bytes();
        let tuner = Tuner::new(self.shared.clone(), player.clone(), folder, cache);
        if self.settings.server.as_ref() != Some(&viewer.server) {
            self.settings.server = Some(viewer.server.clone());
            self.save.get_or_insert(Instant::now() + SAVE);
        }
        self.seat = Some(Seat { viewer, state, tuner, player, serving, server, local, taken });
        self.chooses = true;
        self.share();
        self.choose();
    }

    /// Plays what was wanted, or the last channel, or the first, as soon as the line-up is known.
    fn choose(&mut self) {
        let Some(seat) = self.seat.as_ref().filter(|_| self.chooses) else { return };
        let line_up = seat.viewer.live.line_up();
        if line_up.is_empty() {
            return;
        }
        self.chooses = false;
        let known: BTreeSet<&str> = line_up.iter().map(|info| info.id.as_str()).collect();
        let wanted = self.wanted.take().or_else(|| self.settings.last_channel.clone());
        let wanted = wanted.filter(|wanted| known.contains(wanted.as_str()));
        let first = || line_up.iter().find(|info| info.live).or(line_up.first());
        if let Some(channel) = wanted.or_else(|| first().map(|info| info.id.clone())) {
            self.zap(channel);
        }
    }

    async fn sign_out(&mut self) {
        self.signing = None;
        self.sign_in_at = None;
        self.refused = None;
        match &mut self.seat {
            Some(seat) => seat.viewer.remember = false,
            None => self.vault.forget().await,
        }
        self.unseat(true).await;
    }

    /// Leaves the platform. `forget`: the sign-in ends, too.
    async fn unseat(&mut self, forget: bool) {
        let Some(seat) = self.seat.take() else { return };
        let Seat { mut viewer, mut tuner, player, serving, server, .. } = seat;
        tuner.stop().stop().await;
        drop(tuner);
        *self.shared.now() = Now::default();
        serving.request();
        player.channels().close().await;
        if let Some(server) = server {
            let _ended = tokio::time::timeout(SERVING, server).await;
        }
        drop(player);
        if forget {
            viewer.remember = false;
        }
        viewer.leave().await;
    }

    /// The platform does not sign the viewer in any more.
    async fn expelled(&mut self, why: &SessionError) {
        tracing::info!(%why, "the sign-in has ended");
        // It ends here too: what is remembered is of no use.
        self.unseat(true).await;
        self.refused = Some(match why {
            SessionError::WrongPassword => Problem::WrongPassword,
            _ => Problem::SessionExpired,
        });
    }

    // --- looking after

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
        if self.save.is_some_and(|at| at <= Instant::now()) {
            self.save = None;
            self.write().await;
        }
        if self.saved_meter.elapsed() > SAVE_METER {
            self.saved_meter = Instant::now();
            self.meter.save();
        }
    }

    async fn write(&mut self) {
        let (file, settings) = (self.file.clone(), self.settings.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&settings)).await;
        self.unsaved = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Problem::SettingsNotKept { why: error.to_string() }),
            Err(_) => None,
        };
    }

    async fn end(mut self) {
        self.signing = None;
        if self.save.take().is_some() {
            self.write().await;
        }
        self.unseat(false).await;
        self.meter.save();
    }

    // --- what is shown

    fn publish(&mut self) {
        let upload = self.share();
        let phase = match &self.seat {
            Some(seat) => seat.tuner.phase(),
            None if self.signing.is_some() || self.sign_in_at.is_some() => Phase::SigningIn,
            None => Phase::SignInWanted,
        };
        let mut problems = self.problems(upload.state);
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity()));
        let before = self.shared.view.borrow().clone();
        let view = View {
            phase,
            line_up: self.line_up(),
            transport: match &self.seat {
                Some(seat) => seat.tuner.transport(),
                None => Transport {
                    generation: before.transport.generation,
                    mode: Mode::Live,
                    ..Transport::default()
                },
            },
            settings: match *before.settings == self.settings {
                true => before.settings.clone(),
                false => Arc::new(self.settings.clone()),
            },
            guide: self.guide.clone(),
            problems,
            upload,
            local: self.seat.as_ref().and_then(|seat| seat.local),
            account: self.seat.as_ref().map(Seat::account),
        };
        if view.phase != before.phase || view.problems != before.problems {
            self.shared.history().push(&view);
        }
        if view != *before {
            self.shared.view.send_replace(Arc::new(view));
        }
    }

    fn line_up(&self) -> Vec<Channel> {
        let line_up = self.seat.as_ref().map(|seat| seat.viewer.live.line_up());
        let channel = |info| Channel::new(info, &self.settings);
        line_up.unwrap_or_default().into_iter().map(channel).collect()
    }

    fn problems(&self, upload: UploadState) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.refused.clone().into_iter().collect();
        if let Some(seat) = &self.seat {
            problems.extend(seat.problems());
        }
        if self.no_sound {
            problems.push(Problem::NoSound);
        }
        let kept = self.seat.as_ref().map(|seat| (seat.viewer.remember, seat.viewer.vault.kept()));
        if kept == Some((true, Kept::File)) {
            problems.push(Problem::SecretInFile);
        }
        match upload {
            UploadState::Metered => problems.push(Problem::Metered),
            UploadState::MonthlyLimit => problems.push(Problem::MonthlyLimit),
            _ => {}
        }
        problems.extend(self.picture.clone().map(|why| Problem::Picture { why }));
        problems.extend(self.unsaved.clone());
        problems.extend(self.faults.iter().cloned());
        problems
    }
}

impl Seat {
    fn transport(&mut self, command: Command, guide: &Guide) {
        let tuner = &mut self.tuner;
        match command {
            Command::Pause => tuner.pause(),
            Command::Resume => tuner.resume(),
            Command::TogglePause => tuner.toggle_pause(),
            Command::SeekTo(position) => tuner.seek_to(position),
            Command::SeekBy(seconds) => tuner.seek_by(seconds),
            Command::Live => tuner.live(),
            Command::RestartProgramme => tuner.restart_programme(guide),
            Command::Shown(position) => tuner.shown(position),
            Command::Pictured => tuner.pictured(),
            _ => {}
        }
    }

    fn account(&self) -> Account {
        let viewer = &self.viewer;
        Account {
            server: viewer.server.clone(),
            user: viewer.user.clone(),
            platform: viewer.live.node().platform().to_string(),
            kept: if viewer.remember { viewer.vault.kept() } else { Kept::Not },
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let state = self.state.borrow();
        let mut problems = self.tuner.problems(state.rendezvous || state.auth, FIRST);
        if (!state.auth || !state.rendezvous) && !problems.contains(&Problem::NoNetwork) {
            problems.push(Problem::PlatformAway);
        }
        problems.extend(
            self.taken.map(|address| Problem::LocalAddress { address: address.to_string() }),
        );
        problems
    }
}

/// The future's outcome; never, if there is none. Cancel safe.
async fn maybe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits until something of the platform or the channel has changed. Cancel safe.
async fn busy(seat: &mut Option<Seat>) {
    let Some(Seat { tuner, state, .. }) = seat else { return std::future::pending().await };
    tokio::select! {
        () = tuner.next() => {}
        Ok(()) = state.changed() => {
            let back = {
                let state = state.borrow();
                let live = |channel| {
                    state.line_up.iter().any(|info| info.id == channel && info.live)
                };
                state.rendezvous && tuner.channel().is_some_and(live)
            };
            if back {
                tuner.retry_if_waiting();
            }
        }
    }
}
