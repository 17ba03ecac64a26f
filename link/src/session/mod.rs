//! A node's session with the platform: sign-in at auth, one rendezvous at a time, ticket, keys and clock kept fresh.
//!
//! One task keeps the user ticket fresh, one talks to rendezvous. Neither disturbs swarms that run:
//! what is away is tried again, and told in [`SessionState`].

mod auth;
mod backoff;
mod line;
mod member;
mod pulse;
mod state;
mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use segment::ContentKey;
use swarm::Begin;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use self::auth::{Auth, Signed};
use self::backoff::Backoff;
use self::line::{Ask, Line};
pub use self::pulse::Pulse;
use self::state::Teller;
use self::wire::{Turned, Wire, reach};

use crate::protocol::{
    ChannelInfo, Condition, Event, Order, Programme, Publication, Refusal, Request, Schedule,
};
use crate::{JoinSpec, Node, Swarm};

/// How a node proves itself to auth.
#[derive(Clone)]
pub enum Login {
    /// A viewer.
    User {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
    /// A viewer who signed in before.
    Refresh {
        /// The refresh token, used once; [`Session::refresh_token`] gives its successor.
        token: String,
    },
    /// A headend or repeater.
    Node {
        /// What `braidcast-auth node add` printed.
        credential: String,
    },
}

/// A session's configuration.
#[derive(Clone)]
pub struct SessionConfig {
    /// Auth's address; all else is found there.
    pub auth: Url,
    /// The local address that outgoing HTTP uses; `None`: the system's choice.
    pub bind: Option<IpAddr>,
    /// Who signs in.
    pub login: Login,
    /// Addresses that others should use for this node.
    pub advertise: Vec<SocketAddr>,
    /// Program and version.
    pub software: String,
}

/// Why something cannot be had. The text is what the user is shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SessionError {
    /// Nobody answers at auth's address.
    #[error("auth at {0} cannot be reached")]
    AuthUnreachable(String),
    /// No rendezvous answers.
    #[error("rendezvous cannot be reached")]
    RendezvousUnreachable,
    /// Wrong user, password or credential.
    #[error("wrong user or password")]
    WrongPassword,
    /// Wrong or revoked node credential.
    #[error("credential is not valid: {0}")]
    Credential(String),
    /// Too many attempts.
    #[error("too many attempts; try again in {0} s")]
    TooMany(u64),
    /// Rendezvous or auth refused, with its reason.
    #[error("{0}")]
    Refused(String),
    /// Not in the package.
    #[error("channel {0} is not in your package")]
    NotEntitled(String),
    /// Not known, or not on air.
    #[error("channel {0} is not on air")]
    NoSuchChannel(String),
}

/// How the session is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionState {
    /// Whether auth answered last time.
    pub auth: bool,
    /// Whether rendezvous is connected.
    pub rendezvous: bool,
    /// What is missing, for people; `None` if nothing is.
    pub missing: Option<String>,
    /// Why auth does not sign this node in any more, if it does not: it takes somebody who signs in anew.
    pub refused: Option<SessionError>,
    /// What may be watched, carried or published.
    pub line_up: Vec<ChannelInfo>,
    /// What sources say is on, by channel (viewers).
    pub programmes: BTreeMap<String, Vec<Programme>>,
}

/// A channel that was joined.
pub struct Joined {
    /// The swarm.
    pub swarm: Swarm,
    /// How it was joined.
    pub spec: JoinSpec,
    /// The rendition's name.
    pub rendition: String,
    /// Content keys: the epoch now and the next; renewed in good time. Empty for repeaters.
    pub keys: watch::Receiver<Vec<ContentKey>>,
}

/// What the joiner decides about its part in a swarm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// As in [`JoinSpec`].
    pub uplink: Option<u64>,
    /// As in [`JoinSpec`].
    pub max_pushed: Option<u32>,
    /// As in [`JoinSpec`].
    pub serve: swarm::Serve,
    /// As in [`JoinSpec`].
    pub max_spares: u8,
    /// Viewer only: where to begin, if what is before is played from another rendition.
    pub begin_at: Option<Begin>,
}

/// A rendezvous that does not answer a join within this is away.
const JOIN: Duration = Duration::from_secs(5);
/// A rendezvous that has just started and is not ready is given this many more chances.
const CHANCES: u32 = 10;
/// The least time between two renewals of the user ticket.
const RENEW_LEAST: Duration = Duration::from_secs(2);
/// After a refusal at auth, one comes back no sooner.
const SULK: Duration = Duration::from_secs(20);
/// Wishes that wait for the task that talks to rendezvous; more wait at the asker.
const ASKS: usize = 64;
/// Wishes to see a channel, and orders, that nobody has read yet; the oldest are dropped.
const LOOKS: usize = 16;

