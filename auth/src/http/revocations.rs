//! The long poll by which rendezvous servers learn at once who is not to be trusted any more.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use ticket::Role;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::Problem;
use super::extract::{Bearer, Question};
use super::problem::ProblemBody;
use crate::app::App;
use crate::store::Revocation;

/// The longest that one call waits, seconds.
const LONGEST: u64 = 60;

#[derive(Deserialize, IntoParams)]
pub(crate) struct After {
    /// What is known already: `next` of the last answer; 0 for everything.
    #[serde(default)]
    after: i64,
    /// How long to wait for something new, seconds, at most 60.
    #[serde(default)]
    wait: u64,
}

/// Sessions whose tickets are void.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revocations {
    /// What to ask for next time.
    next: i64,
    /// Oldest first; at most 1000, then ask again at once.
    revoked: Vec<Revocation>,
}

/// Sessions that ended before their tickets expire: signed out, disabled, revoked. Answers at once
/// if there are any after the number given, else when there are or the time is over. For
/// rendezvous servers.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "nodes", params(After), security(("ticket" = [])),
    responses(
        (status = 200, body = Revocations),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn revocations(
    State(app): State<Arc<App>>,
    Bearer(token): Bearer,
    Question(After { after, wait }): Question<After>,
) -> Result<Json<Revocations>, Problem> {
    let ticket = app.bearer(token)?;
    if ticket.role != Role::Rendezvous {
        return Err(Problem::forbidden("only rendezvous servers are told of revocations"));
    }
    if !app.store()?.is_alive(&ticket.jti).await? {
        return Err(Problem::bad_ticket("the ticket was revoked"));
    }
    let mut changes = app.revoked.subscribe();
    let newest = *changes.borrow_and_update();
    // Who knows more than there is knows another database: it is told everything.
    let after = if after > newest { 0 } else { after };
    if after == newest {
        let wait = Duration::from_secs(wait.min(LONGEST));
        let news = async {
            // Err means that auth ends: answer what there is.
            let _ended = changes.wait_for(|now| *now != newest).await;
        };
        tokio::select! {
            _ = timeout(wait, news) => {}
            () = app.ending.requested() => {}
        }
    }
    let revoked = app.store()?.revocations(after).await?;
    app.metrics.revocation_polls.inc();
    let next = revoked.last().map_or(after, |last| last.seq);
    Ok(Json(Revocations { next, revoked }))
}
