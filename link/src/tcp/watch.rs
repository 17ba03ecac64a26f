//! A viewer's eye on the addresses that it has dialled.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use ticket::PeerId;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::listen::Open;
use super::silence::SUSPECT;
use super::table::{Table, probe};
use super::{PORTS, line};
use crate::endpoint::canonical;

/// How often silences are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// A port that does not answer is given up.
const CONNECT: Duration = Duration::from_secs(3);
/// The next port is tried this much later.
const STAGGER: Duration = Duration::from_millis(150);
/// Who cannot be had by TCP is not tried again before this; it grows to the second.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// While there is a tunnel, UDP is tried this often; it grows to the second.
const PROBE: Duration = Duration::from_secs(4);
const PROBE_MOST: Duration = Duration::from_secs(30);
/// Where UDP is known to be blocked, less patience is shown.
const SHORT: Duration = Duration::from_millis(200);
/// Tunnels that are being opened at one time.
const MOST: usize = 8;

/// Opens a TLS stream to a peer at an address.
pub(crate) type Dial = Arc<
    dyn Fn(SocketAddr, PeerId) -> BoxFuture<'static, io::Result<TlsStream<TcpStream>>>
        + Send
        + Sync,
>;
/// Sends a datagram over UDP.
pub(crate) type SendUdp = Arc<dyn Fn(SocketAddr, &[u8]) + Send + Sync>;

/// What is known of addresses that were dialled.
pub(crate) struct Watch {
    table: Arc<Table>,
    dial: Dial,
    udp: SendUdp,
    state: Mutex<State>,
    end: CancellationToken,
    changed: Notify,
}

#[derive(Default)]
struct State {
    watched: HashMap<SocketAddr, Watched>,
    /// Tunnels in use.
    tunnels: usize,
    opening: usize,
}

struct Watched {
    peer: PeerId,
    /// Connections to it.
    users: usize,
    /// A tunnel is there, or on its way.
    busy: bool,
    not_before: Option<Instant>,
    pause: Duration,
    end: CancellationToken,
}

impl Watch {
    pub(crate) fn start(
        table: Arc<Table>,
        dial: Dial,
        udp: SendUdp,
        end: CancellationToken,
    ) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        let watch = Arc::new(Self { table, dial, udp, state, end, changed });
        tokio::spawn(watch.clone().run());
        watch
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An address is dialled. It is watched until what is given is dropped.
    pub(crate) fn enter(self: &Arc<Self>, addr: SocketAddr, peer: PeerId) -> Watching {
        let addr = canonical(addr);
        let mut state = self.lock();
        let watched = state.watched.entry(addr).or_insert_with(|| {
            self.table.watch(addr);
            Watched {
                peer,
                users: 0,
                busy: false,
                not_before: None,
                pause: AGAIN,
                end: self.end.child_token(),
            }
        });
        watched.users += 1;
        self.changed.notify_one();
        Watching { watch: self.clone(), addr }
    }

    /// Whether UDP seems to be blocked: something goes through a tunnel.
    pub(crate) fn is_blocked(&self) -> bool {
        self.lock().tunnels > 0
    }

    /// Someone who is watched.
    pub(crate) fn anybody(&self) -> Option<SocketAddr> {
        self.lock().watched.keys().min().copied()
    }

