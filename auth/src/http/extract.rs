//! Reading requests, with problems instead of plain text where something is wrong.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::Problem;
use crate::address;
use crate::app::App;

/// A body that takes longer to come is given up: strangers must not hold connections for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body in JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state, PATIENCE).await.map(Self)
    }
}

async fn read<T: DeserializeOwned, S: Send + Sync>(
    request: Request,
    state: &S,
    patience: Duration,
) -> Result<T, Problem> {
    match timeout(patience, Json::<T>::from_request(request, state)).await {
        Ok(Ok(Json(value))) => Ok(value),
        Ok(Err(rejection)) => Err(Problem::malformed(rejection.body_text())),
        Err(_) => Err(Problem::too_slow()),
    }
}

/// A body in JSON, or none at all.
pub(crate) struct MaybeBody<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.body().is_end_stream() {
            return Ok(Self(None));
        }
        Body::from_request(request, state).await.map(|Body(value)| Self(Some(value)))
    }
}

/// What follows the question mark.
pub(crate) struct Question<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Question<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// A name in the path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// The address of the client, as trusted proxies tell it.
#[derive(Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let ConnectInfo(peer) = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .copied()
            .ok_or_else(Problem::internal)?;
        Ok(Self(address::client(peer, &parts.headers, &app.config.proxy)))
    }
}

/// The token after `Authorization: Bearer`, if there is one.
pub(crate) struct Bearer(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim().to_owned());
        Ok(Self(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let request = Request::post("/")
            .header("content-type", "application/json")
            .body(axum::body::Body::from_stream(endless))
            .unwrap();
        let given_up = read::<u32, _>(request, &(), Duration::from_millis(10)).await;
        assert_eq!(given_up, Err(Problem::too_slow()));
    }
}
