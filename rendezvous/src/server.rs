//! The program: QUIC for nodes, HTTP for people and machines, the account at auth.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use link::{Endpoint, Purpose};
use service::{Status, Stop};
use ticket::{Identity, PeerId};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::account::{Account, Advertised, Client};
use crate::admission::Admission;
use crate::config::Config;
use crate::console::{Console, History};
use crate::grant::Granter;
use crate::http;
use crate::hub::Hub;
use crate::map::{Kept, Memory};
use crate::metrics::Metrics;
use crate::reflectors::Reflectors;
use crate::session::{self, Pace};
use crate::shared::{Bus, Exchange, Seal};
use crate::webhooks::{self, Hook};

/// How often the hub looks at its clock: the line-up is told after so long.
const TICK: Duration = Duration::from_millis(250);
/// How often the metrics show the map.
const SHOW: u32 = 8;

/// A running rendezvous.
pub struct Server {
    /// Who it is.
    pub id: PeerId,
    /// Where it listens for HTTP.
    pub http: SocketAddr,
    /// Where it listens for nodes.
    pub quic: SocketAddr,
    hub: Arc<Hub>,
    tasks: Vec<JoinHandle<()>>,
}

/// What is written to the file of `announce`.
#[derive(serde::Serialize)]
struct Announcement {
    http: SocketAddr,
    quic: SocketAddr,
    peer_id: PeerId,
}

impl Server {
    /// Starts everything. Does not wait for auth.
    ///
    /// # Errors
    /// If a file, secret or address cannot be used.
    pub async fn start(config: &Config, stop: Stop) -> anyhow::Result<Self> {
        let identity = Identity::load_or_create(&config.identity)
            .with_context(|| format!("cannot use the identity {}", config.identity.display()))?;
        let identity = Arc::new(identity);
        let credential = config.auth.credential.as_ref().context("auth.credential is needed")?;
        let credential = credential.read()?;
        let admin = config.admin_token.as_ref().map(service::config::Secret::read).transpose()?;

        let registry = service::metrics::Registry::new("rendezvous", env!("CARGO_PKG_VERSION"));
        let metrics = Metrics::new(&registry);
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).context("the system gives no random numbers")?;
        let (bounds, listings, seed) =
            (config.bounds(), config.listings(), u64::from_le_bytes(seed));
        let mut map = match &config.shared.redis {
            None => Memory::new(bounds, &listings, seed),
            Some(_) => Memory::shared(bounds, &listings, seed),
        };
        let line_up = config.state.join("line-up.json");
        let kept = std::fs::read(&line_up).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        map.restore(swarm::Time::default(), kept.unwrap_or_default());
        let hub = Hub::new(config.hub_limits(), Box::new(map), Granter::new(&identity), metrics);
        let hub = Arc::new(hub);

        let endpoint = Endpoint::bind(config.quic.listen, identity.clone(), &[Purpose::Rendezvous])
            .with_context(|| format!("cannot bind the UDP address {}", config.quic.listen))?;
        let quic = endpoint.local_addr();
        let status = Status::new();
        let tls = config.http.tls.clone().map(service::Tls::load).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        if let Some(tls) = &tls {
            tls.register(&registry);
        }
        let client = Client::new(config.auth.url.clone(), config.auth.bind)?;
        let history = Arc::new(History::default());
        let console = Console::new(
            hub.clone(),
            admin.clone(),
            client.clone(),
            status.clone(),
            history.clone(),
            tls.is_some(),
        );
        let router = http::router(hub.clone(), admin, console, status.clone(), registry);
        let (http, serving) =
            service::serve_with(config.http.listen, tls, router, stop.clone()).await?;
        let reflectors = Reflectors::bind(config).await;
        if let Some(reflectors) = &reflectors {
            hub.introduce_viewers(reflectors.seen_as());
        }
        // What HTTP has is not to be had.
        endpoint.listen_tcp_at(&config.quic.tcp);

