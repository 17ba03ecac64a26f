//! The played segments into a file, byte for byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use super::Queue;
use crate::Error;

/// What may wait for the disk, bytes: a minute of a channel of 8 Mbit/s.
const QUEUE: usize = 64 << 20;
/// At the end, who takes nothing for this long (a FIFO that is not read, a disk that hangs) is given up.
const STUCK: Duration = Duration::from_secs(3);

/// Writes pieces to a file. A disk that does not keep up is an error, because a recording with silent holes is none.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    queue: Arc<Queue>,
    /// Pieces written.
    pieces: Arc<AtomicU64>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Where pieces are put; the recorder's other end.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: Arc<Queue>,
}

impl Sink {
    /// Puts the bytes of a piece in. If there is no room for them the recording ends, with an error.
    pub fn put(&self, ts: Bytes) {
        if self.queue.push(ts).is_err() {
            self.queue.close();
        }
    }
}

impl Recorder {
    /// Opens the file, or creates it. An old recording is emptied when the first piece is written, not before. Opening a
    /// FIFO waits for its reader.
    ///
    /// # Errors
    /// If that cannot be done.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Output { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .await
            .map_err(failed)?;
        let mut is_old = file.metadata().await.map_err(failed)?.is_file();
        let pieces = Arc::new(AtomicU64::new(0));
        let queue = Arc::new(Queue::new(QUEUE));
        let task = tokio::spawn({
            let (queue, pieces) = (queue.clone(), pieces.clone());
            async move {
                let written = async {
                    while let Some(ts) = queue.pop().await {
                        if std::mem::take(&mut is_old) {
                            file.set_len(0).await?;
                        }
                        file.write_all(&ts).await?;
                        pieces.fetch_add(1, Relaxed);
                    }
                    file.flush().await
                };
                let written = written.await;
                queue.abandon();
                written
            }
        });
        Ok(Self { path: path.to_owned(), queue, pieces, task })
    }

    /// Where to put pieces.
    pub fn sink(&self) -> Sink {
        Sink { queue: self.queue.clone() }
    }

    /// Whether it has ended by itself: [`finish`](Self::finish) tells why.
    pub fn has_failed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Writes what waits, and ends; gives up if nothing is taken for 3 s.
    ///
    /// # Errors
    /// If not everything that was put in was written.
    pub async fn finish(mut self) -> Result<(), Error> {
        let too_slow = self.queue.is_closed();
        self.queue.close();
        let ended = loop {
            let before = self.pieces.load(Relaxed);
            match tokio::time::timeout(STUCK, &mut self.task).await {
                Ok(ended) => break ended,
                Err(_) if self.pieces.load(Relaxed) != before => {}
                Err(_) => {
                    self.task.abort();
                    break Ok(Err(std::io::Error::other("what was played is not taken")));
                }
            }
        };
        let written = match ended {
            Ok(Ok(())) if too_slow => Err(std::io::Error::other("the disk does not keep up")),
            Ok(written) => written,
            Err(panicked) => Err(std::io::Error::other(panicked)),
        };
        written.map_err(|source| Error::Output { path: self.path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_byte_is_there_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ts");
        std::fs::write(&path, [7; 200_000]).unwrap();
        let recorder = Recorder::open(&path).await.unwrap();
        let sink = recorder.sink();
        for number in 0..100u8 {
            sink.put(vec![number; 1000].into());
        }
        assert!(!recorder.has_failed());
        recorder.finish().await.unwrap();
        let wanted: Vec<u8> = (0..100).flat_map(|number| [number; 1000]).collect();
        assert_eq!(std::fs::read(&path).unwrap(), wanted);
    }

    #[tokio::test]
    async fn an_old_recording_stays_until_there_is_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.ts");
        std::fs::write(&path, "precious").unwrap();
        Recorder::open(&path).await.unwrap().finish().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fifo_that_is_not_read_does_not_hold_up_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (recorder, reader) = tokio::join!(Recorder::open(&path), tokio::fs::File::open(&path));
        let (recorder, reader) = (recorder.unwrap(), reader.unwrap());
        // More than the system keeps for a FIFO, and more than is taken in one go.
        recorder.sink().put(vec![1; 8 << 20].into());
        let error = recorder.finish().await.unwrap_err();
        assert!(matches!(error, Error::Output { .. }), "{error}");
        drop(reader);
    }

    #[tokio::test]
    async fn a_disk_that_is_full_or_slow_is_told() {
        let recorder = Recorder::open(Path::new("/dev/full")).await.unwrap();
        recorder.sink().put(vec![0; 1000].into());
        let error = recorder.finish().await.unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(&folder.path().join("out.ts")).await.unwrap();
        let sink = recorder.sink();
        // On this single-threaded runtime the writer does not run before the next await.
        (0..3).for_each(|_| sink.put(vec![0; QUEUE / 2].into()));
        assert!(recorder.has_failed());
        assert!(matches!(recorder.finish().await, Err(Error::Output { .. })));
        assert!(Recorder::open(folder.path()).await.is_err(), "a folder is no file");
    }
}