/// A node's session with the platform. Dropping it signs the node off at rendezvous.
pub struct Session {
    auth: Arc<Auth>,
    teller: Arc<Teller>,
    ask: mpsc::Sender<Ask>,
    looks: broadcast::Sender<String>,
    orders: broadcast::Sender<Order>,
    account: watch::Receiver<Signed>,
    line: tokio::task::JoinHandle<()>,
    life: DropGuard,
}

impl Session {
    /// Signs in and finds a rendezvous. Gives up only when refused; what cannot be reached is tried
    /// again for ever if `patient`, else reported at once.
    ///
    /// # Errors
    /// What refused, or (unless `patient`) cannot be reached.
    pub async fn start(
        node: Node,
        config: SessionConfig,
        patient: bool,
    ) -> Result<Self, SessionError> {
        let auth = Arc::new(Auth::new(&config, node.id())?);
        let mut backoff = Backoff::patient();
        let mut told = None;
        let begun = loop {
            let error = match begin(&node, &auth, &config).await {
                Ok(begun) => break begun,
                Err(error) => error,
            };
            let pause = match &error {
                SessionError::AuthUnreachable(_) | SessionError::RendezvousUnreachable => {
                    backoff.next()
                }
                SessionError::TooMany(seconds) => Duration::from_secs(*seconds),
                _ => return Err(error),
            };
            if !patient {
                return Err(error);
            }
            if told.as_ref() != Some(&error) {
                tracing::warn!(%error, "waiting for the platform");
                told = Some(error);
            }
            sleep(pause).await;
        };
        Ok(Self::run(node, auth, config, begun))
    }

    fn run(node: Node, auth: Arc<Auth>, config: SessionConfig, begun: Begun) -> Self {
        let Begun { signed, servers, wire, welcome } = begun;
        let teller = Arc::new(Teller::new());
        let (tell_account, account) = watch::channel(signed);
        let (ask, asks) = mpsc::channel(ASKS);
        let looks = broadcast::Sender::new(LOOKS);
        let orders = broadcast::Sender::new(LOOKS);
        let stop = CancellationToken::new();
        let stale = Arc::new(Notify::new());
        let keeping =
            keep_signed_in(node.clone(), auth.clone(), teller.clone(), tell_account, stale.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeping));
        let line = Line {
            role: node.role(),
            node,
            auth: auth.clone(),
            config,
            teller: teller.clone(),
            account: account.clone(),
            stale,
            servers,
            asks,
            ask: ask.clone(),
            looks: looks.clone(),
            orders: orders.clone(),
            stop: stop.clone(),
            book: line::Book::default(),
            looking: None,
        };
        let line = tokio::spawn(line.run(wire, welcome));
        Self { auth, teller, ask, looks, orders, account, line, life: stop.drop_guard() }
    }

    /// How the session is, and each change.
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.teller.watch()
    }

    /// The refresh token to keep for the next start (viewers).
    pub fn refresh_token(&self) -> Option<String> {
        self.auth.refresh_token()
    }

    /// Joins a rendition of a channel; peers are asked for and the swarm reported as long as it lives.
    ///
    /// # Errors
    /// If rendezvous refuses or cannot be reached within 5 s.
    pub async fn join(
        &self,
        channel: &str,
        rendition: Option<&str>,
        part: Part,
    ) -> Result<Joined, SessionError> {
        let (reply, answer) = oneshot::channel();
        let rendition = rendition.map(str::to_owned);
        let ask = Ask::Join { channel: channel.to_owned(), rendition, part, reply };
        timeout(JOIN, self.ask(ask, answer))
            .await
            .unwrap_or(Err(SessionError::RendezvousUnreachable))
    }

    /// Headend only: announces a rendition and takes part in its swarm; what `publication` holds is
    /// announced again whenever it changes (new content keys). Waits for rendezvous if it is away.
    ///
    /// # Errors
    /// If rendezvous refuses.
    pub async fn publish(
        &self,
        publication: watch::Receiver<Publication>,
        part: Part,
    ) -> Result<Swarm, SessionError> {
        let (reply, answer) = oneshot::channel();
        let joined = self.ask(Ask::Publish { publication, part, reply }, answer).await?;
        Ok(joined.swarm)
    }

    /// Headend only: tells the operator how channels fare. Lost if rendezvous is away: say it again.
    pub async fn tell_conditions(&self, conditions: Vec<Condition>) {
        // Fails only when the session has ended.
        let _ = self.ask.send(Ask::Say(Request::Conditions(conditions))).await;
    }

    /// Headend only: shows the operator a channel; see [`Request::Preview`].
    pub async fn show(&self, channel: String, jpeg: Vec<u8>) {
        let _ = self.ask.send(Ask::Say(Request::Preview { channel, jpeg })).await;
    }

    /// Headend only: tells viewers what the source of a channel says is on. Lost if rendezvous is away: say it again.
    pub async fn tell_schedule(&self, schedule: Schedule) {
        let _ = self.ask.send(Ask::Say(Request::OnAir(schedule))).await;
    }

    /// Headend only: what the operator wants, as it is asked for.
    pub fn orders(&self) -> broadcast::Receiver<Order> {
        self.orders.subscribe()
    }

    /// Headend only: what became of an order; see [`Request::Done`].
    pub async fn answer_order(&self, number: u64, problem: Option<String>) {
        let _ = self.ask.send(Ask::Say(Request::Done { number, problem })).await;
    }

    /// Headend only: ids of channels that the operator wants to see, as they are asked for.
    pub fn looks(&self) -> broadcast::Receiver<String> {
        self.looks.subscribe()
    }

    async fn ask(
        &self,
        ask: Ask,
        answer: oneshot::Receiver<Result<Joined, SessionError>>,
    ) -> Result<Joined, SessionError> {
        let over = SessionError::RendezvousUnreachable;
        self.ask.send(ask).await.map_err(|_| over.clone())?;
        answer.await.unwrap_or(Err(over))
    }

    /// Signs out at auth and rendezvous.
    pub async fn sign_out(self) {
        let Self { auth, account, line, life, .. } = self;
        drop(life);
        let ticket = account.borrow().ticket.clone();
        auth.sign_out(&ticket).await;
        let _ = line.await;
    }
}

