//! Starts and ends a running auth.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use service::metrics::Registry;
use service::{Status, Stop, status};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::{http, random, watch};

/// A running auth.
pub struct Running {
    app: Arc<App>,
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Running {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended, after `stop` was requested.
    pub async fn ended(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of auth failed");
            }
        }
        self.app.close().await;
    }
}

/// Opens the database that a configuration names.
pub(crate) fn open(config: &Config) -> anyhow::Result<Store> {
    let password = config.database_password.as_ref().map(|secret| secret.read()).transpose()?;
    let password = password.as_ref().map(|password| password.expose());
    Store::open(&config.database, password)
        .with_context(|| format!("cannot open the database {}", config.database))
}

/// Starts auth; it runs until `stop` is requested.
///
/// PostgreSQL may be away: auth starts, says so in `/readyz`, and waits for it.
///
/// # Errors
/// If the address is taken, a secret cannot be read or a SQLite file cannot be opened.
pub async fn start(config: Config, clock: Clock, stop: Stop) -> anyhow::Result<Running> {
    let store = open(&config)?;
    let administrator = match &config.admin_token {
        Some(secret) => Some(random::digest(secret.read()?.expose())),
        None => None,
    };
    let (listen, announce) = (config.http.listen, config.announce.clone());
    let tls = config.http.tls.clone().map(service::Tls::load).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let patient = matches!(config.database, Database::Postgres(_));
    let app = App::new(config, store, clock, administrator, stop.clone());

    let status = Status::new();
    let database = status.need("database");
    let mut prepared = false;
    match watch::look(&app, &mut prepared).await {
        Ok(()) => database.ok(),
        Err(error) if patient && error.is_unavailable() => database.missing(error.to_string()),
        Err(error) => return Err(error).context("cannot use the database"),
    }
    let registry = Registry::new("auth", env!("CARGO_PKG_VERSION"));
    Metrics::register(&app.metrics, &registry);
    if let Some(tls) = &tls {
        tls.register(&registry);
    }
    let router = http::router(Arc::clone(&app)).merge(status::router(status, registry));
    let (address, server) = service::serve_with(listen, tls, router, stop.clone()).await?;
    app.listens_on(scheme, address);
    tracing::info!(%address, url = app.public_url(), platform = app.config.platform, "auth listens");
    let watcher = tokio::spawn(watch::run(Arc::clone(&app), database, prepared, stop));
    let bound = serde_json::json!({ "http": address.to_string() });
    service::announce(announce.as_deref(), &bound)?;
    Ok(Running { app, address, tasks: [server, watcher] })
}
