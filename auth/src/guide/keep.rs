//! The guide that is shown, and how it is kept up to date.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::feed::{self, FeedError, Source};
use super::{Guide, Rules};
use crate::store::{self, Store};

/// After a failure the feed is read again no later than this.
const AGAIN: Duration = Duration::from_secs(60);

/// The guide as it is given to everybody.
pub(crate) struct Shown {
    guide: Guide,
    /// JSON.
    pub(crate) plain: Bytes,
    /// The same, packed with gzip.
    pub(crate) packed: Bytes,
    /// Its entity tag.
    pub(crate) tag: String,
    pub(crate) loaded_at: i64,
}

/// How the guide is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
pub(crate) struct GuideStatus {
    /// When the guide that is shown was read, seconds since 1970; null: there is none.
    pub(crate) loaded_at: Option<i64>,
    /// Channels in it.
    pub(crate) channels: usize,
    /// Programmes in it.
    pub(crate) programmes: usize,
    /// Programmes that the last feed had and that could not be read.
    pub(crate) left_out: usize,
    /// When the last feed was read that was not taken, seconds since 1970.
    pub(crate) failed_at: Option<i64>,
    /// Why it was not.
    pub(crate) failure: Option<String>,
}

/// Keeps the guide.
pub(crate) struct Keeper {
    source: Option<Source>,
    refresh: Duration,
    pub(crate) rules: Rules,
    shown: ArcSwapOption<Shown>,
    /// One change at a time; what became of the last.
    last: Mutex<GuideStatus>,
}

/// Why a guide was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Shown {
    fn new(guide: Guide, loaded_at: i64) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            loaded_at: i64,
            #[serde(flatten)]
            guide: &'a Guide,
        }
        let plain = serde_json::to_vec(&Body { loaded_at, guide: &guide })?;
        let mut packer = flate2::bufread::GzEncoder::new(&plain[..], flate2::Compression::fast());
        let mut packed = Vec::new();
        std::io::Read::read_to_end(&mut packer, &mut packed).map_err(serde_json::Error::io)?;
        let tag = format!("\"{}\"", &blake3::hash(&plain).to_hex()[..24]);
        Ok(Self { guide, plain: plain.into(), packed: packed.into(), tag, loaded_at })
    }
}

impl Keeper {
    pub(crate) fn new(source: Option<Source>, refresh: Duration, rules: Rules) -> Self {
        Self { source, refresh, rules, shown: ArcSwapOption::empty(), last: Mutex::default() }
    }

    /// The guide of now, if there is one.
    pub(crate) fn shown(&self) -> Option<Arc<Shown>> {
        self.shown.load_full()
    }

    /// How the guide is.
    pub(crate) async fn status(&self) -> GuideStatus {
        let last = self.last.lock().await.clone();
        let Some(shown) = self.shown() else { return last };
        GuideStatus {
            loaded_at: Some(shown.loaded_at),
            channels: shown.guide.channels.len(),
            programmes: shown.guide.len(),
            ..last
        }
    }

    /// Takes over what this or another auth has stored.
    pub(crate) async fn load(&self, store: &Store) -> Result<(), store::Error> {
        let Some((loaded_at, body)) = store.guide().await? else { return Ok(()) };
        if self.shown().is_some_and(|shown| shown.loaded_at == loaded_at) {
            return Ok(());
        }
        let shown = tokio::task::spawn_blocking(move || {
            serde_json::from_str(&body).and_then(|guide| Shown::new(guide, loaded_at))
        });
        match shown.await {
            Ok(Ok(shown)) => self.shown.store(Some(shown.into())),
            Ok(Err(error)) => tracing::error!(%error, "the guide in the database cannot be read"),
            Err(error) => tracing::error!(%error, "the guide in the database cannot be read"),
        }
        Ok(())
    }

    /// Takes a feed. One that is broken, empty or over leaves the guide as it is.
    pub(crate) async fn take(
        &self,
        feed: Result<Vec<u8>, &Source>,
        store: &Store,
        now: i64,
    ) -> Result<GuideStatus, KeepError> {
        let mut last = self.last.lock().await;
        let taken = match feed {
            Ok(bytes) => feed::of_bytes(bytes, &self.rules, now).await,
            Err(source) => source.read(&self.rules, now).await,
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                last.failed_at = Some(now);
                last.failure = Some(error.to_string());
                return Err(error.into());
            }
        };
        let mut guide = taken.guide;
        self.load(store).await?;
        if let Some(shown) = self.shown() {
            guide.succeed(&shown.guide);
            guide.trim(now);
        }
        *last = GuideStatus { left_out: taken.left_out, ..GuideStatus::default() };
        drop(last);
        let unchanged = self.shown().is_some_and(|shown| shown.guide == guide);
        if !unchanged {
            let body = serde_json::to_string(&guide).map_err(|error| {
                FeedError::Fetch(format!("the guide cannot be stored: {error}"))
            })?;
            store.set_guide(now, &body).await?;
            self.load(store).await?;
        }
        let status = self.status().await;
        let GuideStatus { channels, programmes, left_out, .. } = status;
        tracing::info!(channels, programmes, left_out, unchanged, "the guide was read");
        Ok(status)
    }

    /// Reads the configured feed now and then, for ever.
    pub(crate) async fn run(&self, app: &crate::app::App) {
        let Some(source) = &self.source else { return std::future::pending().await };
        let mut told = None;
        loop {
            let taken = match app.store() {
                Ok(store) => self.take(Err(source), store, app.clock.seconds()).await.map(|_| ()),
                Err(_) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let pause = match taken {
                Ok(()) => {
                    told = None;
                    self.refresh
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(error, "the guide stays as it is");
                        told = Some(error);
                    }
                    self.refresh.min(AGAIN)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}
