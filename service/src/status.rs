//! Health: is the program alive, and can it do its work?

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;

use crate::metrics::Registry;

/// What a program needs to do its work, and what of it is missing. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Status {
    needs: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One thing that the program needs, such as its database. Clones speak of the same thing.
#[derive(Debug, Clone)]
pub struct Need {
    name: String,
    status: Status,
}

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether nothing is missing.
    pub ready: bool,
    /// What is missing, and why.
    pub missing: BTreeMap<String, String>,
}

impl Status {
    /// A program that needs nothing, yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a need; it counts as missing ("starting") until [`Need::ok`] is called.
    pub fn need(&self, name: impl Into<String>) -> Need {
        let need = Need { name: name.into(), status: self.clone() };
        need.missing("starting");
        need
    }

    /// What `/readyz` answers now.
    pub fn readiness(&self) -> Readiness {
        let missing: BTreeMap<_, _> = self
            .lock()
            .iter()
            .filter_map(|(name, why)| Some((name.clone(), why.clone()?)))
            .collect();
        Readiness { ready: missing.is_empty(), missing }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        // The map is whole after every statement that changes it.
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Need {
    /// It is there. A change is logged.
    pub fn ok(&self) {
        let before = self.status.lock().insert(self.name.clone(), None);
        if !matches!(before, Some(None)) {
            tracing::info!("{} is there", self.name);
        }
    }

    /// It is not there, for this reason. A new reason is logged.
    pub fn missing(&self, why: impl Into<String>) {
        let why = why.into();
        let before = self.status.lock().insert(self.name.clone(), Some(why.clone()));
        if before.is_some_and(|before| before.as_ref() != Some(&why)) {
            tracing::warn!(%why, "{} is missing", self.name);
        }
    }

    /// The program no longer needs it.
    pub fn dropped(&self) {
        self.status.lock().remove(&self.name);
    }
}

/// The routes `/healthz`, `/readyz` (200 or 503) and `/metrics`; merge them into the program's own.
pub fn router(status: Status, registry: Registry) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(serde_json::json!({"alive": true})) }))
        .route("/readyz", get(ready))
        .with_state(status)
        .merge(registry.router())
}

async fn ready(State(status): State<Status>) -> impl IntoResponse {
    let readiness = status.readiness();
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing_and_why() {
        let status = Status::new();
        assert!(status.readiness().ready);
        let database = status.need("database");
        let auth = status.need("auth");
        assert_eq!(status.readiness().missing["database"], "starting");
        database.ok();
        auth.missing("cannot be reached");
        let now = status.readiness();
        assert!(!now.ready);
        assert_eq!(now.missing, BTreeMap::from([("auth".into(), "cannot be reached".into())]));
        auth.ok();
        assert!(status.readiness().ready);
        database.missing("gone");
        assert!(!status.readiness().ready);
        database.dropped();
        assert!(status.readiness().ready);
    }
}
