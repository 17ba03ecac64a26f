//! From a configuration to a running headend.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result};
use link::{Login, Node, NodeConfig, Session, SessionConfig};
use service::metrics::Registry;
use service::status::Need;
use service::{Status, Stop, announce, serve, status};
use ticket::{Identity, Role};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::metrics::Metrics;
use crate::station::Station;
use crate::{Config, Serve};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often health is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What is not there so soon after signing in is still "starting", no trouble.
const STARTING: Duration = Duration::from_secs(5);
/// A channel that rendezvous refused is offered again after this long: the operator may mend it meanwhile.
const AGAIN: Duration = Duration::from_secs(10);

/// Runs a headend until `stop` is requested.
///
/// # Errors
/// If it cannot start (GStreamer, sockets, key file, secrets), or auth refuses its credential. What cannot be
/// reached is tried again for ever, and `/readyz` says what is missing.
pub async fn run(config: Config, stop: Stop) -> Result<()> {
    gstreamer::init().context("cannot start GStreamer")?;
    let auth = config.auth.clone().context("auth is not configured")?;
    let credential = config.credential.as_ref().context("credential is not configured")?;
    let credential = credential.read().context("cannot have the credential")?;
    let identity = Identity::load_or_create(&config.identity)
        .with_context(|| format!("cannot have the key pair in {}", config.identity.display()))?;
    std::fs::create_dir_all(&config.state)
        .with_context(|| format!("cannot have the folder {}", config.state.display()))?;

    let status = Status::new();
    let platform = status.need("platform");
    let feeds = match config.serve {
        Serve::Repeaters => swarm::Serve::Repeaters,
        Serve::All => swarm::Serve::All,
    };
    let mut stations = Vec::new();
    for channel in &config.channels {
        let station = Station::start(channel.clone(), &config.state, feeds)
            .with_context(|| format!("cannot start channel {}", channel.id))?;
        stations.push(station);
    }
    let stations = Arc::new(stations);
    let needs: Vec<Need> =
        stations.iter().map(|s| status.need(format!("channel {}", s.channel().id))).collect();
    let registry = Registry::new("headend", VERSION);
    registry.register_collector(Box::new(Metrics(stations.clone())));

    let node = Node::start(NodeConfig {
        identity: Arc::new(identity),
        bind: config.bind,
        role: Role::Headend,
        platform: String::new(),
        max_connections: config.limits.connections,
        max_egress: config.limits.egress.map(service::config::Rate::bits_per_second),
        admit: None,
    })
    .await
    .with_context(|| format!("cannot bind UDP {}", config.bind))?;
    let (http, server) =
        serve(config.http.listen, status::router(status, registry), stop.clone()).await?;
    let quic = node.local_addr();
    tracing::info!(peer_id = %node.id(), %quic, %http, channels = stations.len(), "headend is up");
    let places = serde_json::json!({ "http": http, "quic": quic, "peer_id": node.id() });
    announce(config.announce.as_deref(), &places)?;

    let session_config = SessionConfig {
        auth,
        bind: config.source_address(),
        login: Login::Node { credential: credential.expose().to_owned() },
        advertise: config.advertise.clone(),
        software: format!("braidcast-headend/{VERSION}"),
    };
    let session = tokio::select! {
        () = stop.requested() => None,
        session = Session::start(node.clone(), session_config, true) => {
            Some(session.context("cannot sign in")?)
        }
    };
    if let Some(session) = session {
        tokio::select! {
            () = stop.requested() => {}
            () = on_air(&stations, &session) => {}
            () = watch(&stations, &needs, &session, &platform) => {}
        }
        tracing::info!("signing out");
        session.sign_out().await;
    }
    node.shutdown().await;
    server.await.context("the HTTP server broke down")?;
    // Nobody else holds the stations once the server is gone; their threads end with them.
    if let Ok(stations) = Arc::try_unwrap(stations).map_err(drop) {
        tokio::task::spawn_blocking(move || stations.into_iter().for_each(|mut s| s.stop()))
            .await?;
    }
    Ok(())
}

/// Puts every channel on air, each for itself; never returns.
async fn on_air(stations: &[Station], session: &Session) {
    let publish = async |station: &Station| {
        while let Err(error) = station.publish(session).await {
            tracing::error!(channel = %station.channel().id, %error, "rendezvous refuses the channel");
            sleep(AGAIN).await;
        }
    };
    futures::future::join_all(stations.iter().map(publish)).await;
    std::future::pending().await
}

/// Keeps `/readyz` true to what is; never returns.
async fn watch(stations: &[Station], needs: &[Need], session: &Session, platform: &Need) {
    let state = session.state();
    // What is only slow to start is "starting" until then.
    let settled = tokio::time::Instant::now() + STARTING;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let starting = tokio::time::Instant::now() < settled;
        match &state.borrow().missing {
            None => platform.ok(),
            Some(what) => platform.missing(what),
        }
        for (station, need) in stations.iter().zip(needs) {
            if !station.media().source_up.load(Relaxed) {
                match station.media().trouble() {
                    Some(why) => need.missing(why),
                    None if starting => {}
                    None => need.missing("its source gives nothing"),
                }
            } else if station.swarm().is_none() {
                if !starting {
                    need.missing("not on air yet");
                }
            } else {
                need.ok();
            }
        }
    }
}
