//! The menu of sound tracks and subtitles.

use gtk::gio;

use super::words::{put, tr};
use crate::choices::{Settings, Tracks};
use crate::playback::Choice;
use crate::playback::tables::{CAPTIONS, Kind, Track};

/// Languages that can be chosen beforehand (ISO 639-2).
pub(super) const LANGUAGES: [&str; 10] =
    ["deu", "eng", "fra", "ita", "spa", "por", "nld", "pol", "tur", "roh"];

/// What stands for no subtitles on one channel.
const OFF: &str = "off";

/// A language's name in the viewer's language; what is not known is shown as it is coded.
pub(super) fn language_name(code: &str) -> &str {
    let known = LANGUAGES.iter().position(|known| crate::playback::same_language(known, code));
    match known {
        Some(0) => tr("German"),
        Some(1) => tr("English"),
        Some(2) => tr("French"),
        Some(3) => tr("Italian"),
        Some(4) => tr("Spanish"),
        Some(5) => tr("Portuguese"),
        Some(6) => tr("Dutch"),
        Some(7) => tr("Polish"),
        Some(8) => tr("Turkish"),
        Some(_) => tr("Romansh"),
        None => match code {
            "mis" | "mul" | "qaa" => tr("Original"),
            code => code,
        },
    }
}

/// What is wanted on a channel: as was chosen there, else in general, else the program's language.
pub(super) fn choice(settings: &Settings, channel: &str, silent: bool) -> Choice {
    let here = settings.tracks.get(channel);
    let sound = here.and_then(|here| here.sound.clone());
    let sound = sound.into_iter().chain(settings.sound.clone()).chain(system_language()).collect();
    let subtitles = match here.and_then(|here| here.subtitles.as_deref()) {
        Some(OFF) => Vec::new(),
        Some(wanted) => vec![wanted.to_owned()],
        None => settings.subtitles.clone().into_iter().collect(),
    };
    Choice { sound, subtitles, silent }
}

fn system_language() -> Option<String> {
    let names = gtk::glib::language_names();
    let first = names.first()?.split(['_', '.']).next()?.to_owned();
    (first.len() == 2).then_some(first)
}

/// What a track is remembered by: its language if no other of its kind speaks it, else its PID.
pub(super) fn key(track: &Track, all: &[Track]) -> String {
    if let Kind::Captions(service) = track.kind {
        return format!("{CAPTIONS}{service}");
    }
    let alike = all
        .iter()
        .filter(|other| same_kind(other.kind, track.kind) && other.language == track.language);
    match &track.language {
        Some(language) if alike.count() == 1 => language.clone(),
        _ => format!("#{}", track.pid),
    }
}

fn same_kind(a: Kind, b: Kind) -> bool {
    (a == Kind::Sound) == (b == Kind::Sound) && (a == Kind::Picture) == (b == Kind::Picture)
}

/// Remembers a choice for one channel.
pub(super) fn remember(
    settings: &mut Settings,
    channel: &str,
    sound: Option<String>,
    subtitles: Option<String>,
) {
    let tracks: &mut Tracks = settings.tracks.entry(channel.to_owned()).or_default();
    if sound.is_some() {
        tracks.sound = sound;
    }
    if subtitles.is_some() {
        tracks.subtitles = subtitles;
    }
}

/// The menu for these tracks.
pub(super) fn menu(all: &[Track]) -> gio::Menu {
    let menu = gio::Menu::new();
    let section = |title: &str, action: &str, kind: &dyn Fn(Kind) -> bool, none: Option<&str>| {
        let items = gio::Menu::new();
        if let Some(none) = none {
            items.append(Some(none), Some(&format!("win.{action}::{OFF}")));
        }
        for (count, track) in (1..).zip(all.iter().filter(|track| kind(track.kind))) {
            let item = gio::MenuItem::new(Some(&text(track, count)), None);
            item.set_action_and_target_value(
                Some(&format!("win.{action}")),
                Some(&gtk::glib::prelude::ToVariant::to_variant(&key(track, all))),
            );
            items.append_item(&item);
        }
        if gtk::gio::prelude::MenuModelExt::n_items(&items) > 0 {
            menu.append_section(Some(title), &items);
        }
    };
    section(tr("Sound"), "sound", &|kind| kind == Kind::Sound, None);
    let subtitle = |kind| matches!(kind, Kind::Subtitles | Kind::Teletext(_) | Kind::Captions(_));
    section(tr("Subtitles"), "subtitles", &subtitle, Some(tr("Off")));
    menu
}

fn text(track: &Track, count: u32) -> String {
    if let Kind::Captions(service) = track.kind {
        return put(tr("Captions {number}"), "number", service);
    }
    let name = match &track.language {
        Some(code) => language_name(code).to_owned(),
        None => put(tr("Track {number}"), "number", count),
    };
    match (track.kind, track.impaired) {
        (Kind::Sound, true) => format!("{name} ({})", tr("audio description")),
        (_, true) => format!("{name} ({})", tr("for the hard of hearing")),
        (Kind::Teletext(page), false) => {
            format!("{name} ({})", put(tr("teletext {page}"), "page", page))
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(pid: u16, language: Option<&str>) -> Track {
        Track { pid, kind: Kind::Sound, language: language.map(str::to_owned), impaired: false }
    }

    #[test]
    fn a_track_is_remembered_by_its_language_if_that_is_enough() {
        let all =
            [sound(1, Some("deu")), sound(2, Some("eng")), sound(3, Some("eng")), sound(4, None)];
        let keys: Vec<_> = all.iter().map(|track| key(track, &all)).collect();
        assert_eq!(keys, ["deu", "#2", "#3", "#4"]);
        let captions = Track { kind: Kind::Captions(2), ..sound(1, None) };
        assert_eq!(key(&captions, &all), "cc2");
    }

    #[test]
    fn what_was_chosen_on_a_channel_goes_first() {
        let mut settings = Settings {
            sound: Some("fra".into()),
            subtitles: Some("deu".into()),
            ..Settings::default()
        };
        assert_eq!(choice(&settings, "one", false).sound[0], "fra");
        assert_eq!(choice(&settings, "one", false).subtitles, ["deu"]);
        remember(&mut settings, "one", Some("#7".into()), None);
        remember(&mut settings, "one", None, Some(OFF.into()));
        assert_eq!(choice(&settings, "one", false).sound[..2], ["#7", "fra"]);
        assert!(choice(&settings, "one", false).subtitles.is_empty());
        assert_eq!(choice(&settings, "two", false).subtitles, ["deu"]);
    }
}
