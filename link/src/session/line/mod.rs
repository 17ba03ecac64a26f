//! The one task that talks to rendezvous. Swarms that run are not touched when it is away: they are
//! told again when it is back.

mod asks;
mod events;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use segment::SwarmId;
use swarm::Time;
use ticket::{ChannelTicket, KeySet, PeerId, Role};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::asks::Ask;
use self::asks::{Pending, announcement};
use super::auth::{Auth, Rendezvous, Signed};
use super::backoff::Backoff;
use super::member::Member;
use super::pulse::Pulse;
use super::state::Teller;
use super::wire::{Turned, Wire, reach};
use super::{SessionConfig, SessionError};
use crate::Node;
use crate::nat::{Broker, Reach};
use crate::protocol::{Event, Introduction, Order, Refusal, Request, VERSION};

/// The first report after a change comes this soon.
const REPORT_SOON: Duration = Duration::from_millis(500);
/// Reports come this often.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// After so many reports a viewer tells more.
const QUALITY_EVERY: u32 = 4;
/// Channel tickets are renewed from their tenth minute on.
const RENEW: Duration = Duration::from_secs(600);
/// A renewal that was not answered is tried again after this.
const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// A swarm that rendezvous did not confirm is told again after this.
const JOIN_AGAIN: Duration = Duration::from_secs(3);
/// A hint where rendezvous is now is waited for no longer.
const LOOK_UP: Duration = Duration::from_secs(1);
/// After a refusal, one comes back no sooner.
const SULK: Duration = Duration::from_secs(10);

/// Why a connection is over.
enum End {
    Stop,
    Lost,
    /// The node is in another network: it has other addresses now.
    Moved,
    Refused(Refusal, String),
}

/// What the line is made of.
pub(crate) struct Line {
    pub(crate) node: Node,
    pub(crate) role: Role,
    pub(crate) auth: Arc<Auth>,
    pub(crate) config: SessionConfig,
    pub(crate) teller: Arc<Teller>,
    pub(crate) account: watch::Receiver<Signed>,
    /// Wakes who keeps the user ticket fresh.
    pub(crate) stale: Arc<Notify>,
    pub(crate) servers: Vec<Rendezvous>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) ask: mpsc::Sender<Ask>,
    /// Channels that the operator wants to see.
    pub(crate) looks: broadcast::Sender<String>,
    pub(crate) orders: broadcast::Sender<Order>,
    pub(crate) stop: CancellationToken,
    pub(crate) book: Book,
    /// Looks whether auth is back.
    pub(crate) looking: Option<DropGuard>,
}

/// What the line remembers.
#[derive(Default)]
pub(crate) struct Book {
    members: BTreeMap<SwarmId, Member>,
    pending: Vec<Pending>,
    keys: KeySet,
    pulse: Pulse,
    timed: bool,
    instances: u64,
    /// Requests that wait to be sent.
    out: Vec<Request>,
    /// Reports so far.
    reported: u32,
    report_at: Option<Instant>,
    renew_at: Option<Instant>,
    /// Where rendezvous sees this node.
    observed: Option<SocketAddr>,
    /// Round trips that are still to be measured in this burst, and when the next is due.
    pulses: u32,
    pulse_at: Option<Instant>,
}

/// The next introduction that is to be passed on.
async fn signal(broker: Option<&Broker>) -> (PeerId, Introduction) {
    match broker {
        Some(broker) => broker.signal().await,
        None => std::future::pending().await,
    }
}

/// How far the node can be reached, once that is otherwise.
async fn changed(reach: &mut Option<watch::Receiver<Reach>>) -> Reach {
    if let Some(reach) = reach
        && reach.changed().await.is_ok()
    {
        return *reach.borrow_and_update();
    }
    std::future::pending().await
}

pub(crate) fn hello(config: &SessionConfig, ticket: &str) -> Request {
    Request::Hello {
        version: VERSION,
        ticket: ticket.to_owned(),
        advertise: config.advertise.clone(),
        software: config.software.clone(),
    }
}

