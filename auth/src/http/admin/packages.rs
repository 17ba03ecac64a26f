//! Packages of channels.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Body, Name};
use crate::http::problem::ProblemBody;
use crate::store::Package;

#[derive(Serialize, ToSchema)]
pub(crate) struct Packages {
    packages: Vec<Package>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PackageChannels {
    /// PackageChannels by name; `["*"]` stands for all.
    channels: Vec<String>,
}

/// Lists packages by name.
#[utoipa::path(
    get, path = "/v1/admin/packages", tag = "administration", security(("administrator" = [])),
    responses((status = 200, body = Packages), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Packages>, Problem> {
    Ok(Json(Packages { packages: app.store()?.packages().await? }))
}

/// One package.
#[utoipa::path(
    get, path = "/v1/admin/packages/{name}", tag = "administration", params(("name" = String, Path)), security(("administrator" = [])),
    responses((status = 200, body = Package), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Name(name): Name,
) -> Result<Json<Package>, Problem> {
    Ok(Json(app.store()?.package(&name).await?))
}

/// Makes a package, or gives it these channels instead of those that it had. Tickets follow at
/// their next renewal.
#[utoipa::path(
    put, path = "/v1/admin/packages/{name}", tag = "administration", params(("name" = String, Path)),
    request_body = PackageChannels, security(("administrator" = [])),
    responses((status = 200, body = Package), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Body(PackageChannels { channels }): Body<PackageChannels>,
) -> Result<Json<Package>, Problem> {
    let package = app.store()?.set_package(&name, &channels, app.clock.seconds()).await?;
    app.note("package set", &package.name).await;
    Ok(Json(package))
}

/// Removes a package; users who had it have it no more.
#[utoipa::path(
    delete, path = "/v1/admin/packages/{name}", tag = "administration", params(("name" = String, Path)), security(("administrator" = [])),
    responses((status = 204), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    app.store()?.remove_package(&name).await?;
    app.note("package removed", &name).await;
    Ok(StatusCode::NO_CONTENT)
}
