//! The window itself: its pages, and what goes between them, the core and the playback.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::channel::mpsc;
use gtk::prelude::*;
use gtk::{gio, glib};
use service::Stop;
use tokio::runtime::Handle;

use super::channels::Channels;
use super::guide::GuideView;
use super::logos::Logos;
use super::look::Look;
use super::preferences::Preferences;
use super::sign_in::{SignIn, welcome};
use super::single::Call;
use super::stage::{Stage, loudness};
use super::widgets::{column, icon_button, row, spoken};
use super::words::{put, tr};
use super::{Start, actions, keys, statistics, tracks};
use crate::playback::tables::Track;
use crate::playback::{Chunk, Event, Feed, Loudness, Playback, Slot};
use crate::television::{Mode, Phase, Television, View, Wish};
use crate::timeshift::{Position, Source};

/// How often positions and times are looked at.
const TICK: Duration = Duration::from_millis(250);
/// After the last digit of a number.
const TYPED: Duration = Duration::from_millis(1400);
/// Numbers have at most so many digits.
const DIGITS: usize = 4;

/// What reaches the window beside the core.
pub(super) struct Outside {
    /// Where scripts are told the local address.
    pub(super) announce: Option<PathBuf>,
    /// Auth's address, if it is configured.
    pub(super) server: Option<url::Url>,
    /// Later starts.
    pub(super) called: Option<mpsc::UnboundedReceiver<Call>>,
    /// Signals.
    pub(super) stop: Stop,
}

/// The window.
pub(super) struct Ui {
    application: gtk::Application,
    pub(super) window: gtk::ApplicationWindow,
    pub(super) television: Television,
    runtime: Handle,
    playback: RefCell<Playback>,
    slot: Slot,
    look: Option<Rc<Look>>,
    pages: gtk::Stack,
    sign_in: Rc<SignIn>,
    channels: Rc<Channels>,
    side: gtk::Revealer,
    pub(super) stage: Rc<Stage>,
    pub(super) guide: Rc<GuideView>,
    title: gtk::Label,
    /// Buttons for which something must be watched.
    only_watching: gtk::Box,
    preferences: RefCell<Option<Rc<Preferences>>>,
    view: RefCell<Arc<View>>,
    /// What the playback was started for.
    generation: Cell<Option<u64>>,
    channel: RefCell<String>,
    tracks: RefCell<Vec<Track>>,
    digits: RefCell<String>,
    digits_turn: Cell<u64>,
    silent: Cell<bool>,
    inhibited: Cell<Option<u32>>,
    start: Start,
    stop: Stop,
    announce: RefCell<Option<PathBuf>>,
    first_picture: Cell<Option<Instant>>,
    ticks: Cell<u64>,
}

