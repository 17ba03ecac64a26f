//! What can be done with the window. Buttons, menus and keys use these.

use std::rc::Rc;

use gtk::gio;
use gtk::glib::{self, VariantTy};
use gtk::prelude::*;

use super::ui::Ui;
use crate::timeshift::Position;

/// Defines all actions of the window.
pub(super) fn define(ui: &Rc<Ui>) {
    let plain = |name: &str, act: fn(&Rc<Ui>)| {
        let weak = Rc::downgrade(ui);
        let action = gio::SimpleAction::new(name, None);
        action.connect_activate(move |_, _| {
            if let Some(ui) = weak.upgrade() {
                act(&ui);
            }
        });
        ui.window.add_action(&action);
    };
    plain("full-screen", Ui::toggle_full_screen);
    plain("mute", Ui::toggle_mute);
    plain("pause", Ui::toggle_pause);
    plain("live", |ui| ui.television.live());
    plain("restart", |ui| ui.television.restart_programme());
    plain("information", |ui| ui.toggle_information());
    plain("guide", Ui::toggle_guide);
    plain("statistics", Ui::toggle_statistics);
    plain("sidebar", Ui::toggle_sidebar);
    plain("search", Ui::search);
    plain("watch", |ui| ui.stage.focus());
    plain("retry", |ui| ui.television.retry());
    plain("previous-channel", |ui| ui.television.zap_back());
    plain("preferences", Ui::open_preferences);
    plain("shortcuts", |ui| super::shortcuts::open(&ui.window));
    plain("save-report", super::report::save);
    plain("about", Ui::about);
    plain("sign-out", |ui| ui.television.sign_out());
    plain("quit", |ui| ui.window.close());

    number(ui, "zap-by", |ui, steps| ui.zap_by(steps));
    number(ui, "volume", |ui, volume| ui.set_volume(volume));
    number(ui, "volume-by", |ui, step| ui.volume_by(step));
    number(ui, "seek-by", |ui, seconds| ui.seek_by(seconds));
    number(ui, "guide-by", |ui, hours| ui.guide.by(hours));
    text(ui, "zap", |ui, channel| ui.television.zap(channel));
    text(ui, "favourite", |ui, channel| ui.toggle_favourite(channel));

    let weak = Rc::downgrade(ui);
    let seek = gio::SimpleAction::new("seek-to", Some(VariantTy::UINT64));
    seek.connect_activate(move |_, value| {
        if let Some((ui, place)) = weak.upgrade().zip(value.and_then(|value| value.get())) {
            ui.seek_to(Position(place));
        }
    });
    ui.window.add_action(&seek);
    for (name, choose) in
        [("sound", Ui::choose_sound as fn(&Rc<Ui>, &str)), ("subtitles", Ui::choose_subtitles)]
    {
        let action =
            gio::SimpleAction::new_stateful(name, Some(VariantTy::STRING), &"".to_variant());
        let weak = Rc::downgrade(ui);
        action.connect_activate(move |_, value| {
            if let Some((ui, value)) = weak.upgrade().zip(value.and_then(|value| value.str())) {
                choose(&ui, value);
            }
        });
        ui.window.add_action(&action);
    }
}

/// Tells menus which track is played.
pub(super) fn set_track(window: &gtk::ApplicationWindow, action: &str, key: &str) {
    if let Some(action) = window.lookup_action(action).and_downcast::<gio::SimpleAction>() {
        action.set_state(&key.to_variant());
    }
}

fn number(ui: &Rc<Ui>, name: &str, act: fn(&Rc<Ui>, i32)) {
    with(ui, name, VariantTy::INT32, move |ui, value| {
        if let Some(number) = value.get() {
            act(ui, number);
        }
    });
}

fn text(ui: &Rc<Ui>, name: &str, act: fn(&Rc<Ui>, &str)) {
    with(ui, name, VariantTy::STRING, move |ui, value| {
        if let Some(text) = value.str() {
            act(ui, text);
        }
    });
}

fn with(
    ui: &Rc<Ui>,
    name: &str,
    kind: &VariantTy,
    act: impl Fn(&Rc<Ui>, &glib::Variant) + 'static,
) {
    let weak = Rc::downgrade(ui);
    let action = gio::SimpleAction::new(name, Some(kind));
    action.connect_activate(move |_, value| {
        if let Some((ui, value)) = weak.upgrade().zip(value) {
            act(&ui, value);
        }
    });
    ui.window.add_action(&action);
}
