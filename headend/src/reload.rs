//! The configuration file while the program runs: read again on SIGHUP and when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use notify::{RecursiveMode, Watcher as _};
use service::Stop;
use service::config;
use service::metrics::prometheus_client::metrics::gauge::Gauge;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::Config;
use crate::roster::{Changes, Roster};

/// An editor writes in several steps; so long is waited for the last.
const SETTLED: Duration = Duration::from_millis(300);

/// Why a configuration was not taken. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Something in it is wrong, or it cannot be read.
    #[error(transparent)]
    Invalid(#[from] config::Error),
    /// It cannot be kept.
    #[error("cannot write {0}")]
    Write(PathBuf, #[source] std::io::Error),
}

/// The file and what was made of it.
pub(crate) struct Reload {
    file: PathBuf,
    roster: Arc<Roster>,
    /// 1 while the file is what runs.
    in_force: Gauge,
    last: Mutex<Last>,
}

/// What was read last, and what of it runs.
struct Last {
    text: String,
    config: Config,
}

impl Reload {
    /// Of a file that was just read as `config`, which runs in `roster`.
    pub(crate) fn new(file: PathBuf, config: Config, roster: Arc<Roster>, in_force: Gauge) -> Self {
        in_force.set(1);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Self { file, roster, in_force, last: Mutex::new(Last { text, config }) }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the file again; what is wrong with it is told, and everything stays as it is. `changed`: only if its text
    /// is another than last time.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn read(&self, changed: bool) -> Result<Option<Changes>, Refused> {
        let mut last = self.last.lock().await;
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        if changed && text == last.text {
            return Ok(None);
        }
        last.text = text;
        let config = match config::load::<Config>(&self.file) {
            Ok(config) => config,
            Err(error) => {
                self.in_force.set(0);
                return Err(error.into());
            }
        };
        Ok(Some(self.take(&mut last, config).await))
    }

    /// Takes a new text for the file if it is right, and keeps it there.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn replace(&self, text: &str) -> Result<Changes, Refused> {
        let mut last = self.last.lock().await;
        let config = config::parse::<Config>(&self.file, text)?;
        let failed = |error| Refused::Write(self.file.clone(), error);
        write(&self.file, text).map_err(failed)?;
        text.clone_into(&mut last.text);
        Ok(self.take(&mut last, config).await)
    }

    async fn take(&self, last: &mut Last, config: Config) -> Changes {
        let others = |config: &Config| Config { channels: Vec::new(), ..config.clone() };
        if others(&config) != others(&last.config) {
            tracing::warn!("what changed beside channels takes effect at the next start");
        }
        let changes = self.roster.apply(&config.channels).await;
        self.in_force.set(i64::from(changes.failed.is_empty()));
        last.config = config;
        let Changes { added, changed, removed, failed } = &changes;
        tracing::info!(?added, ?changed, ?removed, ?failed, "configuration read");
        changes
    }

    /// Reads the file again at each SIGHUP and each change, until `stop`.
    ///
    /// # Errors
    /// If signals cannot be listened to.
    pub(crate) async fn watch(&self, stop: &Stop) -> Result<()> {
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen to SIGHUP")?;
        let (changed, mut changes) = mpsc::channel(1);
        // A full queue holds an event already.
        let tell = move |_event| {
            let _ = changed.try_send(());
        };
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // The folder, because a file that is replaced is another file.
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "changes of the configuration are not noticed: send SIGHUP");
        }
        loop {
            let asked = tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = hangup.recv() => true,
                Some(()) = changes.recv() => false,
            };
            if !asked {
                sleep(SETTLED).await;
                // What happened meanwhile is in the file.
                while changes.try_recv().is_ok() {}
            }
            if let Err(error) = self.read(!asked).await {
                for line in error.to_string().lines() {
                    tracing::error!("configuration refused, the last good one stays: {line}");
                }
            }
        }
    }
}

/// Writes a file whole or not at all, with the rights of the one that it replaces.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    // Behind a link lies what has to be replaced.
    let path = &std::fs::canonicalize(path)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        file.set_permissions(std::fs::metadata(path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    written.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
