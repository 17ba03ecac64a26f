//! The player's core for a window, without a user interface: signs in, plays channels, recovers by itself, keeps choices.
//!
//! One task owns everything (`core`). A [`Television`] is its handle: commands return at once, and what comes of them is in
//! the [`View`], one picture of everything at a time. Neither GTK nor GStreamer is known here: the window takes transport
//! stream from a [`Source`] and tells what it has shown.
//!
//! What goes wrong is a [`Problem`](crate::problem::Problem) in the view as long as it lasts. The core tries again by itself
//! wherever that can help.

mod core;
mod handle;
mod logo;
mod report;
mod tuner;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::Error;
use crate::account::State;
use crate::bus;
use crate::choices::{self, Settings};
use crate::guide::Guide;
use crate::player::Player;
use crate::settings::Config;
use crate::stats::Stats;
use crate::timeshift::{Position, Source, Start, TimeShift};

use self::core::Core;
pub(crate) use self::handle::Handle;
use self::logo::Logos;
use self::report::History;
pub use view::{Account, Channel, Mode, Phase, SignIn, Transport, View, Wish};

/// Commands that wait for the core; more are dropped, as nobody presses so many keys.
const COMMANDS: usize = 256;
/// Wishes that a window may leave untaken.
const WISHES: usize = 16;
/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(4);

/// What the core is told.
enum Command {
    SignIn(SignIn),
    SignOut,
    Zap(String),
    ZapBy(i32),
    ZapNumber(u32),
    ZapBack,
    Stop,
    Retry,
    Pause,
    Resume,
    TogglePause,
    SeekTo(Position),
    SeekBy(i64),
    Live,
    RestartProgramme,
    Shown(Position),
    Pictured,
    NoSound(bool),
    Decoder(Result<(), String>),
    Change(Box<dyn FnOnce(&mut Settings) + Send>),
    Close(oneshot::Sender<()>),
}

/// The player's core. Clones share it; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Television {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What handles read without asking.
struct Shared {
    view: watch::Sender<Arc<View>>,
    wishes: broadcast::Sender<Wish>,
    now: Mutex<Now>,
    history: Mutex<History>,
    logos: Logos,
}

/// What is played now.
#[derive(Default)]
struct Now {
    player: Option<Player>,
    shift: Option<TimeShift>,
    start: Option<Start>,
    /// The view's generation that these belong to.
    generation: u64,
    /// From the choice of channel to its first picture on the screen.
    picture_ms: u64,
}

impl Shared {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn now(&self) -> MutexGuard<'_, Now> {
        // What is behind the lock is whole after every statement that changes it.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Television {
    /// Starts. It signs in by itself if the configuration says how or a sign-in is remembered, and plays the last channel.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the state folder cannot be used, or another viewer uses it. Nothing else keeps it from starting.
    pub fn start(config: Config) -> Result<Self, Error> {
        let state = Arc::new(State::open(&config.state_folder())?);
        let (file, settings, faults) = choices::File::read(&config.choices_file());
        let (commands, told) = mpsc::channel(COMMANDS);
        let logos = Logos::new(&config.cache_folder().join("logos"));
        let view = View {
            phase: Phase::SigningIn,
            line_up: Vec::new(),
            transport: Transport::default(),
            settings: Arc::new(settings.clone()),
            guide: Arc::default(),
            problems: Vec::new(),
            upload: Default::default(),
            local: None,
            account: None,
        };
        let shared = Arc::new(Shared {
            view: watch::Sender::new(Arc::new(view)),
            wishes: broadcast::Sender::new(WISHES),
            now: Mutex::default(),
            history: Mutex::default(),
            logos,
        });
        let core = Core::new(config, state, (file, settings, faults), shared.clone());
        tokio::spawn(core.run(told));
        let television = Self { commands, shared };
        let remote = television.handle();
        let view = television.view();
        tokio::spawn(async move {
            bus::mpris::serve(zbus::connection::Builder::session(), remote, view).await;
        });
        Ok(television)
    }

