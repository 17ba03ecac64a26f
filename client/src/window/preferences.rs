//! The preferences: what holds at once when it is changed, and is kept by the core.

use std::rc::Rc;

use gtk::prelude::*;

use super::statistics::upload;
use super::tracks::{LANGUAGES, language_name};
use super::widgets::{column, fill, label, paragraph, role, row, say, spoken};
use super::words::{put, tr};
use crate::choices::{Appearance, Quality, Settings};
use crate::television::{Television, View};
use crate::vault::Kept;

/// The window with them.
pub(super) struct Preferences {
    window: gtk::Window,
    sharing: gtk::Switch,
    rate: gtk::SpinButton,
    month: gtk::SpinButton,
    metered: gtk::Switch,
    meter: gtk::Label,
    address: gtk::Label,
    account: gtk::Label,
}

impl Preferences {
    /// Opens the window over `parent`.
    pub(super) fn open(
        parent: &gtk::ApplicationWindow,
        television: &Television,
        view: &View,
    ) -> Rc<Self> {
        let settings = &view.settings;
        let sharing = switch(television, settings.sharing.choice == Some(true), |settings, on| {
            settings.sharing.choice = Some(on);
        });
        let rate = spin(
            television,
            (100.0, 1_000_000.0, 100.0),
            settings.sharing.kbits.into(),
            |settings, value| {
                settings.sharing.kbits = value;
            },
        );
        let month = spin(
            television,
            (0.0, 100_000.0, 1.0),
            settings.sharing.monthly_gb.unwrap_or(0).into(),
            |settings, value| {
                settings.sharing.monthly_gb = (value > 0).then_some(value);
            },
        );
        let metered = switch(television, settings.sharing.on_metered, |settings, on| {
            settings.sharing.on_metered = on
        });
        let private = switch(television, settings.sharing.private, |settings, on| {
            settings.sharing.private = on;
        });
        let meter = paragraph("", "hint");

        let body = column(10);
        body.set_margin_top(18);
        body.set_margin_bottom(24);
        body.set_margin_start(24);
        body.set_margin_end(24);
        group(
            &body,
            tr("Helping other viewers"),
            &[
                item(
                    tr("Pass parts of the channel on"),
                    tr("Encrypted parts of what you watch, to viewers near you."),
                    &sharing,
                ),
                item(tr("At most, kbit/s"), tr("Of your upload."), &rate),
                item(tr("At most per month, GB"), tr("0: any amount."), &month),
                item(tr("On connections paid by volume, too"), "", &metered),
                item(
                    tr("Stay unknown to other viewers"),
                    tr(
                        "Everything comes from your operator, and you pass nothing on. Nobody learns your address from the next start on.",
                    ),
                    &private,
                ),
                meter.clone().upcast(),
            ],
        );
        group(
            &body,
            tr("Picture and sound"),
            &[
                item(
                    tr("Quality"),
                    tr("Automatic takes what your connection carries."),
                    &quality(television, view),
                ),
                item(
                    tr("Language of the sound"),
                    tr("Where a channel has several."),
                    &languages(
                        television,
                        settings.sound.as_deref(),
                        tr("The channel's first"),
                        |settings, code| settings.sound = code,
                    ),
                ),
                item(
                    tr("Subtitles"),
                    "",
                    &languages(
                        television,
                        settings.subtitles.as_deref(),
                        tr("Off"),
                        |settings, code| settings.subtitles = code,
                    ),
                ),
            ],
        );
        let cache = spin(
            television,
            (0.0, 100_000.0, 100.0),
            settings.cache_mb.into(),
            |settings, value| settings.cache_mb = value,
        );
        group(
            &body,
            tr("Pause and rewind"),
            &[item(
                tr("Room on the disk, MB"),
                tr("The oldest goes first. 1000 MB are about half an hour at 4 Mbit/s."),
                &cache,
            )],
        );
        group(
            &body,
            tr("Appearance"),
            &[
                item(tr("Colours"), "", &appearance(television, settings.appearance)),
                item(
                    tr("Language"),
                    tr("Holds from the next start on."),
                    &program_language(television, settings.language.as_deref()),
                ),
            ],
        );
        let address = paragraph("", "hint");
        address.set_selectable(true);
        let account = paragraph("", "hint");
        let out = gtk::Button::with_label(tr("Sign out"));
        out.add_css_class("secondary");
        out.set_halign(gtk::Align::Start);
        group(&body, tr("Other players on this computer"), &[address.clone().upcast()]);
        group(&body, tr("Account"), &[account.clone().upcast(), out.clone().upcast()]);
        let report = gtk::Button::with_label(tr("Save a report …"));
        report.add_css_class("secondary");
        report.set_halign(gtk::Align::Start);
        let about = paragraph(
            tr(
                "For your operator, if something is wrong: what the program does, what went wrong and figures. No addresses, no names, no passwords.",
            ),
            "hint",
        );
        group(&body, tr("Help"), &[about.upcast(), report.clone().upcast()]);

        let scroll = gtk::ScrolledWindow::builder()
            .hscrollbar_policy(gtk::PolicyType::Never)
            .child(&body)
            .build();
        let window = dialog(parent, tr("Preferences"), &scroll, (560, 620));
        for (button, action) in [(&out, "win.sign-out"), (&report, "win.save-report")] {
            leads_to(button, action, &window, parent);
        }
        let this = Rc::new(Self { window, sharing, rate, month, metered, meter, address, account });
        this.show(view);
        this.window.present();
        this
    }

