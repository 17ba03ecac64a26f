//! The prefix table.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use ticket::Location;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Body, Question};
use crate::http::problem::ProblemBody;
use crate::store::Prefix;

/// A row of the table; what is null is not known from it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixRow {
    #[schema(value_type = String, example = "192.0.2.0/24")]
    prefix: IpNet,
    #[serde(default)]
    subset: Option<u32>,
    #[serde(default)]
    asn: Option<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "CH")]
    country: Option<ticket::Country>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PrefixTable {
    prefixes: Vec<PrefixRow>,
}

#[derive(Deserialize, IntoParams)]
pub(crate) struct Which {
    /// As it stands in the list.
    #[param(value_type = String, example = "192.0.2.0/24")]
    prefix: IpNet,
}

/// Lists the table.
#[utoipa::path(
    get, path = "/v1/admin/prefixes", tag = "administration", security(("administrator" = [])),
    responses((status = 200, body = PrefixTable), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<PrefixTable>, Problem> {
    let prefixes = app.store()?.prefixes().await?;
    let row = |Prefix { prefix, location }| PrefixRow {
        prefix,
        subset: location.subset,
        asn: location.asn,
        country: location.country,
    };
    Ok(Json(PrefixTable { prefixes: prefixes.into_iter().map(row).collect() }))
}

/// Adds a prefix, or says something else of one that is there.
#[utoipa::path(
    put, path = "/v1/admin/prefixes", tag = "administration", request_body = PrefixRow, security(("administrator" = [])),
    responses((status = 200, body = PrefixRow), (status = 400, body = ProblemBody, content_type = "application/problem+json"), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn set(
    State(app): State<Arc<App>>,
    Body(mut row): Body<PrefixRow>,
) -> Result<Json<PrefixRow>, Problem> {
    row.prefix = row.prefix.trunc();
    let location = Location { subset: row.subset, asn: row.asn, country: row.country };
    app.store()?.set_prefix(&Prefix { prefix: row.prefix, location }).await?;
    app.changed().await;
    app.note("prefix set", &row.prefix.to_string()).await;
    Ok(Json(row))
}

/// Removes a prefix.
#[utoipa::path(
    delete, path = "/v1/admin/prefixes", tag = "administration", params(Which), security(("administrator" = [])),
    responses((status = 204), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Question(Which { prefix }): Question<Which>,
) -> Result<StatusCode, Problem> {
    app.store()?.remove_prefix(prefix).await?;
    app.changed().await;
    app.note("prefix removed", &prefix.to_string()).await;
    Ok(StatusCode::NO_CONTENT)
}
