//! Playing on the wall clock without a picture, and the other commands that need a session.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use service::Stop;
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::Error;
use crate::account::{self, State};
use crate::channel::{Channels, Running};
use crate::local;
use crate::output::file::Recorder;
use crate::platform::Platform as _;
use crate::player::Player;
use crate::settings::Config;
use crate::vault::Vault;
use crate::viewer::{Viewer, Wanted, again};

/// How often figures are written and the sign-in is looked after.
const EACH: Duration = Duration::from_secs(1);
/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(3);

/// What is to be played, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Order {
    /// The channel's id.
    pub channel: String,
    /// When the command was given.
    pub started: Instant,
    /// How long to try again while the platform cannot be reached.
    pub wait: Duration,
    /// How long to play from the first segment on; `None`: until stopped.
    pub duration: Option<Duration>,
    /// Where to write the transport stream.
    pub output: Option<PathBuf>,
    /// Where to write figures.
    pub stats: Option<PathBuf>,
}

/// What is announced when ready.
#[derive(Debug, Serialize)]
struct Announced {
    http: String,
    quic: String,
    peer_id: String,
}

/// Plays a channel until the order is done or `stop` is requested.
///
/// # Errors
/// If it could not be played, or not be written where it was to be.
pub async fn play(config: &Config, server: Url, order: &Order, stop: &Stop) -> anyhow::Result<()> {
    let patience = order.started + order.wait;
    let recorder = match &order.output {
        // A FIFO is opened once somebody reads it.
        Some(path) => tokio::select! {
            recorder = Recorder::open(path) => Some(recorder?),
            () = stop.requested() => return Err(Error::Stopped.into()),
        },
        None => None,
    };
    let mut viewer = tokio::select! {
        viewer = sign_in(config, server, patience) => viewer?,
        () = stop.requested() => return Err(Error::Stopped.into()),
    };
    let channels = Channels::new(viewer.live.clone(), config.local.max_channels);
    let player = Player::new(channels);
    player.record(recorder.as_ref().map(Recorder::sink));
    let serving = stop.part();
    let played = async {
        let router = local::router(player.clone(), &config.local);
        let (http, server) = service::serve(config.local.listen, router, serving.clone())
            .await
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                anyhow::anyhow!("{error}: {}", cause.unwrap_or_default())
            })?;
        service::announce(order.stats.as_deref(), &player.stats())?;
        say(&format!("local address: http://{http}/"));
        let announced = Announced {
            http: http.to_string(),
            quic: viewer.live.node().local_addr().to_string(),
            peer_id: viewer.live.node().id().to_string(),
        };
        service::announce(config.announce.as_deref(), &announced)?;
        let played = tokio::select! {
            played = watch(config, order, &player, recorder.as_ref(), &mut viewer, patience) => played,
            () = stop.requested() => Ok(()),
        };
        let played =
            played.and_then(|()| match player.playing().and_then(|r| *r.first().borrow()) {
                Some(_) => Ok(()),
                None => Err(Error::Stopped.into()),
            });
        Ok::<_, anyhow::Error>((played, server))
    };
    let played = played.await;
    let stats = player.stats();
    player.stop().await;
    write(order.stats.as_deref(), &stats, &mut false).await;
    let recorded = match recorder {
        Some(recorder) => recorder.finish().await,
        None => Ok(()),
    };
    serving.request();
    let played = match played {
        Ok((played, server)) => {
            player.channels().close().await;
            // It cuts endless replies by itself.
            let _ended = tokio::time::timeout(LEAVING, server).await;
            played
        }
        Err(error) => Err(error),
    };
    player.channels().close().await;
    drop(player);
    viewer.leave().await;
    played?;
    recorded?;
    say(&format!(
        "played {} segments of {}, {} lost, {} stalls; started within {} ms",
        stats.segments.played, stats.channel, stats.segments.lost, stats.stalls, stats.startup_ms
    ));
    Ok(())
}