impl Ui {
    /// Opens the window.
    pub(super) fn open(
        application: &gtk::Application,
        television: Television,
        runtime: Handle,
        start: Start,
        outside: Outside,
    ) {
        let Outside { announce, server, called, stop } = outside;
        let view = television.view().borrow().clone();
        let size = &view.settings.window;
        let window = gtk::ApplicationWindow::builder()
            .application(application)
            .title("Braidcast")
            .icon_name(super::APPLICATION)
            .default_width(i32::try_from(size.width.clamp(480, 8000)).unwrap_or(1100))
            .default_height(i32::try_from(size.height.clamp(360, 8000)).unwrap_or(680))
            .css_classes(["braidcast"])
            .build();
        let look = gtk::gdk::Display::default().map(|display| Look::new(&display));
        let logos = Logos::new(television.clone(), runtime.clone());
        let (slot, pictures) = Slot::new();
        let (playback, events) = Playback::new(runtime.clone(), slot.clone());
        let (bar, title, only_watching) = header();
        window.set_titlebar(Some(&bar));

        let stage = Stage::new(&logos);
        let guide = GuideView::new(logos.clone());
        stage.root.add_overlay(&guide.root);
        let channels = Channels::new(logos);
        let side = gtk::Revealer::builder()
            .transition_type(gtk::RevealerTransitionType::SlideRight)
            .transition_duration(160)
            .reveal_child(true)
            .child(&channels.root)
            .build();
        let main = row(0);
        main.append(&side);
        main.append(&stage.root);
        let sign_in = SignIn::new(television.clone(), server);
        let pages = gtk::Stack::new();
        pages.add_named(&waiting(), Some("waiting"));
        pages.add_named(&sign_in.root, Some("sign-in"));
        pages.add_named(&welcome(&television, view.settings.sharing.kbits), Some("welcome"));
        pages.add_named(&main, Some("main"));
        window.set_child(Some(&pages));

        let ui = Rc::new(Self {
            application: application.clone(),
            window,
            television,
            runtime,
            playback: RefCell::new(playback),
            slot,
            look,
            pages,
            sign_in,
            channels,
            side,
            stage,
            guide,
            title,
            only_watching,
            preferences: RefCell::default(),
            view: RefCell::new(view),
            generation: Cell::default(),
            channel: RefCell::default(),
            tracks: RefCell::default(),
            digits: RefCell::default(),
            digits_turn: Cell::default(),
            silent: Cell::default(),
            inhibited: Cell::default(),
            announce: RefCell::new(announce),
            start,
            stop,
            first_picture: Cell::default(),
            ticks: Cell::default(),
        });
        actions::define(&ui);
        keys::define(&ui);
        ui.listen(pictures, events, called);
        ui.connect();
        if let Some(channel) = &ui.start.channel {
            ui.television.zap(channel);
        }
        ui.show();
        if ui.view.borrow().settings.window.maximized {
            ui.window.maximize();
        }
        ui.window.present();
        if ui.is_watching() {
            // The first field of the page would have it.
            ui.stage.focus();
        }
    }

