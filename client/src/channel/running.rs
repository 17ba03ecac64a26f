//! A channel that is being received, as its outputs and its users see it. [`Climb`](super::climb) is the task that receives.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use link::SwarmStats;
use segment::Coding;
use swarm::Cause;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::climb::Climb;
use crate::output::file::Sink;
use crate::output::hls::Window;
use crate::output::{Hub, Piece};
use crate::platform::{Platform, Tuned};
use crate::timeshift::TimeShift;

/// A channel that is being received.
pub struct Running {
    /// The channel's id.
    pub channel: String,
    /// The rendition that plays: its name and its code.
    rendition: Mutex<(String, Coding)>,
    hub: Hub,
    window: Window,
    sink: Mutex<Option<Sink>>,
    shift: Mutex<Option<TimeShift>>,
    first: watch::Sender<Option<Instant>>,
    counts: Mutex<Counts>,
    ended: CancellationToken,
    parted: CancellationToken,
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// By the engine.
    pub swarm: SwarmStats,
    /// Segments that came and could not be opened.
    pub unopened: u64,
    /// Runs of such segments.
    pub unopened_runs: u64,
    /// Media time in them.
    pub unopened_time: Duration,
    /// Segments of which only tables and sound were played.
    pub sound_only: u64,
    /// When the last segment was played.
    pub last: Option<Instant>,
    /// Whether that was tables and sound alone.
    pub last_is_sound: bool,
    /// What kept the segments after that from being played, if any was missed.
    pub missing: Option<Cause>,
}

impl Running {
    /// Begins to receive. It ends with `stop`, and requests that when the feed ends by itself.
    pub(super) fn start(
        channel: &str,
        tuned: Tuned,
        platform: Arc<dyn Platform>,
        stop: CancellationToken,
        tasks: &TaskTracker,
        sent: Arc<AtomicU64>,
    ) -> Arc<Self> {
        let (rendition, coding) = (tuned.rendition.clone(), tuned.coding);
        tracing::info!(channel, rendition, "joined");
        let running = Arc::new(Self {
            channel: channel.to_owned(),
            rendition: Mutex::new((rendition, coding)),
            hub: Hub::default(),
            window: Window::new(),
            sink: Mutex::new(None),
            shift: Mutex::new(None),
            first: watch::Sender::new(None),
            counts: Mutex::default(),
            ended: stop,
            parted: CancellationToken::new(),
        });
        tasks.spawn(Climb::new(running.clone(), platform, tuned, sent).run());
        running
    }

    /// The rendition that plays: its name and its code.
    pub fn rendition(&self) -> (String, Coding) {
        lock(&self.rendition).clone()
    }

    /// Another rendition plays.
    pub(super) fn is_now(&self, rendition: &str, coding: Coding) {
        *lock(&self.rendition) = (rendition.to_owned(), coding);
    }

    /// Readers of the transport stream.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The last seconds for HLS.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Records from now on; `None` ends that.
    pub fn record(&self, sink: Option<Sink>) {
        *lock(&self.sink) = sink;
    }

    /// Keeps what is played for pause and rewind, from the last random access point on; `None` ends that.
    pub fn keep(&self, shift: Option<TimeShift>) {
        let mut kept = lock(&self.shift);
        if let Some(shift) = &shift {
            self.hub.backlog().iter().for_each(|piece| shift.put(piece));
        }
        *kept = shift;
    }

    /// When the first segment was played, as soon as that is so.
    pub fn first(&self) -> watch::Receiver<Option<Instant>> {
        self.first.subscribe()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Whether it is received no more.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until it is received no more.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Requested once nothing of it is received any more.
    pub(super) fn parted(&self) -> &CancellationToken {
        &self.parted
    }

    /// What was counted by now.
    pub(super) fn tell(&self, counts: &Counts) {
        lock(&self.counts).clone_from(counts);
    }

    /// It is received no more.
    pub(super) fn part(&self) {
        self.parted.cancel();
        self.ended.cancel();
        self.hub.close();
        self.record(None);
        self.keep(None);
        tracing::info!(channel = %self.channel, "left");
    }

    pub(super) fn play(&self, piece: Piece) {
        if let Some(sink) = &*lock(&self.sink) {
            sink.put(piece.ts.clone());
        }
        self.window.publish(&piece);
        {
            let shift = lock(&self.shift);
            if let Some(shift) = &*shift {
                shift.put(&piece);
            }
            self.hub.publish(piece);
        }
        self.first.send_if_modified(|first| {
            let new = first.is_none();
            first.get_or_insert_with(Instant::now);
            new
        });
    }
}

impl Counts {
    /// The stalls by cause, those of segments that could not be opened included.
    pub fn stall_causes(&self) -> std::collections::BTreeMap<Cause, u64> {
        let mut causes = self.swarm.stall_causes.clone();
        if self.unopened_runs > 0 {
            *causes.entry(Cause::Decoder).or_default() += self.unopened_runs;
        }
        causes
    }
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
