//! Sessions of users and nodes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use ticket::PeerId;
use utoipa::ToSchema;

use super::Problem;
use super::extract::{Bearer, Body, Client, MaybeBody};
use super::problem::ProblemBody;
use crate::app::App;
use crate::location::Place;
use crate::metrics::count;
use crate::sign_in::{NodeClaims, Signed};

/// Most addresses that a node may advertise.
const ADDRESSES: usize = 8;

#[derive(Deserialize, ToSchema)]
pub(crate) struct SignIn {
    username: String,
    #[schema(format = Password)]
    password: String,
    /// The device's Ed25519 public key, 43 characters of base64url: tickets are bound to it.
    device_key: String,
}

/// A user's ticket and how to go on.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    /// The user ticket, a JWT.
    ticket: String,
    /// Gives the next ticket, once.
    refresh_token: String,
    /// When the ticket expires, seconds since 1970 UTC (its `exp`).
    expires_at: u64,
    /// Where auth saw the device.
    location: Place,
    /// The platform's name: `aud` of its tickets.
    platform: String,
    /// The platform's clock, microseconds since 1970 UTC.
    time: u64,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct Refresh {
    refresh_token: String,
    /// If given, it must be the key of the device that signed in.
    #[serde(default)]
    device_key: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct SignOut {
    refresh_token: String,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct NodeSignIn {
    /// What `braidcast-auth node add` printed.
    #[schema(format = Password)]
    credential: String,
    /// The node's Ed25519 public key, 43 characters of base64url.
    device_key: String,
    /// Addresses that others should use.
    #[serde(default)]
    advertise: Advertise,
}

/// Addresses that others should use; a rendezvous server is listed with them.
#[derive(Deserialize, ToSchema, Default)]
pub(crate) struct Advertise {
    /// For QUIC, as IP:PORT; at most 8.
    #[serde(default)]
    quic: Vec<String>,
    /// The HTTP side.
    #[serde(default)]
    http: Option<String>,
}

/// A node's ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedInNode {
    /// The ticket, a JWT with the node's role.
    ticket: String,
    /// When the ticket expires, seconds since 1970 UTC (its `exp`).
    expires_at: u64,
    /// Where the node is.
    location: Place,
    /// The platform's name: `aud` of its tickets.
    platform: String,
    /// The platform's clock, microseconds since 1970 UTC.
    time: u64,
}

impl SignedIn {
    fn new(app: &App, signed: Signed) -> Self {
        Self {
            ticket: signed.ticket,
            refresh_token: signed.refresh_token,
            expires_at: signed.expires_at,
            location: signed.location.into(),
            platform: app.config.platform.clone(),
            time: app.clock.micros(),
        }
    }
}

fn device(text: &str) -> Result<PeerId, Problem> {
    text.parse().map_err(|error| Problem::malformed(format!("device_key: {error}")))
}

/// Signs a user in.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", request_body = SignIn,
    responses(
        (status = 201, body = SignedIn),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "wrong user or password", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the account is disabled", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too many attempts; Retry-After says how long to wait", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Client(from): Client,
    Body(body): Body<SignIn>,
) -> Result<impl IntoResponse, Problem> {
    let signed = match device(&body.device_key) {
        Ok(device) => app.sign_in(&body.username, &body.password, device, from).await,
        Err(problem) => Err(problem),
    };
    count(&app.metrics.sign_ins, signed.as_ref().map_or_else(Problem::code, |_| "ok"));
    Ok((StatusCode::CREATED, Json(SignedIn::new(&app, signed?))))
}

/// Gives the next ticket. A refresh token is good for one use; for 30 s the same one gives the
/// same successor again, in case the reply was lost. Used later it ends the session.
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "sessions", request_body = Refresh,
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "unknown token, or the session has ended; detail says why", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn refresh(
    State(app): State<Arc<App>>,
    Client(from): Client,
    Body(body): Body<Refresh>,
) -> Result<impl IntoResponse, Problem> {
    let signed = match body.device_key.as_deref().map(device).transpose() {
        Ok(device) => app.refresh(&body.refresh_token, device, from).await,
        Err(problem) => Err(problem),
    };
    count(&app.metrics.refreshes, signed.as_ref().map_or_else(Problem::code, |_| "ok"));
    Ok(Json(SignedIn::new(&app, signed?)))
}

/// Signs out: ends the session of the ticket shown, or, without one, of the refresh token in the
/// body.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "sessions", security(("ticket" = [])),
    request_body(content = SignOut, description = "only without a ticket"),
    responses(
        (status = 204, description = "the session has ended"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    Bearer(token): Bearer,
    MaybeBody(body): MaybeBody<SignOut>,
) -> Result<StatusCode, Problem> {
    let session = match body {
        Some(body) if token.is_none() => {
            let read = app.refresh_tokens()?.read(&body.refresh_token);
            read.ok_or_else(Problem::unknown_token)?.0
        }
        _ => app.bearer(token)?.jti,
    };
    app.sign_out(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs a node in, or renews its ticket. Rendezvous servers call at least once a minute and are
/// listed while they do.
#[utoipa::path(
    post, path = "/v1/nodes/sessions", tag = "sessions", request_body = NodeSignIn,
    responses(
        (status = 201, body = SignedInNode),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "no node has this credential", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "the node was revoked", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn sign_in_node(
    State(app): State<Arc<App>>,
    Client(from): Client,
    Body(body): Body<NodeSignIn>,
) -> Result<impl IntoResponse, Problem> {
    let signed = match node_claims(&body) {
        Ok(claims) => app.sign_in_node(claims, from).await,
        Err(problem) => Err(problem),
    };
    count(&app.metrics.node_sign_ins, signed.as_ref().map_or_else(Problem::code, |_| "ok"));
    let signed = signed?;
    let body = SignedInNode {
        ticket: signed.ticket,
        expires_at: signed.expires_at,
        location: signed.location.into(),
        platform: app.config.platform.clone(),
        time: app.clock.micros(),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

fn node_claims(body: &NodeSignIn) -> Result<NodeClaims<'_>, Problem> {
    let Advertise { quic, http } = &body.advertise;
    if quic.len() > ADDRESSES {
        return Err(Problem::malformed(format!("advertise.quic: more than {ADDRESSES} addresses")));
    }
    for address in quic {
        if address.parse::<std::net::SocketAddr>().is_err() {
            let shown = address.escape_debug().take(64).collect::<String>();
            return Err(Problem::malformed(format!("advertise.quic: `{shown}` is not IP:PORT")));
        }
    }
    if let Some(http) = http {
        let fits = http.len() <= 256
            && url::Url::parse(http).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !fits {
            return Err(Problem::malformed("advertise.http: not an http:// or https:// address"));
        }
    }
    Ok(NodeClaims {
        credential: &body.credential,
        device: device(&body.device_key)?,
        quic,
        http: http.as_deref(),
    })
}