    /// Everything that comes from outside, each in its own future that ends with the window.
    fn listen(
        self: &Rc<Self>,
        mut pictures: mpsc::Receiver<()>,
        mut events: mpsc::UnboundedReceiver<(u64, Event)>,
        called: Option<mpsc::UnboundedReceiver<Call>>,
    ) {
        let weak = Rc::downgrade(self);
        glib::spawn_future_local(async move {
            while pictures.next().await.is_some() {
                let Some(ui) = weak.upgrade() else { break };
                if let Some(picture) = ui.slot.take() {
                    ui.stage.screen.show(Some(picture));
                }
            }
        });
        let weak = Rc::downgrade(self);
        glib::spawn_future_local(async move {
            while let Some((generation, event)) = events.next().await {
                let Some(ui) = weak.upgrade() else { break };
                if ui.generation.get() == Some(generation) {
                    ui.played(event);
                }
            }
        });
        let weak = Rc::downgrade(self);
        let mut views = self.television.view();
        glib::spawn_future_local(async move {
            while views.changed().await.is_ok() {
                let view = views.borrow_and_update().clone();
                let Some(ui) = weak.upgrade() else { break };
                ui.view.replace(view);
                ui.show();
            }
        });
        let weak = Rc::downgrade(self);
        let mut wishes = self.television.wishes();
        glib::spawn_future_local(async move {
            use tokio::sync::broadcast::error::RecvError;
            loop {
                let wish = wishes.recv().await;
                let Some(ui) = weak.upgrade() else { break };
                match wish {
                    Ok(Wish::Raise) => ui.window.present(),
                    Ok(Wish::Quit) => ui.window.close(),
                    Ok(Wish::FullScreen(full)) => ui.window.set_fullscreened(full),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
        });
        if let Some(mut called) = called {
            let weak = Rc::downgrade(self);
            glib::spawn_future_local(async move {
                while let Some(call) = called.next().await {
                    let Some(ui) = weak.upgrade() else { break };
                    ui.called(call);
                }
            });
        }
        let weak = Rc::downgrade(self);
        glib::timeout_add_local(TICK, move || match weak.upgrade() {
            Some(ui) => {
                ui.tick();
                glib::ControlFlow::Continue
            }
            None => glib::ControlFlow::Break,
        });
        let weak = Rc::downgrade(self);
        let stop = self.stop.clone();
        glib::spawn_future_local(async move {
            stop.requested().await;
            if let Some(ui) = weak.upgrade() {
                ui.window.close();
            }
        });
    }

    fn connect(self: &Rc<Self>) {
        // The window's closures hold it weakly; this one holds it until it is closed.
        let this = RefCell::new(Some(self.clone()));
        self.window.connect_close_request(move |window| {
            if let Some(ui) = this.take() {
                ui.leave(window);
            }
            glib::Propagation::Proceed
        });
        let weak = Rc::downgrade(self);
        self.window.connect_fullscreened_notify(move |window| {
            if let Some(ui) = weak.upgrade() {
                let full = window.is_fullscreen();
                ui.stage.banner.full_screen(full);
                ui.side.set_visible(!full);
                // What is hidden would pass the focus on to some button.
                if ui.is_watching() {
                    ui.stage.focus();
                }
                ui.stage.wake();
            }
        });
    }

    fn leave(&self, window: &gtk::ApplicationWindow) {
        self.playback.borrow_mut().stop();
        let maximized = window.is_maximized();
        let (width, height) = (window.default_width(), window.default_height());
        self.television.change(move |settings| {
            settings.window.maximized = maximized;
            if !maximized {
                settings.window.width = width.unsigned_abs().max(480);
                settings.window.height = height.unsigned_abs().max(360);
            }
        });
    }

    /// Another start wants this window.
    fn called(&self, call: Call) {
        if let Some(channel) = call.channel {
            self.television.zap(&channel);
        }
        if let Some(token) = call.token {
            self.window.set_startup_id(&token);
        }
        self.window.present();
    }

    /// Takes over the core's view.
    fn show(self: &Rc<Self>) {
        let view = self.view.borrow().clone();
        if let Some(look) = &self.look {
            look.choose(view.settings.appearance);
        }
        let asked = view.settings.sharing.choice.is_some();
        let page = match view.phase {
            Phase::SignInWanted => "sign-in",
            Phase::SigningIn if view.account.is_none() && self.page() == "sign-in" => "sign-in",
            Phase::SigningIn if !view.problems.is_empty() => "sign-in",
            Phase::SigningIn if view.line_up.is_empty() => "waiting",
            _ if !asked => "welcome",
            _ => "main",
        };
        if self.page() != page {
            self.pages.set_visible_child_name(page);
            match page {
                "sign-in" => self.sign_in.focus(),
                "main" => {
                    self.sign_in.forget();
                    self.stage.focus();
                }
                _ => {}
            }
        }
        self.only_watching.set_visible(page == "main");
        self.sign_in.show(&view);
        self.channels.show(&view);
        super::widgets::say(&self.channels.foot, &statistics::upload(&view.upload));
        self.guide.show(&view);
        self.follow(&view);
        self.stage.show(&view, self.position());
        self.name_window(&view);
        let loud = Loudness {
            volume: f64::from(view.settings.volume) / 100.0,
            muted: view.settings.muted,
        };
        self.playback.borrow().set_loudness(loud);
        self.inhibit(
            matches!(view.phase, Phase::Playing { .. }) && view.transport.mode != Mode::Paused,
        );
        if let Some(preferences) = &*self.preferences.borrow() {
            preferences.show(&view);
        }
        self.announce(&view);
    }

    fn page(&self) -> glib::GString {
        self.pages.visible_child_name().unwrap_or_default()
    }

    /// Plays what the core says.
    fn follow(self: &Rc<Self>, view: &View) {
        let channel = view.phase.channel().unwrap_or_default();
        if *self.channel.borrow() != channel {
            channel.clone_into(&mut self.channel.borrow_mut());
            self.playback.borrow_mut().stop();
            self.generation.set(None);
            self.slot.take();
            self.stage.begin();
        }
        let paused = view.transport.mode == Mode::Paused;
        if !channel.is_empty() && self.generation.get() != Some(view.transport.generation) {
            if let Some(source) = self.television.open() {
                self.generation.set(Some(view.transport.generation));
                self.play(source, view, paused);
            }
        } else {
            self.playback.borrow().pause(paused);
        }
    }

    fn play(&self, source: Source, view: &View, paused: bool) {
        let choice = tracks::choice(&view.settings, &self.channel.borrow(), self.silent.get());
        self.playback.borrow_mut().start(view.transport.generation, feed(source), choice, paused);
    }

    /// Plays on from here with other tracks.
    fn play_again(&self) {
        let view = self.view.borrow().clone();
        if let Some(source) = self.television.open() {
            self.play(source, &view, view.transport.mode == Mode::Paused);
        }
    }

    fn played(self: &Rc<Self>, event: Event) {
        match event {
            Event::Pictured => {
                self.stage.pictured();
                self.television.pictured();
                self.television.decoder(Ok(()));
                if self.first_picture.get().is_none() {
                    self.first_picture.set(Some(Instant::now()));
                    if let Some(started) = self.start.started {
                        tracing::info!(
                            ms = started.elapsed().as_millis() as u64,
                            "the first picture is shown"
                        );
                    }
                }
                let view = self.view.borrow().clone();
                self.stage.show(&view, self.position());
            }
            Event::Tracks { all, sound, subtitles } => {
                let key = |index: Option<usize>| index.map(|i| tracks::key(&all[i], &all));
                actions::set_track(&self.window, "sound", &key(sound).unwrap_or_default());
                actions::set_track(
                    &self.window,
                    "subtitles",
                    &key(subtitles).unwrap_or_else(|| "off".to_owned()),
                );
                self.stage.banner.tracks.set_menu_model(Some(&tracks::menu(&all)));
                self.tracks.replace(all);
            }
            Event::Sound(there) => {
                self.silent.set(!there);
                self.television.no_sound(!there);
            }
            Event::Failed(why) => {
                self.generation.set(None);
                self.television.decoder(Err(why));
            }
            Event::Ended => {}
        }
    }

    fn position(&self) -> Option<Position> {
        self.playback.borrow().position().map(Position)
    }

    fn tick(self: &Rc<Self>) {
        let ticks = self.ticks.get() + 1;
        self.ticks.set(ticks);
        if let Some(position) = self.position() {
            self.television.shown(position);
        }
        self.stage.tick(self.window.is_fullscreen());
        let view = self.view.borrow().clone();
        self.stage.show(&view, self.position());
        if !ticks.is_multiple_of(4) {
            return;
        }
        if self.stage.statistics.is_shown() || self.start.stats.is_some() {
            let figures = self.television.figures();
            if self.stage.statistics.is_shown() {
                self.stage.statistics.show(&figures, &view);
            }
            if let Some(path) = self.start.stats.clone() {
                self.runtime.spawn_blocking(move || {
                    if let Err(error) = service::announce(Some(&path), &figures) {
                        tracing::warn!(%error, "cannot write figures");
                    }
                });
            }
        }
        if ticks.is_multiple_of(40) {
            // What is on has moved on.
            self.channels.show(&view);
            self.guide.show(&view);
        }
        let over = self.first_picture.get().zip(self.start.duration);
        if over.is_some_and(|(since, duration)| since.elapsed() >= duration) {
            self.window.close();
        }
    }

    fn name_window(&self, view: &View) {
        let channel =
            view.line_up.iter().find(|channel| Some(channel.id.as_str()) == view.phase.channel());
        let title = channel.map_or("Braidcast", |channel| &channel.name);
        super::widgets::say(&self.title, title);
        let whole = match channel {
            Some(channel) => format!("{} – Braidcast", channel.name),
            None => "Braidcast".to_owned(),
        };
        if self.window.title().as_deref() != Some(&whole) {
            self.window.set_title(Some(&whole));
        }
    }

    /// Keeps the screen awake while something is watched.
    fn inhibit(&self, awake: bool) {
        match (awake, self.inhibited.get()) {
            (true, None) => {
                let what =
                    gtk::ApplicationInhibitFlags::IDLE | gtk::ApplicationInhibitFlags::SUSPEND;
                let cookie = self.application.inhibit(
                    Some(&self.window),
                    what,
                    Some(tr("Television is playing")),
                );
                self.inhibited.set(Some(cookie));
            }
            (false, Some(cookie)) => {
                if cookie != 0 {
                    self.application.uninhibit(cookie);
                }
                self.inhibited.set(None);
            }
            _ => {}
        }
    }

    /// Tells scripts where the local address is, as soon as it is known.
    fn announce(&self, view: &View) {
        let Some(http) = view.local else { return };
        let Some(path) = self.announce.borrow_mut().take() else { return };
        self.runtime.spawn_blocking(move || {
            let announced = serde_json::json!({ "http": http.to_string() });
            if let Err(error) = service::announce(Some(&path), &announced) {
                tracing::warn!(%error, "cannot announce the local address");
            }
        });
    }

    // What the actions do.

    /// Whether channels are shown, not a page before them.
    pub(super) fn is_watching(&self) -> bool {
        self.page() == "main"
    }

    fn focused(&self) -> Option<gtk::Widget> {
        gtk::prelude::GtkWindowExt::focus(&self.window)
    }

    /// Whether somebody types into a field.
    pub(super) fn types(&self) -> bool {
        self.focused().is_some_and(|widget| widget.is::<gtk::Text>())
    }

    /// Whether a slider has the focus.
    pub(super) fn slides(&self) -> bool {
        self.focused().is_some_and(|widget| widget.is::<gtk::Scale>())
    }

    /// Whether a button has the focus.
    pub(super) fn presses(&self) -> bool {
        self.focused()
            .is_some_and(|widget| widget.is::<gtk::Button>() || widget.is::<gtk::MenuButton>())
    }

    /// Whether a menu is open.
    pub(super) fn has_menu(&self) -> bool {
        self.focused().is_some_and(|widget| widget.ancestor(gtk::Popover::static_type()).is_some())
    }

    pub(super) fn zap_by(&self, steps: i32) {
        self.television.zap_by(steps);
    }

    pub(super) fn digit(self: &Rc<Self>, digit: u32) {
        {
            let mut digits = self.digits.borrow_mut();
            if digits.len() >= DIGITS {
                digits.clear();
            }
            digits.push_str(&digit.to_string());
        }
        let typed = self.digits.borrow().clone();
        let number: u32 = typed.parse().unwrap_or(0);
        let view = self.view.borrow().clone();
        let name = view.line_up.iter().find(|channel| channel.number == number);
        self.stage
            .type_number(&name.map_or(typed, |channel| format!("{number}  {}", channel.name)));
        let turn = self.digits_turn.get() + 1;
        self.digits_turn.set(turn);
        // A longer number can only begin like this one.
        let longer =
            view.line_up.iter().any(|channel| number > 0 && starts(channel.number, number));
        let wait = if longer { TYPED } else { TYPED / 4 };
        let weak = Rc::downgrade(self);
        glib::timeout_add_local_once(wait, move || {
            let Some(ui) = weak.upgrade().filter(|ui| ui.digits_turn.get() == turn) else { return };
            ui.digits.borrow_mut().clear();
            ui.stage.type_number("");
            if number > 0 && !ui.television.zap_number(number) {
                ui.stage.say(&put(tr("There is no channel {number}"), "number", number));
            }
        });
    }

    pub(super) fn toggle_full_screen(self: &Rc<Self>) {
        self.window.set_fullscreened(!self.window.is_fullscreen());
    }

    pub(super) fn toggle_sidebar(self: &Rc<Self>) {
        let shown = self.side.reveals_child();
        if self.window.is_fullscreen() {
            self.side.set_visible(!self.side.is_visible());
            return;
        }
        self.side.set_reveal_child(!shown);
        self.stage.focus();
    }

    pub(super) fn search(self: &Rc<Self>) {
        self.side.set_visible(true);
        self.side.set_reveal_child(true);
        self.channels.search.grab_focus();
    }

    pub(super) fn toggle_mute(self: &Rc<Self>) {
        let settings = self.view.borrow().settings.clone();
        let muted = !settings.muted;
        self.television.change(move |settings| settings.muted = muted);
        self.stage.say(&loudness(settings.volume, muted));
    }

    pub(super) fn set_volume(self: &Rc<Self>, volume: i32) {
        let volume = volume.clamp(0, 100) as u8;
        self.television.change(move |settings| {
            settings.volume = volume;
            settings.muted = false;
        });
        self.stage.say(&loudness(volume, false));
    }

    pub(super) fn volume_by(self: &Rc<Self>, step: i32) {
        let volume = i32::from(self.view.borrow().settings.volume) + step;
        self.set_volume(volume);
    }

    pub(super) fn toggle_pause(self: &Rc<Self>) {
        self.television.toggle_pause();
        self.stage.wake();
    }

    pub(super) fn seek_by(self: &Rc<Self>, seconds: i32) {
        self.television.seek_by(seconds.into());
        self.stage.wake();
    }

    pub(super) fn seek_to(self: &Rc<Self>, position: Position) {
        self.television.seek_to(position);
        self.stage.wake();
    }

    pub(super) fn toggle_information(self: &Rc<Self>) {
        self.stage.toggle_information();
        self.stage.show(&self.view.borrow(), self.position());
    }

    pub(super) fn toggle_guide(self: &Rc<Self>) {
        self.guide.toggle(&self.view.borrow());
        if !self.guide.is_shown() {
            self.stage.focus();
        }
    }

    pub(super) fn toggle_statistics(self: &Rc<Self>) {
        self.stage.statistics.show(&self.television.figures(), &self.view.borrow());
        self.stage.statistics.toggle();
    }

    pub(super) fn toggle_favourite(self: &Rc<Self>, channel: &str) {
        let channel = channel.to_owned();
        self.television.change(move |settings| {
            if !settings.favourites.remove(&channel) {
                settings.favourites.insert(channel);
            }
        });
    }

    pub(super) fn toggle_favourite_here(self: &Rc<Self>) {
        let channel = self.channel.borrow().clone();
        if channel.is_empty() {
            return;
        }
        let was = self.view.borrow().settings.favourites.contains(&channel);
        self.toggle_favourite(&channel);
        self.stage.say(if was { tr("No favourite any more") } else { tr("A favourite now") });
    }

    pub(super) fn open_tracks(&self) {
        self.stage.wake();
        if self.stage.banner.tracks.menu_model().is_some() {
            self.stage.banner.tracks.popup();
        }
    }

    pub(super) fn choose_sound(self: &Rc<Self>, key: &str) {
        let (channel, key) = (self.channel.borrow().clone(), key.to_owned());
        self.chosen(move |settings| tracks::remember(settings, &channel, Some(key.clone()), None));
    }

    pub(super) fn choose_subtitles(self: &Rc<Self>, key: &str) {
        let (channel, key) = (self.channel.borrow().clone(), key.to_owned());
        self.chosen(move |settings| tracks::remember(settings, &channel, None, Some(key.clone())));
    }

    /// A track was chosen: it is remembered, and playing goes on with it.
    fn chosen(self: &Rc<Self>, change: impl Fn(&mut crate::choices::Settings) + Send + 'static) {
        let mut view = View::clone(&self.view.borrow());
        change(Arc::make_mut(&mut view.settings));
        self.view.replace(Arc::new(view));
        self.television.change(change);
        self.play_again();
    }

    /// Hides the innermost of what is open; `false` if there is nothing.
    pub(super) fn back(self: &Rc<Self>) -> bool {
        if self.has_menu() {
            return false;
        }
        if self.guide.is_shown() {
            self.toggle_guide();
        } else if self.stage.back() {
        } else if self.window.is_fullscreen() {
            self.window.set_fullscreened(false);
        } else {
            self.stage.focus();
            return false;
        }
        true
    }

    pub(super) fn open_preferences(self: &Rc<Self>) {
        let open =
            self.preferences.borrow().as_ref().is_some_and(|preferences| !preferences.is_closed());
        if !open {
            let preferences =
                Preferences::open(&self.window, &self.television, &self.view.borrow());
            self.preferences.replace(Some(preferences));
        }
    }

    pub(super) fn about(self: &Rc<Self>) {
        let about = gtk::AboutDialog::builder()
            .transient_for(&self.window)
            .modal(true)
            .program_name("Braidcast")
            .logo_icon_name(super::APPLICATION)
            .version(env!("CARGO_PKG_VERSION"))
            .comments(tr("Live television that viewers help to carry."))
            .license_type(gtk::License::Apache20)
            .build();
        about.present();
    }
}

/// Whether a number begins with these digits and is longer.
fn starts(number: u32, digits: u32) -> bool {
    let (number, digits) = (number.to_string(), digits.to_string());
    number.len() > digits.len() && number.starts_with(&digits)
}

/// What the playback takes from the core's source.
fn feed(source: Source) -> Feed {
    futures::stream::unfold(source, async |mut source| {
        let chunk = source.next().await?;
        let chunk = Chunk {
            ts: chunk.ts,
            position: chunk.position.0,
            duration: chunk.duration,
            due: chunk.due,
        };
        Some((chunk, source))
    })
    .boxed()
}

/// The window's own bar.
fn header() -> (gtk::HeaderBar, gtk::Label, gtk::Box) {
    let bar = gtk::HeaderBar::new();
    let left = row(4);
    let list = tr("Show or hide the list of channels");
    left.append(&icon_button("sidebar-show-symbolic", list, "win.sidebar"));
    left.append(&icon_button("x-office-calendar-symbolic", tr("Guide"), "win.guide"));
    bar.pack_start(&left);
    let title = super::widgets::short("Braidcast", "title");
    title.set_xalign(0.5);
    bar.set_title_widget(Some(&title));
    let menu = gio::Menu::new();
    let items = |items: &[(&str, &str)]| {
        let section = gio::Menu::new();
        for (text, action) in items {
            section.append(Some(text), Some(action));
        }
        menu.append_section(None, &section);
    };
    items(&[
        (tr("Guide"), "win.guide"),
        (tr("Statistics"), "win.statistics"),
        (tr("Full screen"), "win.full-screen"),
    ]);
    items(&[(tr("Preferences"), "win.preferences"), (tr("Keys"), "win.shortcuts")]);
    items(&[
        (tr("Sign out"), "win.sign-out"),
        (tr("About Braidcast"), "win.about"),
        (tr("Quit"), "win.quit"),
    ]);
    let button = gtk::MenuButton::builder()
        .icon_name("open-menu-symbolic")
        .menu_model(&menu)
        .primary(true)
        .build();
    super::widgets::name(&button, tr("Menu"));
    bar.pack_end(&button);
    (bar, title, left)
}

/// What is shown until it is known what to show.
fn waiting() -> gtk::Box {
    let spinner = gtk::Spinner::new();
    spinner.set_size_request(36, 36);
    spinner.set_spinning(true);
    spoken(&spinner, tr("Signing in …"));
    let text = super::widgets::label(tr("Signing in …"), "soft");
    text.set_xalign(0.5);
    let page = column(14);
    page.add_css_class("page");
    page.set_valign(gtk::Align::Center);
    page.set_halign(gtk::Align::Center);
    page.append(&spinner);
    page.append(&text);
    page
}
