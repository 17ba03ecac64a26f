//! The task that drives the state machines of this module: with the node's socket, rendezvous, the system's clock and
//! addresses.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use ticket::PeerId;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::classify::Classifier;
use super::hosts;
use super::meeting::{Meetings, Output};
use super::reflect::{MOST, Reflector};
use super::stun::Transaction;
use super::{Access, Reach, is_local, mapping};
use crate::protocol::{Candidate, CandidateKind, Introduction};
use crate::socket::Stun;

/// Wishes and events that wait; more wait at the asker.
const ORDERS: usize = 256;
/// Introductions that wait for rendezvous; more are dropped, and asked for again.
const SIGNALS: usize = 128;
/// How long the end may take: a router takes its port back.
const LEAVE: Duration = Duration::from_millis(1500);

/// A way that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    /// What to dial.
    pub(crate) addr: SocketAddr,
    /// The round trip, as checks have measured it.
    pub(crate) rtt: Duration,
}

/// What the broker is told.
enum Order {
    Meet {
        peer: PeerId,
        reply: oneshot::Sender<Option<Way>>,
    },
    Met(PeerId),
    Introduced(PeerId, Introduction),
    /// Rendezvous introduces viewers, and sees this node at this address.
    Welcome {
        observed: Option<SocketAddr>,
        reflectors: Vec<Reflector>,
    },
    Moved,
    Leave(oneshot::Sender<()>),
}

/// Sends a STUN message.
pub(crate) type Send = Arc<dyn Fn(SocketAddr, &[u8]) + std::marker::Send + Sync>;

/// What the broker is made of.
pub(crate) struct Setup {
    pub(crate) me: PeerId,
    /// The address that the socket is bound to.
    pub(crate) local: SocketAddr,
    pub(crate) stun: mpsc::Receiver<Stun>,
    pub(crate) send: Send,
    /// Whether the router is asked for a port.
    pub(crate) port_mapping: bool,
    /// Whether no viewer is to be met.
    pub(crate) servers_only: bool,
}

/// Finds ways to other viewers.
pub(crate) struct Broker {
    orders: mpsc::Sender<Order>,
    signals: Mutex<mpsc::Receiver<(PeerId, Introduction)>>,
    reach: watch::Receiver<Reach>,
    /// Whether rendezvous is there and introduces viewers.
    introduces: watch::Sender<bool>,
}

impl Broker {
    /// Begins.
    pub(crate) fn start(setup: Setup) -> Arc<Self> {
        let (orders, wishes) = mpsc::channel(ORDERS);
        let (signal, signals) = mpsc::channel(SIGNALS);
        let told = Reach { servers_only: setup.servers_only, ..Reach::default() };
        let (reach, watching) = watch::channel(told);
        let random = Box::new(|bytes: &mut [u8]| {
            rand::fill(bytes).expect("the system has random numbers");
        });
        let task = Task {
            meetings: Meetings::new(setup.me, random),
            setup,
            wishes,
            signal,
            reach,
            waiting: Vec::new(),
            own: Vec::new(),
            reflectors: Vec::new(),
            looks: Vec::new(),
            observed: None,
            seen: Vec::new(),
            mapped: watch::channel(None).1,
            mapping: None,
        };
        tokio::spawn(task.run());
        let (signals, introduces) = (Mutex::new(signals), watch::Sender::new(false));
        Arc::new(Self { orders, signals, reach: watching, introduces })
    }

    async fn order(&self, order: Order) {
        // An error means that the node ends.
        let _ = self.orders.send(order).await;
    }

    /// Whether viewers can be met now: rendezvous is there and introduces them.
    pub(crate) fn can_meet(&self) -> bool {
        *self.introduces.borrow()
    }

    /// Looks for a way to a viewer.
    pub(crate) async fn meet(&self, peer: PeerId) -> Option<Way> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Meet { peer, reply }).await;
        answer.await.ok().flatten()
    }

    /// A viewer is connected; nothing more is to be looked for. Never waits.
    pub(crate) fn met(&self, peer: PeerId) {
        // What is not taken lapses.
        let _ = self.orders.try_send(Order::Met(peer));
    }

    /// A viewer introduces itself.
    pub(crate) async fn introduced(&self, peer: PeerId, introduction: Introduction) {
        self.order(Order::Introduced(peer, introduction)).await;
    }

    /// Rendezvous introduces viewers, and names those that tell what this node is seen at.
    pub(crate) async fn welcome(
        &self,
        observed: Option<SocketAddr>,
        mut reflectors: Vec<Reflector>,
    ) {
        reflectors.truncate(MOST);
        self.order(Order::Welcome { observed, reflectors }).await;
        self.introduces.send_replace(true);
    }

    /// Rendezvous is away.
    pub(crate) fn away(&self) {
        self.introduces.send_replace(false);
    }

    /// The node is in another network.
    pub(crate) async fn moved(&self) {
        self.order(Order::Moved).await;
    }

    /// The next introduction that rendezvous is to pass on. Cancel safe.
    pub(crate) async fn signal(&self) -> (PeerId, Introduction) {
        match self.signals.lock().await.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// How far this node can be reached, and each change.
    pub(crate) fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.clone()
    }

    /// Gives the router's port back.
    pub(crate) async fn leave(&self) {
        let (reply, done) = oneshot::channel();
        self.order(Order::Leave(reply)).await;
        let _ = timeout(LEAVE, done).await;
    }
}

