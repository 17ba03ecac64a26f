//! Nodes and their credentials.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use ticket::Role;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Body, Name};
use crate::http::problem::ProblemBody;
use crate::names;
use crate::store::Node;

#[derive(Serialize, ToSchema)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNode {
    name: String,
    /// headend, repeater or rendezvous.
    #[schema(value_type = String, example = "repeater")]
    role: Role,
    /// The channels it may carry or publish; all if left out.
    #[serde(default = "every")]
    channels: Vec<String>,
}

fn every() -> Vec<String> {
    vec![names::EVERY.to_owned()]
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AddedNode {
    name: String,
    #[schema(value_type = String, example = "repeater")]
    role: Role,
    /// Shown this once; only its hash is kept.
    credential: String,
}

/// Lists nodes by name.
#[utoipa::path(
    get, path = "/v1/admin/nodes", tag = "administration", security(("administrator" = [])),
    responses((status = 200, body = Nodes), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<Nodes>, Problem> {
    Ok(Json(Nodes { nodes: app.store()?.nodes().await? }))
}

/// Adds a node, or a revoked one anew, and gives its credential.
#[utoipa::path(
    post, path = "/v1/admin/nodes", tag = "administration", request_body = NewNode, security(("administrator" = [])),
    responses(
        (status = 201, body = AddedNode), (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Body(NewNode { name, role, channels }): Body<NewNode>,
) -> Result<(StatusCode, Json<AddedNode>), Problem> {
    let now = app.clock.seconds();
    let credential = app.store()?.add_node(&name, role, &channels, None, now).await?;
    app.note("node added", &name).await;
    Ok((StatusCode::CREATED, Json(AddedNode { name, role, credential })))
}

/// Voids a node's credential and ends its sessions.
#[utoipa::path(
    delete, path = "/v1/admin/nodes/{name}", tag = "administration", params(("name" = String, Path)), security(("administrator" = [])),
    responses((status = 204), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Name(name): Name,
) -> Result<StatusCode, Problem> {
    app.store()?.revoke_node(&name, app.clock.seconds()).await?;
    app.changed().await;
    app.note("node revoked", &name).await;
    Ok(StatusCode::NO_CONTENT)
}
