//! Playing on the wall clock without a picture, and the other commands that need a session.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use link::{Login, Node, NodeConfig, Session, SessionConfig, SessionError};
use serde::Serialize;
use service::Stop;
use ticket::{Identity, Role};
use tokio::time::MissedTickBehavior;
use url::Url;

use crate::Error;
use crate::account::{self, Remembered, State};
use crate::channel::{Channels, Running};
use crate::local;
use crate::output::file::Recorder;
use crate::platform::{Live, Platform};
use crate::player::Player;
use crate::settings::Config;

/// Between two attempts while something cannot be reached: whoever waits is in soon after it is back.
const AGAIN: Duration = Duration::from_millis(500);
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
    /// Whether a window was asked for.
    pub window: bool,
}

/// What is announced when ready.
#[derive(Debug, Serialize)]
struct Announced {
    http: String,
    quic: String,
    peer_id: String,
}

/// A viewer that has signed in.
struct Viewer {
    live: Arc<Live>,
    node: Node,
    state: State,
    server: Url,
    user: Option<String>,
    remember: bool,
    remembered: Option<String>,
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
        viewer = Viewer::sign_in(config, server, patience) => viewer?,
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
            quic: viewer.node.local_addr().to_string(),
            peer_id: viewer.node.id().to_string(),
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
        () = window(order, &running) => Ok(()),
        () = async {
            let mut failing = false;
            loop {
                tick.tick().await;
                write(order.stats.as_deref(), &player.stats(), &mut failing).await;
                viewer.remember();
                if recorder.is_some_and(Recorder::has_failed) {
                    break;
                }
            }
        } => Ok(()),
    };
    Ok(done?)
}

/// Shows the channel if a window was asked for and is possible, until the user closes it; else never ends.
async fn window(order: &Order, running: &Arc<Running>) {
    const ELSEWHERE: &str = "open the local address in a browser, VLC or mpv";
    if order.window {
        #[cfg(feature = "window")]
        match crate::window::is_possible() {
            true => match crate::window::show(running.clone()).await {
                Ok(()) if !running.has_ended() => return,
                // That is told as the end of the channel.
                Ok(()) => {}
                Err(error) => eprintln!("{error}; {ELSEWHERE}"),
            },
            false => eprintln!("There is no display for a window; {ELSEWHERE}"),
        }
        #[cfg(not(feature = "window"))]
        eprintln!("This build has no window; {ELSEWHERE}");
    }
    let _ = running;
    std::future::pending().await
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
        viewer = Viewer::sign_in(config, server, Instant::now() + wait) => viewer?,
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
        viewer = Viewer::sign_in(config, server, Instant::now()) => viewer?,
        () = stop.requested() => return Err(Error::Stopped.into()),
    };
    viewer.remember = false;
    viewer.leave().await;
    say("signed out");
    Ok(())
}

impl Viewer {
    async fn sign_in(config: &Config, server: Url, patience: Instant) -> anyhow::Result<Self> {
        let state = State::open(&config.state_folder())?;
        let login = account::login(&config.account, &state, &server)?;
        let path = config.identity_file();
        let identity =
            Identity::load_or_create(&path).map_err(|source| Error::State { path, source })?;
        let node = Node::start(NodeConfig {
            identity: Arc::new(identity),
            bind: config.network.bind,
            role: Role::Viewer,
            platform: String::new(),
            max_connections: config.network.max_connections,
            max_egress: Some(config.share.uplink()),
            admit: None,
        })
        .await
        .with_context(|| format!("cannot use UDP address {}", config.network.bind))?;
        let by_token = matches!(login, Login::Refresh { .. });
        let session = SessionConfig {
            auth: server.clone(),
            bind: config.network.http_bind(),
            login,
            advertise: Vec::new(),
            software: concat!("braidcast/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let begun = again(patience, || async {
            Ok(Session::start(node.clone(), session.clone(), false).await?)
        });
        let session = match begun.await {
            Ok(session) => session,
            Err(error) => {
                node.shutdown().await;
                return Err(match error {
                    Error::Session(
                        refused @ (SessionError::WrongPassword | SessionError::Refused(_)),
                    ) if by_token => {
                        state.forget();
                        Error::Forgotten(refused.to_string()).into()
                    }
                    error => error.into(),
                });
            }
        };
        let playback = &config.playback;
        let live = Live::new(
            node.clone(),
            session,
            playback.rendition.clone(),
            playback.spares,
            config.share,
        );
        let mut viewer = Self {
            live,
            node,
            state,
            server,
            user: config.account.user.clone(),
            remember: config.account.remember,
            remembered: None,
        };
        viewer.remember();
        Ok(viewer)
    }

    /// Keeps the sign-in for the next start, if it is new.
    fn remember(&mut self) {
        let Some(token) = self.live.refresh_token().filter(|_| self.remember) else { return };
        if self.remembered.as_ref() == Some(&token) {
            return;
        }
        let kept = Remembered {
            server: self.server.clone(),
            user: self.user.clone(),
            refresh_token: token.clone(),
        };
        match self.state.remember(&kept) {
            Ok(()) => self.remembered = Some(token),
            Err(error) => tracing::warn!(error = ?error, "cannot keep the sign-in"),
        }
    }

    /// Leaves the platform, signed in for the next start or signed out.
    async fn leave(mut self) {
        self.remember();
        let Self { live, state, remember, .. } = self;
        if tokio::time::timeout(LEAVING, live.close(!remember)).await.is_err() {
            tracing::warn!("leaving took too long");
        }
        if !remember {
            state.forget();
        }
    }
}

/// Tries again, as long as there is patience, while something of the platform cannot be reached. Says once what.
async fn again<T, F>(patience: Instant, attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut told = None;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let passing = matches!(
            error,
            Error::Session(
                SessionError::AuthUnreachable(_)
                    | SessionError::RendezvousUnreachable
                    | SessionError::NoSuchChannel(_)
                    | SessionError::TooMany(_)
            )
        );
        if !passing || Instant::now() + AGAIN > patience {
            return Err(error);
        }
        let text = error.to_string();
        if told.as_ref() != Some(&text) {
            eprintln!("{text}; trying again");
            told = Some(text);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_reached_is_tried_again_what_is_refused_is_not() {
        let calls = AtomicUsize::new(0);
        let patience = Instant::now() + Duration::from_secs(60);
        let up_at_third = again(patience, || async {
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Err(SessionError::AuthUnreachable("x".into()).into()),
                1 => Err(SessionError::RendezvousUnreachable.into()),
                n => Ok(n),
            }
        });
        assert_eq!(up_at_third.await.unwrap(), 2);
        let refused = again(patience, || async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(SessionError::WrongPassword.into())
        });
        assert!(refused.await.is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 4);
        let impatient = again(Instant::now(), || async {
            Err::<(), _>(SessionError::AuthUnreachable("auth-url".into()).into())
        });
        let error = impatient.await.unwrap_err().to_string();
        assert_eq!(error, "auth at auth-url cannot be reached");
    }
}
