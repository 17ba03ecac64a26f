//! The played segments into a file, byte for byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use super::Queue;
use crate::Error;

/// What may wait for the disk, bytes: a minute of a channel of 8 Mbit/s.
const QUEUE: usize = 64 << 20;

/// Writes pieces to a file. A disk that does not keep up is an error, because a recording with silent holes is none.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    queue: Arc<Queue>,
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
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// If that cannot be done.
    pub async fn create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Output { path: path.to_owned(), source };
        let mut file = File::create(path).await.map_err(failed)?;
        let queue = Arc::new(Queue::new(QUEUE));
        let task = tokio::spawn({
            let queue = queue.clone();
            async move {
                let written = async {
                    while let Some(ts) = queue.pop().await {
                        file.write_all(&ts).await?;
                    }
                    file.flush().await
                };
                let written = written.await;
                queue.abandon();
                written
            }
        });
        Ok(Self { path: path.to_owned(), queue, task })
    }

    /// Where to put pieces.
    pub fn sink(&self) -> Sink {
        Sink { queue: self.queue.clone() }
    }

    /// Whether it has ended by itself: [`finish`](Self::finish) tells why.
    pub fn has_failed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Writes what waits, and ends.
    ///
    /// # Errors
    /// If not everything that was put in was written.
    pub async fn finish(self) -> Result<(), Error> {
        let too_slow = self.queue.is_closed();
        self.queue.close();
        let written = match self.task.await {
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
        let recorder = Recorder::create(&path).await.unwrap();
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
    async fn a_disk_that_is_full_or_slow_is_told() {
        let recorder = Recorder::create(Path::new("/dev/full")).await.unwrap();
        recorder.sink().put(vec![0; 1000].into());
        let error = recorder.finish().await.unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("out.ts")).await.unwrap();
        let sink = recorder.sink();
        // On this single-threaded runtime the writer does not run before the next await.
        (0..3).for_each(|_| sink.put(vec![0; QUEUE / 2].into()));
        assert!(recorder.has_failed());
        assert!(matches!(recorder.finish().await, Err(Error::Output { .. })));
        assert!(Recorder::create(folder.path()).await.is_err(), "a folder is no file");
    }
}
