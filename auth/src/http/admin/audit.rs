//! What administrators did.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::Question;
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
