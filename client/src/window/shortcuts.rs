//! The keys, and the window that lists them.

use gtk::prelude::*;

use super::preferences::dialog;
use super::widgets::{column, fill, label, paragraph, role, row, spoken};
use super::words::tr;

/// Keys as they are written on them, and what they do.
type Key = (&'static [&'static str], &'static str);

/// The keys by what they are for: keys as they are written on them, and what they do.
fn keys() -> [(&'static str, Vec<Key>); 4] {
    [
        (
            tr("Channels"),
            vec![
                (&["↑", "↓"], tr("Channel up and down")),
                (&["Page ↑", "Page ↓"], tr("Channel up and down")),
                (&["0", "…", "9"], tr("Channel by its number")),
                (&["Backspace"], tr("The channel before")),
                (&["Ctrl+F"], tr("Search channels")),
                (&["C"], tr("Show or hide the list of channels")),
                (&["Ctrl+D"], tr("Favourite or not")),
            ],
        ),
        (
            tr("Picture and sound"),
            vec![
                (&["F"], tr("Full screen")),
                (&["M"], tr("Mute")),
                (&["←", "→"], tr("Volume")),
                (&["T"], tr("Sound and subtitles")),
            ],
        ),
        (
            tr("Pause and rewind"),
            vec![
                (&["Space"], tr("Pause")),
                (&["Shift+←", "Shift+→"], tr("Back and forward 10 seconds")),
                (&["Home"], tr("Programme from its beginning")),
                (&["End"], tr("Jump to live")),
            ],
        ),
        (
            tr("The program"),
            vec![
                (&["I"], tr("Information")),
                (&["G"], tr("Guide")),
                (&["S"], tr("Statistics")),
                (&["Esc"], tr("Back")),
                (&["Ctrl+,"], tr("Preferences")),
                (&["F1"], tr("Keys")),
                (&["Ctrl+Q"], tr("Quit")),
            ],
        ),
    ]
}

/// Opens the window over `parent`.
pub(super) fn open(parent: &gtk::ApplicationWindow) {
    let columns = [column(8), column(8)];
    for (i, (title, keys)) in keys().into_iter().enumerate() {
        let into = &columns[usize::from(i >= 2)];
        let heading = label(title, "section");
        role(&heading, gtk::AccessibleRole::Heading);
        into.append(&heading);
        for (caps, text) in keys {
            let line = row(12);
            let pressed = row(4);
            pressed.set_width_request(130);
            pressed.set_valign(gtk::Align::Center);
            for cap in caps {
                let class = if *cap == "…" { "soft" } else { "key" };
                pressed.append(&label(cap, class));
            }
            let text = paragraph(text, "");
            text.set_hexpand(true);
            fill(&line, &[pressed.upcast_ref(), text.upcast_ref()]);
            into.append(&line);
        }
    }
    let body = row(36);
    body.set_homogeneous(true);
    body.set_margin_top(16);
    body.set_margin_bottom(22);
    body.set_margin_start(24);
    body.set_margin_end(24);
    fill(&body, &[columns[0].upcast_ref(), columns[1].upcast_ref()]);
    let scroll = gtk::ScrolledWindow::builder().child(&body).build();
    // It takes the focus, to be scrolled by keys.
    spoken(&scroll, tr("Keys"));
    dialog(parent, tr("Keys"), &scroll, (760, 470)).present();
}
