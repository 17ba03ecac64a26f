//! The one task that talks to rendezvous. Swarms that run are not touched when it is away: they are
//! told again when it is back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use segment::{ChannelKey, Coding, ContentKey, SwarmId};
use swarm::{PeerHint, Time};
use ticket::{ChannelTicket, KeySet, Role};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::auth::{Auth, Rendezvous, Signed};
use super::backoff::Backoff;
use super::member::{Member, attend};
use super::pulse::Pulse;
use super::state::Teller;
use super::wire::{Turned, Wire, reach};
use super::{Joined, Part, SessionConfig, SessionError};
use crate::protocol::{EpochKey, Event, Parameters, Publication, Refusal, Request, VERSION};
use crate::{JoinSpec, Node};

/// The first report after a change comes this soon.
const REPORT_SOON: Duration = Duration::from_millis(500);
/// Reports come this often.
const REPORT_EVERY: Duration = Duration::from_secs(2);
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
/// Wishes that wait for an answer.
const MAX_PENDING: usize = 256;

/// What the line is asked.
pub(crate) enum Ask {
    Join { channel: String, rendition: Option<String>, part: Part, reply: Reply },
    Publish { publication: watch::Receiver<Publication>, part: Part, reply: Reply },
    Republish { swarm: SwarmId },
    FindPeers { swarm: SwarmId },
    Left { swarm: SwarmId, instance: u64 },
}

pub(crate) type Reply = oneshot::Sender<Result<Joined, SessionError>>;

/// A join or publication that rendezvous has not answered.
struct Pending {
    channel: String,
    rendition: Option<String>,
    publication: Option<watch::Receiver<Publication>>,
    part: Part,
    reply: Reply,
}

impl Pending {
    fn request(&self) -> Request {
        match &self.publication {
            Some(publication) => Request::Publish(publication.borrow().clone()),
            None => {
                Request::Join { channel: self.channel.clone(), rendition: self.rendition.clone() }
            }
        }
    }

    fn is_answered_by(&self, parameters: &Parameters) -> bool {
        self.channel == parameters.channel
            && self.rendition.as_ref().is_none_or(|name| *name == parameters.rendition)
    }
}

