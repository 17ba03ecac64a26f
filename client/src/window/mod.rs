//! The window: television for people, with GTK.
//!
//! What is played, remembered and recovered is the core's ([`Television`]); pictures and sound are
//! [`playback`](crate::playback)'s. This shows the core's view and tells it what the viewer wants.
//!
//! GTK runs on the main thread, everything else on a tokio runtime beside it. Views tell what they want by actions of the
//! window (`win.zap`, `win.guide`, ...), which [`actions`] defines and [`keys`] gives keys.

mod actions;
mod banner;
mod channels;
mod guide;
mod keys;
mod logos;
mod look;
mod preferences;
mod report;
mod screen;
mod shortcuts;
mod sign_in;
mod single;
mod stage;
mod statistics;
mod times;
mod tracks;
mod ui;
mod widgets;
pub mod words;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gtk::prelude::*;
use gtk::{gio, glib};
use service::Stop;

use crate::Error;
use crate::settings::Config;
use crate::television::Television;

/// The program's name on the desktop and on the bus.
pub const APPLICATION: &str = "tv.braidcast.Braidcast";

/// What a start of the window is to do beside showing it.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The channel to play; `None`: the last one.
    pub channel: Option<String>,
    /// Where to write figures each second.
    pub stats: Option<PathBuf>,
    /// When to end by itself, from the first picture on.
    pub duration: Option<Duration>,
    /// When the program was started.
    pub started: Option<Instant>,
}

/// Whether there is a display to open a window on.
pub fn is_possible() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Shows the window until the viewer closes it. To be called on the main thread.
///
/// # Errors
/// If there is no display, GStreamer cannot be used, or the state folder is in use without a window.
pub fn run(config: Config, start: Start) -> anyhow::Result<()> {
    let folder = config.state_folder();
    if single::call(&folder, &single::Call::of_this_start(start.channel.as_deref())).is_ok() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let announce = config.announce.clone();
    let server = config.server.clone();
    // Signing in goes on while the window is being made.
    let (television, stop) = {
        let _inside = runtime.enter();
        let stop = Stop::on_signals().context("cannot listen to signals")?;
        let television = match Television::start(config) {
            Err(Error::Locked(folder)) => {
                // Another one may have come up in this very moment.
                let wanted = single::Call::of_this_start(start.channel.as_deref());
                return single::call(&folder, &wanted).map_err(|_| Error::Locked(folder).into());
            }
            started => started?,
        };
        (television, stop)
    };
    words::choose(television.view().borrow().settings.language.as_deref());
    gstreamer::init().context("GStreamer cannot be used")?;
    gtk::init().context("there is no display for a window")?;
    glib::set_prgname(Some(APPLICATION));
    glib::set_application_name("Braidcast");
    let (only, called) = match single::listen(&folder) {
        Ok((only, called)) => (Some(only), Some(called)),
        Err(error) => {
            tracing::warn!(%error, "a second start will not bring this window forward");
            (None, None)
        }
    };
    let application = gtk::Application::builder()
        .application_id(APPLICATION)
        .flags(gio::ApplicationFlags::NON_UNIQUE)
        .build();
    let (handle, shown) = (runtime.handle().clone(), television.clone());
    let outside = ui::Outside { announce, server, called, stop };
    let setup = std::cell::Cell::new(Some((start, outside)));
    application.connect_activate(move |application| {
        let Some((start, outside)) = setup.take() else { return };
        ui::Ui::open(application, shown.clone(), handle.clone(), start, outside);
    });
    application.run_with_args::<&str>(&[]);
    drop(only);
    runtime.block_on(television.close());
    runtime.shutdown_timeout(Duration::from_millis(300));
    Ok(())
}
