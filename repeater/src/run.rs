//! From a configuration to a running repeater.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use link::{Admit, Login, Node, NodeConfig, Session, SessionConfig, SessionError};
use service::logs::Redacted;
use service::metrics::Registry;
use service::status::Need;
use service::{Status, Stop, announce, serve, status};
use ticket::{Identity, Role};
use tokio::time::sleep;

use crate::carrier::Carrier;
use crate::metrics::Metrics;
use crate::{Config, Time, page};

/// A platform that is away is tried again at least so often.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs a repeater until `stop` is requested.
///
/// # Errors
/// If it cannot start (sockets, key file, secret), or auth refuses its credential. What cannot be
/// reached is tried again for ever, and `/readyz` says what is missing.
pub async fn run(config: Config, stop: Stop) -> Result<()> {
    let crate::Login { auth, credential } =
        config.login().map_err(|(key, what)| anyhow::anyhow!("key `{key}`: {what}"))?;
    let identity = Identity::load_or_create(&config.identity)
        .with_context(|| format!("cannot have the key pair in {}", config.identity.display()))?;

    let status = Status::new();
    let platform = status.need("platform");
    let registry = Registry::new("repeater", VERSION);
    let metrics = Metrics::default();
    registry.register_collector(Box::new(metrics.clone()));

    let node = Node::start(NodeConfig {
        identity: Arc::new(identity),
        bind: config.bind,
        role: Role::Repeater,
        platform: String::new(),
        max_connections: config.limits.connections,
        max_egress: config
            .limits
            .egress_at(Time::now())
            .map(service::config::Rate::bits_per_second),
        meeting: link::Meeting::default(),
        admit: admit(&config),
    })
    .await
    .with_context(|| format!("cannot bind UDP {}", config.bind))?;
    // It answers until the children have moved.
    let over = Stop::new();
    let page = page::router(&config, node.id(), status.clone(), metrics.clone());
    let router = page.merge(status::router(status, registry));
    let (http, server) = serve(config.http.listen, router, over.clone()).await?;

    let quic = node.local_addr();
    node.endpoint().listen_tcp_at(&config.tcp);
    tracing::info!(peer_id = %node.id(), %quic, %http, "repeater is up");
    let places = serde_json::json!({ "http": http, "quic": quic, "peer_id": node.id() });
    announce(config.announce.as_deref(), &places)?;

    let account = SessionConfig {
        auth,
        bind: config.source_address(),
        login: Login::Node { credential: credential.expose().to_owned() },
        advertise: config.advertise.clone(),
        software: format!("braidcast-repeater/{VERSION}"),
    };
    let session = tokio::select! {
        () = stop.requested() => None,
        session = sign_in(&node, &account, &platform) => Some(session.context("cannot sign in")?),
    };
    if let Some(session) = session {
        Carrier::new(&config, &node, &session, metrics, platform).run(&stop).await;
        tracing::info!("signing out");
        session.sign_out().await;
    }
    node.shutdown().await;
    over.request();
    server.await.context("the HTTP server broke down")?;
    Ok(())
}

/// Signs in, and says meanwhile what is missing. Gives up only when refused.
async fn sign_in(
    node: &Node,
    account: &SessionConfig,
    platform: &Need,
) -> Result<Session, SessionError> {
    let mut pause = Duration::from_millis(250);
    loop {
        match Session::start(node.clone(), account.clone(), false).await {
            Err(
                error @ (SessionError::AuthUnreachable(_)
                | SessionError::RendezvousUnreachable
                | SessionError::TooMany(_)),
            ) => {
                platform.missing(error.to_string());
                if let SessionError::TooMany(seconds) = error {
                    pause = Duration::from_secs(seconds);
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// Turns viewers away who are elsewhere, if the configuration says so.
fn admit(config: &Config) -> Option<Admit> {
    if config.serve.everybody() {
        return None;
    }
    let serve = config.serve.clone();
    Some(Arc::new(move |ticket, address| {
        let admitted = serve.admits(ticket.role, &ticket.loc, address.ip());
        if !admitted {
            tracing::debug!(from = %Redacted(address), "turned away: not in a place that is served");
        }
        admitted
    }))
}
