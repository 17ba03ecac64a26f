//! Pause and rewind: the last stretch of one channel on disk, bounded, the oldest first out.
//!
//! Pieces are put in as they are played; any number of [`Source`]s read from any place at their own pace, which costs no
//! network. The newest pieces are in memory too, so that whoever is at the live edge does not wait for a disk.
//!
//! Chunks are files without a name (`O_TMPFILE`, or removed as soon as they are made): nobody else can open them, and
//! nothing is left behind whatever becomes of the program. If the disk is full the oldest chunks make room; if there is
//! none to spare the cache does without the disk for a while, and playing goes on.

mod disk;
mod index;
mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::output::Piece;
use index::Index;

pub use source::Source;

/// When something was captured: microseconds since 1970 on the headend's clock; never goes back within a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position(pub u64);

impl Position {
    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// So many seconds later, or earlier if negative.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add_signed(seconds.saturating_mul(1_000_000)))
    }

    /// As a time of day.
    pub fn time(self) -> std::time::SystemTime {
        std::time::UNIX_EPOCH + Duration::from_micros(self.0)
    }
}

/// What a source gives: one segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Whole MPEG-TS packets; marked where something is missing before them.
    pub ts: Bytes,
    /// Where it begins.
    pub position: Position,
    /// When it is to be shown, the same moment for all viewers; `None` if that was seconds ago.
    pub due: Option<Instant>,
    /// Media duration.
    pub duration: Duration,
    /// Whether a decoder can begin here.
    pub random_access: bool,
    /// Whether something is missing before it.
    pub gap: bool,
    /// Whether it is all of the segment; otherwise there is sound and no picture in it.
    pub whole: bool,
    /// Whether it is of another rendition than what was before.
    pub switched: bool,
}

/// Where a source begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At the last random access point.
    Live,
    /// At the last random access point not after this place, or the first there is.
    At(Position),
}

/// What keeps the cache from being as large as it may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The disk is full: the cache holds less than it may.
    Small,
    /// Nothing can be written: only the last seconds, in memory, can be rewound. What the system says.
    Off(String),
}

/// How the cache is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Where the oldest begins that can be shown.
    pub oldest: Option<Position>,
    /// Where the newest ends.
    pub edge: Option<Position>,
    /// Bytes on disk.
    pub on_disk: u64,
    /// What keeps it small.
    pub trouble: Option<Trouble>,
}

/// The last stretch of one channel. Clones share it; the last to go ends its sources.
#[derive(Clone)]
pub struct TimeShift {
    shared: Arc<Shared>,
    _life: Arc<DropGuard>,
}

struct Shared {
    index: Mutex<Index>,
    /// Woken whenever a piece is put in.
    arrived: Notify,
    /// Wakes who writes.
    written: Notify,
    closed: CancellationToken,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Index> {
        // The index is whole after every statement that changes it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeShift {
    /// An empty cache of at most `limit` bytes on disk, in `folder`, which is made if need be, for its owner alone. Needs a
    /// tokio runtime. If the folder cannot be used the cache does without, and says so in its [`Status`].
    pub fn new(folder: &Path, limit: u64) -> Self {
        let folder: PathBuf = folder.to_owned();
        Self::over(limit, move || disk::create(&folder))
    }

    /// A cache whose chunks are made by `create`.
    fn over(
        limit: u64,
        create: impl Fn() -> io::Result<std::fs::File> + Send + Sync + 'static,
    ) -> Self {
        let closed = CancellationToken::new();
        let shared = Arc::new(Shared {
            index: Mutex::new(Index::new(limit)),
            arrived: Notify::new(),
            written: Notify::new(),
            closed: closed.clone(),
        });
        tokio::spawn(disk::write(shared.clone(), Arc::new(create)));
        Self { shared, _life: Arc::new(closed.drop_guard()) }
    }

    /// Keeps a piece. It never waits: if the disk does not keep up, pieces are lost from the past, not from the edge.
    pub fn put(&self, piece: &Piece) {
        self.shared.lock().push(piece);
        self.shared.arrived.notify_waiters();
        self.shared.written.notify_one();
    }

    /// A reader that begins there.
    pub fn source(&self, start: Start) -> Source {
        Source::new(self.shared.clone(), start)
    }

    /// At most so many bytes on disk from now on.
    pub fn set_limit(&self, limit: u64) {
        self.shared.lock().set_limit(limit);
        self.shared.written.notify_one();
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.shared.lock().status()
    }
}

#[cfg(test)]
mod tests;
