//! What administrators did.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Body, Question};
use crate::http::problem::ProblemBody;
use crate::store::Act;

#[derive(Deserialize, IntoParams)]
pub(crate) struct Part {
    /// Only acts before this number.
    #[serde(default = "newest")]
    before: i64,
    /// At most so many, 1 to 1000.
    #[serde(default = "hundred")]
    limit: i64,
}

fn newest() -> i64 {
    i64::MAX
}

fn hundred() -> i64 {
    100
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Acts {
    /// The latest first.
    acts: Vec<Act>,
}

/// Lists what administrators did, over HTTP and on the command line.
#[utoipa::path(
    get, path = "/v1/admin/audit", tag = "administration", params(Part), security(("administrator" = [])),
    responses((status = 200, body = Acts), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Question(Part { before, limit }): Question<Part>,
) -> Result<Json<Acts>, Problem> {
    Ok(Json(Acts { acts: app.store()?.acts(before, limit).await? }))
}

/// Something that the administrator does elsewhere on the platform.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Done {
    /// What, such as `channel set`: 1 to 64 bytes.
    act: String,
    /// To what, at most 128 bytes.
    subject: String,
}

/// Notes what the administrator does at another service, such as rendezvous' console. Refused for whoever may not
/// administer, so that it is a permission, too.
#[utoipa::path(
    post, path = "/v1/admin/audit", tag = "administration", request_body = Done, security(("administrator" = [])),
    responses(
        (status = 204),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Body(Done { act, subject }): Body<Done>,
) -> Result<StatusCode, Problem> {
    let plain = |text: &str, most| text.len() <= most && !text.chars().any(char::is_control);
    if act.is_empty() || !plain(&act, 64) || !plain(&subject, 128) {
        return Err(Problem::malformed("an act has 1 to 64 bytes, its subject 128 at most"));
    }
    app.store()?;
    app.note(&act, &subject).await;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    /// Notes what the administrator has just done. It is done: that it cannot be noted is logged.
    pub(crate) async fn note(&self, act: &str, subject: &str) {
        let request = service::request::current().unwrap_or_default();
        let noted = match self.store() {
            Ok(store) => {
                let now = self.clock.seconds();
                store.note("administrator", act, subject, &request, now).await.is_ok()
            }
            Err(_) => false,
        };
        if noted {
            tracing::info!(act, "administrator");
        } else {
            tracing::error!(act, subject, "an act of the administrator could not be noted");
        }
    }
}
