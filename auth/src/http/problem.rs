//! Errors as replies: `application/problem+json` (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::hasher::Busy;
use crate::limits::TooMany;
use crate::store;

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<u64>,
}

/// The body of such a reply.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemBody<'a> {
    /// `urn:braidcast:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:braidcast:problem:wrong-credentials")]
    kind: String,
    /// The same for every problem of this type.
    #[schema(example = "wrong user or password")]
    title: &'a str,
    /// The status of the reply.
    #[schema(example = 401)]
    status: u16,
    /// More about this one, fit to be shown.
    detail: &'a str,
    /// A word for programs to decide by.
    #[schema(example = "wrong-credentials")]
    code: &'a str,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, detail: title.to_owned(), retry_after: None }
    }

    fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The request cannot be understood.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "the request is malformed").because(detail)
    }

    /// The body is larger than it may be.
    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large")
    }

    /// The request did not come to its end.
    pub(crate) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request took too long to come")
    }

    /// Wrong user or password; which one is not said.
    pub(crate) fn wrong_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "wrong user or password")
    }

    /// No node has this credential.
    pub(crate) fn wrong_credential() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong-credential", "no node has this credential")
    }

    /// The account was disabled.
    pub(crate) fn account_disabled() -> Self {
        Self::new(StatusCode::FORBIDDEN, "account-disabled", "the account is disabled")
    }

    /// The node was revoked.
    pub(crate) fn node_revoked() -> Self {
        Self::new(StatusCode::FORBIDDEN, "node-revoked", "the node was revoked")
    }

    /// The session is over; one has to sign in again.
    pub(crate) fn session_ended(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "session-ended", "the session has ended")
            .because(reason)
    }

    /// Not a refresh token of this platform.
    pub(crate) fn unknown_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unknown-token", "the refresh token is not known")
    }

    /// The refresh token belongs to another device.
    pub(crate) fn other_device() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "other-device",
            "the refresh token belongs to another device",
        )
    }

    /// No ticket, or one that does not do.
    pub(crate) fn bad_ticket(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad-ticket", "a valid ticket is needed")
            .because(detail)
    }

    /// The ticket is good, but not for this.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "this is not allowed").because(detail)
    }

    /// Not the administrator.
    pub(crate) fn not_administrator() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not-administrator",
            "the administrator's token is needed",
        )
    }

    /// There is no such address.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here")
    }

    /// The address does not do that.
    pub(crate) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "this cannot be done here")
    }

    /// Something is away that will come back.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not possible just now")
                .because(detail);
        problem.retry_after = Some(2);
        problem
    }

    /// A fault of this program; the log has more.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this failed")
    }

    /// The word for metrics and programs.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }
}

impl From<TooMany> for Problem {
    fn from(TooMany(wait): TooMany) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "too many attempts")
                .because(format!("too many wrong attempts; try again in {seconds} s"));
        problem.retry_after = Some(seconds);
        problem
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::unavailable(busy.to_string())
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(why) => {
                tracing::debug!(%why, "a request found the database away");
                Self::unavailable("the database cannot be reached")
            }
            store::Error::Exists(_) => {
                Self::new(StatusCode::CONFLICT, "exists", "it exists already")
                    .because(error.to_string())
            }
            store::Error::Missing(_) => {
                Self::new(StatusCode::NOT_FOUND, "missing", "it does not exist")
                    .because(error.to_string())
            }
            store::Error::Invalid(what) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "that is not possible")
                    .because(what)
            }
            store::Error::Migration(_) | store::Error::Refused(_) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(error, "the database refused a statement");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:braidcast:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer realm=\"braidcast\""),
            );
        }
        response
    }
}
