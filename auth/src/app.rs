//! What all requests share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use service::Stop;
use ticket::{Confirmation, Location, MAX_TOKEN, PeerId, Role, UserTicket};
use tokio::sync::{Mutex, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::guide::Keeper;
use crate::hasher::Hasher;
use crate::http::Problem;
use crate::limits::Limits;
use crate::location::Locator;
use crate::metrics::{Metrics, count};
use crate::published::Published;
use crate::refresh::RefreshTokens;
use crate::store::{Counters, Error, Store};

/// The state of a running auth.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) hasher: Hasher,
    pub(crate) limits: Limits,
    pub(crate) locator: Locator,
    pub(crate) metrics: Metrics,
    pub(crate) guide: Keeper,
    /// The administrator's token, hashed; none: administration over HTTP is closed.
    pub(crate) administrator: Option<String>,
    /// How far revocations are; long polls wait for it to rise.
    pub(crate) revoked: watch::Sender<i64>,
    /// The end of the program: long polls answer.
    pub(crate) ending: Stop,
    public_url: OnceLock<String>,
    store: Store,
    /// The database answers and its tables are up to date.
    there: AtomicBool,
    published: ArcSwapOption<Published>,
    refresh: ArcSwapOption<RefreshTokens>,
    counters: Mutex<Option<Counters>>,
    started: i64,
}

/// Whom a ticket is for.
pub(crate) struct Grant {
    pub(crate) subject: String,
    pub(crate) session: String,
    pub(crate) device: PeerId,
    pub(crate) role: Role,
    pub(crate) channels: Vec<String>,
    pub(crate) location: Location,
}

impl App {
    pub(crate) fn new(
        config: Config,
        store: Store,
        clock: Clock,
        administrator: Option<String>,
        ending: Stop,
    ) -> Arc<Self> {
        Arc::new(Self {
            hasher: Hasher::new(),
            limits: Limits::new(config.limits.clone()),
            locator: Locator::new(&config.location),
            metrics: Metrics::default(),
            guide: Keeper::new(
                config.guide.source.clone(),
                config.guide.refresh.get(),
                config.guide.rules(),
            ),
            administrator,
            revoked: watch::channel(0).0,
            ending,
            public_url: OnceLock::new(),
            store,
            there: AtomicBool::new(false),
            published: ArcSwapOption::empty(),
            refresh: ArcSwapOption::empty(),
            counters: Mutex::default(),
            started: clock.seconds(),
            clock,
            config,
        })
    }

    /// Auth's public address: the configured one, or the one it listens on.
    pub(crate) fn public_url(&self) -> &str {
        self.public_url.get().map_or("", String::as_str)
    }

    /// Sets the address that it listens on, once.
    pub(crate) fn listens_on(&self, scheme: &str, bound: std::net::SocketAddr) {
        let url = match &self.config.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("{scheme}://{bound}"),
        };
        self.public_url.get_or_init(|| url);
    }

    /// The database, if it is there: while it is known to be away nobody waits for it.
    pub(crate) fn store(&self) -> Result<&Store, Problem> {
        if self.there.load(Ordering::Relaxed) {
            Ok(&self.store)
        } else {
            Err(Problem::unavailable("the database cannot be reached"))
        }
    }

    /// What everybody may know; there as soon as the database was once.
    pub(crate) fn published(&self) -> Result<Arc<Published>, Problem> {
        self.published
            .load_full()
            .ok_or_else(|| Problem::unavailable("the keys have not been read yet"))
    }

    /// How refresh tokens are made and read.
    pub(crate) fn refresh_tokens(&self) -> Result<Arc<RefreshTokens>, Problem> {
        self.refresh
            .load_full()
            .ok_or_else(|| Problem::unavailable("the keys have not been read yet"))
    }

    /// Where the address is, counted.
    pub(crate) fn locate(&self, address: IpAddr) -> Location {
        let location = self.locator.locate(address);
        let known = match location {
            Location { subset: Some(_), .. } => "subset",
            Location { asn: Some(_), .. } => "asn",
            Location { country: Some(_), .. } => "country",
            _ => "unknown",
        };
        count(&self.metrics.locations, known);
        location
    }

    /// Signs a ticket; gives it with its expiry in seconds since 1970.
    pub(crate) fn sign(&self, grant: Grant) -> Result<(String, u64), Problem> {
        let now = u64::try_from(self.clock.seconds()).unwrap_or_default();
        let exp = now + UserTicket::LIFETIME;
        let session = grant.session;
        let token = self.published()?.issuer.user(&UserTicket {
            iss: self.public_url().to_owned(),
            aud: self.config.platform.clone(),
            sub: grant.subject,
            jti: session.clone(),
            iat: now,
            exp,
            cnf: Confirmation::new(grant.device),
            role: grant.role,
            channels: grant.channels,
            loc: grant.location,
        });
        if token.len() > MAX_TOKEN {
            tracing::error!(session, "the channels do not fit into a ticket; give a package \"*\"");
            return Err(Problem::internal());
        }
        Ok((token, exp))
    }

    /// The ticket that a bearer shows, checked.
    pub(crate) fn bearer(&self, token: Option<String>) -> Result<UserTicket, Problem> {
        let token = token.ok_or_else(|| Problem::bad_ticket("no Authorization: Bearer TICKET"))?;
        let now = self.clock.seconds();
        let keys = self.published()?.keys(now);
        let now = u64::try_from(now).unwrap_or_default();
        UserTicket::check_bearer(&token, &keys, &self.config.platform, now)
            .map_err(|error| Problem::bad_ticket(error.to_string()))
    }

    /// Brings the tables up to date, when the database is reached for the first time.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        self.store.prepare(self.clock.seconds()).await
    }

    /// Reads what has changed: by this process, another auth, or the command line.
    pub(crate) async fn reload(&self) -> Result<(), Error> {
        let result = self.read_changes().await;
        self.there
            .store(!matches!(&result, Err(error) if error.is_unavailable()), Ordering::Relaxed);
        result
    }

    /// The database did not answer: nobody waits for it until it does.
    pub(crate) fn lost_database(&self) {
        self.there.store(false, Ordering::Relaxed);
    }

    async fn read_changes(&self) -> Result<(), Error> {
        let mut known = self.counters.lock().await;
        let now = self.store.counters().await?;
        let changed = |of: fn(&Counters) -> i64| known.as_ref().map(of) != Some(of(&now));
        if changed(|counters| counters.keys) || changed(|counters| counters.directory) {
            let at = self.clock.seconds();
            let keys = self.store.signing_keys(at).await?;
            let rendezvous = self.store.rendezvous(at).await?;
            if let Some(published) = Published::new(keys, rendezvous, self.started) {
                self.published.store(Some(published.into()));
            }
            let secret = self.store.refresh_secret().await?;
            self.refresh.store(Some(RefreshTokens::new(secret).into()));
        }
        if changed(|counters| counters.prefixes) {
            self.locator.set_prefixes(&self.store.prefixes().await?);
        }
        if changed(|counters| counters.guide) {
            self.guide.load(&self.store).await?;
        }
        if changed(|counters| counters.revocations) {
            self.revoked.send_replace(now.revocations);
        }
        *known = Some(now);
        Ok(())
    }

    /// Forgets what nobody needs any more.
    pub(crate) async fn prune(&self) -> Result<(), Error> {
        let idle = i64::try_from(self.config.sessions.idle.as_secs()).unwrap_or(i64::MAX / 4);
        self.store.prune(self.clock.seconds(), idle).await
    }

    /// Lets the database go.
    pub(crate) async fn close(&self) {
        self.store.close().await;
    }
}
