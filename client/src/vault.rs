//! Where the sign-in is remembered: in the system's secret store where there is one, else in a file that only its owner can
//! read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use zbus::Connection;

use crate::Error;
use crate::account::{Remembered, State};
use crate::bus::{self, secrets::SecretStore};

/// Where the sign-in is remembered. Clones share it.
#[derive(Clone)]
pub struct Vault {
    state: Arc<State>,
    store: Option<SecretStore>,
    /// Whether the sign-in lies in the file.
    in_file: Arc<AtomicBool>,
}

/// Where a sign-in lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Nowhere: it ends with the program.
    Not,
    /// In the system's secret store.
    SecretStore,
    /// In a file that only its owner can read.
    File,
}

impl Vault {
    /// The file of a state folder.
    pub fn file(state: Arc<State>) -> Self {
        Self { state, store: None, in_file: Arc::new(AtomicBool::new(true)) }
    }

    /// The system's secret store, if there is one, else the file.
    pub async fn open(state: Arc<State>) -> Self {
        match bus::session().await {
            Some(bus) => Self::on(bus, state).await,
            None => Self::file(state),
        }
    }

    /// The secret store of this bus, if there is one, else the file.
    pub(crate) async fn on(bus: Connection, state: Arc<State>) -> Self {
        let owner = state.folder().display().to_string();
        let store = SecretStore::open(bus, owner).await;
        let in_file = store.is_none();
        Self { store, in_file: Arc::new(AtomicBool::new(in_file)), ..Self::file(state) }
    }

    /// Where a sign-in is kept.
    pub fn kept(&self) -> Kept {
        if self.in_file.load(Relaxed) { Kept::File } else { Kept::SecretStore }
    }

    /// The sign-in that is remembered, whoever it is of. If the store is locked a person may be asked to unlock it.
    pub async fn last(&self) -> Option<Remembered> {
        if let Some(store) = &self.store
            && let Some(secret) = store.get().await
            && let Ok(remembered) = serde_json::from_slice(&secret)
        {
            return Some(remembered);
        }
        self.state.last()
    }

    /// Remembers a sign-in instead of what was remembered before.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn keep(&self, sign_in: &Remembered) -> Result<(), Error> {
        if let Some(store) = &self.store
            && let Ok(secret) = serde_json::to_vec(sign_in)
            && store.put(&secret).await
        {
            self.state.forget();
            self.in_file.store(false, Relaxed);
            return Ok(());
        }
        self.in_file.store(true, Relaxed);
        let (state, kept) = (self.state.clone(), sign_in.clone());
        // It waits for the disk, and pictures do not.
        let kept = tokio::task::spawn_blocking(move || state.remember(&kept)).await;
        kept.unwrap_or(Ok(()))?;
        // A token is good for one use: an old one in the store would be taken first.
        if let Some(store) = &self.store {
            store.remove().await;
        }
        Ok(())
    }

    /// Remembers nothing any more.
    pub async fn forget(&self) {
        if let Some(store) = &self.store {
            store.remove().await;
        }
        self.state.forget();
    }
}
