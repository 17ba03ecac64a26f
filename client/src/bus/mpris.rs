//! Media keys, remotes and the desktop's player controls (MPRIS D-Bus Interface Specification 2.2).

use std::collections::HashMap;

use tokio::sync::watch;
use zbus::{Connection, connection, interface};
use zbus::{ObjectPath, OwnedVariant, Variant};

use crate::television::{Handle, Mode, Phase, View, Wish};
use crate::timeshift::Position;

const PATH: &str = "/org/mpris/MediaPlayer2";
const NAME: &str = "org.mpris.MediaPlayer2.braidcast";
const TRACK: &str = "/tv/braidcast/channel";

type Views = watch::Receiver<std::sync::Arc<View>>;

/// `org.mpris.MediaPlayer2`.
struct Root {
    handle: Handle,
}

/// `org.mpris.MediaPlayer2.Player`.
struct Player {
    handle: Handle,
    view: Views,
}

#[interface(name = "org.mpris.MediaPlayer2")]
impl Root {
    fn raise(&self) {
        self.handle.wish(Wish::Raise);
    }
    fn quit(&self) {
        self.handle.wish(Wish::Quit);
    }
    #[zbus(property)]
    fn can_quit(&self) -> bool {
        true
    }
    #[zbus(property)]
    fn can_raise(&self) -> bool {
        true
    }
    #[zbus(property)]
    fn can_set_fullscreen(&self) -> bool {
        true
    }
    #[zbus(property)]
    fn fullscreen(&self) -> bool {
        false
    }
    #[zbus(property)]
    fn set_fullscreen(&self, full: bool) {
        self.handle.wish(Wish::FullScreen(full));
    }
    #[zbus(property)]
    fn has_track_list(&self) -> bool {
        false
    }
    #[zbus(property)]
    fn identity(&self) -> &str {
        "Braidcast"
    }
    #[zbus(property)]
    fn desktop_entry(&self) -> &str {
        "tv.braidcast.Braidcast"
    }
    #[zbus(property)]
    fn supported_uri_schemes(&self) -> Vec<String> {
        Vec::new()
    }
    #[zbus(property)]
    fn supported_mime_types(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Player {
    fn view(&self) -> std::sync::Arc<View> {
        self.view.borrow().clone()
    }
}

#[interface(name = "org.mpris.MediaPlayer2.Player")]
impl Player {
    fn next(&self) {
        self.handle.zap_by(1);
    }
    fn previous(&self) {
        self.handle.zap_by(-1);
    }
    fn pause(&self) {
        self.handle.pause();
    }
    fn play_pause(&self) {
        self.handle.toggle_pause();
    }
    fn stop(&self) {
        self.handle.stop();
    }
    fn play(&self) {
        let view = self.view();
        match (&view.phase, &view.settings.last_channel) {
            (Phase::Choosing, Some(last)) => self.handle.zap(last),
            _ => self.handle.resume(),
        }
    }
    fn seek(&self, microseconds: i64) {
        self.handle.seek_by(microseconds / 1_000_000);
    }
    fn set_position(&self, _track: ObjectPath<'_>, microseconds: i64) {
        let oldest = self.view().transport.oldest;
        if let (Some(Position(oldest)), Ok(on)) = (oldest, u64::try_from(microseconds)) {
            self.handle.seek_to(Position(oldest.saturating_add(on)));
        }
    }
    fn open_uri(&self, _uri: &str) {}

    #[zbus(property)]
    fn playback_status(&self) -> &str {
        status(&self.view())
    }
    #[zbus(property)]
    fn metadata(&self) -> HashMap<String, OwnedVariant> {
        metadata(&self.view())
    }
    #[zbus(property)]
    fn volume(&self) -> f64 {
        volume(&self.view())
    }
    #[zbus(property)]
    fn set_volume(&self, volume: f64) {
        let percent = (volume.clamp(0.0, 1.0) * 100.0).round() as u8;
        self.handle.change(move |settings| {
            settings.volume = percent;
            settings.muted = false;
        });
    }
    #[zbus(property(emits_changed_signal = "false"))]
    fn position(&self) -> i64 {
        let transport = &self.view().transport;
        let at = transport.shown.or(transport.edge);
        let on = at.zip(transport.oldest).map(|(at, oldest)| at.since(oldest).as_micros());
        on.and_then(|on| i64::try_from(on).ok()).unwrap_or(0)
    }
    #[zbus(property)]
    fn rate(&self) -> f64 {
        1.0
    }
    #[zbus(property)]
    fn set_rate(&self, _rate: f64) {}
    #[zbus(property)]
    fn minimum_rate(&self) -> f64 {
        1.0
    }
    #[zbus(property)]
    fn maximum_rate(&self) -> f64 {
        1.0
    }
    #[zbus(property)]
    fn can_go_next(&self) -> bool {
        can_zap(&self.view())
    }
    #[zbus(property)]
    fn can_go_previous(&self) -> bool {
        can_zap(&self.view())
    }
    #[zbus(property)]
    fn can_play(&self) -> bool {
        can_zap(&self.view())
    }
    #[zbus(property)]
    fn can_pause(&self) -> bool {
        can_seek(&self.view())
    }
    #[zbus(property)]
    fn can_seek(&self) -> bool {
        can_seek(&self.view())
    }
    #[zbus(property)]
    fn can_control(&self) -> bool {
        true
    }
}

fn status(view: &View) -> &'static str {
    match view.phase {
        _ if view.transport.mode == Mode::Paused => "Paused",
        Phase::Playing { .. } | Phase::Frozen { .. } | Phase::Starting { .. } => "Playing",
        _ => "Stopped",
    }
}

fn volume(view: &View) -> f64 {
    if view.settings.muted { 0.0 } else { f64::from(view.settings.volume) / 100.0 }
}

fn can_zap(view: &View) -> bool {
    !view.line_up.is_empty()
}

fn can_seek(view: &View) -> bool {
    view.transport.edge.is_some()
}

/// What is on, in MPRIS' words.
fn metadata(view: &View) -> HashMap<String, OwnedVariant> {
    let mut out = HashMap::new();
    let mut put = |key: &str, value: Variant<'_>| {
        if let Ok(value) = OwnedVariant::try_from(value) {
            out.insert(key.to_owned(), value);
        }
    };
    let Some(id) = view.phase.channel() else { return out };
    let channel = view.line_up.iter().find(|channel| channel.id == id);
    let name = channel.map_or(id, |channel| channel.name.as_str());
    let now = view.transport.shown.or(view.transport.edge).map(Position::time);
    let on = now.and_then(|now| view.guide.on(id, now));
    // A path may hold letters, digits and low lines alone.
    let track: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
    if let Ok(track) = ObjectPath::try_from(format!("{TRACK}/_{track}")) {
        put("mpris:trackid", Variant::from(track));
    }
    put("xesam:title", Variant::from(on.map_or(name, |programme| programme.title.as_str())));
    put("xesam:artist", Variant::from(vec![name.to_owned()]));
    if let Some(logo) = channel.and_then(|channel| channel.logo.as_deref()) {
        put("mpris:artUrl", Variant::from(logo));
    }
    out
}

