//! What the scenes share: their turn, their street, and how a viewer fares while something happens to its home.

use std::ops::Sub;
use std::time::Duration;

use anyhow::{Context as _, Result};
use demo::{Channel, Figures, Plan, Repeater, Source, Stage, Viewer, Watch};
use system_tests::street::{Kind, Spot, Street};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// Nothing is judged of what happens while the machine is too busy for anybody; it is shown again, so many times at most.
pub(crate) const SHOWINGS: usize = 3;
/// A scene is over for everybody: the playout delay, statistics that are up to a second old, and some patience.
pub(crate) const OVER: Duration = Duration::from_secs(6);

/// Scenes that may go on at one time: each is many programs.
const AT_ONCE: u32 = 2;
static STAGES: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// The turn of a small scene.
pub(crate) async fn turn() -> Result<SemaphorePermit<'static>> {
    Ok(STAGES.acquire().await?)
}

/// The turn of a scene that wants the machine for itself.
pub(crate) async fn turn_alone() -> Result<SemaphorePermit<'static>> {
    Ok(STAGES.acquire_many(AT_ONCE).await?)
}

/// A street of these homes; nothing, and a line that says why, where none can be built.
pub(crate) fn street(tag: &str, kinds: &[Kind]) -> Option<(Street, Vec<Spot>)> {
    Street::new(tag, kinds)
        .inspect_err(|why| eprintln!("skipped: no network namespaces here ({why})"))
        .ok()
}

/// One small channel, and a repeater that pushes so many sub-streams at most.
pub(crate) fn plan(street: &Street, max_pushed: Option<u32>) -> Plan {
    let channel = Channel { video: (320, 180, 400), ..Channel::new("one", Source::Test) };
    Plan {
        channels: vec![channel],
        repeaters: vec![Repeater { max_pushed, ..Repeater::at(&street.servers.ip.to_string()) }],
        headend_feeds_viewers: false,
    }
}

/// Somebody watches in this home, and plays.
pub(crate) async fn watch(stage: &mut Stage, home: &Spot, watch: Watch) -> Result<Viewer> {
    let namespace = Some(home.namespace.clone());
    let mut viewer = stage.watch(Watch { namespace, ..watch })?;
    viewer.playing().await.with_context(|| format!("in {}", home.namespace))?;
    Ok(viewer)
}

/// What a viewer has counted, as far as these scenes judge it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) stalls: u64,
    pub(crate) stall_ms: f64,
    pub(crate) played: u64,
    pub(crate) lost: u64,
    pub(crate) from_servers: u64,
    pub(crate) from_viewers: u64,
}

impl From<&Figures> for Count {
    fn from(figures: &Figures) -> Self {
        Self {
            stalls: figures.stalls,
            stall_ms: figures.stall_ms,
            played: figures.segments.played,
            lost: figures.segments.lost,
            from_servers: figures.bytes_in.repeater + figures.bytes_in.headend,
            from_viewers: figures.bytes_in.viewer,
        }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            stalls: self.stalls - before.stalls,
            stall_ms: self.stall_ms - before.stall_ms,
            played: self.played - before.played,
            lost: self.lost - before.lost,
            from_servers: self.from_servers - before.from_servers,
            from_viewers: self.from_viewers - before.from_viewers,
        }
    }
}

impl Count {
    /// What a viewer has counted by now.
    pub(crate) fn of(viewer: &Viewer) -> Result<Self> {
        Ok(Self::from(&viewer.figures()?))
    }

    /// Of what came, how much came from viewers.
    pub(crate) fn share(&self) -> f64 {
        self.from_viewers as f64 / (self.from_viewers + self.from_servers).max(1) as f64
    }

    /// At least half came from viewers.
    pub(crate) fn is_carried_by_viewers(&self) -> bool {
        self.share() >= 0.5
    }

    /// Nothing was missed.
    pub(crate) fn is_whole(&self) -> bool {
        self.stalls == 0 && self.lost == 0
    }

    /// Played as much as somebody else, but for 2 s: what stands still and has not gone on yet is no stall so far.
    pub(crate) fn keeps_up_with(&self, other: &Self) -> bool {
        self.played + 8 >= other.played
    }

    /// For people.
    pub(crate) fn say(&self, what: &str) {
        let Self { stalls, stall_ms, played, lost, .. } = self;
        let share = self.share() * 100.0;
        println!(
            "{what}: {played} segments played, {lost} lost, {stalls} stalls of {stall_ms:.0} ms, {share:.0} % from viewers"
        );
    }
}

/// What these viewers counted from now until the scene is over.
pub(crate) async fn count(viewers: &[&Viewer], over: Duration) -> Result<Vec<Count>> {
    let before = viewers.iter().map(|viewer| Count::of(viewer)).collect::<Result<Vec<_>>>()?;
    sleep(over).await;
    viewers.iter().zip(before).map(|(viewer, before)| Ok(Count::of(viewer)? - before)).collect()
}

/// The same, and again if not each viewer from `first` on is carried by others yet: on a busy machine it takes longer until
/// they have found each other.
pub(crate) async fn count_carried(
    viewers: &[&Viewer],
    first: usize,
    over: Duration,
) -> Result<Vec<Count>> {
    let mut counts = count(viewers, over).await?;
    for _ in 1..SHOWINGS {
        if counts[first..].iter().all(Count::is_carried_by_viewers) {
            break;
        }
        counts = count(viewers, over).await?;
    }
    Ok(counts)
}
