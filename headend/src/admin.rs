//! The administrator's calls: what the channels do, and their configuration.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Serialize;
use service::config::{self, SecretText};

use crate::edit;
use crate::reload::{Refused, Reload};
use crate::roster::{Changes, Roster};
use crate::station::Station;

#[derive(Clone)]
struct App {
    roster: Arc<Roster>,
    reload: Option<Arc<Reload>>,
    token: Arc<SecretText>,
}

/// The routes below `/v1`; all of them need `token` as bearer. Without a file (`reload`) nothing can be changed.
pub(crate) fn router(
    roster: Arc<Roster>,
    reload: Option<Arc<Reload>>,
    token: SecretText,
) -> Router {
    let app = App { roster, reload, token: Arc::new(token) };
    Router::new()
        .route("/v1/channels", get(channels))
        .route("/v1/channels/{id}", put(put_channel).delete(delete_channel))
        .route("/v1/configuration", get(configuration).put(put_configuration))
        .route("/v1/reload", post(reload_now))
        .route_layer(middleware::from_fn_with_state(app.clone(), authorized))
        .with_state(app)
}

async fn authorized(State(app): State<App>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let token = app.token.expose().as_bytes();
    if aws_lc_rs::constant_time::verify_slices_are_equal(shown.as_bytes(), token).is_err() {
        let detail = "this needs the administrator's token as bearer";
        return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
    }
    next.run(request).await
}

/// One channel, as it is.
#[derive(Serialize)]
struct Channel {
    id: String,
    name: String,
    source_up: bool,
    trouble: Option<String>,
    sources: Vec<Source>,
    renditions: Vec<Rendition>,
}

#[derive(Serialize)]
struct Source {
    kind: &'static str,
    state: &'static str,
    playing: bool,
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Rendition {
    name: String,
    on_air: bool,
    bitrate: u64,
    sealed_segments: u64,
}

impl Channel {
    fn of(station: &Station) -> Self {
        let (channel, media) = (station.channel(), station.media());
        let sources = channel.sources().zip(&media.sources).map(|(source, health)| Source {
            kind: source.kind(),
            state: health.state().name(),
            playing: health.is_active(),
            trouble: health.trouble(),
        });
        let rates = channel.bitrates();
        let renditions =
            station.renditions().iter().zip(rates).map(|(r, (_, bitrate))| Rendition {
                name: r.name.clone(),
                on_air: r.swarm().is_some(),
                bitrate,
                sealed_segments: r.sealed().segments,
            });
        Self {
            id: channel.id.clone(),
            name: channel.name.clone(),
            source_up: media.source_up.load(Relaxed),
            trouble: media.trouble(),
            sources: sources.collect(),
            renditions: renditions.collect(),
        }
    }
}

async fn channels(State(app): State<App>) -> Json<serde_json::Value> {
    let channels: Vec<_> = app.roster.stations().iter().map(|s| Channel::of(s)).collect();
    Json(serde_json::json!({ "channels": channels }))
}

async fn configuration(State(app): State<App>) -> Result<String, Problem> {
    Ok(edit::text(app.reload()?.file()).await?)
}

async fn put_configuration(State(app): State<App>, body: String) -> Result<Json<Changes>, Problem> {
    Ok(Json(app.reload()?.replace(&body).await?))
}

async fn reload_now(State(app): State<App>) -> Result<Json<Changes>, Problem> {
    Ok(Json(app.reload()?.read(false).await?.unwrap_or_default()))
}

/// The body is the channel's section of the file: TOML, without its heading.
async fn put_channel(
    State(app): State<App>,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Changes>, Problem> {
    Ok(Json(edit::set(app.reload()?, &id, &body).await?))
}

async fn delete_channel(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Changes>, Problem> {
    Ok(Json(edit::remove(app.reload()?, &id).await?))
}

impl App {
    fn reload(&self) -> Result<&Arc<Reload>, Problem> {
        let detail = "this headend was started without a configuration file";
        self.reload.as_ref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, "conflict", detail))
    }
}

/// What is answered when something cannot be done (RFC 9457).
struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// What is wrong with a configuration: line, key, words.
    problems: Vec<serde_json::Value>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), problems: Vec::new() }
    }
}

impl From<edit::Error> for Problem {
    fn from(error: edit::Error) -> Self {
        if let edit::Error::Refused(refused) = error {
            return refused.into();
        }
        let (status, code) = match error {
            edit::Error::Toml(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            edit::Error::Absent => (StatusCode::NOT_FOUND, "not-found"),
            edit::Error::OneLine => (StatusCode::CONFLICT, "conflict"),
            edit::Error::Read(_) | edit::Error::Refused(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match &refused {
            Refused::Invalid(error) => {
                let problem = |problem: &config::Problem| {
                    let words = problem.to_string();
                    serde_json::json!({ "line": problem.line, "key": problem.key, "what": words })
                };
                let problems = error.problems().iter().map(problem).collect();
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self { problems, ..Self::new(status, "invalid", refused.to_string()) }
            }
            Refused::Write(_, error) => {
                let detail = format!("{refused}: {error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({
            "type": format!("urn:braidcast:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if !self.problems.is_empty() {
            body["problems"] = self.problems.into();
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, body.to_string()).into_response()
    }
}
