//! Administration over HTTP, for whoever shows the administrator's token.

pub(crate) mod audit;
pub(crate) mod guide;
pub(crate) mod keys;
pub(crate) mod nodes;
pub(crate) mod packages;
pub(crate) mod prefixes;
pub(crate) mod sessions;
pub(crate) mod users;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Problem;
use super::extract::{Bearer, Client};
use crate::app::App;
use crate::random;

/// Lets only the administrator through; wrong tokens are limited like wrong passwords.
pub(crate) async fn guard(
    State(app): State<Arc<App>>,
    Client(from): Client,
    Bearer(token): Bearer,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(administrator) = &app.administrator else {
        return Err(Problem::forbidden("administration over HTTP is closed: set admin_token"));
    };
    let token = token.ok_or_else(Problem::not_administrator)?;
    app.limits.administrator(from, Instant::now())?;
    // Hashes are compared, so the time tells nothing of the token.
    if random::digest(&token) != *administrator {
        app.limits.wrong_administrator(from, Instant::now());
        return Err(Problem::not_administrator());
    }
    Ok(next.run(request).await)
}
