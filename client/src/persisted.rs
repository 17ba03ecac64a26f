//! What is kept from one run to the next: one value in one JSON file of the state folder. It is read once and written away
//! from whoever changes it, so that a slow disk holds nobody up; [`Persisted::written`] waits for the disk at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::draft;

/// A value and its file.
#[derive(Debug)]
pub(crate) struct Persisted<T> {
    path: PathBuf,
    value: Mutex<T>,
    /// Whether a write is still to begin, which will have whatever is new by then.
    due: AtomicBool,
    /// Held by who writes: the newer value comes last.
    writing: Mutex<()>,
    writes: TaskTracker,
}

impl<T: Default + Serialize + DeserializeOwned + Send + 'static> Persisted<T> {
    /// What the file holds. One that cannot be read, or is larger than `largest` bytes, is told and counts as the default.
    pub(crate) fn open(path: PathBuf, largest: u64) -> Arc<Self> {
        let value = read(&path, largest).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                let file = path.file_name();
                tracing::warn!(%error, ?file, "what was kept cannot be read and begins anew");
            }
            T::default()
        });
        let writes = TaskTracker::new();
        // It is waited for whenever it is empty; more may be written after that.
        writes.close();
        let (due, writing) = (AtomicBool::new(false), Mutex::new(()));
        Arc::new(Self { path, value: Mutex::new(value), due, writing, writes })
    }

    /// The value. Not to be held over anything that waits.
    pub(crate) fn get(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    /// Changes the value; what `change` says is news is written soon, by a thread that may wait for the disk.
    pub(crate) fn change(self: &Arc<Self>, change: impl FnOnce(&mut T) -> bool) {
        if !change(&mut *self.get()) || self.due.swap(true, Ordering::AcqRel) {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => {
                let kept = Arc::clone(self);
                drop(self.writes.spawn_blocking_on(move || kept.write(), &runtime));
            }
            // There is none to hold up.
            Err(_) => self.write(),
        }
    }

    /// Waits until all that was changed before is in the file, or could not be written.
    pub(crate) async fn written(&self) {
        self.writes.wait().await;
    }

    fn write(&self) {
        let _one = lock(&self.writing);
        self.due.store(false, Ordering::Release);
        let bytes = serde_json::to_vec(&*self.get()).map_err(io::Error::from);
        if let Err(error) = bytes.and_then(|bytes| draft::replace(&self.path, &bytes)) {
            tracing::warn!(%error, file = ?self.path.file_name(), "what is new cannot be kept");
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path, largest: u64) -> io::Result<T> {
    if fs::metadata(path)?.len() > largest {
        return Err(io::Error::other("it is too large"));
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// What is behind these locks is whole after every statement that changes it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, OFlags};

    use super::*;

    const LARGEST: u64 = 1000;

    fn open(path: &Path) -> Arc<Persisted<Vec<u32>>> {
        Persisted::open(path.to_owned(), LARGEST)
    }

    fn push(kept: &Arc<Persisted<Vec<u32>>>, number: u32) {
        kept.change(|numbers| {
            numbers.push(number);
            true
        });
    }

    #[test]
    fn the_next_run_has_what_was_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        push(&open(&path), 1);
        open(&path).change(|numbers| {
            numbers.push(2);
            false
        });
        assert_eq!(*open(&path).get(), [1]);
    }

    #[test]
    fn rubbish_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        let huge = format!("[{}]", " ".repeat(LARGEST as usize));
        for text in ["", "{", "[\"a\"]", "{\"a\":1}", "\0\u{fffd}", "[1] 2", &huge] {
            fs::write(&path, text).unwrap();
            assert!(open(&path).get().is_empty(), "{text:.20}");
        }
        push(&open(&path), 3);
        assert_eq!(*open(&path).get(), [3]);
    }

    /// The draft is a pipe that nobody reads yet: who opens it to write waits, as for a disk that does not answer.
    #[tokio::test]
    async fn a_disk_that_does_not_answer_holds_nobody_up_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        let draft = folder.path().join("numbers.json.new");
        rustix::fs::mknodat(CWD, &draft, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let kept = open(&path);
        push(&kept, 0);
        while kept.due.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        // Were the disk waited for here, this test would never end: it has one thread.
        for number in 1..5 {
            push(&kept, number);
        }
        assert_eq!(kept.get().len(), 5);
        let mut end = std::pin::pin!(kept.written());
        let waits = tokio::time::timeout(Duration::from_millis(50), &mut end).await;
        assert!(waits.is_err(), "the end waits for the disk");
        // It answers. A pipe cannot be synced: that write fails; the other one, which has all of it, makes a file.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let reader = fs::OpenOptions::new().read(true).custom_flags(flags).open(&draft).unwrap();
        end.await;
        drop(reader);
        assert_eq!(*open(&path).get(), [0, 1, 2, 3, 4]);
    }
}