        let advertised = advertised(config, quic, &format!("{scheme}://{http}/"));
        let account = Account::open(
            client,
            credential,
            identity.id(),
            advertised,
            hub.clone(),
            &config.state,
            &status,
        );
        let account =
            account.with_context(|| format!("cannot use the folder {}", config.state.display()))?;
        let exchange = exchange(config, &hub, identity.id(), &status)?;
        let mut tasks = vec![
            serving,
            tokio::spawn(account.run(stop.clone())),
            tokio::spawn(tick(hub.clone(), history, line_up, stop.clone())),
        ];
        if let Some(reflectors) = reflectors {
            tasks.push(tokio::spawn(reflectors.run(hub.metrics().clone(), stop.clone())));
        }
        if !config.webhooks.is_empty() {
            let hook = |hook: &crate::config::Webhook| -> anyhow::Result<Hook> {
                let (url, secret) = (hook.url.clone(), hook.secret.read()?.expose().to_owned());
                Ok(Hook { url, secret, events: hook.events.clone() })
            };
            let hooks = config.webhooks.iter().map(hook).collect::<anyhow::Result<_>>()?;
            let metrics = hub.metrics().clone();
            tasks.push(webhooks::start(hooks, hub.news(), metrics, stop.clone())?);
        }
        if let Some(exchange) = exchange {
            tasks.push(tokio::spawn(exchange.run(stop.clone())));
        }
        let (allowance, pace) = (config.allowance(), config.pace());
        tasks.push(tokio::spawn(accept(hub.clone(), endpoint, allowance, pace, stop)));
        let id = identity.id();
        service::announce(config.announce.as_deref(), &Announcement { http, quic, peer_id: id })?;
        tracing::info!(%http, %quic, peer_id = %id, "rendezvous is up");
        Ok(Self { id, http, quic, hub, tasks })
    }

    /// Where all sessions meet.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Waits until everything has ended, which a stop makes it do.
    pub async fn ended(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part has failed");
            }
        }
    }
}

/// Runs until the stop.
///
/// # Errors
/// As [`Server::start`].
pub async fn run(config: &Config, stop: Stop) -> anyhow::Result<()> {
    Server::start(config, stop).await?.ended().await;
    Ok(())
}

/// The exchange with other servers, if there may be any.
fn exchange(
    config: &Config,
    hub: &Arc<Hub>,
    me: PeerId,
    status: &Status,
) -> anyhow::Result<Option<Exchange>> {
    let shared = &config.shared;
    let Some(redis) = &shared.redis else { return Ok(None) };
    let password = shared.password.as_ref().map(service::config::Secret::read).transpose()?;
    let secret = shared.secret.as_ref().context("shared.secret is needed")?.read()?;
    let bus = Bus::new(redis, password.as_ref(), &shared.prefix)
        .with_context(|| format!("cannot use {redis} for the shared map"))?;
    let (seal, need) = (Seal::new(secret.expose()), status.need("shared map"));
    Ok(Some(Exchange::new(hub.clone(), me, bus, seal, need, hub.parcels())))
}

fn advertised(config: &Config, quic: SocketAddr, http: &str) -> Advertised {
    let advertise = &config.advertise;
    Advertised {
        quic: if advertise.quic.is_empty() { vec![quic] } else { advertise.quic.clone() },
        http: advertise.http.as_ref().map_or_else(|| http.to_owned(), url::Url::to_string),
    }
}

async fn tick(hub: Arc<Hub>, history: Arc<History>, line_up: PathBuf, stop: Stop) {
    let mut interval = interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count: u32 = 0;
    loop {
        tokio::select! {
            () = stop.requested() => return,
            _ = interval.tick() => if let Some(kept) = hub.tick() {
                let file = line_up.clone();
                let written = tokio::task::spawn_blocking(move || keep(&file, &kept)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, file = %line_up.display(), "the line-up cannot be kept");
                }
            },
        }
        if count.is_multiple_of(SHOW) {
            hub.show();
            history.look(hub.now(), || hub.look(|map, now| map.summaries(now)));
        }
        count = count.wrapping_add(1);
    }
}

/// The file is there whole or as it was before.
fn keep(file: &Path, kept: &[Kept]) -> std::io::Result<()> {
    let draft = file.with_extension("json.new");
    std::fs::write(&draft, serde_json::to_vec(kept)?)?;
    std::fs::rename(draft, file)
}

async fn accept(
    hub: Arc<Hub>,
    endpoint: Endpoint,
    allowance: crate::admission::Allowance,
    pace: Pace,
    stop: Stop,
) {
    let mut admission = Admission::new(allowance);
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.requested() => break,
            Some(ended) = sessions.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session has failed");
                }
            }
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let fits = admission.admit(hub.now(), incoming.remote_addr().ip());
                // Those who have not said who they are yet are bounded by the endpoint and by time;
                // twice the sessions leaves room for nodes that come back before they are missed.
                if fits && sessions.len() < hub.most_sessions().saturating_mul(2) {
                    sessions.spawn(session::serve(hub.clone(), incoming, pace));
                } else {
                    hub.metrics().turned_away.inc();
                    incoming.refuse();
                }
            }
        }
    }
    endpoint.close("rendezvous is stopping").await;
    sessions.shutdown().await;
}
