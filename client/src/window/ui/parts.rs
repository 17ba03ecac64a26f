//! Parts of the window that do not change: its bar, and the page before all others.

use gtk::gio;
use gtk::prelude::*;

use super::super::widgets::{column, icon_button, row, spoken};
use super::super::words::tr;

/// The window's own bar.
pub(super) fn header() -> (gtk::HeaderBar, gtk::Label, gtk::Box) {
    let bar = gtk::HeaderBar::new();
    let left = row(4);
    let list = tr("Show or hide the list of channels");
    left.append(&icon_button("sidebar-show-symbolic", list, "win.sidebar"));
    left.append(&icon_button("x-office-calendar-symbolic", tr("Guide"), "win.guide"));
    bar.pack_start(&left);
    let title = super::super::widgets::short("Braidcast", "title");
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
    items(&[
        (tr("Preferences"), "win.preferences"),
        (tr("Keys"), "win.shortcuts"),
        (tr("Save a report …"), "win.save-report"),
    ]);
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
    super::super::widgets::name(&button, tr("Menu"));
    bar.pack_end(&button);
    (bar, title, left)
}

/// What is shown until it is known what to show.
pub(super) fn waiting() -> gtk::Box {
    let spinner = gtk::Spinner::new();
    spinner.set_size_request(36, 36);
    spinner.set_spinning(true);
    spoken(&spinner, tr("Signing in …"));
    let text = super::super::widgets::label(tr("Signing in …"), "soft");
    text.set_xalign(0.5);
    let page = column(14);
    page.add_css_class("page");
    page.set_valign(gtk::Align::Center);
    page.set_halign(gtk::Align::Center);
    page.append(&spinner);
    page.append(&text);
    page
}