    /// Takes over what is to be shown.
    pub(super) fn show(&self, view: &View) {
        say(&self.meter, &upload(&view.upload));
        let on = self.sharing.is_active();
        for widget in [
            self.rate.upcast_ref::<gtk::Widget>(),
            self.month.upcast_ref(),
            self.metered.upcast_ref(),
        ] {
            widget.set_sensitive(on);
        }
        let text = match view.local {
            Some(address) => put(
                tr(
                    "VLC, mpv, Kodi and browsers play your channels from {address}. Only programs on this computer can reach it.",
                ),
                "address",
                format!("http://{address}/"),
            ),
            None => tr("Not available now.").to_owned(),
        };
        say(&self.address, &text);
        let text = match &view.account {
            Some(account) => {
                let text =
                    put(tr("{user} at {server}"), "user", account.user.as_deref().unwrap_or("–"));
                let kept = match account.kept {
                    Kept::SecretStore => tr("Kept in the system's secret store."),
                    Kept::File => tr(
                        "Kept in a file that only you can read: this system has no secret store.",
                    ),
                    Kept::Not => tr("Not kept: you sign in again at the next start."),
                };
                format!("{}. {kept}", put(&text, "server", &account.server))
            }
            None => tr("Nobody is signed in.").to_owned(),
        };
        say(&self.account, &text);
    }

    /// Whether the viewer has closed it.
    pub(super) fn is_closed(&self) -> bool {
        !self.window.is_visible()
    }
}

/// A button that closes the preferences and does something with the window below: its actions are not found from another.
fn leads_to(
    button: &gtk::Button,
    action: &'static str,
    window: &gtk::Window,
    parent: &gtk::ApplicationWindow,
) {
    let (window, parent) = (window.downgrade(), parent.downgrade());
    button.connect_clicked(move |_| {
        if let Some(window) = window.upgrade() {
            window.close();
        }
        if let Some(parent) = parent.upgrade() {
            // The window has the action as long as it stands.
            let _ = gtk::prelude::WidgetExt::activate_action(&parent, action, None);
        }
    });
}

/// A window over the main window that Escape closes.
pub(super) fn dialog(
    parent: &gtk::ApplicationWindow,
    title: &str,
    child: &impl IsA<gtk::Widget>,
    size: (i32, i32),
) -> gtk::Window {
    let window = gtk::Window::builder()
        .title(title)
        .transient_for(parent)
        .modal(true)
        .destroy_with_parent(true)
        .default_width(size.0)
        .default_height(size.1)
        .child(child)
        .css_classes(["braidcast", "preferences"])
        .build();
    let bar = gtk::HeaderBar::new();
    bar.set_title_widget(Some(&label(title, "title")));
    window.set_titlebar(Some(&bar));
    let keys = gtk::EventControllerKey::new();
    let weak = window.downgrade();
    keys.connect_key_pressed(move |_, key, _, _| {
        if key == gtk::gdk::Key::Escape
            && let Some(window) = weak.upgrade()
        {
            window.close();
            return gtk::glib::Propagation::Stop;
        }
        gtk::glib::Propagation::Proceed
    });
    window.add_controller(keys);
    window
}

fn group(body: &gtk::Box, title: &str, items: &[gtk::Widget]) {
    let heading = label(title, "section");
    role(&heading, gtk::AccessibleRole::Heading);
    body.append(&heading);
    let group = column(0);
    group.add_css_class("group");
    for item in items {
        if item.is::<gtk::Box>() {
            item.add_css_class("item");
            group.append(item);
        } else {
            let line = column(0);
            line.add_css_class("item");
            line.append(item);
            group.append(&line);
        }
    }
    body.append(&group);
}

fn item(text: &str, hint: &str, control: &impl IsA<gtk::Widget>) -> gtk::Widget {
    let words = column(2);
    words.set_hexpand(true);
    words.set_valign(gtk::Align::Center);
    let caption = paragraph(text, "");
    match control.upcast_ref::<gtk::Widget>().downcast_ref::<gtk::DropDown>() {
        Some(list) => name_list(list, text),
        None => caption.set_mnemonic_widget(Some(control)),
    }
    words.append(&caption);
    if !hint.is_empty() {
        words.append(&paragraph(hint, "hint"));
    }
    control.set_valign(gtk::Align::Center);
    let line = row(16);
    fill(&line, &[words.upcast_ref(), control.upcast_ref()]);
    line.upcast()
}

