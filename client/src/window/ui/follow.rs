//! The window follows the core's view, and what becomes of the playback.

use std::rc::Rc;
use std::time::Instant;

use gtk::glib;
use gtk::prelude::*;

use super::super::words::tr;
use super::super::{actions, statistics, tracks};
use super::{Ui, feed};
use crate::playback::tables::Kind;
use crate::playback::{Event, Loudness};
use crate::television::{Mode, Phase, View};
use crate::timeshift::{Position, Source};

impl Ui {
    /// Takes over the core's view.
    pub(super) fn show(self: &Rc<Self>) {
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
        // Before the page is turned: the cursor goes to the first field that is empty then.
        self.sign_in.show(&view);
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
        self.channels.show(&view);
        super::super::widgets::say(&self.channels.foot, &statistics::upload_in_brief(&view.upload));
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

    pub(super) fn page(&self) -> glib::GString {
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
            if let Some(source) = self.television.open(view.transport.generation) {
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
    pub(super) fn play_again(&self) {
        let view = self.view.borrow().clone();
        let source = match (view.transport.mode, self.position()) {
            (Mode::Paused | Mode::Behind, Some(here)) => self.television.open_at(here),
            _ => self.television.open(view.transport.generation),
        };
        if let Some(source) = source {
            self.play(source, &view, view.transport.mode == Mode::Paused);
        }
    }

    pub(super) fn played(self: &Rc<Self>, event: Event) {
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
                // Of some streams nothing is known before they play.
                let pictures = all.is_empty() || all.iter().any(|t| t.kind == Kind::Picture);
                self.stage.sound_alone(!pictures);
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

    pub(super) fn position(&self) -> Option<Position> {
        self.playback.borrow().position().map(Position)
    }

    pub(super) fn tick(self: &Rc<Self>) {
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
        super::super::widgets::say(&self.title, title);
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
}
