//! Chunks on disk: how they are made, and who writes them.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::index::Write;

/// So much of the disk is left to others, bytes.
const SPARE: u64 = 256 << 20;
/// So many chunks are given up for one write; if that is not enough it is no use.
const GIVE_UP: u32 = 2;
/// After so long a disk that could not be used is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Makes a chunk: a file without a name in `folder`.
pub(super) fn create(folder: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let space = rustix::fs::statvfs(folder)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < SPARE {
        return Err(io::ErrorKind::StorageFull.into());
    }
    tempfile::tempfile_in(folder)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes what is put in, until the cache is gone.
pub(super) async fn write(
    shared: Arc<Shared>,
    create: Arc<dyn Fn() -> io::Result<File> + Send + Sync>,
) {
    let closed = shared.closed.clone();
    let writing = async {
        loop {
            shared.written.notified().await;
            loop {
                let write = shared.lock().write();
                let Some(write) = write else { break };
                let (shared, create) = (shared.clone(), create.clone());
                let written = tokio::task::spawn_blocking(move || batch(&shared, &*create, write));
                match written.await {
                    Ok(true) => {}
                    Ok(false) => tokio::time::sleep(AGAIN).await,
                    Err(_) => return,
                }
            }
        }
    };
    closed.run_until_cancelled(writing).await;
}

/// Writes a batch. `false` if the disk cannot be used now.
fn batch(shared: &Shared, create: &dyn Fn() -> io::Result<File>, write: Write) -> bool {
    let Write { first, pieces, mut to } = write;
    let mut given_up = 0;
    loop {
        let done = match &to {
            Some((_, file, offset)) => {
                let mut at = *offset;
                pieces.iter().try_for_each(|bytes| {
                    file.write_all_at(bytes, at)?;
                    at += bytes.len() as u64;
                    Ok(())
                })
            }
            None => match create() {
                Ok(file) => {
                    to = Some(shared.lock().add_chunk(file));
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        let mut index = shared.lock();
        match (done, to.clone()) {
            (Ok(()), Some(to)) => {
                index.written(first, &pieces, to);
                return true;
            }
            (Ok(()), None) => return false,
            (Err(error), _) if is_full(&error) && given_up < GIVE_UP && index.shrink() => {
                given_up += 1;
                tracing::info!("the disk is full: the oldest of the time-shift cache goes");
                // The chunk at hand may have been the one that went.
                if let Some((number, ..)) = &to
                    && !index.has_chunk(*number)
                {
                    to = None;
                }
            }
            (Err(error), _) => {
                tracing::warn!(%error, "the time-shift cache does without the disk for a while");
                index.off(error.to_string());
                return false;
            }
        }
    }
}
