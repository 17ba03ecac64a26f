//! One rendition that is received: its segments are opened as they come.

use std::time::Duration;

use link::{Played, SwarmStats};
use segment::{Coding, ContentKey, SwarmId};
use swarm::{ByRole, Cause};
use tokio::sync::watch;

use super::ladder::Came;
use super::running::Counts;
use crate::output::Piece;
use crate::platform::{Feed, Tuned};
use crate::settings::Share;

/// A rendition that is received.
pub(super) struct Leg {
    feed: Box<dyn Feed>,
    swarm: SwarmId,
    keys: watch::Receiver<Vec<ContentKey>>,
    pub(super) rendition: String,
    pub(super) coding: Coding,
    /// The feed's figures are up to half a second old: what was played already counts at once.
    segments: u64,
    /// The same of what was missed.
    missed: u64,
    /// What was counted before it was played: nobody missed anything of that.
    before: SwarmStats,
    /// Whether something is missing before the next piece.
    gap: bool,
    /// Whether the last segment could not be opened.
    failing: bool,
    /// Whether its picture has begun; before that its sound can be played.
    pub(super) entered: bool,
    /// Whether it receives nothing any more.
    pub(super) rests: bool,
}

/// What became of a segment.
pub(super) struct Opened {
    /// What can be played of it.
    pub(super) piece: Option<Piece>,
    /// How it came.
    pub(super) came: Came,
    /// Whether a decoder could begin at it, were it whole.
    pub(super) entrance: bool,
}

impl Leg {
    pub(super) fn new(tuned: Tuned) -> Self {
        let Tuned { feed, swarm, coding, rendition, keys, share } = tuned;
        feed.set_share(*share.borrow());
        let before = SwarmStats::default();
        Self {
            feed,
            swarm,
            keys,
            rendition,
            coding,
            segments: 0,
            missed: 0,
            before,
            gap: false,
            failing: false,
            entered: false,
            rests: false,
        }
    }

    /// The next segment; `None` once it is left. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Played> {
        let played = self.feed.next().await?;
        *match played {
            Played::Segment { .. } => &mut self.segments,
            Played::Missed { .. } => &mut self.missed,
        } += 1;
        Some(played)
    }

    pub(super) fn set_share(&self, share: Share) {
        self.feed.set_share(share);
    }

    /// What was counted since it is played; bytes since it is received.
    pub(super) fn stats(&self) -> SwarmStats {
        let (stats, before) = (self.feed.stats(), &self.before);
        let causes = stats.stall_causes.iter().map(|(cause, count)| {
            (*cause, count.saturating_sub(before.stall_causes.get(cause).copied().unwrap_or(0)))
        });
        SwarmStats {
            played: stats.played.max(self.segments).saturating_sub(before.played),
            lost: stats.lost.max(self.missed).saturating_sub(before.lost),
            rebuilt: stats.rebuilt.saturating_sub(before.rebuilt),
            stalls: stats.stalls.saturating_sub(before.stalls),
            stalled: stats.stalled.saturating_sub(before.stalled),
            stall_causes: causes.collect(),
            ..stats
        }
    }

    /// It is played from now on, with the segment that came last.
    pub(super) fn begins(&mut self) {
        let stats = self.stats();
        self.before = SwarmStats { played: stats.played.saturating_sub(1), ..stats };
    }

    /// Receives no more, which frees the line; what has come is still played.
    pub(super) fn rest(&mut self) {
        if !std::mem::replace(&mut self.rests, true) {
            self.feed.rest();
        }
    }

    /// Opens a segment: both layers, or (`sound`) the essential one alone.
    fn unseal(&self, played: &Played, sound: bool) -> Result<segment::Opened, String> {
        let Played::Segment { header, essential, full, .. } = played else {
            return Err("nothing came".into());
        };
        let key = self.keys.borrow().iter().find(|key| key.epoch == header.epoch).cloned();
        let key = key.ok_or("no key of its epoch")?;
        let full = full.as_deref().filter(|_| !sound);
        segment::open(&self.swarm, header, essential.as_deref(), full, &key)
            .map_err(|error| error.to_string())
    }

    /// Opens a segment, and counts what could not be. Before its picture has begun, of a segment at which it cannot begin
    /// only the sound is given.
    pub(super) fn open(&mut self, played: &Played, counts: &mut Counts) -> Opened {
        let (header, due) = match played {
            Played::Missed { number, cause } => {
                tracing::debug!(number, ?cause, "missed");
                self.gap = true;
                return Opened { piece: None, came: Came::Not(*cause), entrance: false };
            }
            Played::Segment { header, due, .. } => (header, due),
        };
        let duration = Duration::from_millis(header.duration_ms.into());
        let entrance = header.random_access;
        let opened = self.unseal(played, false).map(|opened| {
            let came = if opened.whole { Came::Whole } else { Came::Sound };
            let midway = opened.whole && !entrance && !self.entered;
            // A rendition without a layer of its own for sound has nothing to give here.
            (came, if midway { self.unseal(played, true).ok() } else { Some(opened) })
        });
        match opened {
            Ok((came, opened)) => {
                self.failing = false;
                let piece = opened.map(|opened| Piece {
                    number: header.number,
                    ts: opened.ts,
                    captured: header.capture,
                    due: Some(due.into_std()),
                    duration,
                    random_access: entrance && opened.whole,
                    whole: opened.whole,
                    gap: std::mem::take(&mut self.gap),
                    switched: false,
                });
                Opened { piece, came, entrance }
            }
            Err(error) => {
                let again = std::mem::replace(&mut self.failing, true);
                if !again {
                    tracing::warn!(number = header.number, error, "cannot open a segment");
                }
                self.gap = true;
                counts.unopened += 1;
                counts.unopened_runs += u64::from(!again);
                counts.unopened_time += duration;
                // No other rendition would help: they have the same keys.
                Opened { piece: None, came: Came::Not(Cause::Decoder), entrance }
            }
        }
    }
}

/// The counters of what was received before and of what is received now; what is true now is of the latter.
pub(super) fn add(before: &SwarmStats, now: SwarmStats) -> SwarmStats {
    let mut causes = before.stall_causes.clone();
    for (cause, count) in &now.stall_causes {
        *causes.entry(*cause).or_default() += count;
    }
    SwarmStats {
        startup: before.startup.or(now.startup),
        stalls: before.stalls + now.stalls,
        stalled: before.stalled + now.stalled,
        stall_causes: causes,
        played: before.played + now.played,
        lost: before.lost + now.lost,
        rebuilt: before.rebuilt + now.rebuilt,
        bytes_in: both(before.bytes_in, now.bytes_in),
        bytes_out: both(before.bytes_out, now.bytes_out),
        near_in: std::array::from_fn(|i| before.near_in[i] + now.near_in[i]),
        home_in: before.home_in + now.home_in,
        home_out: before.home_out + now.home_out,
        duplicate_bytes: before.duplicate_bytes + now.duplicate_bytes,
        control_bytes: before.control_bytes + now.control_bytes,
        rejected_shards: before.rejected_shards + now.rejected_shards,
        conflicts: before.conflicts + now.conflicts,
        failovers: before.failovers + now.failovers,
        failover_max: before.failover_max.max(now.failover_max),
        ..now
    }
}

fn both(a: ByRole, b: ByRole) -> ByRole {
    ByRole {
        headend: a.headend + b.headend,
        repeater: a.repeater + b.repeater,
        viewer: a.viewer + b.viewer,
    }
}

/// Bytes over all roles.
pub(super) fn sum(bytes: ByRole) -> u64 {
    bytes.headend + bytes.repeater + bytes.viewer
}
