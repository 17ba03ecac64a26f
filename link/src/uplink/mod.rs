//! What a viewer sends to other viewers yields to everything else in its home.
//!
//! Three parts: [`control`] finds the rate, from what [`sense`] hears in the acknowledgements of all connections; here
//! shards are handed to QUIC at that rate, a packet or two at a time and one shard after the other; and at the socket
//! (`socket::pace`) no burst passes, whatever its cause. What is not a shard passes at once.

mod base;
mod control;
#[cfg(test)]
mod felt;
mod pacer;
mod sense;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{MutexGuard as LaneGuard, Notify};
use tokio::time::sleep;

pub(crate) use self::pacer::Bucket;
pub(crate) use self::sense::{AT_ONCE, LATER, PoliteConfig};

use self::control::Control;
use self::sense::Trip;
use crate::endpoint::canonical;
use crate::nat::is_at_home;

/// The largest packet, bytes.
const PACKET: usize = 1_500;
/// What may be sent at once: two packets (5 ms at 5 Mbit/s), or of a fast uplink what passes in so long: the timer's step is
/// a millisecond.
const BURST_TIME: Duration = Duration::from_micros(1_500);
/// What is urgent may pass beside the rate: at so much of it,
const EXPRESS: f64 = 0.25;
/// but at least this, bytes per second,
const EXPRESS_LEAST: f64 = 24_000.0;
/// and so much after a pause, bytes: two shards.
const EXPRESS_DEPTH: f64 = 40_000.0;
/// Packets of one shard that pass beside the rate are still this far apart.
const EXPRESS_APART: Duration = Duration::from_millis(2);
/// How long the wait is by which lateness is told,
const LATENESS: Duration = Duration::from_millis(10);
/// and by how much it may be over late: less than the queue that is looked for, more than timers are out.
const LATE: Duration = Duration::from_millis(4);
/// For so long after that round trips are not believed: what was held up is read then.
const DOUBT: Duration = Duration::from_millis(30);
/// Who waits at the socket goes on a little later than it may: the timer's step.
const HELD_UP: Duration = Duration::from_millis(2);
/// A node that has sent nothing for so long does not look, and looks again this often.
const IDLE: Duration = Duration::from_millis(500);
/// Who waits looks again after this: the rate may have changed.
const PATIENCE: Duration = Duration::from_millis(40);

/// What a node knows of its uplink, for people and for the next start.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct UplinkState {
    /// What may be sent now, bits per second.
    pub rate: u64,
    /// What the uplink was seen to carry, bits per second; `None` until its queue has shown.
    pub carried: Option<u64>,
    /// The queue before it, as far as it is known.
    pub queue: Option<Duration>,
}

/// The uplink of a node, for all its connections.
pub(crate) struct Uplink {
    state: Mutex<State>,
    /// Shards go one after the other, in the order in which they came.
    lane: tokio::sync::Mutex<()>,
    changed: Notify,
}

struct State {
    control: Control,
    bucket: Bucket,
    express: Bucket,
    /// What the user allows, bytes per second.
    most: f64,
    connections: u64,
    /// Round trips are not believed before this: the machine was busy, and read them late.
    doubt: Instant,
    /// What was sent between these may have waited at the socket.
    held_up: (Instant, Instant),
    /// When something was sent last.
    sent: Instant,
    /// Where the viewers of this home are, by connection: what goes there takes no uplink.
    at_home: BTreeMap<u64, SocketAddr>,
}

impl State {
    fn rate(&self) -> f64 {
        self.control.rate().min(self.most)
    }
}

