//! The configuration file while the program runs: read again on SIGHUP and when it changes.

use std::collections::BTreeSet;
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
use crate::program::Further;
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
    /// The further file of channels; another one takes effect at the next start.
    further: Option<PathBuf>,
    roster: Arc<Roster>,
    /// 1 while the file is what runs.
    in_force: Gauge,
    last: Mutex<Last>,
}

/// What was read last, and what of it runs.
struct Last {
    /// Of both files.
    text: String,
    config: Config,
}

impl Reload {
    /// Of a file that was just read as `config`, which runs in `roster`.
    pub(crate) fn new(file: PathBuf, config: Config, roster: Arc<Roster>, in_force: Gauge) -> Self {
        in_force.set(1);
        let further = config.channels_file.clone();
        let text = texts(&file, further.as_deref());
        Self { file, further, roster, in_force, last: Mutex::new(Last { text, config }) }
    }

    /// The further file of channels, if there may be one.
    pub(crate) fn further(&self) -> Option<&Path> {
        self.further.as_deref()
    }

    /// Whether the configuration file itself has this channel.
    pub(crate) async fn is_in_file(&self, channel: &str) -> bool {
        self.last.lock().await.config.channels.iter().any(|known| known.id == channel)
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
        let text = texts(&self.file, self.further.as_deref());
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
        Ok(Some(self.take(&mut last, config).await?))
    }

    /// Takes a new text for the file if it is right, and keeps it there.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn replace(&self, text: &str) -> Result<Changes, Refused> {
        let mut last = self.last.lock().await;
        let config = config::parse::<Config>(&self.file, text)?;
        config.all_channels()?;
        let failed = |error| Refused::Write(self.file.clone(), error);
        write(&self.file, text).map_err(failed)?;
        last.text = texts(&self.file, self.further.as_deref());
        self.take(&mut last, config).await
    }

    /// The same for the further file of channels, which is made if there is none yet.
    ///
    /// # Errors
    /// If it is refused, or there may be none.
    pub(crate) async fn replace_further(&self, text: &str) -> Result<Changes, Refused> {
        let mut last = self.last.lock().await;
        let missing = || std::io::Error::other("no channels_file is configured");
        let none = || Refused::Write("further channels".into(), missing());
        let file = self.further.as_ref().ok_or_else(none)?;
        let further = config::parse::<Further>(file, text)?;
        for channel in &further.channels {
            if last.config.channels.iter().any(|known| known.id == channel.id) {
                let what = format!("channel {} is in the configuration file", channel.id);
                return Err(config::Error::single(file.display().to_string(), "id", what).into());
            }
        }
        write(file, text).map_err(|error| Refused::Write(file.clone(), error))?;
        last.text = texts(&self.file, Some(file));
        let config = last.config.clone();
        self.take(&mut last, config).await
    }

    async fn take(&self, last: &mut Last, config: Config) -> Result<Changes, Refused> {
        let channels = config.all_channels()?;
        let others = |config: &Config| Config { channels: Vec::new(), ..config.clone() };
        if others(&config) != others(&last.config) {
            tracing::warn!("what changed beside channels takes effect at the next start");
        }
        let changes = self.roster.apply(&channels).await;
        self.in_force.set(i64::from(changes.failed.is_empty()));
        last.config = config;
        let Changes { added, changed, removed, failed } = &changes;
        tracing::info!(?added, ?changed, ?removed, ?failed, "configuration read");
        Ok(changes)
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
        let folder = |file: &Path| {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.unwrap_or(Path::new(".")).to_owned()
        };
        let files = std::iter::once(self.file.as_path()).chain(self.further());
        // The folders, because a file that is replaced is another file.
        let folders: BTreeSet<PathBuf> = files.map(folder).collect();
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            for folder in &folders {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
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

/// What both files hold; one that cannot be read holds nothing.
fn texts(file: &Path, further: Option<&Path>) -> String {
    let text = |path| std::fs::read_to_string(path).unwrap_or_default();
    format!("{}\0{}", text(file), further.map(text).unwrap_or_default())
}

/// Writes a file whole or not at all, with the rights of the one that it replaces.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    // Behind a link lies what has to be replaced.
    let (path, rights) = match std::fs::canonicalize(path) {
        Ok(path) => {
            let rights = std::fs::metadata(&path)?.permissions();
            (path, Some(rights))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let path = &path;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    let written = (|| {
        let mut file = std::fs::File::create(&beside)?;
        if let Some(rights) = rights {
            file.set_permissions(rights)?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    written.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
