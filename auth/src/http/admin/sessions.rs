//! Sessions of users and nodes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Name, Question};
use crate::http::problem::ProblemBody;
use crate::store::{Session, Subject};

#[derive(Deserialize, IntoParams)]
pub(crate) struct Whose {
    /// Only those of this user.
    user: Option<String>,
    /// Only those of this node.
    node: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// The latest renewed first, at most 1000.
    sessions: Vec<Session>,
}

/// Lists sessions, living and ended.
#[utoipa::path(
    get, path = "/v1/admin/sessions", tag = "administration", params(Whose), security(("administrator" = [])),
    responses((status = 200, body = Sessions), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Question(whose): Question<Whose>,
) -> Result<Json<Sessions>, Problem> {
    let subject = match (&whose.user, &whose.node) {
        (Some(user), None) => Subject::User(user),
        (None, Some(node)) => Subject::Node(node),
        (None, None) => Subject::Anybody,
        (Some(_), Some(_)) => return Err(Problem::malformed("either user or node")),
    };
    Ok(Json(Sessions { sessions: app.store()?.sessions(subject).await? }))
}

/// Ends a session; its tickets are void at once.
#[utoipa::path(
    delete, path = "/v1/admin/sessions/{id}", tag = "administration", params(("id" = String, Path)), security(("administrator" = [])),
    responses((status = 204), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn end(
    State(app): State<Arc<App>>,
    Name(id): Name,
) -> Result<StatusCode, Problem> {
    let reason = "ended by the administrator";
    if !app.store()?.end_session(&id, reason, app.clock.seconds()).await? {
        return Err(crate::store::Error::Missing("living session of that id".into()).into());
    }
    app.changed().await;
    app.note("session ended", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