/// Calls a list by what it is for and what is chosen.
fn name_list(list: &gtk::DropDown, text: &str) {
    let text = text.to_owned();
    let tell = move |list: &gtk::DropDown| {
        let chosen = list.selected_item().and_downcast::<gtk::StringObject>();
        let chosen = chosen.map(|chosen| chosen.string()).unwrap_or_default();
        spoken(list, &format!("{text}, {chosen}"));
    };
    tell(list);
    list.connect_selected_notify(tell);
}

fn switch(television: &Television, on: bool, change: fn(&mut Settings, bool)) -> gtk::Switch {
    let switch = gtk::Switch::builder().active(on).build();
    let television = television.clone();
    switch.connect_active_notify(move |switch| {
        let on = switch.is_active();
        television.change(move |settings| change(settings, on));
    });
    switch
}

fn spin(
    television: &Television,
    (low, high, step): (f64, f64, f64),
    value: f64,
    change: fn(&mut Settings, u32),
) -> gtk::SpinButton {
    let spin = gtk::SpinButton::with_range(low, high, step);
    spin.set_value(value);
    spin.set_width_chars(7);
    let television = television.clone();
    spin.connect_value_changed(move |spin| {
        let value = spin.value().max(0.0) as u32;
        television.change(move |settings| change(settings, value));
    });
    spin
}

/// A choice from a list; the index is told.
fn choice(texts: &[&str], chosen: usize, change: impl Fn(usize) + 'static) -> gtk::DropDown {
    let list = gtk::DropDown::from_strings(texts);
    list.set_selected(chosen as u32);
    list.connect_selected_notify(move |list| change(list.selected() as usize));
    list
}

fn quality(television: &Television, view: &View) -> gtk::DropDown {
    let mut names: Vec<String> = Vec::new();
    let mut texts = vec![tr("Automatic").to_owned()];
    for (name, bits) in view.line_up.iter().flat_map(|channel| &channel.renditions) {
        if !names.contains(name) {
            names.push(name.clone());
            texts.push(format!("{name} ({})", super::times::rate(*bits)));
        }
    }
    if let Quality::Fixed(name) = &view.settings.quality
        && !names.contains(name)
    {
        names.push(name.clone());
        texts.push(name.clone());
    }
    let chosen = match &view.settings.quality {
        Quality::Automatic => 0,
        Quality::Fixed(name) => names.iter().position(|known| known == name).map_or(0, |i| i + 1),
    };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (television, known) = (television.clone(), names.clone());
    choice(&texts, chosen, move |index| {
        let quality = index.checked_sub(1).and_then(|i| known.get(i)).cloned();
        television.change(move |settings| {
            settings.quality = quality.map_or(Quality::Automatic, Quality::Fixed)
        });
    })
}

fn languages(
    television: &Television,
    chosen: Option<&str>,
    none: &str,
    change: fn(&mut Settings, Option<String>),
) -> gtk::DropDown {
    let names: Vec<&str> = LANGUAGES.iter().map(|code| language_name(code)).collect();
    let texts: Vec<&str> = std::iter::once(none).chain(names).collect();
    let known =
        |code: &str| LANGUAGES.iter().position(|known| crate::playback::same_language(known, code));
    let index = chosen.and_then(known).map_or(0, |i| i + 1);
    let television = television.clone();
    choice(&texts, index, move |index| {
        let code = index.checked_sub(1).and_then(|i| LANGUAGES.get(i)).map(|&code| code.to_owned());
        television.change(move |settings| change(settings, code));
    })
}

fn appearance(television: &Television, chosen: Appearance) -> gtk::DropDown {
    let all = [Appearance::System, Appearance::Light, Appearance::Dark];
    let texts = [tr("As the system"), tr("Light"), tr("Dark")];
    let index = all.iter().position(|known| *known == chosen).unwrap_or(0);
    let television = television.clone();
    choice(&texts, index, move |index| {
        let Some(&appearance) = all.get(index) else { return };
        television.change(move |settings| settings.appearance = appearance);
    })
}

fn program_language(television: &Television, chosen: Option<&str>) -> gtk::DropDown {
    let codes = ["en", "de"];
    // Each in itself: who cannot read this one finds their own.
    let texts = [tr("As the system"), "English", "Deutsch"];
    let index =
        chosen.and_then(|code| codes.iter().position(|known| *known == code)).map_or(0, |i| i + 1);
    let television = television.clone();
    choice(&texts, index, move |index| {
        let code = index.checked_sub(1).and_then(|i| codes.get(i)).map(|&code| code.to_owned());
        television.change(move |settings| settings.language = code);
    })
}
