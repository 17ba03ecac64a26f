//! Where all sessions meet: the live map, who is connected, what they are told. No sockets: a
//! session hands requests in and takes events out of its [`Inbox`].

mod answer;
mod hello;
mod introduce;
mod monitor;
mod moves;
mod outbox;
mod revoked;
mod share;
mod trust;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use link::nat::reflect::Reflector;
use link::protocol::{ChannelInfo, Event, Refusal};
use segment::SwarmId;
use swarm::Time;
use ticket::{Location, PeerId, UserTicket};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::moves::Moves;
use self::revoked::Revoked;
use self::watch::Watched;
use crate::grant::Granter;
use crate::map::{Kept, Map};
use crate::metrics::Metrics;

pub use hello::{Caller, Denied};
pub use outbox::{End, Inbox, Outbox};
pub use share::Parcel;
pub use trust::{Revocation, Trust};
pub use watch::{News, Seen, Watching};

/// The most revoked sessions in one event: a few 100 KiB at most.
const REVOKED_AT_ONCE: usize = 1000;

/// Bounds of the hub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most nodes that are connected.
    pub sessions: usize,
    /// For how long a node's channel ticket is renewed without a fresh user ticket.
    pub renew_for: Duration,
    /// For so long after the start, who wants a channel that is not on air yet waits for its
    /// headend to come back.
    pub rebuild: Duration,
    /// How long it waits at most: less than nodes wait for an answer.
    pub patience: Duration,
    /// The most devices of one account that play at one time; 0: any number.
    pub streams: usize,
}

/// Where all sessions meet.
pub struct Hub {
    limits: Limits,
    origin: Instant,
    granter: Granter,
    trust: trust::Keeper,
    metrics: Metrics,
    state: Mutex<State>,
}

/// All that changes while nodes come and go.
struct State {
    map: Box<dyn Map>,
    seats: HashMap<PeerId, Seat>,
    /// The number of the last connection.
    connections: u64,
    revoked: Revoked,
    waiting: VecDeque<Waiting>,
    line_up_changed: bool,
    /// Channels on which something else is on than viewers were told.
    on_air_changed: BTreeSet<String>,
    /// What tells viewers at what address they are seen; `None`: nobody is told, and viewers are not introduced.
    reflectors: Option<Vec<Reflector>>,
    /// For nodes elsewhere; `None`: there is no elsewhere.
    parcels: Option<mpsc::Sender<Parcel>>,
    /// For webhooks; `None`: there are none.
    news: Option<mpsc::Sender<News>>,
    /// Whether this server speaks for all of them of what all see.
    speaker: bool,
    /// Channels on air, as news last said.
    live: BTreeSet<String>,
    /// When headends were last asked to show a channel.
    looked: BTreeMap<String, Time>,
    /// When accounts with too many streams were last looked for.
    counted: Time,
    /// Who said hello again because it moved.
    moves: Moves,
}

/// A connected node.
struct Seat {
    connection: u64,
    /// The last user ticket that passed.
    ticket: UserTicket,
    /// Until when the channel ticket is renewed without another.
    renew_until: Time,
    /// When the channel ticket expires, seconds since 1970.
    expires: u64,
    outbox: Outbox,
    /// Whether it came through TCP, because its UDP is blocked.
    tunnelled: bool,
    /// Where the node is.
    location: Location,
    /// Program and version.
    software: String,
    /// When it came, seconds since 1970.
    since: u64,
    /// What a viewer watches.
    watching: BTreeMap<SwarmId, Watched>,
}

/// A node that wants a channel which is not on air yet.
struct Waiting {
    peer: PeerId,
    connection: u64,
    channel: String,
    rendition: Option<String>,
    since: Time,
}

