//! Colours, light and dark, and the style sheet.

use gtk::gdk;
use gtk::gio;
use gtk::glib;
use gtk::prelude::*;

use crate::choices::Appearance;

const SHEET: &str = include_str!("../../data/window.css");
const LIGHT: &str = "
@define-color surface #f6f7fa; @define-color card #ffffff; @define-color field #eceef3;
@define-color ink #12151c; @define-color soft #565d6b; @define-color line rgba(18,21,28,0.12);
@define-color accent #2458e6; @define-color accent_on_dark #7aa2ff; @define-color gold #a86a00; @define-color error #b3141f;
";
const DARK: &str = "
@define-color surface #12151c; @define-color card #1b1f29; @define-color field #262b37;
@define-color ink #f1f3f8; @define-color soft #a4acbc; @define-color line rgba(255,255,255,0.11);
@define-color accent #4d7dff; @define-color accent_on_dark #7aa2ff; @define-color gold #f2b93b; @define-color error #ff8086;
";

/// How the window looks. Follows the choice and, if that is the system's, the desktop.
pub(super) struct Look {
    colours: gtk::CssProvider,
    dark_desktop: std::cell::Cell<bool>,
    chosen: std::cell::Cell<Appearance>,
}

impl Look {
    /// Puts the style sheet in force.
    pub(super) fn new(display: &gdk::Display) -> std::rc::Rc<Self> {
        let colours = gtk::CssProvider::new();
        let sheet = gtk::CssProvider::new();
        sheet.load_from_data(SHEET);
        let first = gtk::STYLE_PROVIDER_PRIORITY_APPLICATION;
        gtk::style_context_add_provider_for_display(display, &colours, first);
        gtk::style_context_add_provider_for_display(display, &sheet, first + 1);
        let look = std::rc::Rc::new(Self {
            colours,
            dark_desktop: false.into(),
            chosen: Appearance::System.into(),
        });
        look.apply();
        let weak = std::rc::Rc::downgrade(&look);
        glib::spawn_future_local(async move {
            if let Some(dark) = desktop_is_dark().await
                && let Some(look) = weak.upgrade()
            {
                look.dark_desktop.set(dark);
                look.apply();
            }
        });
        look
    }

    /// Takes over the viewer's choice.
    pub(super) fn choose(&self, appearance: Appearance) {
        if self.chosen.replace(appearance) != appearance {
            self.apply();
        }
    }

    fn apply(&self) {
        let dark = match self.chosen.get() {
            Appearance::Light => false,
            Appearance::Dark => true,
            Appearance::System => self.dark_desktop.get(),
        };
        self.colours.load_from_data(if dark { DARK } else { LIGHT });
        if let Some(settings) = gtk::Settings::default() {
            settings.set_gtk_application_prefer_dark_theme(dark);
        }
    }
}

/// What the desktop prefers (org.freedesktop.appearance); `None` without a desktop that tells.
async fn desktop_is_dark() -> Option<bool> {
    let bus = gio::bus_get_future(gio::BusType::Session).await.ok()?;
    let answer = bus
        .call_future(
            Some("org.freedesktop.portal.Desktop"),
            "/org/freedesktop/portal/desktop",
            "org.freedesktop.portal.Settings",
            "Read",
            Some(&("org.freedesktop.appearance", "color-scheme").to_variant()),
            None,
            gio::DBusCallFlags::NO_AUTO_START,
            1000,
        )
        .await
        .ok()?;
    let mut value = answer.child_value(0);
    while let Some(inner) = value.as_variant() {
        value = inner;
    }
    Some(value.get::<u32>()? == 1)
}