impl Line {
    /// Talks until it is stopped.
    pub(crate) async fn run(mut self, mut wire: Wire, welcome: Event) {
        let mut welcome = Some(welcome);
        loop {
            if let Some(welcome) = welcome.take() {
                self.welcome(welcome);
            }
            let mut end = self.serve(&mut wire).await;
            if matches!(end, End::Lost) && wire.is_elsewhere() {
                tracing::info!("rendezvous sees this node at another address");
                end = End::Moved;
            }
            drop(wire);
            if let Some(broker) = self.node.broker() {
                broker.away();
                if matches!(end, End::Moved) {
                    broker.moved().await;
                }
            }
            let lost = SessionError::RendezvousUnreachable;
            let pause = match end {
                End::Stop => return,
                End::Lost => {
                    tracing::info!("rendezvous is lost; swarms go on");
                    self.teller.rendezvous(Err(&lost));
                    Duration::ZERO
                }
                End::Moved => Duration::ZERO,
                End::Refused(refusal, reason) => self.turned_away(refusal, reason),
            };
            match self.reconnect(pause).await {
                Some((again, greeting)) => (wire, welcome) = (again, Some(greeting)),
                None => return,
            }
        }
    }

    /// Tells what was refused; gives how long to stay away.
    fn turned_away(&self, refusal: Refusal, reason: String) -> Duration {
        tracing::warn!(?refusal, reason, "rendezvous refuses this node");
        self.teller.rendezvous(Err(&SessionError::Refused(reason)));
        match refusal {
            Refusal::Ticket => {
                self.stale.notify_one();
                Duration::from_secs(1)
            }
            // Auth knows whether the session has ended, and says so to whoever is to sign in anew.
            Refusal::Revoked => {
                self.stale.notify_one();
                SULK
            }
            _ => SULK,
        }
    }

