//! The channels on air, and how they change while the program runs: each is started, stopped and begun anew for
//! itself, and one that stays as it is notices nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use link::Session;
use serde::Serialize;
use service::Status;
use service::status::Need;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::config::Channel;
use crate::station::{self, Station};

/// What is not there so soon after a channel was started is still "starting", no trouble.
const STARTING: Duration = Duration::from_secs(5);
/// A rendition that rendezvous refused is offered again after this long: the operator may mend it meanwhile.
const AGAIN: Duration = Duration::from_secs(10);

/// What a change did, by channel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Changes {
    /// Begun.
    pub(crate) added: Vec<String>,
    /// Begun anew.
    pub(crate) changed: Vec<String>,
    /// Ended.
    pub(crate) removed: Vec<String>,
    /// Not begun, or left as they were; and why.
    pub(crate) failed: BTreeMap<String, String>,
}

/// One channel that runs.
struct Running {
    station: Arc<Station>,
    need: Need,
    since: Instant,
    /// Puts its renditions on air; ended when dropped.
    _publishing: JoinSet<()>,
}

/// All channels that run.
pub(crate) struct Roster {
    state: PathBuf,
    serve: swarm::Serve,
    status: Status,
    session: watch::Receiver<Option<Arc<Session>>>,
    running: Mutex<Vec<Running>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.stations().iter().map(|s| s.channel().id.clone()).collect::<Vec<_>>();
        write!(f, "Roster({})", ids.join(" "))
    }
}

impl Roster {
    /// Without channels. `state`: the folder of segment numbers and secrets. What is published goes through `session`
    /// once there is one.
    pub(crate) fn new(
        state: PathBuf,
        serve: swarm::Serve,
        status: Status,
        session: watch::Receiver<Option<Arc<Session>>>,
    ) -> Self {
        let (running, changing) = Default::default();
        Self { state, serve, status, session, running, changing }
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channels, in the order of the configuration.
    pub(crate) fn stations(&self) -> Vec<Arc<Station>> {
        self.running().iter().map(|running| running.station.clone()).collect()
    }

    /// Makes the channels that run those of `channels`.
    pub(crate) async fn apply(&self, channels: &[Channel]) -> Changes {
        let _one = self.changing.lock().await;
        let mut changes = Changes::default();
        let mut before: BTreeMap<String, Running> = self
            .running()
            .drain(..)
            .map(|running| (running.station.channel().id.clone(), running))
            .collect();
        let mut now = Vec::new();
        let mut to_start = Vec::new();
        for channel in channels {
            let old = before.remove(&channel.id);
            if let Some(same) = old.as_ref().filter(|old| old.station.channel() == channel) {
                tracing::debug!(channel = %same.station.channel().id, "stays as it is");
                now.extend(old);
                continue;
            }
            // What cannot work does not end what does.
            if let Err(error) = station::check_secret(channel, &self.state) {
                changes.failed.insert(channel.id.clone(), format!("{error:#}"));
                now.extend(old);
                continue;
            }
            to_start.push((channel, old.is_some()));
            before.extend(old.map(|old| (channel.id.clone(), old)));
        }
        // Those that stay are there for metrics while others are stopped, which takes a moment.
        *self.running() = now;
        let restarted = |id: &String| to_start.iter().any(|(channel, _)| channel.id == *id);
        changes.removed = before.keys().filter(|id| !restarted(id)).cloned().collect();
        for (id, old) in &before {
            tracing::info!(channel = %id, "ends");
            old.need.dropped();
        }
        stop(before.into_values()).await;
        for (channel, again) in to_start {
            match self.start(channel) {
                Ok(running) => {
                    self.running().push(running);
                    let which = if again { &mut changes.changed } else { &mut changes.added };
                    which.push(channel.id.clone());
                }
                Err(error) => {
                    changes.failed.insert(channel.id.clone(), format!("{error:#}"));
                }
            }
        }
        for (channel, why) in &changes.failed {
            tracing::error!(channel = %channel, %why, "the channel cannot be started");
        }
        let place = |running: &Running| {
            channels.iter().position(|channel| channel.id == running.station.channel().id)
        };
        self.running().sort_by_key(place);
        changes
    }

    fn start(&self, channel: &Channel) -> Result<Running> {
        let station = Station::start(channel.clone(), &self.state, self.serve)
            .with_context(|| format!("cannot start channel {}", channel.id))?;
        let station = Arc::new(station);
        let need = self.status.need(format!("channel {}", channel.id));
        let mut publishing = JoinSet::new();
        for index in 0..station.renditions().len() {
            publishing.spawn(publish(station.clone(), index, self.session.clone()));
        }
        Ok(Running { station, need, since: Instant::now(), _publishing: publishing })
    }

    /// Keeps `/readyz` true to what is.
    pub(crate) fn look(&self) {
        for running in self.running().iter() {
            let Running { station, need, since, .. } = running;
            // What is only slow to start is "starting" until then.
            let starting = since.elapsed() < STARTING;
            if !station.media().source_up.load(Relaxed) {
                match station.media().trouble() {
                    Some(why) => need.missing(why),
                    None if starting => {}
                    None => need.missing("its source gives nothing"),
                }
            } else if !station.on_air() {
                if !starting {
                    need.missing("not on air yet");
                }
            } else {
                need.ok();
            }
        }
    }

    /// Ends all channels; returns when their threads are gone.
    pub(crate) async fn stop(&self) {
        let _one = self.changing.lock().await;
        let running: Vec<_> = self.running().drain(..).collect();
        stop(running).await;
    }
}

/// Ends channels, all at once: each takes a moment, and with fifty of them one after the other whoever stops the program
/// would lose patience (Docker after 10 s). Returns when their threads are gone.
async fn stop(channels: impl IntoIterator<Item = Running>) {
    let mut ending = JoinSet::new();
    for Running { station, _publishing: mut publishing, .. } in channels {
        ending.spawn(async move {
            publishing.shutdown().await;
            tokio::task::spawn_blocking(move || station.stop()).await
        });
    }
    while let Some(ended) = ending.join_next().await {
        if let Err(error) = ended.and_then(|ended| ended) {
            tracing::error!(%error, "a channel did not end in order");
        }
    }
}

/// Puts a rendition on air, as soon as there is a session.
async fn publish(
    station: Arc<Station>,
    index: usize,
    mut session: watch::Receiver<Option<Arc<Session>>>,
) {
    let Some(rendition) = station.renditions().get(index) else { return };
    let there = session.wait_for(Option::is_some).await;
    // Without a sender the program is about to end.
    let Some(session) = there.ok().and_then(|session| session.clone()) else { return };
    while let Err(error) = rendition.publish(&session).await {
        let channel = &station.channel().id;
        tracing::error!(%channel, rendition = rendition.name, %error, "rendezvous refuses the channel");
        sleep(AGAIN).await;
    }
}