/// What is told when it changes.
fn told(view: &View) -> (&'static str, Option<String>, Option<String>, u64, bool, bool) {
    let title = view.phase.channel().and_then(|id| {
        let now = view.transport.shown.or(view.transport.edge)?.time();
        view.guide.on(id, now).map(|programme| programme.title.clone())
    });
    let channel = view.phase.channel().map(str::to_owned);
    (status(view), channel, title, volume(view).to_bits(), can_zap(view), can_seek(view))
}

/// Offers the player on this bus, until the handle's television is gone.
pub(crate) async fn serve(bus: connection::Builder<'_>, handle: Handle, mut view: Views) {
    let player = Player { handle: handle.clone(), view: view.clone() };
    let built = bus.serve_at(PATH, Root { handle }).serve_at(PATH, player).build();
    let bus: Connection = match built.await {
        Ok(bus) => bus,
        Err(error) => return tracing::debug!(%error, "no media keys: no bus"),
    };
    // Several may run: the first has the plain name.
    if bus.request_name(NAME).await.is_err() {
        let name = format!("{NAME}.instance{}", std::process::id());
        if let Err(error) = bus.request_name(name).await {
            return tracing::debug!(%error, "no media keys: no name");
        }
    }
    let Ok(player) = bus.object_server().interface::<_, Player>(PATH).await else { return };
    let mut last = told(&view.borrow_and_update());
    while view.changed().await.is_ok() {
        let now = told(&view.borrow_and_update());
        if now == last {
            continue;
        }
        last = now;
        let emitter = player.signal_emitter();
        let interface = player.get().await;
        let _nobody_listens = tokio::join!(
            interface.playback_status_changed(emitter),
            interface.metadata_changed(emitter),
            interface.volume_changed(emitter),
            interface.can_go_next_changed(emitter),
            interface.can_go_previous_changed(emitter),
            interface.can_play_changed(emitter),
            interface.can_pause_changed(emitter),
            interface.can_seek_changed(emitter),
        );
    }
}
