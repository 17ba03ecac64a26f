//! From a configuration to a running headend.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use link::{Login, Node, NodeConfig, Session, SessionConfig};
use service::metrics::Registry;
use service::status::Need;
use service::{Status, Stop, announce, serve, status};
use ticket::{Identity, Role};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::roster::Roster;
use crate::{Config, Serve, admin, monitor, orders};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How often health is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a headend until `stop` is requested. `file`: where the configuration was read, to read it again when it
/// changes.
///
/// # Errors
/// If it cannot start (GStreamer, sockets, key file, secrets), or auth refuses its credential. What cannot be
/// reached is tried again for ever, and `/readyz` says what is missing.
pub async fn run(config: Config, file: Option<PathBuf>, stop: Stop) -> Result<()> {
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
    let (session_in, session_out) = watch::channel(None);
    let roster = Roster::new(config.state.clone(), feeds, status.clone(), session_out);
    let roster = Arc::new(roster);
    let changes = roster.apply(&config.all_channels()?).await;
    if let Some((channel, why)) = changes.failed.first_key_value() {
        bail!("cannot start channel {channel}: {why}");
    }
    let registry = Registry::new("headend", VERSION);
    registry.register_collector(Box::new(Metrics(roster.clone())));
    let in_force =
        registry.add("configuration_in_force", "Whether the configuration file is what runs");
    let reload = file.map(|file| Reload::new(file, config.clone(), roster.clone(), in_force));
    let reload = reload.map(Arc::new);

    let node = Node::start(NodeConfig {
        identity: Arc::new(identity),
        bind: config.bind,
        role: Role::Headend,
        platform: String::new(),
        max_connections: config.limits.connections,
        max_egress: config.limits.egress.map(service::config::Rate::bits_per_second),
        meeting: Default::default(),
        admit: None,
    })
    .await
    .with_context(|| format!("cannot bind UDP {}", config.bind))?;
    let mut router = status::router(status, registry);
    if let Some(token) = &config.http.admin_token {
        let token = token.read().context("cannot have the administrator's token")?;
        router = router.merge(admin::router(roster.clone(), reload.clone(), token));
    }
    let (http, server) = serve(config.http.listen, router, stop.clone()).await?;
    let quic = node.local_addr();
    node.endpoint().listen_tcp_at(&config.tcp);
    tracing::info!(peer_id = %node.id(), %quic, %http, channels = config.channels.len(), "headend is up");
    let places = serde_json::json!({ "http": http, "quic": quic, "peer_id": node.id() });
    announce(config.announce.as_deref(), &places)?;

    let session_config = SessionConfig {
        auth,
        bind: config.source_address(),
        login: Login::Node { credential: credential.expose().to_owned() },
        advertise: config.advertise.clone(),
        software: format!("braidcast-headend/{VERSION}"),
    };
    let rereading = tokio::spawn({
        let (reload, stop) = (reload.clone(), stop.clone());
        async move {
            match reload {
                Some(reload) => reload.watch(&stop).await,
                None => Ok(()),
            }
        }
    });
    let session = tokio::select! {
        () = stop.requested() => None,
        session = Session::start(node.clone(), session_config, true) => {
            Some(Arc::new(session.context("cannot sign in")?))
        }
    };
    session_in.send_replace(session.clone());
    if let Some(session) = &session {
        tokio::select! {
            () = stop.requested() => {}
            () = look(&roster, session, &platform) => {}
            () = monitor::tell(&roster, session) => {}
            () = monitor::show(roster.clone(), session) => {}
            () = orders::follow(reload.filter(|_| config.console), session) => {}
        }
    }
    rereading.await.context("the configuration is read no more")??;
    // Channels hold the session until they have ended.
    roster.stop().await;
    drop(session_in);
    if let Some(session) = session.and_then(Arc::into_inner) {
        tracing::info!("signing out");
        session.sign_out().await;
    }
    node.shutdown().await;
    server.await.context("the HTTP server broke down")
}

/// Keeps `/readyz` true to what is; never returns.
async fn look(roster: &Roster, session: &Session, platform: &Need) {
    let state = session.state();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        match &state.borrow().missing {
            None => platform.ok(),
            Some(what) => platform.missing(what),
        }
        roster.look();
    }
}