impl Hub {
    /// A hub around an empty map.
    pub fn new(limits: Limits, map: Box<dyn Map>, granter: Granter, metrics: Metrics) -> Self {
        Self {
            limits,
            origin: Instant::now(),
            granter,
            trust: trust::Keeper::default(),
            metrics,
            state: Mutex::new(State {
                map,
                seats: HashMap::new(),
                connections: 0,
                revoked: Revoked::new(limits.renew_for),
                waiting: VecDeque::new(),
                line_up_changed: false,
                on_air_changed: BTreeSet::new(),
                reflectors: None,
                parcels: None,
                news: None,
                speaker: true,
                live: BTreeSet::new(),
                looked: BTreeMap::new(),
                counted: Time::default(),
                moves: Moves::default(),
            }),
        }
    }

    /// From now on viewers are introduced to each other, and told of these reflectors.
    pub fn introduce_viewers(&self, reflectors: Vec<Reflector>) {
        self.lock().reflectors = Some(reflectors);
    }

    /// The most nodes that are connected.
    pub fn most_sessions(&self) -> usize {
        self.limits.sessions
    }

    /// Whether a viewer that is seen at another address than at first is to say hello again; its session has lasted so long.
    pub fn is_to_come_again(&self, peer: PeerId, lasted: Duration) -> bool {
        let now = self.now();
        self.lock().moves.may(peer, lasted, now)
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Time {
        Time(self.origin.elapsed().as_micros() as u64)
    }

    /// The platform's clock: microseconds since 1970.
    pub fn wall(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_micros() as u64
    }

    fn seconds(&self) -> u64 {
        self.wall() / 1_000_000
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the map and the seats usable, if a node short at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the map.
    pub fn look<T>(&self, look: impl FnOnce(&dyn Map, Time) -> T) -> T {
        let now = self.now();
        look(self.lock().map.as_ref(), now)
    }

    /// A session has ended.
    pub fn depart(&self, caller: &Caller) {
        let now = self.now();
        let mut state = self.lock();
        let state = &mut *state;
        self.leaves(state, caller);
        state.map.depart(now, caller.connection, caller.peer);
        let current = state.seats.get(&caller.peer);
        if current.is_some_and(|seat| seat.connection == caller.connection) {
            state.seats.remove(&caller.peer);
        }
    }

    /// To be called a few times a second: expiry, line-up, who waits.
    ///
    /// Gives the line-up to be kept, if it has changed.
    pub fn tick(&self) -> Option<Vec<Kept>> {
        let (now, seconds) = (self.now(), self.seconds());
        let mut state = self.lock();
        let state = &mut *state;
        state.line_up_changed |= state.map.tick(now);
        state.revoked.forget(now);
        for seat in state.seats.values().filter(|seat| seat.expires <= seconds) {
            seat.outbox.refuse(Refusal::Ticket, "channel ticket has expired");
        }
        let changed = std::mem::take(&mut state.line_up_changed);
        if changed {
            let line_up = state.map.line_up();
            for seat in state.seats.values() {
                self.push(seat, Event::LineUp(entitled(&line_up, &seat.ticket)));
            }
        }
        self.tell_on_air(state, now);
        self.settle(state, now);
        self.air(state);
        self.spare(state, now);
        changed.then(|| state.map.kept())
    }

    /// Shows in the metrics who is here; walks over the whole map, so every few seconds is enough.
    pub fn show(&self) {
        let now = self.now();
        let state = self.lock();
        self.metrics.show(state.map.as_ref(), now);
        self.metrics.show_queues(self.queues(&state));
        self.metrics.show_sessions(state.seats.values().map(|seat| seat.ticket.role));
    }

    /// Nodes that are connected.
    pub fn sessions(&self) -> usize {
        self.lock().seats.len()
    }

    fn push(&self, seat: &Seat, event: Event) {
        if !seat.outbox.push(event) {
            self.metrics.slow.inc();
        }
    }
}

/// What of the line-up a ticket grants.
fn entitled(line_up: &[ChannelInfo], ticket: &UserTicket) -> Vec<ChannelInfo> {
    line_up.iter().filter(|channel| ticket.grants(&channel.id)).cloned().collect()
}