impl Uplink {
    /// `most` in bits per second; `None`: whatever the uplink carries.
    pub(crate) fn new(most: Option<u64>) -> Arc<Self> {
        let now = clock();
        let control = Control::new(now);
        let most = bytes_per_second(most);
        let rate = control.rate().min(most);
        let state = State {
            control,
            bucket: Bucket::new(now, rate, 2.0 * PACKET as f64),
            express: Bucket::new(now, EXPRESS_LEAST.min(most), EXPRESS_DEPTH.min(most)),
            most,
            connections: 0,
            doubt: now,
            held_up: (now, now),
            sent: now,
            at_home: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            lane: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another limit of the user's, at once.
    pub(crate) fn set_most(&self, most: Option<u64>) {
        let mut state = self.lock();
        state.most = bytes_per_second(most);
        let depth = EXPRESS_DEPTH.min(state.most);
        state.express = Bucket::new(clock(), 0.0, depth);
        drop(state);
        self.changed.notify_waiters();
    }

    /// What may be sent, bytes per second.
    pub(crate) fn rate(&self) -> f64 {
        self.lock().rate()
    }

    /// Whether what goes to this address stays in the home.
    pub(crate) fn is_at_home(&self, to: SocketAddr) -> bool {
        let to = canonical(to);
        self.lock().at_home.values().any(|addr| *addr == to)
    }

    /// A connection stays in the home: it takes no uplink, and is not heard, because what it meets is not the uplink's queue.
    pub(crate) fn stays_at_home(self: &Arc<Self>, connection: &quinn::Connection) -> AtHome {
        sense::silence(connection);
        let id = self.enter();
        self.lock().at_home.insert(id, canonical(connection.remote_address()));
        AtHome { uplink: self.clone(), id }
    }

    /// What is known.
    pub(crate) fn state(&self) -> UplinkState {
        let state = self.lock();
        UplinkState {
            rate: bits(state.rate()),
            carried: state.control.carried().map(bits),
            queue: state.control.queue(),
        }
    }

    /// Another network, and what it carried when one was last in it, bits per second.
    pub(crate) fn reset(&self, carried: Option<u64>) {
        let carried = carried.map(|bits| bits as f64 / 8.0);
        self.lock().control.reset(clock(), carried);
    }

    /// The right to send a shard; what is urgent does not wait for it.
    pub(crate) async fn lane(&self, urgent: bool) -> Lane<'_> {
        let guard = if urgent { None } else { Some(self.lane.lock().await) };
        Lane { uplink: self, guard, waited: false }
    }

    fn ask(&self, bytes: usize, urgent: bool, waited: bool) -> Answer {
        let mut state = self.lock();
        let (now, rate) = (clock(), state.rate());
        state.bucket.set_rate(now, rate);
        state.bucket.set_depth(PACKET as f64, BURST_TIME);
        let express = (rate * EXPRESS).max(EXPRESS_LEAST).min(state.most);
        state.express.set_rate(now, express);
        let beside = urgent && state.express.take(now, bytes).is_ok();
        if !beside && let Err(wait) = state.bucket.take(now, bytes) {
            return Answer::Wait(wait);
        }
        state.control.sent(now, bytes as u64, waited);
        state.sent = now;
        if beside { Answer::Beside } else { Answer::Go }
    }

    /// A connection that is to be heard.
    fn enter(&self) -> u64 {
        let mut state = self.lock();
        state.connections += 1;
        state.connections
    }

    fn leave(&self, connection: u64) {
        self.lock().control.forget(connection);
    }

    /// An acknowledgement: bytes that it names, and the newest round trip that is known.
    fn acked(&self, connection: u64, now: Instant, bytes: u64, trip: Option<Trip>) {
        let mut state = self.lock();
        let (from, until) = state.held_up;
        let trip = trip.filter(|trip| now >= state.doubt && !(from..until).contains(&trip.sent));
        let control = &mut state.control;
        if let Some(trip) = trip {
            control.trip(connection, now, trip.took);
        }
        control.acked(now, bytes);
    }

    /// The socket holds packets up for so long, to spread them. QUIC believes that they are sent already: how long they take
    /// says nothing.
    pub(crate) fn holds_up(&self, wait: Duration) {
        let mut state = self.lock();
        let now = clock();
        let (from, until) = &mut state.held_up;
        if now > *until {
            *from = now.checked_sub(HELD_UP).unwrap_or(now);
        }
        *until = (*until).max(now + wait + HELD_UP);
    }

    /// Looks whether this machine is too busy to tell a queue from its own delay, as long as the node sends: a wait that
    /// is over late says so, and what is heard just then is not believed.
    pub(crate) async fn watch_lateness(self: Arc<Self>) {
        loop {
            let begun = clock();
            sleep(LATENESS).await;
            let now = clock();
            let late = (now - begun).saturating_sub(LATENESS);
            let idle = {
                let mut state = self.lock();
                if late > LATE {
                    state.doubt = now + DOUBT;
                }
                now.saturating_duration_since(state.sent) > IDLE
            };
            if idle {
                sleep(IDLE).await;
            }
        }
    }

    fn lost(&self, now: Instant, bytes: u64) {
        self.lock().control.lost(now, bytes);
    }
}

impl fmt::Debug for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uplink")
    }
}

/// A connection that stays in the home, as long as it lasts.
pub(crate) struct AtHome {
    uplink: Arc<Uplink>,
    id: u64,
}

impl AtHome {
    /// Whether it still does, now that the other is at this address.
    pub(crate) fn covers(&self, remote: SocketAddr) -> bool {
        let remote = canonical(remote);
        if self.uplink.lock().at_home.get(&self.id) == Some(&remote) {
            return true;
        }
        let near = is_at_home(remote.ip());
        let at_home = &mut self.uplink.lock().at_home;
        if near {
            at_home.insert(self.id, remote);
        } else {
            at_home.remove(&self.id);
        }
        near
    }
}

impl Drop for AtHome {
    fn drop(&mut self) {
        self.uplink.lock().at_home.remove(&self.id);
    }
}

/// One shard's way to QUIC.
pub(crate) struct Lane<'a> {
    uplink: &'a Uplink,
    /// `None` for what is urgent.
    guard: Option<LaneGuard<'a, ()>>,
    waited: bool,
}

