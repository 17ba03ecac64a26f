//! What the actions of the window do.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gtk::glib;
use gtk::prelude::*;

use super::super::preferences::Preferences;
use super::super::stage::loudness;
use super::super::words::{put, tr};
use super::super::{APPLICATION, tracks};
use super::Ui;
use crate::television::View;
use crate::timeshift::Position;

/// After the last digit of a number.
const TYPED: Duration = Duration::from_millis(1400);
/// Numbers have at most so many digits.
const DIGITS: usize = 4;

impl Ui {
    /// Whether channels are shown, not a page before them.
    pub(in crate::window) fn is_watching(&self) -> bool {
        self.page() == "main"
    }

    fn focused(&self) -> Option<gtk::Widget> {
        gtk::prelude::GtkWindowExt::focus(&self.window)
    }

    /// Whether somebody types into a field.
    pub(in crate::window) fn types(&self) -> bool {
        self.focused().is_some_and(|widget| widget.is::<gtk::Text>())
    }

    /// Whether a slider has the focus.
    pub(in crate::window) fn slides(&self) -> bool {
        self.focused().is_some_and(|widget| widget.is::<gtk::Scale>())
    }

    /// Whether a button has the focus.
    pub(in crate::window) fn presses(&self) -> bool {
        self.focused()
            .is_some_and(|widget| widget.is::<gtk::Button>() || widget.is::<gtk::MenuButton>())
    }

    /// Whether a menu is open.
    pub(in crate::window) fn has_menu(&self) -> bool {
        self.focused().is_some_and(|widget| widget.ancestor(gtk::Popover::static_type()).is_some())
    }

    pub(in crate::window) fn zap_by(&self, steps: i32) {
        self.television.zap_by(steps);
    }

    pub(in crate::window) fn digit(self: &Rc<Self>, digit: u32) {
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

    pub(in crate::window) fn toggle_full_screen(self: &Rc<Self>) {
        self.window.set_fullscreened(!self.window.is_fullscreen());
    }

    pub(in crate::window) fn toggle_sidebar(self: &Rc<Self>) {
        let shown = self.side.reveals_child();
        if self.window.is_fullscreen() {
            self.side.set_visible(!self.side.is_visible());
            return;
        }
        self.side.set_reveal_child(!shown);
        self.stage.focus();
    }

    pub(in crate::window) fn search(self: &Rc<Self>) {
        self.side.set_visible(true);
        self.side.set_reveal_child(true);
        self.channels.search.grab_focus();
    }

    pub(in crate::window) fn toggle_mute(self: &Rc<Self>) {
        let settings = self.view.borrow().settings.clone();
        let muted = !settings.muted;
        self.television.change(move |settings| settings.muted = muted);
        self.stage.say(&loudness(settings.volume, muted));
    }

    pub(in crate::window) fn set_volume(self: &Rc<Self>, volume: i32) {
        let volume = volume.clamp(0, 100) as u8;
        self.television.change(move |settings| {
            settings.volume = volume;
            settings.muted = false;
        });
        self.stage.say(&loudness(volume, false));
    }

    pub(in crate::window) fn volume_by(self: &Rc<Self>, step: i32) {
        let volume = i32::from(self.view.borrow().settings.volume) + step;
        self.set_volume(volume);
    }

    pub(in crate::window) fn toggle_pause(self: &Rc<Self>) {
        self.television.toggle_pause();
        self.stage.wake();
    }

    pub(in crate::window) fn seek_by(self: &Rc<Self>, seconds: i32) {
        self.television.seek_by(seconds.into());
        self.stage.wake();
    }

    pub(in crate::window) fn seek_to(self: &Rc<Self>, position: Position) {
        self.television.seek_to(position);
        self.stage.wake();
    }

    pub(in crate::window) fn toggle_information(self: &Rc<Self>) {
        self.stage.toggle_information();
        self.stage.show(&self.view.borrow(), self.position());
    }

    pub(in crate::window) fn toggle_guide(self: &Rc<Self>) {
        self.guide.toggle(&self.view.borrow());
        if !self.guide.is_shown() {
            self.stage.focus();
        }
    }

    pub(in crate::window) fn toggle_statistics(self: &Rc<Self>) {
        self.stage.statistics.show(&self.television.figures(), &self.view.borrow());
        self.stage.toggle_statistics();
    }

    pub(in crate::window) fn toggle_favourite(self: &Rc<Self>, channel: &str) {
        let channel = channel.to_owned();
        self.television.change(move |settings| {
            if !settings.favourites.remove(&channel) {
                settings.favourites.insert(channel);
            }
        });
    }

    pub(in crate::window) fn toggle_favourite_here(self: &Rc<Self>) {
        let channel = self.channel.borrow().clone();
        if channel.is_empty() {
            return;
        }
        let was = self.view.borrow().settings.favourites.contains(&channel);
        self.toggle_favourite(&channel);
        self.stage.say(if was { tr("No favourite any more") } else { tr("A favourite now") });
    }

    pub(in crate::window) fn open_tracks(&self) {
        self.stage.wake();
        if self.stage.banner.tracks.menu_model().is_some() {
            self.stage.banner.tracks.popup();
        }
    }

    pub(in crate::window) fn choose_sound(self: &Rc<Self>, key: &str) {
        let (channel, key) = (self.channel.borrow().clone(), key.to_owned());
        self.chosen(move |settings| tracks::remember(settings, &channel, Some(key.clone()), None));
    }

    pub(in crate::window) fn choose_subtitles(self: &Rc<Self>, key: &str) {
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
    pub(in crate::window) fn back(self: &Rc<Self>) -> bool {
        if self.has_menu() {
            return false;
        }
        if self.guide.is_shown() {
            self.toggle_guide();
        } else if self.stage.back() {
        } else if self.window.is_fullscreen() {
            self.window.set_fullscreened(false);
        } else if self.stage.is_revealed() {
            self.stage.conceal();
        } else {
            self.stage.focus();
            return false;
        }
        true
    }

    pub(in crate::window) fn open_preferences(self: &Rc<Self>) {
        let open =
            self.preferences.borrow().as_ref().is_some_and(|preferences| !preferences.is_closed());
        if !open {
            let preferences =
                Preferences::open(&self.window, &self.television, &self.view.borrow());
            self.preferences.replace(Some(preferences));
        }
    }

    pub(in crate::window) fn about(self: &Rc<Self>) {
        let about = gtk::AboutDialog::builder()
            .transient_for(&self.window)
            .modal(true)
            .program_name("Braidcast")
            .logo_icon_name(APPLICATION)
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
