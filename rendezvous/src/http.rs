//! The HTTP side: line-up for everyone, live map for the operator, console.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use link::protocol::ChannelInfo;
use segment::SwarmId;
use serde::{Deserialize, Serialize};
use service::config::SecretText;
use service::{Status, metrics::Registry, status};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::console::Console;
use crate::hub::{Hub, Seen};
use crate::map::{ByRole, Member, Summary};

/// The most members in one answer, and how many if nothing is said.
const MEMBERS: usize = 1000;

#[derive(Clone)]
struct App {
    hub: Arc<Hub>,
    admin: Option<SecretText>,
}

/// All routes.
pub fn router(
    hub: Arc<Hub>,
    admin: Option<SecretText>,
    console: Console,
    health: Status,
    registry: Registry,
) -> Router {
    let (router, document) = described().split_for_parts();
    let document = Arc::new(document);
    router
        .route("/v1/openapi.json", get(move || async move { Json(document.as_ref().clone()) }))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "not-found", "there is nothing here") })
        .with_state(App { hub, admin })
        .merge(console.router())
        .merge(status::router(health, registry))
        .layer(middleware::from_fn(harden))
}

/// All addresses with their description: one list makes both.
fn described() -> OpenApiRouter<App> {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("the administrator's token")).build();
    let mut components = utoipa::openapi::Components::new();
    components.add_security_scheme("administrator", SecurityScheme::Http(bearer));
    let info = InfoBuilder::new()
        .title("Braidcast rendezvous")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The line-up, sessions and the live map."));
    let document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    OpenApiRouter::with_openapi(document)
        .routes(routes!(channels))
        .routes(routes!(sessions))
        .routes(routes!(swarms))
        .routes(routes!(swarm))
}

/// The description of the interface, as `/v1/openapi.json` gives it.
pub fn openapi() -> OpenApi {
    described().into_openapi()
}

/// Nothing from elsewhere is loaded, nothing is guessed, nothing is shown inside another page.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" a browser hides from where a form is sent, and it would be taken for one of another site.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let unset = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(unset);
    response
}

/// A channel of the line-up.
#[derive(Serialize, ToSchema)]
struct Channel {
    id: String,
    number: u32,
    name: String,
    logo: Option<String>,
    live: bool,
    renditions: Vec<Rendition>,
}

#[derive(Serialize, ToSchema)]
struct Rendition {
    name: String,
    bitrate: u64,
}