impl Lane<'_> {
    /// What is handed over at one time, bytes, of packets that carry `payload`: one packet, or two where they take
    /// hardly any time.
    pub(crate) fn portion(&self, payload: usize) -> usize {
        let rate = self.uplink.lock().rate();
        if rate > 1_000.0 * PACKET as f64 { 2 * payload } else { payload }
    }

    /// Waits until a portion may go. What is urgent goes beside the rate as long as there is budget for it.
    pub(crate) async fn pass(&mut self, bytes: usize) {
        let urgent = self.guard.is_none();
        loop {
            let changed = self.uplink.changed.notified();
            match self.uplink.ask(bytes, urgent, self.waited) {
                Answer::Go => {
                    self.waited = false;
                    return;
                }
                Answer::Beside => return sleep(EXPRESS_APART).await,
                Answer::Wait(wait) => {
                    self.waited = true;
                    tokio::select! {
                        () = sleep(wait.min(PATIENCE)) => {}
                        () = changed => {}
                    }
                }
            }
        }
    }
}

/// Whether a portion may go.
enum Answer {
    Go,
    /// Beside the rate, out of the budget of what is urgent.
    Beside,
    Wait(Duration),
}

fn bytes_per_second(bits: Option<u64>) -> f64 {
    bits.map_or(f64::MAX, |bits| bits as f64 / 8.0)
}

fn bits(bytes: f64) -> u64 {
    (bytes * 8.0).min(u64::MAX as f64) as u64
}

/// tokio's, so that tests can stop it.
fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(uplink: &Uplink, urgent: bool, bytes: usize) -> Duration {
        let begun = clock();
        let mut lane = uplink.lane(urgent).await;
        let mut left = bytes;
        while left > 0 {
            let portion = lane.portion(1200).min(left);
            lane.pass(portion).await;
            let trip = Trip { sent: clock(), took: Duration::from_millis(30) };
            uplink.acked(1, clock(), portion as u64, Some(trip));
            left -= portion;
        }
        clock() - begun
    }

    #[tokio::test(start_paused = true)]
    async fn shards_go_at_the_rate_and_one_after_the_other() {
        let uplink = Uplink::new(Some(240_000));
        let (one, other) = tokio::join!(send(&uplink, false, 30_000), send(&uplink, false, 30_000));
        // 30 kB/s, and nearly two packets at once.
        assert!((850..=1010).contains(&one.as_millis()), "{one:?}");
        assert!((1850..=2010).contains(&other.as_millis()), "{other:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_passes_within_its_budget() {
        let uplink = Uplink::new(Some(400_000));
        let behind = send(&uplink, false, 100_000);
        let urgent = async {
            sleep(Duration::from_millis(100)).await;
            let first = send(&uplink, true, 15_000).await;
            let second = send(&uplink, true, 15_000).await;
            let third = send(&uplink, true, 30_000).await;
            (first, second, third)
        };
        let (_, (first, second, third)) = tokio::join!(behind, urgent);
        assert!(first < Duration::from_millis(50), "{first:?}");
        assert!(second < Duration::from_millis(50), "{second:?}");
        assert!(third > Duration::from_millis(200), "{third:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_machine_is_not_taken_for_a_queue() {
        let uplink = Uplink::new(None);
        let trip = |ms| {
            let trip = Trip { sent: clock(), took: Duration::from_millis(ms) };
            uplink.acked(1, clock(), 1200, Some(trip));
        };
        for _ in 0..20 {
            trip(30);
            sleep(Duration::from_millis(20)).await;
        }
        // Read 60 ms late, all of it.
        let late = async {
            for _ in 0..20 {
                uplink.lock().doubt = clock() + DOUBT;
                trip(90);
                sleep(Duration::from_millis(20)).await;
            }
        };
        late.await;
        assert!(uplink.state().queue.is_none_or(|queue| queue < Duration::from_millis(5)));
        sleep(DOUBT).await;
        for _ in 0..10 {
            trip(90);
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(uplink.state().queue, Some(Duration::from_millis(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_at_the_socket_is_not_taken_for_a_queue() {
        let uplink = Uplink::new(None);
        let trip = |sent, ms| {
            let took = Duration::from_millis(ms);
            uplink.acked(1, clock(), 1200, Some(Trip { sent, took }));
        };
        for _ in 0..20 {
            trip(clock(), 30);
            sleep(Duration::from_millis(20)).await;
        }
        let sent = clock();
        uplink.holds_up(Duration::from_millis(50));
        sleep(Duration::from_millis(100)).await;
        for _ in 0..20 {
            trip(sent, 80);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(uplink.state().queue.is_none_or(|queue| queue < Duration::from_millis(5)));
        for _ in 0..20 {
            trip(clock(), 80);
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(uplink.state().queue, Some(Duration::from_millis(50)));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_at_zero_until_the_limit_changes() {
        let uplink = Uplink::new(Some(0));
        let change = async {
            sleep(Duration::from_secs(5)).await;
            uplink.set_most(None);
        };
        let (took, urgent, ()) =
            tokio::join!(send(&uplink, false, 10_000), send(&uplink, true, 10_000), change);
        assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
        assert!(urgent >= Duration::from_secs(5), "{urgent:?}");
    }
}
