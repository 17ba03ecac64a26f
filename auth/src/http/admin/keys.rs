//! Keys that sign user tickets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::Problem;
use crate::http::problem::ProblemBody;

#[derive(Serialize, ToSchema)]
pub(crate) struct Keys {
    /// The one that signs first, then those that stay published until their tickets expire.
    keys: Vec<Key>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    /// Its name in tickets.
    kid: String,
    /// Since when it is there, seconds since 1970.
    created_at: i64,
    /// Since when it does not sign any more, seconds since 1970; null: it signs.
    retired_at: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NewKey {
    /// The key that signs from now on.
    kid: String,
}

/// Lists the keys of user tickets, without their secrets.
#[utoipa::path(
    get, path = "/v1/admin/keys", tag = "administration", security(("administrator" = [])),
    responses((status = 200, body = Keys), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Keys>, Problem> {
    let keys = app.store()?.signing_keys(app.clock.seconds()).await?;
    let key = |key: crate::store::SigningKey| Key {
        kid: key.kid,
        created_at: key.created_at,
        retired_at: key.retired_at,
    };
    Ok(Json(Keys { keys: keys.into_iter().map(key).collect() }))
}

/// Makes a new key that signs from now on; tickets signed before stay valid until they expire.
#[utoipa::path(
    post, path = "/v1/admin/keys/rotate", tag = "administration", security(("administrator" = [])),
    responses((status = 201, body = NewKey), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    let kid = app.store()?.rotate_keys(app.clock.seconds()).await?;
    app.changed().await;
    app.note("keys rotated", &kid).await;
    Ok((StatusCode::CREATED, Json(NewKey { kid })))
}