/// What a session starts with.
struct Begun {
    signed: Signed,
    servers: Vec<auth::Rendezvous>,
    wire: Wire,
    welcome: Event,
}

/// Finds rendezvous first, so that a refresh token is not used up in vain.
async fn begin(node: &Node, auth: &Auth, config: &SessionConfig) -> Result<Begun, SessionError> {
    let directory = auth.directory().await?;
    node.name_platform(&directory.platform);
    let servers = directory.rendezvous;
    let away = SessionError::RendezvousUnreachable;
    let mut connection = reach(node.endpoint(), &servers).await.ok_or(away.clone())?;
    let signed = auth.sign_in().await?;
    let hello = line::hello(config, &signed.ticket);
    for _ in 0..CHANCES {
        match Wire::open(connection, &hello).await {
            Ok((wire, welcome)) => return Ok(Begun { signed, servers, wire, welcome }),
            Err(Turned::Unreachable) => {}
            Err(Turned::Refused(Refusal::Limit, _)) => return Err(away),
            Err(Turned::Refused(_, reason)) => return Err(SessionError::Refused(reason)),
        }
        sleep(Duration::from_millis(500)).await;
        connection = reach(node.endpoint(), &servers).await.ok_or(away.clone())?;
    }
    Err(away)
}

/// Renews the user ticket at half of its life, or when rendezvous does not take it.
async fn keep_signed_in(
    node: Node,
    auth: Arc<Auth>,
    teller: Arc<Teller>,
    account: watch::Sender<Signed>,
    stale: Arc<Notify>,
) {
    loop {
        let now = node.monotonic() as i64 + node.clock_offset();
        let left = account.borrow().expires_at as i64 * 1_000_000 - now;
        let half = Duration::from_micros(left.max(0) as u64 / 2).max(RENEW_LEAST);
        tokio::select! {
            () = sleep(half) => {}
            () = stale.notified() => {}
        }
        let mut backoff = Backoff::patient();
        loop {
            let pause = match auth.sign_in().await {
                Ok(signed) => {
                    teller.signed_in();
                    account.send_replace(signed);
                    break;
                }
                Err(error) => {
                    teller.auth(Err(&error));
                    tracing::debug!(%error, "the user ticket is not renewed");
                    match error {
                        SessionError::AuthUnreachable(_) => backoff.next(),
                        SessionError::TooMany(seconds) => Duration::from_secs(seconds),
                        _ => SULK,
                    }
                }
            };
            sleep(pause).await;
        }
    }
}
