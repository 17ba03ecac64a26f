//! The one task that owns engines and connections. It never waits for a connection: what it sends is
//! queued, what it is told comes through one bounded channel.

pub(crate) mod gather;
mod heard;
mod output;
mod peers;
mod short;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use segment::SwarmId;
use swarm::{ConnectError, Input, Time};
use ticket::{PeerId, Role};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budget;
use super::clock::Clock;
use super::conn::{Conn, Presence};
use super::egress::Egress;
use super::event::Event;
use super::hello::{self, Failure};
use super::mail::{Letters, Mail, Membership, Shared};
use super::part::Part;
use super::policy::Policy;
use super::standing::Standing;
use super::wire::{Close, PeerFrame};
use super::{NodeConfig, NodeStats};
use crate::Endpoint;
use crate::nat::Broker;

/// Events that wait for the driver; connections that have more wait with them.
const EVENTS: usize = 1024;
/// Inbound connections that have not shown a ticket.
const STRANGERS: usize = 256;
/// How often tickets, silences and idle connections are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A connection without a common swarm is kept warm for a change of channel.
const WARM: Duration = Duration::from_secs(10);
/// A peer that does not say whether it is in a swarm is given up.
const ANSWER: Duration = Duration::from_secs(5);
/// Strays between two ticks that are taken for the echo of a swarm just left.
const MAX_STRAYS: u32 = 500;
/// Renewed tickets between two ticks: each costs a signature's check.
const MAX_RENEWALS: u32 = 4;
/// A viewer's figures are told while things happen, not oftener than this: its player goes by them.
const FIGURES: Duration = Duration::from_millis(100);
/// Events and inputs handled in one go.
const BATCH: usize = 512;
/// While so many inputs wait for engines, nothing new is taken from connections and owners: they wait, and nothing is
/// lost. What is taken already may add a few for each swarm.
const MAX_INPUTS: usize = 8 * BATCH;

/// All that a node is made of.
pub(crate) struct Driver {
    config: Arc<NodeConfig>,
    endpoint: Endpoint,
    policy: Arc<Policy>,
    clock: Arc<Clock>,
    egress: Arc<Egress>,
    budget: Budget,
    mail: Arc<Mail>,
    broker: Option<Arc<Broker>>,
    events: mpsc::Receiver<Event>,
    tell: mpsc::Sender<Event>,
    tasks: TaskTracker,
    stop: CancellationToken,
    parts: BTreeMap<SwarmId, Part>,
    /// When engines are to be woken.
    wakes: BTreeSet<(Time, SwarmId)>,
    /// Connections that are to be woken together.
    gather: gather::Gather,
    /// Inputs that wait to be handled, in order; bounded by `MAX_INPUTS`.
    inputs: VecDeque<(SwarmId, Input)>,
    conns: BTreeMap<u64, Conn>,
    by_peer: BTreeMap<PeerId, u64>,
    standing: Standing,
    next_conn: u64,
    /// Peers that are being dialled, and for which swarms.
    dialling: BTreeMap<PeerId, BTreeSet<SwarmId>>,
    /// What engines were told of an uplink that carries less than is allowed.
    short: Option<short::Short>,
    refused: u64,
    dropped: u64,
    ticks: u64,
}