    async fn reconnect(&mut self, pause: Duration) -> Option<(Wire, Event)> {
        let mut backoff = Backoff::quick();
        let mut pause = pause;
        loop {
            let (node, auth, teller) = (self.node.clone(), self.auth.clone(), self.teller.clone());
            let hello = hello(&self.config, &self.account.borrow_and_update().ticket);
            let mut servers = self.servers.clone();
            let attempt = async move {
                sleep(pause).await;
                match timeout(LOOK_UP, auth.directory()).await {
                    Ok(Ok(directory)) => {
                        teller.auth(Ok(()));
                        if !directory.rendezvous.is_empty() {
                            servers = directory.rendezvous;
                        }
                    }
                    _ => teller.auth(Err(&auth.unreachable())),
                }
                let opened = match reach(node.endpoint(), &servers).await {
                    Some(connection) => Wire::open(connection, &hello).await,
                    None => Err(Turned::Unreachable),
                };
                (servers, opened)
            };
            // This attempt looks itself.
            self.looking = None;
            tokio::pin!(attempt);
            let stop = self.stop.clone();
            let (servers, opened) = loop {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    done = &mut attempt => break done,
                    Some(ask) = self.asks.recv() => {
                        self.asked(ask);
                        // All is told when rendezvous is back.
                        self.book.out.clear();
                    }
                }
            };
            self.servers = servers;
            match opened {
                Ok(opened) => {
                    if !self.teller.watch().borrow().auth {
                        self.look_for_auth();
                    }
                    return Some(opened);
                }
                Err(Turned::Unreachable) => {
                    self.teller.rendezvous(Err(&SessionError::RendezvousUnreachable));
                    pause = backoff.next();
                }
                Err(Turned::Refused(refusal, reason)) => {
                    pause = self.turned_away(refusal, reason).max(backoff.next());
                }
            }
        }
    }

    /// Rendezvous is back before auth is: nobody else would ask auth for minutes, and it would be told as away.
    fn look_for_auth(&mut self) {
        let (auth, teller) = (self.auth.clone(), self.teller.clone());
        let stop = self.stop.child_token();
        let look = async move {
            let mut backoff = Backoff::patient();
            loop {
                sleep(backoff.next()).await;
                if let Ok(Ok(_)) = timeout(LOOK_UP, auth.directory()).await {
                    return teller.auth(Ok(()));
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(look));
        self.looking = Some(stop.drop_guard());
    }

    /// Begins anew: all that a rendezvous must know of this node.
    fn welcome(&mut self, welcome: Event) {
        let now = Instant::now();
        let Event::Welcome { ticket, key_set, line_up, time, observed } = welcome else { return };
        let book = &mut self.book;
        book.observed = Some(observed);
        book.pulse.forget();
        if !book.timed {
            book.timed = true;
            self.node.set_clock(time as i64 - self.node.monotonic() as i64);
        }
        (book.pulses, book.pulse_at) = (Pulse::BURST, Some(now));
        book.report_at = Some(now + REPORT_SOON);
        book.out.clear();
        // Before anything is joined: who is to be offered to nobody is not, from the beginning.
        book.out.extend(self.node.reach().map(Request::Reach));
        for member in book.members.values_mut() {
            member.confirmed = false;
            member.asked = now;
            book.out.push(announcement(member));
        }
        book.pending.retain(|pending| !pending.reply.is_closed());
        book.out.extend(book.pending.iter().map(Pending::request));
        self.key_set(&key_set);
        self.ticket(ticket);
        self.teller.line_up(line_up);
        self.teller.rendezvous(Ok(()));
    }

    fn key_set(&mut self, json: &str) {
        match KeySet::from_json(json) {
            Ok(keys) => {
                self.book.keys = keys.clone();
                self.node.set_key_set(keys);
            }
            Err(error) => tracing::warn!(%error, "rendezvous gives a bad key set"),
        }
    }

    fn ticket(&mut self, token: String) {
        self.book.renew_at = Some(Instant::now() + RENEW);
        let now = (self.node.monotonic() as i64 + self.node.clock_offset()).max(0) as u64;
        let (platform, me) = (self.node.platform(), self.node.id());
        let keys = &self.book.keys;
        match ChannelTicket::check(&token, keys, &platform, me, now / 1_000_000) {
            Ok(ticket) => self.node.set_ticket(token, ticket.loc),
            Err(error) => {
                tracing::warn!(%error, "rendezvous gives a ticket that peers will refuse");
                self.node.set_ticket(token, Default::default());
            }
        }
    }

    async fn serve(&mut self, wire: &mut Wire) -> End {
        tracing::debug!(server = ?wire.server, "rendezvous is connected");
        let stop = self.stop.clone();
        let mut moved = self.node.endpoint().moved();
        let broker = self.node.broker().cloned();
        let mut reach = broker.as_ref().map(|broker| broker.reach());
        loop {
            if !wire.send(&mut self.book.out).await {
                return End::Lost;
            }
            let at = |moment: Option<Instant>| sleep_until(moment.unwrap_or_else(Instant::now));
            let Book { report_at, renew_at, pulse_at, .. } = self.book;
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                Ok(()) = moved.changed() => return End::Moved,
                event = wire.events.recv() => match event {
                    None => return End::Lost,
                    Some(Event::Refused { refusal, reason }) => {
                        let reason = crate::endpoint::reason(reason.as_bytes());
                        return End::Refused(refusal, reason);
                    }
                    Some(event) => self.heard(event).await,
                },
                Some(ask) = self.asks.recv() => self.asked(ask),
                Ok(()) = self.account.changed() => self.renew(),
                () = at(report_at), if report_at.is_some() => self.report(),
                () = at(renew_at), if renew_at.is_some() => self.renew(),
                () = at(pulse_at), if pulse_at.is_some() => self.ask_time(),
                (peer, introduction) = signal(broker.as_deref()) => {
                    self.book.out.push(Request::Introduce { peer, introduction });
                }
                reach = changed(&mut reach) => self.book.out.push(Request::Reach(reach)),
            }
        }
    }

    fn renew(&mut self) {
        self.book.renew_at = Some(Instant::now() + RENEW_AGAIN);
        let signed = self.account.borrow_and_update().clone();
        let now = Time(self.node.monotonic()).0 as i64 + self.node.clock_offset();
        let lapsed = signed.expires_at as i64 * 1_000_000 <= now;
        let ticket = if lapsed { None } else { Some(signed.ticket) };
        self.book.out.push(Request::Renew { ticket });
    }

    fn ask_time(&mut self) {
        let book = &mut self.book;
        book.out.push(Request::Clock { sent: self.node.monotonic() });
        let now = Instant::now();
        book.pulses = book.pulses.saturating_sub(1);
        book.pulse_at = Some(if book.pulses > 0 {
            now + Pulse::APART
        } else {
            book.pulses = Pulse::BURST;
            now + Pulse::EVERY
        });
    }

    fn report(&mut self) {
        let now = Instant::now();
        let book = &mut self.book;
        book.report_at = Some(now + REPORT_EVERY);
        let reports: Vec<_> = book.members.values().map(|m| m.report(self.role)).collect();
        if !reports.is_empty() {
            book.out.push(Request::Report(reports));
            book.reported = book.reported.wrapping_add(1);
            if self.role == Role::Viewer && book.reported.is_multiple_of(QUALITY_EVERY) {
                let qualities = book.members.values().map(Member::quality).collect();
                book.out.push(Request::Quality(qualities));
            }
        }
        for member in book.members.values_mut() {
            if !member.confirmed && now - member.asked > JOIN_AGAIN {
                member.asked = now;
                book.out.push(announcement(member));
            }
        }
    }
}