/// Joins the channel, and looks after files until the order is done.
async fn watch(
    config: &Config,
    order: &Order,
    player: &Player,
    recorder: Option<&Recorder>,
    viewer: &mut Viewer,
    patience: Instant,
) -> anyhow::Result<()> {
    let running = again(patience, || player.play(&order.channel, order.started)).await?;
    let mut tick = tokio::time::interval(EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let done = tokio::select! {
        done = end(config, order, &running) => done,
        () = async {
            let mut failing = false;
            loop {
                tick.tick().await;
                write(order.stats.as_deref(), &player.stats(), &mut failing).await;
                viewer.remember().await;
                if recorder.is_some_and(Recorder::has_failed) {
                    break;
                }
            }
        } => Ok(()),
    };
    Ok(done?)
}

/// Waits until the order is done.
async fn end(config: &Config, order: &Order, running: &Running) -> Result<(), Error> {
    let mut first = running.first();
    let timeout = config.playback.start_timeout.get();
    let begun = tokio::select! {
        begun = first.wait_for(Option::is_some) => begun.ok().and_then(|begun| *begun),
        () = running.ended() => return Err(Error::Ended(order.channel.clone())),
        () = tokio::time::sleep(timeout) => {
            return Err(Error::NothingCame { channel: order.channel.clone(), seconds: timeout.as_secs() });
        }
    };
    let over = async {
        match begun.zip(order.duration) {
            Some((begun, duration)) => tokio::time::sleep_until((begun + duration).into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => Ok(()),
        () = running.ended() => Err(Error::Ended(order.channel.clone())),
    }
}

/// Writes figures. A viewer that plays goes on if they cannot be written; that is said once until they can.
async fn write(path: Option<&Path>, stats: &crate::stats::Stats, failing: &mut bool) {
    let Some(path) = path.map(Path::to_owned) else { return };
    let stats = stats.clone();
    let written = tokio::task::spawn_blocking(move || service::announce(Some(&path), &stats)).await;
    let Ok(written) = written else { return };
    let before = std::mem::replace(failing, written.is_err());
    if let Err(error) = written
        && !before
    {
        tracing::warn!(%error, "cannot write figures");
    }
}

/// Writes a line on standard output. Who does not read it any more does not stop the player.
fn say(line: &str) {
    let _unread = writeln!(std::io::stdout(), "{line}");
}

/// Prints the line-up.
///
/// # Errors
/// If it cannot be had.
pub async fn channels(
    config: &Config,
    server: Url,
    wait: Duration,
    stop: &Stop,
) -> anyhow::Result<()> {
    let viewer = tokio::select! {
        viewer = sign_in(config, server, Instant::now() + wait) => viewer?,
        () = stop.requested() => return Err(Error::Stopped.into()),
    };
    for channel in viewer.live.line_up() {
        let state = if channel.live { "" } else { "  (off air)" };
        say(&format!("{:>4}  {:<20}  {}{state}", channel.number, channel.id, channel.name));
    }
    viewer.leave().await;
    Ok(())
}

/// Signs out at the platform and forgets the sign-in.
///
/// # Errors
/// If nobody is signed in, or auth cannot be reached.
pub async fn sign_out(config: &Config, server: Url, stop: &Stop) -> anyhow::Result<()> {
    let mut viewer = tokio::select! {
        viewer = sign_in(config, server, Instant::now()) => viewer?,
        () = stop.requested() => return Err(Error::Stopped.into()),
    };
    viewer.remember = false;
    viewer.leave().await;
    say("signed out");
    Ok(())
}

/// Signs in as the configuration says, or as remembered.
async fn sign_in(config: &Config, server: Url, patience: Instant) -> anyhow::Result<Viewer> {
    let state = Arc::new(State::open(&config.state_folder())?);
    let login = account::login(&config.account, &state, &server)?;
    let user = config.account.user.clone();
    let share = config.share;
    let wanted = Wanted { server, user, login, remember: config.account.remember, share };
    Ok(Viewer::sign_in(config, Vault::file(state), wanted, patience).await?)
}
