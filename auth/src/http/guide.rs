//! The guide, for everybody.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Problem;
use super::problem::ProblemBody;
use crate::app::App;

/// What is on: per channel the programmes, in order; times in seconds since 1970. It answers
/// `If-None-Match` with 304, and packs with gzip for who accepts that.
#[utoipa::path(
    get, path = "/v1/guide", tag = "guide",
    responses(
        (status = 200, description = "the guide", body = Object,
         example = json!({"loaded_at": 1767267000, "channels": {"one": [{"start": 1767265200, "end": 1767268800, "title": "News"}]}})),
        (status = 304, description = "it is as the tag says"),
        (status = 404, description = "there is no guide", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shown = app.guide.shown().ok_or_else(Problem::not_found)?;
    let says = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let always = [
        (ETAG, shown.tag.clone()),
        (CACHE_CONTROL, "max-age=60".to_owned()),
        (VARY, "accept-encoding".to_owned()),
    ];
    if says(IF_NONE_MATCH).split(',').any(|tag| tag.trim().trim_start_matches("W/") == shown.tag) {
        return Ok((StatusCode::NOT_MODIFIED, always).into_response());
    }
    let json = [(CONTENT_TYPE, "application/json")];
    let packs = says(ACCEPT_ENCODING).split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next() == Some("gzip") && !parts.any(|weight| weight == "q=0")
    });
    Ok(if packs {
        (always, json, [(CONTENT_ENCODING, "gzip")], shown.packed.clone()).into_response()
    } else {
        (always, json, shown.plain.clone()).into_response()
    })
}
