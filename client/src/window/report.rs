//! Saving the report for the operator where the viewer wants it.

use std::rc::Rc;

use gtk::prelude::*;
use gtk::{gio, glib};

use super::ui::Ui;
use super::words::{put, tr};

/// Asks where to, and saves the report there.
pub(super) fn save(ui: &Rc<Ui>) {
    let chooser = gtk::FileChooserNative::new(
        Some(tr("Save a report")),
        Some(&ui.window),
        gtk::FileChooserAction::Save,
        Some(tr("Save")),
        Some(tr("Cancel")),
    );
    chooser.set_modal(true);
    chooser.set_current_name(&name());
    let weak = Rc::downgrade(ui);
    glib::spawn_future_local(async move {
        let answer = chooser.run_future().await;
        let chosen = chooser.file().filter(|_| answer == gtk::ResponseType::Accept);
        chooser.destroy();
        let (Some(file), Some(ui)) = (chosen, weak.upgrade()) else { return };
        let report = ui.television.report().await;
        let said = match write(&file, report).await {
            Ok(()) => put(tr("The report is saved as {file}."), "file", base(&file)),
            Err(error) => put(tr("The report cannot be saved: {why}"), "why", error.message()),
        };
        ui.stage.say(&said);
    });
}

/// Readable for the viewer alone: what is in it is for the operator.
async fn write(file: &gio::File, report: String) -> Result<(), glib::Error> {
    let flags = gio::FileCreateFlags::PRIVATE | gio::FileCreateFlags::REPLACE_DESTINATION;
    let written = file.replace_contents_future(report, None, false, flags).await;
    written.map(drop).map_err(|(_, error)| error)
}

fn base(file: &gio::File) -> String {
    file.basename().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `braidcast-report-2026-11-22.txt`.
fn name() -> String {
    format!("braidcast-report-{}.txt", jiff::Zoned::now().date())
}
