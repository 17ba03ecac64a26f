//! Where the sign-in is remembered.

use std::sync::Arc;

use crate::Error;
use crate::account::{Remembered, State};

/// Where the sign-in is remembered. Clones share it.
#[derive(Clone)]
pub struct Vault {
    state: Arc<State>,
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
        Self { state }
    }

    /// Where a sign-in is kept.
    pub fn kept(&self) -> Kept {
        Kept::File
    }

    /// The sign-in that is remembered, whoever it is of.
    pub async fn last(&self) -> Option<Remembered> {
        self.state.last()
    }

    /// Remembers a sign-in instead of what was remembered before.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn keep(&self, sign_in: &Remembered) -> Result<(), Error> {
        self.state.remember(sign_in)
    }

    /// Remembers nothing any more.
    pub async fn forget(&self) {
        self.state.forget();
    }
}
