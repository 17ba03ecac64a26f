//! Keys as on a set. They hold wherever the focus is, but where somebody types.

use std::rc::Rc;

use gtk::gdk::{Key, ModifierType};
use gtk::glib::{Propagation, Variant};
use gtk::prelude::*;

use super::ui::Ui;

/// Gives the window its keys.
pub(super) fn define(ui: &Rc<Ui>) {
    let keys = gtk::EventControllerKey::new();
    keys.set_propagation_phase(gtk::PropagationPhase::Capture);
    let weak = Rc::downgrade(ui);
    keys.connect_key_pressed(move |_, key, _, modifiers| match weak.upgrade() {
        Some(ui) => pressed(&ui, key, modifiers),
        None => Propagation::Proceed,
    });
    ui.window.add_controller(keys);
}

fn pressed(ui: &Rc<Ui>, key: Key, modifiers: ModifierType) -> Propagation {
    let held = modifiers
        & (ModifierType::CONTROL_MASK | ModifierType::SHIFT_MASK | ModifierType::ALT_MASK);
    let act = |name: &str, target: Option<Variant>| {
        // The window has the action as long as it stands.
        let _ = gtk::prelude::WidgetExt::activate_action(
            &ui.window,
            &format!("win.{name}"),
            target.as_ref(),
        );
        Propagation::Stop
    };
    let by = |name: &str, number: i32| act(name, Some(number.to_variant()));
    match (held, key) {
        (ModifierType::CONTROL_MASK, Key::q | Key::Q) => return act("quit", None),
        (ModifierType::CONTROL_MASK, Key::comma) => return act("preferences", None),
        (ModifierType::CONTROL_MASK, Key::question) | (_, Key::F1) => {
            return act("shortcuts", None);
        }
        _ => {}
    }
    if !ui.is_watching() {
        return Propagation::Proceed;
    }
    match (held, key) {
        (ModifierType::CONTROL_MASK, Key::f | Key::F) => return act("search", None),
        (ModifierType::CONTROL_MASK, Key::d | Key::D) => {
            ui.toggle_favourite_here();
            return Propagation::Stop;
        }
        (_, Key::Escape) if !ui.types() => {
            return if ui.back() { Propagation::Stop } else { Propagation::Proceed };
        }
        (_, Key::F11) => return act("full-screen", None),
        (_, Key::AudioPlay | Key::AudioPause) => return act("pause", None),
        (_, Key::AudioMute) => return act("mute", None),
        (_, Key::AudioNext) => return by("zap-by", 1),
        (_, Key::AudioPrev) => return by("zap-by", -1),
        _ => {}
    }
    if ui.types() || ui.has_menu() {
        return Propagation::Proceed;
    }
    if ui.guide.is_shown() {
        // The arrows go through the guide.
        return match key {
            Key::g | Key::G => act("guide", None),
            _ => Propagation::Proceed,
        };
    }
    if held == ModifierType::SHIFT_MASK {
        match key {
            Key::Left => return by("seek-by", -10),
            Key::Right => return by("seek-by", 10),
            _ => {}
        }
    }
    if !(held - ModifierType::SHIFT_MASK).is_empty() {
        return Propagation::Proceed;
    }
    match key {
        Key::Up | Key::KP_Up | Key::Page_Up | Key::KP_Page_Up => by("zap-by", 1),
        Key::Down | Key::KP_Down | Key::Page_Down | Key::KP_Page_Down => by("zap-by", -1),
        // On a slider the arrows move that.
        Key::Left | Key::Right if ui.slides() => Propagation::Proceed,
        Key::Left | Key::KP_Left => by("volume-by", -5),
        Key::Right | Key::KP_Right => by("volume-by", 5),
        // On a button the space bar presses that.
        Key::space if ui.presses() => Propagation::Proceed,
        Key::space => act("pause", None),
        Key::f | Key::F => act("full-screen", None),
        Key::m | Key::M => act("mute", None),
        Key::i | Key::I => act("information", None),
        Key::g | Key::G => act("guide", None),
        Key::s | Key::S => act("statistics", None),
        Key::c | Key::C => act("sidebar", None),
        Key::t | Key::T => {
            ui.open_tracks();
            Propagation::Stop
        }
        Key::Home => act("restart", None),
        Key::End => act("live", None),
        Key::BackSpace => act("previous-channel", None),
        key => match key.to_unicode().and_then(|c| c.to_digit(10)) {
            Some(digit) => {
                ui.digit(digit);
                Propagation::Stop
            }
            None => Propagation::Proceed,
        },
    }
}