    /// Another network: tunnels of the old one are closed, and nothing is held against anybody.
    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        for (addr, watched) in &mut state.watched {
            watched.end.cancel();
            watched.end = self.end.child_token();
            (watched.not_before, watched.pause) = (None, AGAIN);
            self.table.begin(*addr);
        }
    }

    async fn run(self: Arc<Self>) {
        while !self.end.is_cancelled() {
            let idle = self.lock().watched.is_empty();
            let pause =
                async { if idle { self.changed.notified().await } else { sleep(LOOK).await } };
            if self.end.run_until_cancelled(pause).await.is_none() {
                return;
            }
            self.look();
        }
    }

    /// Opens tunnels to whom is silent.
    fn look(self: &Arc<Self>) {
        let now = tokio::time::Instant::now().into_std();
        let mut state = self.lock();
        let State { watched, tunnels, opening } = &mut *state;
        let patience = if *tunnels > 0 { SHORT } else { SUSPECT };
        for (addr, watched) in watched {
            let silent = self.table.silence(*addr);
            if watched.busy
                || watched.not_before.is_some_and(|at| now < at)
                || *opening >= MOST
                || !silent.is_some_and(|silence| silence.is_suspicious(now, patience))
            {
                continue;
            }
            watched.busy = true;
            *opening += 1;
            let (this, addr, peer, end) = (self.clone(), *addr, watched.peer, watched.end.clone());
            tokio::spawn(async move {
                let ended = end.run_until_cancelled(this.detour(addr, peer)).await;
                this.ended(addr, ended.unwrap_or(Ok(())).is_ok());
            });
        }
    }

    fn ended(&self, addr: SocketAddr, well: bool) {
        let mut state = self.lock();
        if let Some(watched) = state.watched.get_mut(&addr) {
            watched.busy = false;
            if !well {
                let now = tokio::time::Instant::now().into_std();
                watched.not_before = Some(now + watched.pause);
                watched.pause = (watched.pause * 2).min(AGAIN_MOST);
            } else {
                watched.pause = AGAIN;
            }
        }
    }

    /// Opens a tunnel and uses it until UDP works again, or it breaks.
    async fn detour(&self, addr: SocketAddr, peer: PeerId) -> io::Result<()> {
        let opened = self.open(addr, peer).await;
        self.lock().opening -= 1;
        let stream = opened?;
        // UDP has answered after all.
        let now = tokio::time::Instant::now().into_std();
        if !self.table.silence(addr).is_some_and(|silence| silence.is_suspicious(now, SHORT)) {
            return Ok(());
        }
        tracing::info!("UDP is silent: a tunnel is used");
        let (tunnel, outbox) = mpsc::channel(line::OUTBOX);
        let _used = Used::new(self);
        let open = Open::new(&self.table, addr, tunnel);
        let carry = line::run(stream, || self.table.written(addr), self.table.inbox(), outbox);
        tokio::pin!(carry);
        let mut pause = PROBE;
        let result = loop {
            tokio::select! {
                result = &mut carry => break result,
                () = sleep(pause) => {}
            }
            if self.table.has_answered(addr) {
                tracing::info!("UDP works again");
                self.table.begin(addr);
                // What is on its way through the tunnel still comes.
                drop(open);
                let _ = timeout(CONNECT, carry).await;
                return Ok(());
            }
            (self.udp)(self.table.written(addr), &probe(chance()));
            // Soon after: whether it was answered.
            tokio::select! {
                result = &mut carry => break result,
                () = sleep(Duration::from_secs(1)) => {}
            }
            pause = if self.table.has_answered(addr) {
                Duration::ZERO
            } else {
                (pause * 2).min(PROBE_MOST)
            };
        };
        self.table.begin(addr);
        result
    }

    /// The ports one after the other, overlapping; the first that proves to be the peer is taken.
    async fn open(&self, addr: SocketAddr, peer: PeerId) -> io::Result<TlsStream<TcpStream>> {
        let ports =
            std::iter::once(addr.port()).chain(PORTS.into_iter().filter(|p| *p != addr.port()));
        let tries = (0u32..).zip(ports).map(|(i, port)| {
            let dial = self.dial.clone();
            Box::pin(async move {
                sleep(STAGGER * i).await;
                let dialled = dial(SocketAddr::new(addr.ip(), port), peer);
                timeout(CONNECT, dialled).await.map_err(|_| io::ErrorKind::TimedOut)?
            })
        });
        futures::future::select_ok(tries).await.map(|(stream, _)| stream)
    }
}

fn chance() -> [u8; 8] {
    let mut chance = [0; 8];
    aws_lc_rs::rand::fill(&mut chance).expect("the system has random numbers");
    chance
}

/// Counts a tunnel that is in use.
struct Used<'a>(&'a Watch);

impl<'a> Used<'a> {
    fn new(watch: &'a Watch) -> Self {
        watch.lock().tunnels += 1;
        Self(watch)
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.lock().tunnels -= 1;
    }
}

/// An address is watched as long as this lives.
pub(crate) struct Watching {
    watch: Arc<Watch>,
    addr: SocketAddr,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.watch.lock();
        let Some(watched) = state.watched.get_mut(&self.addr) else { return };
        watched.users -= 1;
        if watched.users == 0 {
            watched.end.cancel();
            state.watched.remove(&self.addr);
            drop(state);
            self.watch.table.forget(self.addr);
        }
    }
}
