//! The window itself: its pages, and what goes between them, the core and the playback.

mod act;
mod follow;
mod parts;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::channel::mpsc;
use gtk::glib;
use gtk::prelude::*;
use service::Stop;
use tokio::runtime::Handle;

use self::parts::{header, waiting};
use super::channels::Channels;
use super::guide::GuideView;
use super::logos::Logos;
use super::look::Look;
use super::preferences::Preferences;
use super::sign_in::{SignIn, welcome};
use super::single::Call;
use super::stage::Stage;
use super::widgets::row;
use super::{APPLICATION, Start, actions, keys};
use crate::playback::tables::Track;
use crate::playback::{Chunk, Event, Feed, Playback, Slot};
use crate::television::{Television, View, Wish};
use crate::timeshift::Source;

/// How often positions and times are looked at.
const TICK: Duration = Duration::from_millis(250);

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
            .icon_name(APPLICATION)
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
        if let Some(started) = ui.start.started {
            tell_drawn(&ui.window, started);
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
        // It may have changed since the window was built, and may not change again: without network all stays as it is.
        views.mark_changed();
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
}

/// Tells the log when the window was drawn first, for those who measure.
fn tell_drawn(window: &gtk::ApplicationWindow, started: Instant) {
    let turn = Cell::new(0);
    window.add_tick_callback(move |_, _| {
        // A tick comes before the drawing of its frame, so the second one is after the first drawing.
        if turn.replace(turn.get() + 1) == 0 {
            return glib::ControlFlow::Continue;
        }
        tracing::info!(ms = started.elapsed().as_millis() as u64, "the window is drawn");
        glib::ControlFlow::Break
    });
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
            whole: chunk.whole,
            switched: chunk.switched,
        };
        Some((chunk, source))
    })
    .boxed()
}