impl Driver {
    #[allow(clippy::too_many_arguments, reason = "what a node is made of, handed over once")]
    pub(crate) fn new(
        config: Arc<NodeConfig>,
        endpoint: Endpoint,
        policy: Arc<Policy>,
        clock: Arc<Clock>,
        egress: Arc<Egress>,
        mail: Arc<Mail>,
        broker: Option<Arc<Broker>>,
        stop: CancellationToken,
    ) -> Self {
        let (tell, events) = mpsc::channel(EVENTS);
        Self {
            egress,
            config,
            endpoint,
            policy,
            clock,
            budget: Budget::default(),
            mail,
            broker,
            events,
            tell,
            tasks: TaskTracker::new(),
            stop,
            parts: BTreeMap::new(),
            wakes: BTreeSet::new(),
            gather: gather::Gather::default(),
            inputs: VecDeque::new(),
            conns: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            standing: Standing::default(),
            next_conn: 0,
            dialling: BTreeMap::new(),
            short: None,
            refused: 0,
            dropped: 0,
            ticks: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        self.tasks.spawn(accept(
            self.endpoint.clone(),
            self.policy.clone(),
            self.clock.clone(),
            self.tell.clone(),
            self.tasks.clone(),
        ));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mail, stop) = (self.mail.clone(), self.stop.clone());
        let told = loop {
            let wake = self.wakes.first().map(|(time, _)| self.clock.instant(*time));
            let wake = wake.into_iter().chain(self.gather.until()).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break Vec::new(),
                letters = mail.take(), if self.has_room() => {
                    let told = self.read(letters);
                    if !told.is_empty() {
                        break told;
                    }
                }
                _ = tick.tick() => self.tick(),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = std::future::ready(()), if !self.inputs.is_empty() => {}
                Some(event) = self.events.recv(), if self.has_room() => self.event(event),
            }
            // Whatever else was due, connections get their turn.
            for _ in 0..BATCH {
                if !self.has_room() {
                    break;
                }
                let Ok(event) = self.events.try_recv() else { break };
                self.event(event);
            }
            self.work();
            self.wake_gathered();
        };
        self.finish().await;
        for told in told {
            let _ = told.send(());
        }
    }

    fn has_room(&self) -> bool {
        self.inputs.len() < MAX_INPUTS
    }

    /// Lets connections know of what was queued for them, once all that came together is.
    fn wake_gathered(&mut self) {
        for id in self.gather.take() {
            if let Some(conn) = self.conns.get(&id) {
                conn.outbox.wake();
            }
        }
    }

    /// Wakes engines that are due and handles inputs.
    fn work(&mut self) {
        let now = self.clock.now();
        while let Some(&(time, swarm)) = self.wakes.first().filter(|(time, _)| *time <= now) {
            self.wakes.remove(&(time, swarm));
            if let Some(part) = self.parts.get_mut(&swarm) {
                part.wake = None;
                self.inputs.push_back((swarm, Input::Timeout));
            }
        }
        for _ in 0..BATCH {
            let Some((swarm, input)) = self.inputs.pop_front() else { break };
            self.handle(swarm, input);
        }
    }

    fn handle(&mut self, swarm: SwarmId, input: Input) {
        let now = self.clock.now();
        let Some(part) = self.parts.get_mut(&swarm) else { return };
        for output in part.handle(now, input) {
            self.output(swarm, output);
        }
        let Some(part) = self.parts.get_mut(&swarm) else { return };
        if self.config.role == Role::Viewer && now.since(part.counted) >= FIGURES {
            part.counted = now;
            part.shared.set_stats(part.engine.stats(now));
            self.count(false);
        }
        let Some(part) = self.parts.get_mut(&swarm) else { return };
        // An engine that wants to be woken in the past is not let spin.
        let wake =
            part.engine.next_timeout().map(|(time, _)| time.max(now + Duration::from_micros(500)));
        if wake != part.wake {
            if let Some(old) = part.wake {
                self.wakes.remove(&(old, swarm));
            }
            part.wake = wake;
            self.wakes.extend(wake.map(|time| (time, swarm)));
        }
    }

    fn tell_all(&mut self, input: &Input) {
        let inputs = self.parts.keys().map(|swarm| (*swarm, input.clone()));
        self.inputs.extend(inputs);
    }

    /// Does what the node's owners ask; gives those who wait for the end.
    fn read(&mut self, letters: Letters) -> Vec<oneshot::Sender<()>> {
        for membership in letters.swarms {
            match membership {
                Membership::Join(spec, shared) => {
                    let swarm = spec.swarm;
                    self.leave(swarm);
                    let now = self.clock.now();
                    let location = self.policy.location();
                    let me = self.endpoint.id();
                    let part = Part::new(me, &self.config, location, *spec, shared, now);
                    self.parts.insert(swarm, part);
                    let offset = self.clock.offset();
                    self.inputs.push_back((swarm, Input::Clock { offset }));
                }
                Membership::Leave(swarm, shared) => {
                    if self.is_part(swarm, &shared) {
                        self.leave(swarm);
                    }
                }
                Membership::Rest(swarm, shared) => {
                    if self.is_part(swarm, &shared) {
                        self.rest(swarm);
                    }
                }
            }
        }
        for swarm in letters.dirty {
            let Some(part) = self.parts.get_mut(&swarm) else { continue };
            let inbox = part.shared.take_inbox();
            let mut inputs = Vec::new();
            inputs.extend(inbox.begin_at.map(Input::BeginAt));
            inputs.extend(inbox.uplink.map(|rate| Input::Uplink { rate }));
            inputs.extend(inbox.max_pushed.map(Input::MaxPushed));
            inputs.extend(inbox.serve.map(Input::Serve));
            if !inbox.remembered.is_empty() {
                inputs.push(Input::Remembered { peers: inbox.remembered });
            }
            if !inbox.neighbours.is_empty() {
                inputs.push(Input::Remembered { peers: inbox.neighbours });
            }
            if !inbox.candidates.is_empty() {
                inputs.push(Input::Candidates { peers: inbox.candidates });
            }
            inputs.extend(inbox.publish.into_iter().filter_map(|shards| part.publish(shards)));
            self.inputs.extend(inputs.into_iter().map(|input| (swarm, input)));
        }
        if letters.clock {
            let offset = self.clock.offset();
            self.tell_all(&Input::Clock { offset });
        }
        if letters.ticket
            && let Some(token) = self.policy.token()
        {
            let frame = PeerFrame::Ticket { ticket: token.to_string() };
            self.conns.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| {
                self.send(id, &frame);
            });
        }
        if letters.revoked {
            let reason = ticket::Error::Revoked.to_string();
            self.refuse_where(|driver, conn| driver.policy.is_revoked(&conn.ticket.jti), &reason);
        }
        letters.shutdown
    }

    fn is_part(&self, swarm: SwarmId, shared: &Arc<Shared>) -> bool {
        self.parts.get(&swarm).is_some_and(|part| Arc::ptr_eq(&part.shared, shared))
    }

    /// Tells an engine something at once, after what it was still to be told.
    fn tell_at_once(&mut self, swarm: SwarmId, input: Input) {
        let (before, after): (Vec<_>, Vec<_>) =
            self.inputs.drain(..).partition(|(of, _)| *of == swarm);
        self.inputs.extend(after);
        for (_, input) in before {
            self.handle(swarm, input);
        }
        self.handle(swarm, input);
    }

    /// Leaves the peers of a swarm, and stays in it to play what is in.
    fn rest(&mut self, swarm: SwarmId) {
        self.tell_at_once(swarm, Input::Rest);
        if let Some(part) = self.parts.get_mut(&swarm) {
            part.rests = true;
        }
        self.leave_peers(swarm);
    }

    /// Tells peers' shells that this node is not in a swarm any more.
    fn leave_peers(&mut self, swarm: SwarmId) {
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            if conn.leave(swarm).is_some() {
                self.send(id, &PeerFrame::Leave { swarm: swarm.0 });
            }
        }
        self.dialling.values_mut().for_each(|swarms| {
            swarms.remove(&swarm);
        });
    }

    /// Leaves a swarm: the engine tells its partners, the shell tells their shells.
    fn leave(&mut self, swarm: SwarmId) {
        if !self.parts.contains_key(&swarm) {
            return;
        }
        self.tell_at_once(swarm, Input::Leave);
        let Some(part) = self.parts.remove(&swarm) else { return };
        self.inputs.retain(|(of, _)| *of != swarm);
        if let Some(wake) = part.wake {
            self.wakes.remove(&(wake, swarm));
        }
        part.shared.set_stats(part.engine.stats(self.clock.now()));
        part.shared.close();
        self.leave_peers(swarm);
    }

    fn tick(&mut self) {
        self.look_at_uplink();
        if let Some(broker) = &self.broker {
            // Swarms that were joined since, too; who knows it already does nothing.
            let reach = broker.reach().borrow().for_engine();
            self.tell_all(&Input::Reach(reach));
        }
        let seconds = self.clock.platform_seconds();
        let expired = ticket::Error::Expired.to_string();
        self.refuse_where(|_, conn| conn.ticket.exp <= seconds, &expired);
        let now = Instant::now();
        for (id, conn) in &mut self.conns {
            (conn.strays, conn.renewals) = (0, 0);
            let silent: Vec<SwarmId> = conn
                .swarms
                .iter()
                .filter(|(_, presence)| {
                    matches!(presence, Presence::Asked(at) if now.duration_since(*at) > ANSWER)
                })
                .map(|(swarm, _)| *swarm)
                .collect();
            for swarm in silent {
                tracing::debug!(id, ?swarm, "peer does not say whether it is in the swarm");
                conn.leave(swarm);
                let input =
                    Input::NotConnected { peer: conn.peer, error: ConnectError::Unreachable };
                self.inputs.push_back((swarm, input));
            }
        }
        self.ask_again(now);
        let idle = |conn: &Conn| conn.idle.is_some_and(|at| now.duration_since(at) > WARM);
        let idle: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| idle(conn)).map(|(id, _)| *id).collect();
        for id in idle {
            self.drop_conn(id, Close::Idle, "no common swarm", ConnectError::Unreachable);
        }
        self.ticks += 1;
        self.count(self.ticks.is_multiple_of(2));
    }

    /// Publishes what was counted; of engines only every other time.
    fn count(&self, engines: bool) {
        let (wire_in, wire_out) = self.endpoint.wire_bytes();
        self.mail.set_stats(NodeStats {
            connections: self.conns.len() as u32,
            wire_in,
            wire_out,
            refused: self.refused,
            dropped: self.dropped,
        });
        if engines {
            let now = self.clock.now();
            for part in self.parts.values() {
                part.shared.set_stats(part.engine.stats(now));
                part.shared.set_good(part.engine.good_peers());
            }
        }
    }

    /// Leaves everything, gives partners a moment to be told, and closes.
    async fn finish(mut self) {
        for swarm in self.parts.keys().copied().collect::<Vec<_>>() {
            self.leave(swarm);
        }
        for _ in 0..20 {
            if self.conns.values().all(|conn| conn.outbox.is_drained()) {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.count(true);
        for conn in self.conns.values() {
            conn.outbox.close();
        }
        self.mail.close();
        self.events.close();
        self.endpoint.close("leaving").await;
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
    }
}

/// Takes in connections until the endpoint closes.
async fn accept(
    endpoint: Endpoint,
    policy: Arc<Policy>,
    clock: Arc<Clock>,
    tell: mpsc::Sender<Event>,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(STRANGERS));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(place) = room.clone().try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let (policy, clock, tell) = (policy.clone(), clock.clone(), tell.clone());
        tasks.spawn(async move {
            let Ok(connection) = incoming.establish().await else { return };
            let peer = connection.peer;
            let event = match hello::answer(connection, &policy, &clock).await {
                Ok(met) => Event::Met(Box::new(met)),
                Err(Failure::Ours(reason)) => {
                    tracing::debug!(?peer, reason, "peer refused");
                    Event::Refused
                }
                Err(Failure::Theirs(_)) => return,
            };
            let _ = tell.send(event).await;
            drop(place);
        });
    }
}