    /// A handle that does not keep it alive.
    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self)
    }

    fn tell(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!("a command is dropped: the program is busy or ends");
        }
    }

    /// All that is shown, and each change.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.shared.view.subscribe()
    }

    /// What others want of the window.
    pub fn wishes(&self) -> broadcast::Receiver<Wish> {
        self.shared.wishes.subscribe()
    }

    /// Signs in, instead of whoever is.
    pub fn sign_in(&self, sign_in: SignIn) {
        self.tell(Command::SignIn(sign_in));
    }

    /// Signs out, and forgets the sign-in.
    pub fn sign_out(&self) {
        self.tell(Command::SignOut);
    }

    /// Plays a channel. Of many in quick succession only the last is started.
    pub fn zap(&self, channel: &str) {
        self.tell(Command::Zap(channel.to_owned()));
    }

    /// Plays the channel so many places further in the line-up, round and round.
    pub fn zap_by(&self, steps: i32) {
        self.tell(Command::ZapBy(steps));
    }

    /// Plays the channel of this number. `false` if there is none.
    pub fn zap_number(&self, number: u32) -> bool {
        let known =
            self.shared.view.borrow().line_up.iter().any(|channel| channel.number == number);
        if known {
            self.tell(Command::ZapNumber(number));
        }
        known
    }

    /// Plays the channel before.
    pub fn zap_back(&self) {
        self.tell(Command::ZapBack);
    }

    /// Plays nothing any more.
    pub fn stop(&self) {
        self.tell(Command::Stop);
    }

    /// Tries again now whatever waits to be tried again.
    pub fn retry(&self) {
        self.tell(Command::Retry);
    }

    /// Pauses.
    pub fn pause(&self) {
        self.tell(Command::Pause);
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.tell(Command::Resume);
    }

    /// Pauses or goes on.
    pub fn toggle_pause(&self) {
        self.tell(Command::TogglePause);
    }

    /// Goes to a place, or the nearest that is kept. It plays there, also if it was paused.
    pub fn seek_to(&self, position: Position) {
        self.tell(Command::SeekTo(position));
    }

    /// Goes so many seconds on, or back if negative.
    pub fn seek_by(&self, seconds: i64) {
        self.tell(Command::SeekBy(seconds));
    }

    /// Goes to the live edge.
    pub fn live(&self) {
        self.tell(Command::Live);
    }

    /// Goes to the beginning of what is on, if that is kept.
    pub fn restart_programme(&self) {
        self.tell(Command::RestartProgramme);
    }

    /// A reader of the channel at the place where the viewer is; `None` while nothing is received, or if the view's
    /// `generation` is not the newest: then there is a newer view already. Open another whenever it changes.
    pub fn open(&self, generation: u64) -> Option<Source> {
        let now = self.shared.now();
        let shift = now.shift.as_ref().filter(|_| now.generation == generation)?;
        Some(shift.source(now.start.unwrap_or(Start::Live)))
    }

    /// A reader of the channel from the place on that is shown now, for who is behind live.
    pub fn open_at(&self, position: Position) -> Option<Source> {
        let now = self.shared.now();
        Some(now.shift.as_ref()?.source(Start::At(position)))
    }

    /// What is on the screen. To be told a few times per second.
    pub fn shown(&self, position: Position) {
        self.tell(Command::Shown(position));
    }

    /// The first picture of a channel is on the screen.
    pub fn pictured(&self) {
        self.tell(Command::Pictured);
    }

    /// Whether there is no sound device.
    pub fn no_sound(&self, none: bool) {
        self.tell(Command::NoSound(none));
    }

    /// How the window fares with showing pictures.
    pub fn decoder(&self, outcome: Result<(), String>) {
        self.tell(Command::Decoder(outcome));
    }

    /// Changes the viewer's choices. They are written half a second later.
    pub fn change(&self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        self.tell(Command::Change(Box::new(change)));
    }

    /// What is on.
    pub fn guide(&self) -> Arc<Guide> {
        self.shared.view.borrow().guide.clone()
    }

    /// The figures of what is played; all zero if nothing is.
    pub fn figures(&self) -> Stats {
        let (player, picture_ms) = {
            let now = self.shared.now();
            (now.player.clone(), now.picture_ms)
        };
        let none = || Stats::new(String::new(), None, None, Default::default());
        let stats = player.map_or_else(none, |player| player.stats());
        Stats { picture_ms, ..stats }
    }

    /// The logo of a channel (PNG, JPEG or SVG), if it has one that can be had. It is kept on disk for a day.
    pub async fn logo(&self, channel: &str) -> Option<Bytes> {
        let url = {
            let view = self.shared.view.borrow();
            view.line_up.iter().find(|known| known.id == channel)?.logo.clone()?
        };
        self.shared.logos.get(&url).await
    }

    /// A report for the operator: what the program does, what went wrong, figures. It holds no addresses, no names and no
    /// secrets.
    pub async fn report(&self) -> String {
        let (view, history) = (self.shared.view.borrow().clone(), self.shared.history().clone());
        report::write(&view, &self.figures(), &history)
    }

    /// Leaves the platform and writes what is to be kept. Takes a few seconds at most.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ended = tokio::time::timeout(LEAVING, wait).await;
        }
    }
}
