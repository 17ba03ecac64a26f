//! What anybody may read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use super::problem::ProblemBody;
use crate::app::App;

/// Where everything is.
#[derive(Serialize, ToSchema)]
pub(crate) struct WellKnown {
    /// The platform's name: `aud` of its tickets.
    platform: String,
    /// Auth's public URL, without a slash at its end.
    #[schema(example = "https://tv.example")]
    auth: String,
    /// Rendezvous servers in work, the one heard of last first.
    rendezvous: Vec<RendezvousAt>,
    /// The platform's clock, microseconds since 1970 UTC.
    time: u64,
}

/// A rendezvous server.
#[derive(Serialize, ToSchema)]
pub(crate) struct RendezvousAt {
    /// Its public key: 43 characters of base64url.
    peer_id: String,
    /// Addresses for QUIC.
    #[schema(example = json!(["192.0.2.1:7881"]))]
    quic: Vec<String>,
    /// Its HTTP side.
    #[schema(example = "https://rendezvous.tv.example")]
    http: Option<String>,
}

/// Names the platform, auth and the rendezvous servers.
#[utoipa::path(
    get, path = "/.well-known/braidcast", tag = "discovery",
    responses(
        (status = 200, body = WellKnown),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn well_known(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let rendezvous = app
        .published()?
        .directory(app.clock.seconds())
        .map(|server| RendezvousAt {
            peer_id: server.device.to_string(),
            quic: server.quic.clone(),
            http: server.http.clone(),
        })
        .collect();
    let body = WellKnown {
        platform: app.config.platform.clone(),
        auth: app.public_url().to_owned(),
        rendezvous,
        time: app.clock.micros(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)))
}

/// The keys in force (a JWK set, RFC 7517 and RFC 8037): `braidcast_purpose` says what each may
/// sign, user tickets or channel tickets. Ask again when a ticket names an unknown key.
#[utoipa::path(
    get, path = "/v1/jwks.json", tag = "discovery",
    responses(
        (status = 200, description = "the key set", body = Object, content_type = "application/jwk-set+json",
         example = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "b1Qd", "alg": "EdDSA", "use": "sig", "braidcast_purpose": "user-ticket"}]})),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn jwks(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let keys = app.published()?.keys(app.clock.seconds());
    Ok(([(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "max-age=5")], keys.to_json()))
}
