//! The guide: how it is, and a new one.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;

use crate::app::App;
use crate::guide::{GuideStatus, KeepError};
use crate::http::Problem;
use crate::http::problem::ProblemBody;

/// How the guide is, and why the last feed was not taken, if so.
#[utoipa::path(
    get, path = "/v1/admin/guide", tag = "administration", security(("administrator" = [])),
    responses((status = 200, body = GuideStatus), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn status(State(app): State<Arc<App>>) -> Json<GuideStatus> {
    Json(app.guide.status().await)
}

/// Takes an XMLTV file, packed with gzip or not. One that is broken, empty or over is refused with the
/// line, and the guide stays as it is.
#[utoipa::path(
    put, path = "/v1/admin/guide", tag = "administration", security(("administrator" = [])),
    request_body(content = Vec<u8>, content_type = "application/xml"),
    responses((status = 200, body = GuideStatus), (status = 400, body = ProblemBody, content_type = "application/problem+json"), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 413, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<GuideStatus>, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::malformed(rejection.body_text()),
    })?;
    let now = app.clock.seconds();
    match app.guide.take(Ok(body.to_vec()), app.store()?, now).await {
        Ok(status) => {
            app.note("guide set", "").await;
            Ok(Json(status))
        }
        Err(KeepError::Feed(error)) => Err(Problem::malformed(error.to_string())),
        Err(KeepError::Store(error)) => Err(error.into()),
    }
}
