//! A channel that is being received: its task takes segments when they are due, opens them and hands them to outputs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use link::{Played, SwarmStats};
use segment::{Coding, ContentKey};
use swarm::{ByRole, Cause};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::output::file::Sink;
use crate::output::hls::Window;
use crate::output::{Hub, Piece};
use crate::platform::{Feed, Tuned};
use crate::settings::Share;
use crate::timeshift::TimeShift;

/// How often counters are taken over while no segments come.
const REFRESH: Duration = Duration::from_millis(500);

/// A channel that is being received.
pub struct Running {
    /// The channel's id.
    pub channel: String,
    /// The rendition's name.
    pub rendition: String,
    /// The rendition's code.
    pub coding: Coding,
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

/// What the task keeps to itself.
struct Opener {
    swarm: segment::SwarmId,
    keys: watch::Receiver<Vec<ContentKey>>,
    /// Whether something is missing before the next piece.
    gap: bool,
    /// Whether the last segment could not be opened.
    failing: bool,
    counts: Counts,
}

impl Running {
    /// Begins to receive. It ends with `stop`, and requests that when the feed ends by itself.
    pub(super) fn start(
        channel: &str,
        tuned: Tuned,
        stop: CancellationToken,
        tasks: &TaskTracker,
        sent: Arc<AtomicU64>,
    ) -> Arc<Self> {
        let Tuned { feed, swarm, coding, rendition, keys, share } = tuned;
        let running = Arc::new(Self {
            channel: channel.to_owned(),
            rendition,
            coding,
            hub: Hub::default(),
            window: Window::new(),
            sink: Mutex::new(None),
            shift: Mutex::new(None),
            first: watch::Sender::new(None),
            counts: Mutex::default(),
            ended: stop,
            parted: CancellationToken::new(),
        });
        let opener = Opener { swarm, keys, gap: false, failing: false, counts: Counts::default() };
        let mut share = share;
        share.mark_changed();
        tracing::info!(channel, rendition = %running.rendition, "joined");
        tasks.spawn(running.clone().run(feed, opener, share, sent));
        running
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

    /// Requested once the feed is dropped.
    pub(super) fn parted(&self) -> &CancellationToken {
        &self.parted
    }

    async fn run(
        self: Arc<Self>,
        mut feed: Box<dyn Feed>,
        mut opener: Opener,
        mut share: watch::Receiver<Share>,
        sent: Arc<AtomicU64>,
    ) {
        let mut tick = tokio::time::interval(REFRESH);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The feed's figures are up to half a second old: what was played already counts at once.
        let mut segments = 0;
        loop {
            let mut piece = None;
            tokio::select! {
                () = self.ended.cancelled() => break,
                _ = tick.tick() => {}
                Ok(()) = share.changed() => {
                    let share = *share.borrow_and_update();
                    feed.set_share(share);
                }
                played = feed.next() => match played {
                    Some(played) => {
                        segments += u64::from(matches!(played, Played::Segment { .. }));
                        piece = opener.take(played);
                    }
                    None => break,
                },
            }
            let before = opener.counts.swarm.bytes_out;
            opener.counts.swarm = feed.stats();
            let more = sum(opener.counts.swarm.bytes_out).saturating_sub(sum(before));
            sent.fetch_add(more, Relaxed);
            if let Some(piece) = &piece {
                opener.counts.last = Some(Instant::now());
                opener.counts.last_is_sound = !piece.whole;
                opener.counts.missing = None;
            }
            opener.counts.swarm.played = opener.counts.swarm.played.max(segments);
            lock(&self.counts).clone_from(&opener.counts);
            if let Some(piece) = piece {
                self.play(piece);
            }
        }
        drop(feed);
        self.parted.cancel();
        self.ended.cancel();
        self.hub.close();
        self.record(None);
        self.keep(None);
        tracing::info!(channel = %self.channel, "left");
    }

    fn play(&self, piece: Piece) {
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

impl Opener {
    fn take(&mut self, played: Played) -> Option<Piece> {
        match played {
            Played::Missed { number, cause } => {
                tracing::debug!(number, ?cause, "missed");
                self.counts.missing = Some(cause);
                self.gap = true;
                None
            }
            Played::Segment { header, essential, full, due } => {
                let key = self.keys.borrow().iter().find(|key| key.epoch == header.epoch).cloned();
                let duration = Duration::from_millis(header.duration_ms.into());
                let opened = key.ok_or("no key of its epoch".to_owned()).and_then(|key| {
                    segment::open(&self.swarm, &header, essential.as_deref(), full.as_deref(), &key)
                        .map_err(|error| error.to_string())
                });
                match opened {
                    Ok(opened) => {
                        self.failing = false;
                        self.counts.sound_only += u64::from(!opened.whole);
                        Some(Piece {
                            number: header.number,
                            ts: opened.ts,
                            captured: header.capture,
                            due: Some(due.into_std()),
                            duration,
                            random_access: header.random_access && opened.whole,
                            whole: opened.whole,
                            gap: std::mem::take(&mut self.gap),
                        })
                    }
                    Err(error) => {
                        let again = std::mem::replace(&mut self.failing, true);
                        if !again {
                            tracing::warn!(number = header.number, error, "cannot open a segment");
                        }
                        self.gap = true;
                        self.counts.unopened += 1;
                        self.counts.unopened_runs += u64::from(!again);
                        self.counts.unopened_time += duration;
                        None
                    }
                }
            }
        }
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

fn sum(bytes: ByRole) -> u64 {
    bytes.headend + bytes.repeater + bytes.viewer
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