struct Task {
    setup: Setup,
    wishes: mpsc::Receiver<Order>,
    signal: mpsc::Sender<(PeerId, Introduction)>,
    reach: watch::Sender<Reach>,
    meetings: Meetings,
    waiting: Vec<(PeerId, oneshot::Sender<Option<Way>>)>,
    own: Vec<IpAddr>,
    reflectors: Vec<Reflector>,
    /// A look at each family that is under way.
    looks: Vec<(bool, Classifier)>,
    /// Where rendezvous sees this node.
    observed: Option<SocketAddr>,
    /// Where reflectors see it.
    seen: Vec<SocketAddr>,
    mapped: watch::Receiver<Option<SocketAddr>>,
    mapping: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
}

fn transaction() -> Transaction {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

impl Task {
    async fn run(mut self) {
        loop {
            let due = self.looks.iter().filter_map(|(_, look)| look.timeout()).min();
            let due = due.into_iter().chain(self.meetings.timeout()).min();
            let at = due.map_or_else(Instant::now, Instant::from_std);
            tokio::select! {
                order = self.wishes.recv() => match order {
                    None => break,
                    Some(Order::Leave(reply)) => {
                        self.unmap().await;
                        let _ = reply.send(());
                        break;
                    }
                    Some(order) => self.order(order).await,
                },
                Some(stun) = self.setup.stun.recv() => self.heard(&stun),
                Ok(()) = self.mapped.changed() => self.tell(),
                () = sleep_until(at), if due.is_some() => {}
            }
            self.pass();
        }
        if let Some((stop, _)) = self.mapping.take() {
            stop.cancel();
        }
    }

    async fn order(&mut self, order: Order) {
        let now = Instant::now().into_std();
        match order {
            Order::Meet { peer, reply } => {
                self.waiting.push((peer, reply));
                self.meetings.meet(now, peer);
            }
            Order::Met(peer) => self.meetings.met(peer),
            Order::Introduced(peer, introduction) => {
                if !self.setup.servers_only {
                    self.meetings.introduced(now, peer, introduction);
                }
            }
            Order::Welcome { observed, reflectors } => {
                let again = self.observed == observed && self.reflectors == reflectors;
                self.observed = observed;
                self.reflectors = reflectors;
                // What is known is known, where nothing has changed.
                if !again || self.own.is_empty() {
                    self.look();
                }
            }
            Order::Moved => {
                self.meetings.forget();
                if let Some((stop, _)) = self.mapping.take() {
                    // The router that gave it may be out of reach.
                    stop.cancel();
                    self.mapped = watch::channel(None).1;
                }
                self.observed = None;
                self.look();
            }
            Order::Leave(_) => {}
        }
    }

    /// Finds out anew how far this node can be reached.
    fn look(&mut self) {
        let bound = self.setup.local.ip();
        self.own = hosts::all();
        if !bound.is_unspecified() {
            self.own.retain(|own| *own == bound);
        } else if bound.is_ipv4() {
            self.own.retain(IpAddr::is_ipv4);
        }
        // The one that leads to the internet goes first; of one family, what the system prefers.
        let best: Vec<IpAddr> =
            self.reflectors.iter().filter_map(|all| hosts::source(all.first)).collect();
        self.own.sort_by_key(|own| (!best.contains(own), own.is_ipv4()));
        self.seen.clear();
        let port = self.setup.local.port();
        let now = Instant::now().into_std();
        self.looks = [true, false]
            .map(|ipv4| {
                let of_family = |ip: &IpAddr| ip.is_ipv4() == ipv4;
                let own = self.own.iter().copied().filter(of_family).collect();
                let reflectors = self.reflectors.iter().copied();
                let reflectors = reflectors.filter(|all| of_family(&all.first.ip())).collect();
                let mut transaction = transaction;
                (ipv4, Classifier::new(now, reflectors, own, port, &mut transaction))
            })
            .into();
        let has = |ipv4| self.own.iter().any(|own| own.is_ipv4() == ipv4);
        let access = |ipv4| if has(ipv4) { Access::Unknown } else { Access::None };
        let reach =
            Reach { v4: access(true), v6: access(false), servers_only: self.setup.servers_only };
        self.reach.send_if_modified(|told| std::mem::replace(told, reach) != reach);
        self.tell();
    }

    fn heard(&mut self, stun: &Stun) {
        let Stun { from, to, bytes } = stun;
        if self.looks.iter_mut().any(|(_, look)| look.heard(bytes)) {
            return;
        }
        let own = || self.own.iter().find(|own| own.is_ipv4() == from.is_ipv4());
        let Some(to) = to.or_else(|| own().copied()) else { return };
        let to = SocketAddr::new(to, self.setup.local.port());
        self.meetings.heard(Instant::now().into_std(), *from, to, bytes);
    }

    fn pass(&mut self) {
        let now = Instant::now().into_std();
        let mut found = Vec::new();
        for (ipv4, look) in &mut self.looks {
            let mut transaction = transaction;
            found.extend(look.pass(now, &mut transaction).map(|finding| (*ipv4, finding)));
            look.transmits().for_each(|(to, bytes)| (self.setup.send)(to, &bytes));
        }
        for (ipv4, finding) in found {
            self.seen.extend(finding.seen);
            self.reach.send_if_modified(|told| {
                let access = if ipv4 { &mut told.v4 } else { &mut told.v6 };
                std::mem::replace(access, finding.access) != finding.access
            });
            tracing::debug!(ipv4, access = ?finding.access, "how far this node can be reached");
            if ipv4 {
                self.map(finding.access);
            }
            self.tell();
        }
        self.meetings.pass(now);
        while let Some(output) = self.meetings.poll() {
            match output {
                Output::Signal { to, introduction } => {
                    // Full: it is not answered, and asked again.
                    let _ = self.signal.try_send((to, introduction));
                }
                Output::Transmit { to, bytes } => (self.setup.send)(to, &bytes),
                Output::Found { peer, addr, rtt } => self.reply(peer, Some(Way { addr, rtt })),
                Output::NotFound { peer } => self.reply(peer, None),
            }
        }
    }

    fn reply(&mut self, peer: PeerId, way: Option<Way>) {
        for (_, reply) in self.waiting.extract_if(.., |(waiting, _)| *waiting == peer) {
            // Who asked may have gone.
            let _ = reply.send(way);
        }
    }

    /// Where the node may be met, for those that are met from now on; a port that was given makes it open.
    fn tell(&mut self) {
        let port = self.setup.local.port();
        let own = self.own.iter().map(|own| SocketAddr::new(*own, port)).collect();
        let place = |kind| move |addr: &SocketAddr| Candidate { kind, addr: *addr };
        let mapped = *self.mapped.borrow_and_update();
        let seen = self.seen.iter().chain(&self.observed);
        let candidates: Vec<_> = mapped
            .iter()
            .map(place(CandidateKind::Mapped))
            .chain(seen.clone().map(place(CandidateKind::Seen)))
            .collect();
        self.meetings.set_addresses(own, candidates);
        let outermost = |mapped: &SocketAddr| seen.clone().any(|addr| addr.ip() == mapped.ip());
        if mapped.as_ref().is_some_and(outermost) {
            self.reach.send_if_modified(|told| {
                std::mem::replace(&mut told.v4, Access::Open) != Access::Open
            });
        }
    }

    /// Asks the router for a port, if that may help.
    fn map(&mut self, access: Access) {
        let own = self.own.iter().find_map(|own| match own {
            IpAddr::V4(ip) if is_local(*own) => Some(*ip),
            _ => None,
        });
        let helps = matches!(
            access,
            Access::AddressRestricted | Access::PortRestricted | Access::Symmetric
        );
        let router = hosts::router();
        let port = NonZeroU16::new(self.setup.local.port());
        let (true, Some(own), Some(router), Some(port)) = (helps, own, router, port) else {
            return;
        };
        if !self.setup.port_mapping || self.setup.servers_only || self.mapping.is_some() {
            return;
        }
        let (tell, mapped) = watch::channel(None);
        self.mapped = mapped;
        let stop = CancellationToken::new();
        let task = tokio::spawn(mapping::keep(router, own, port, tell, stop.clone()));
        self.mapping = Some((stop, task));
    }

    async fn unmap(&mut self) {
        if let Some((stop, task)) = self.mapping.take() {
            stop.cancel();
            let _ = timeout(LEAVE, task).await;
        }
        self.mapped = watch::channel(None).1;
    }
}