impl From<ChannelInfo> for Channel {
    fn from(info: ChannelInfo) -> Self {
        let rendition = |(name, bitrate)| Rendition { name, bitrate };
        Self {
            id: info.id,
            number: info.number,
            name: info.name,
            logo: info.logo,
            live: info.live,
            renditions: info.renditions.into_iter().map(rendition).collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct Channels {
    channels: Vec<Channel>,
}

/// The line-up.
#[utoipa::path(get, path = "/v1/channels", tag = "line-up", responses((status = 200, body = Channels)))]
async fn channels(State(app): State<App>) -> Json<Channels> {
    let line_up = app.hub.look(|map, _| map.line_up());
    Json(Channels { channels: line_up.into_iter().map(Channel::from).collect() })
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<Seen>,
}

/// Who is connected to this rendezvous, and what they watch.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "administration", params(Window), security(("administrator" = [])),
    responses(
        (status = 200, body = Sessions),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn sessions(
    State(app): State<App>,
    window: Result<Query<Window>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Sessions>, Problem> {
    app.operator(&headers)?;
    let Ok(Query(window)) = window else {
        return Err(problem(StatusCode::BAD_REQUEST, "malformed", "skip and limit are numbers"));
    };
    Ok(Json(Sessions { sessions: app.hub.seen(window.skip, window.limit.min(MEMBERS)) }))
}

#[derive(Serialize, ToSchema)]
struct Swarms {
    /// Nodes connected to this rendezvous.
    sessions: usize,
    /// Viewers in all swarms.
    viewers: u64,
    /// Media bytes that viewers have received, by role of the sender.
    received: ByRole,
    swarms: Vec<Summary>,
}

/// All swarms at a glance.
#[utoipa::path(
    get, path = "/v1/swarms", tag = "administration", security(("administrator" = [])),
    responses(
        (status = 200, body = Swarms),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn swarms(State(app): State<App>, headers: HeaderMap) -> Result<Json<Swarms>, Problem> {
    app.operator(&headers)?;
    let swarms = app.hub.look(|map, now| map.summaries(now));
    let mut received = ByRole::default();
    for swarm in &swarms {
        received.headend = received.headend.saturating_add(swarm.received.headend);
        received.repeater = received.repeater.saturating_add(swarm.received.repeater);
        received.viewer = received.viewer.saturating_add(swarm.received.viewer);
    }
    let viewers = swarms.iter().map(|swarm| swarm.nodes.viewer).sum();
    Ok(Json(Swarms { sessions: app.hub.sessions(), viewers, received, swarms }))
}

#[derive(Deserialize, IntoParams)]
struct Window {
    /// How many members to pass over.
    #[serde(default)]
    skip: usize,
    /// How many to give.
    #[serde(default = "most")]
    limit: usize,
}

fn most() -> usize {
    MEMBERS
}

#[derive(Serialize, ToSchema)]
struct Detail {
    swarm: Summary,
    members: Vec<Member>,
}

/// One swarm and who takes part.
#[utoipa::path(
    get, path = "/v1/swarms/{id}", tag = "administration", params(("id" = String, Path), Window),
    security(("administrator" = [])),
    responses(
        (status = 200, body = Detail),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn swarm(
    State(app): State<App>,
    Path(id): Path<String>,
    window: Result<Query<Window>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Json<Detail>, Problem> {
    app.operator(&headers)?;
    let Ok(Query(window)) = window else {
        return Err(problem(StatusCode::BAD_REQUEST, "malformed", "skip and limit are numbers"));
    };
    let absent = || problem(StatusCode::NOT_FOUND, "no-such-swarm", "there is no such swarm");
    let swarm = parse(&id).ok_or_else(absent)?;
    let most = window.limit.min(MEMBERS);
    let found = app.hub.look(|map, now| {
        let id = swarm.to_string();
        let summary = map.summaries(now).into_iter().find(|summary| summary.id == id)?;
        Some(Detail { swarm: summary, members: map.details(now, swarm, window.skip, most)? })
    });
    found.map(Json).ok_or_else(absent)
}

/// 32 hexadecimal digits.
pub(crate) fn parse(id: &str) -> Option<SwarmId> {
    let hexadecimal = id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
    let value = u128::from_str_radix(id, 16).ok().filter(|_| hexadecimal)?;
    Some(SwarmId(value.to_be_bytes()))
}

impl App {
    /// Only with the administrator's token.
    fn operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.admin else {
            let detail = "no admin_token is configured, so this is closed";
            return Err(problem(StatusCode::FORBIDDEN, "closed", detail));
        };
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let equal = shown.is_some_and(|shown| {
            aws_lc_rs::constant_time::verify_slices_are_equal(
                shown.as_bytes(),
                token.expose().as_bytes(),
            )
            .is_ok()
        });
        if equal {
            Ok(())
        } else {
            let detail = "this needs the administrator's token as bearer";
            Err(problem(StatusCode::UNAUTHORIZED, "unauthorized", detail))
        }
    }
}

/// A problem as it travels (RFC 9457).
#[derive(Serialize, ToSchema)]
struct ProblemBody {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
}

/// A reply after RFC 9457.
struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
}

fn problem(status: StatusCode, code: &'static str, detail: &'static str) -> Problem {
    Problem { status, code, detail }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:braidcast:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
        };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, serde_json::to_string(&body).unwrap_or_default()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// An address that vanishes from here is missed by somebody.
    const ADDRESSES: [&str; 4] = ["/v1/channels", "/v1/sessions", "/v1/swarms", "/v1/swarms/{id}"];

    #[test]
    fn every_address_and_every_shape_is_described() {
        let document = serde_json::to_value(super::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
        assert_eq!(described, BTreeSet::from(ADDRESSES));
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is not described");
        }
        for field in ["offload", "startup_ms", "stalls"] {
            assert!(schemas["Summary"]["properties"].get(field).is_some(), "{field}");
        }
    }
}