/// Why a connection is over.
enum End {
    Stop,
    Lost,
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
    pub(crate) stop: CancellationToken,
    pub(crate) book: Book,
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
    report_at: Option<Instant>,
    renew_at: Option<Instant>,
    /// Round trips that are still to be measured in this burst, and when the next is due.
    pulses: u32,
    pulse_at: Option<Instant>,
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
            let end = self.serve(&mut wire).await;
            drop(wire);
            let lost = SessionError::RendezvousUnreachable;
            let pause = match end {
                End::Stop => return,
                End::Lost => {
                    tracing::info!("rendezvous is lost; swarms go on");
                    self.teller.rendezvous(Err(&lost));
                    Duration::ZERO
                }
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
                Ok(opened) => return Some(opened),
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

    /// Begins anew: all that a rendezvous must know of this node.
    fn welcome(&mut self, welcome: Event) {
        let now = Instant::now();
        let Event::Welcome { ticket, key_set, line_up, time, .. } = welcome else { return };
        let book = &mut self.book;
        book.pulse.forget();
        if !book.timed {
            book.timed = true;
            self.node.set_clock(time as i64 - self.node.monotonic() as i64);
        }
        (book.pulses, book.pulse_at) = (Pulse::BURST, Some(now));
        book.report_at = Some(now + REPORT_SOON);
        book.out.clear();
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
        loop {
            if !wire.send(&mut self.book.out).await {
                return End::Lost;
            }
            let at = |moment: Option<Instant>| sleep_until(moment.unwrap_or_else(Instant::now));
            let Book { report_at, renew_at, pulse_at, .. } = self.book;
            tokio::select! {
                () = stop.cancelled() => return End::Stop,
                event = wire.events.recv() => match event {
                    None => return End::Lost,
                    Some(Event::Refused { refusal, reason }) => {
                        let reason = crate::endpoint::reason(reason.as_bytes());
                        return End::Refused(refusal, reason);
                    }
                    Some(event) => self.heard(event),
                },
                Some(ask) = self.asks.recv() => self.asked(ask),
                Ok(()) = self.account.changed() => self.renew(),
                () = at(report_at), if report_at.is_some() => self.report(),
                () = at(renew_at), if renew_at.is_some() => self.renew(),
                () = at(pulse_at), if pulse_at.is_some() => self.ask_time(),
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
        }
        for member in book.members.values_mut() {
            if !member.confirmed && now - member.asked > JOIN_AGAIN {
                member.asked = now;
                book.out.push(announcement(member));
            }
        }
    }

    fn asked(&mut self, ask: Ask) {
        let book = &mut self.book;
        match ask {
            Ask::Join { channel, rendition, part, reply } => {
                self.want(Pending { channel, rendition, publication: None, part, reply });
            }
            Ask::Publish { mut publication, part, reply } => {
                let Parameters { channel, rendition, .. } =
                    publication.borrow_and_update().parameters.clone();
                let (rendition, publication) = (Some(rendition), Some(publication));
                self.want(Pending { channel, rendition, publication, part, reply });
            }
            Ask::Republish { swarm } => {
                book.out.extend(book.members.get(&swarm).map(announcement));
            }
            Ask::FindPeers { swarm } => {
                if book.members.contains_key(&swarm) {
                    book.out.push(Request::FindPeers { swarm: swarm.0 });
                }
            }
            Ask::Left { swarm, instance } => {
                if book.members.get(&swarm).is_some_and(|member| member.instance == instance) {
                    book.members.remove(&swarm);
                    book.out.push(Request::Leave { swarm: swarm.0 });
                }
            }
        }
    }

    fn want(&mut self, pending: Pending) {
        let book = &mut self.book;
        book.pending.retain(|pending| !pending.reply.is_closed());
        if book.pending.len() >= MAX_PENDING {
            let full = SessionError::Refused("too many channels are being joined".into());
            let _ = pending.reply.send(Err(full));
            return;
        }
        book.out.push(pending.request());
        book.pending.push(pending);
    }

    fn heard(&mut self, event: Event) {
        match event {
            // `Refused` ends the connection before this.
            Event::Welcome { .. } | Event::Refused { .. } | Event::Lost { .. } => {}
            Event::Ticket { ticket } => self.ticket(ticket),
            Event::Channel { parameters, keys, peers } => self.channel(parameters, keys, peers),
            Event::NoChannel { channel, refusal, reason } => {
                self.no_channel(channel, refusal, &reason);
            }
            Event::Peers { swarm, peers } => {
                if let Some(member) = self.book.members.get(&SwarmId(swarm)) {
                    member.watch.candidates(peers);
                }
            }
            Event::Keys { swarm, keys } => {
                if let Some(member) = self.book.members.get(&SwarmId(swarm)) {
                    member.add_keys(keys);
                }
            }
            Event::LineUp(line_up) => self.teller.line_up(line_up),
            Event::KeySet(json) => self.key_set(&json),
            Event::Revoked(sessions) => self.node.revoke(&sessions),
            Event::Clock { sent, received } => {
                let now = self.node.monotonic();
                if let Some(offset) = self.book.pulse.sample(sent, received, now) {
                    self.node.set_clock(offset);
                }
            }
        }
    }

    fn no_channel(&mut self, channel: String, refusal: Refusal, reason: &str) {
        let reason = crate::endpoint::reason(reason.as_bytes());
        let book = &mut self.book;
        let Some(at) = book.pending.iter().position(|pending| pending.channel == channel) else {
            tracing::debug!(channel, reason, "rendezvous does not take a swarm back yet");
            return;
        };
        let pending = book.pending.remove(at);
        let error = match refusal {
            _ if pending.publication.is_some() => SessionError::Refused(reason),
            Refusal::NotEntitled => SessionError::NotEntitled(channel),
            Refusal::NoSuchChannel => SessionError::NoSuchChannel(channel),
            _ => SessionError::Refused(reason),
        };
        let _ = pending.reply.send(Err(error));
    }

    fn channel(&mut self, parameters: Parameters, keys: Vec<EpochKey>, peers: Vec<PeerHint>) {
        let swarm = SwarmId::new(&ChannelKey(parameters.key), &parameters.rendition);
        let book = &mut self.book;
        book.pending.retain(|pending| !pending.reply.is_closed());
        let answered = book.pending.iter().position(|p| p.is_answered_by(&parameters));
        if let Some(at) = answered {
            let pending = book.pending.remove(at);
            self.join(swarm, pending, parameters, keys, peers);
        } else if let Some(member) = book.members.get_mut(&swarm) {
            member.confirmed = true;
            member.add_keys(keys);
            member.watch.candidates(peers);
        }
    }

    fn join(
        &mut self,
        swarm: SwarmId,
        pending: Pending,
        parameters: Parameters,
        keys: Vec<EpochKey>,
        peers: Vec<PeerHint>,
    ) {
        let Part { uplink, max_pushed, serve, max_spares } = pending.part;
        let Parameters { n, k, essential_k, segment_ms, delay_ms, .. } = parameters;
        let coding = match Coding::new(n, k, essential_k) {
            Ok(coding) if segment_ms > 0 => coding,
            _ => {
                let error = format!("channel {} is of a kind not known here", pending.channel);
                let _ = pending.reply.send(Err(SessionError::Refused(error)));
                return;
            }
        };
        let spec = JoinSpec {
            swarm,
            channel: parameters.channel.clone(),
            key: ChannelKey(parameters.key),
            coding,
            segment: Duration::from_millis(segment_ms.into()),
            playout_delay: Duration::from_millis(delay_ms.into()),
            uplink,
            max_pushed,
            serve,
            max_spares,
        };
        let joined = self.node.join(spec.clone());
        joined.candidates(peers);
        let (tell_keys, keys_told) = watch::channel(Vec::<ContentKey>::new());
        let book = &mut self.book;
        book.instances += 1;
        let instance = book.instances;
        let watch = joined.watch();
        let rendition = parameters.rendition.clone();
        let member = Member {
            watch: watch.clone(),
            instance,
            parameters,
            keys: tell_keys,
            publication: pending.publication.clone(),
            confirmed: true,
            asked: Instant::now(),
        };
        member.add_keys(keys);
        book.members.insert(swarm, member);
        let soon = Instant::now() + REPORT_SOON;
        book.report_at = Some(book.report_at.map_or(soon, |at| at.min(soon)));
        tokio::spawn(attend(watch, instance, pending.publication, self.ask.clone()));
        // If nobody waits any more, the swarm is left as it is dropped.
        let joined = Joined { swarm: joined, spec, rendition, keys: keys_told };
        let _ = pending.reply.send(Ok(joined));
    }
}

/// What makes rendezvous know of a swarm.
fn announcement(member: &Member) -> Request {
    match &member.publication {
        Some(publication) => Request::Publish(publication.borrow().clone()),
        None => Request::Join {
            channel: member.parameters.channel.clone(),
            rendition: Some(member.parameters.rendition.clone()),
        },
    }
}
