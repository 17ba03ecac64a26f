//! Users.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::Problem;
use crate::http::extract::{Body, Name, Question};
use crate::http::problem::ProblemBody;
use crate::names;
use crate::store::{Account, AccountPage};

#[derive(Deserialize, IntoParams)]
pub(crate) struct Page {
    /// Names after this one.
    #[serde(default)]
    after: String,
    /// At most so many, 1 to 1000.
    #[serde(default = "hundred")]
    limit: i64,
}

fn hundred() -> i64 {
    100
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    username: String,
    #[schema(format = Password)]
    password: String,
    /// Packages by name.
    #[serde(default)]
    packages: Vec<String>,
}

/// What is to be changed; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// Ends all sessions.
    #[serde(default)]
    #[schema(format = Password)]
    password: Option<String>,
    /// Ends all sessions if true.
    #[serde(default)]
    disabled: Option<bool>,
    /// These instead of those there are.
    #[serde(default)]
    packages: Option<Vec<String>>,
}

/// Lists users by name.
#[utoipa::path(
    get, path = "/v1/admin/users", tag = "administration", params(Page), security(("administrator" = [])),
    responses((status = 200, body = AccountPage), (status = 401, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Question(Page { after, limit }): Question<Page>,
) -> Result<Json<AccountPage>, Problem> {
    Ok(Json(app.store()?.accounts(&after, limit).await?))
}

/// Adds a user.
#[utoipa::path(
    post, path = "/v1/admin/users", tag = "administration", request_body = NewUser, security(("administrator" = [])),
    responses(
        (status = 201, body = Account), (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no such package", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Account>), Problem> {
    names::username(&new.username)?;
    names::password(&new.password)?;
    let hash = app.hasher.hash(&new.password).await?;
    let store = app.store()?;
    store.add_account(&new.username, &hash, &new.packages, app.clock.seconds()).await?;
    let account = store.account(&new.username).await?;
    app.note("user added", &account.username).await;
    Ok((StatusCode::CREATED, Json(account)))
}

/// One user.
#[utoipa::path(
    get, path = "/v1/admin/users/{username}", tag = "administration", params(("username" = String, Path)), security(("administrator" = [])),
    responses((status = 200, body = Account), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    Name(username): Name,
) -> Result<Json<Account>, Problem> {
    Ok(Json(app.store()?.account(&username).await?))
}

/// Changes a user's password, packages, or whether it may sign in.
#[utoipa::path(
    patch, path = "/v1/admin/users/{username}", tag = "administration", params(("username" = String, Path)),
    request_body = UserChange, security(("administrator" = [])),
    responses(
        (status = 200, body = Account), (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"), (status = 422, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Name(username): Name,
    Body(change): Body<UserChange>,
) -> Result<Json<Account>, Problem> {
    let (store, now) = (app.store()?, app.clock.seconds());
    // What may be refused comes before what changes something.
    let hash = match &change.password {
        Some(password) => {
            names::password(password)?;
            Some(app.hasher.hash(password).await?)
        }
        None => None,
    };
    if let Some(packages) = &change.packages {
        store.set_account_packages(&username, packages).await?;
    }
    if let Some(hash) = &hash {
        store.set_password(&username, hash, now).await?;
    }
    if let Some(disabled) = change.disabled {
        store.set_disabled(&username, disabled, now).await?;
    }
    app.changed().await;
    let account = store.account(&username).await?;
    for (changed, act) in [
        (change.packages.is_some(), "user's packages set"),
        (change.password.is_some(), "user's password set"),
        (change.disabled == Some(true), "user disabled"),
        (change.disabled == Some(false), "user enabled"),
    ] {
        if changed {
            app.note(act, &account.username).await;
        }
    }
    Ok(Json(account))
}

/// Removes a user with all that is kept of it.
#[utoipa::path(
    delete, path = "/v1/admin/users/{username}", tag = "administration", params(("username" = String, Path)), security(("administrator" = [])),
    responses((status = 204), (status = 401, body = ProblemBody, content_type = "application/problem+json"), (status = 404, body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Name(username): Name,
) -> Result<StatusCode, Problem> {
    let store = app.store()?;
    store.remove_account(&username, app.clock.seconds()).await?;
    app.changed().await;
    app.note("user removed", &username).await;
    Ok(StatusCode::NO_CONTENT)
}
