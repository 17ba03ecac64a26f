//! What the desktop offers over D-Bus: a secret store, whether the connection is paid by volume, media keys.
//!
//! None of it is needed: without a bus, or without who offers it, the program does without.

pub(crate) mod metered;
pub(crate) mod mpris;
pub(crate) mod secrets;

use std::time::Duration;

use zbus::Connection;

/// Whoever does not answer within this is not there.
const PATIENCE: Duration = Duration::from_secs(3);

/// The user's bus, if there is one.
pub(crate) async fn session() -> Option<Connection> {
    within(Connection::session()).await
}

/// The system's bus, if there is one.
async fn system() -> Option<Connection> {
    within(Connection::system()).await
}

/// The outcome, if there is one soon.
async fn within<T>(call: impl Future<Output = zbus::Result<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::debug!(%error, "D-Bus");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests;
