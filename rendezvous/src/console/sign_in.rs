//! Signing in and out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use reqwest::Method;
use serde::Deserialize;
use service::config::SecretText;
use tokio::time::Instant;

use super::{Console, Flash, Shared};
use crate::account::Error;

/// Who is signed in is so for this long at most.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The most who are signed in at one time; one more ends the oldest.
const MOST: usize = 100;
const COOKIE: &str = "braidcast";

/// Who is signed in, by the random text in the cookie.
pub(super) type Table = HashMap<String, Entry>;

pub(super) struct Entry {
    signed: Signed,
    since: Instant,
    flash: Option<Flash>,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(super) struct Signed {
    key: String,
    token: SecretText,
}

#[derive(Deserialize)]
pub(super) struct Shown {
    token: String,
}

pub(super) async fn sign_in(
    State(console): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(Shown { token }): Form<Shown>,
) -> Response {
    if foreign(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let now = console.hub.now();
    let fits =
        console.attempts.lock().unwrap_or_else(PoisonError::into_inner).admit(now, from.ip());
    if !fits {
        let page = console.ask(Some("too many attempts; wait a little"));
        return (StatusCode::TOO_MANY_REQUESTS, page).into_response();
    }
    let own = console.token.as_ref().is_some_and(|own| {
        let (own, shown) = (own.expose().as_bytes(), token.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(own, shown).is_ok()
    });
    let refused = match console.auth.administer(&token, Method::GET, "keys", None).await {
        Ok(_) => None,
        // What rendezvous itself shows can be seen with its own token.
        Err(_) if own => None,
        Err(Error::Refused { status: 401, .. }) => {
            Some("this is not the administrator's token".into())
        }
        Err(error) => Some(error.to_string()),
    };
    if let Some(refused) = refused {
        return (StatusCode::UNAUTHORIZED, console.ask(Some(&refused))).into_response();
    }
    let mut random = [0; 32];
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let secure = if console.secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={key}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}",
        LIFE.as_secs()
    );
    {
        let mut table = console.table();
        table.retain(|_, entry| entry.since.elapsed() < LIFE);
        if table.len() >= MOST
            && let Some(oldest) = table.iter().min_by_key(|(_, entry)| entry.since)
        {
            let oldest = oldest.0.clone();
            table.remove(&oldest);
        }
        let signed = Signed { key: key.clone(), token: token.into() };
        table.insert(key, Entry { signed, since: Instant::now(), flash: None });
    }
    tracing::info!("an administrator has signed in to the console");
    let mut reply = Redirect::to("/").into_response();
    // A text of letters, digits and signs that headers may hold.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    reply
}

pub(super) async fn sign_out(State(console): Shared, headers: HeaderMap) -> Response {
    if let Some(key) = key(&headers)
        && !foreign(&headers)
    {
        console.table().remove(key);
    }
    let mut reply = Redirect::to("/").into_response();
    let over = HeaderValue::from_static("braidcast=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    reply.headers_mut().insert(header::SET_COOKIE, over);
    reply
}

fn key(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let ours = |cookie: &str| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=').map(str::len);
    let cookie = cookies.split(';').find(|cookie| ours(cookie).is_some())?;
    cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=')
}

/// Whether a form was sent by a page of another site.
fn foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    origin.split_once("://").is_none_or(|(_, from)| from != host)
}

impl Console {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is signed in, and what their last act led to.
    pub(super) fn signed(&self, headers: &HeaderMap) -> Option<(Signed, Option<Flash>)> {
        let mut table = self.table();
        let entry = table.get_mut(key(headers)?).filter(|entry| entry.since.elapsed() < LIFE)?;
        Some((entry.signed.clone(), entry.flash.take()))
    }

    /// Somebody who is signed in does something at auth, from a page of the console; then `back`.
    pub(super) async fn act(
        &self,
        headers: &HeaderMap,
        back: &str,
        calls: Vec<(Method, String, Option<serde_json::Value>)>,
        done: impl FnOnce(Vec<serde_json::Value>) -> String,
    ) -> Response {
        let Some((signed, _)) = self.signed(headers) else {
            return self.ask(None).into_response();
        };
        if foreign(headers) {
            return StatusCode::FORBIDDEN.into_response();
        }
        let mut answers = Vec::new();
        let mut failed = None;
        for (method, path, body) in calls {
            match self.auth.administer(signed.token.expose(), method, &path, body).await {
                Ok(answer) => answers.push(answer),
                Err(Error::Refused { reason, .. }) => {
                    failed = Some(reason);
                    break;
                }
                Err(error) => {
                    failed = Some(error.to_string());
                    break;
                }
            }
        }
        let flash = failed.map_or_else(|| Flash::Done(done(answers)), Flash::Failed);
        if let Some(entry) = self.table().get_mut(&signed.key) {
            entry.flash = Some(flash);
        }
        Redirect::to(back).into_response()
    }

    /// Somebody who is signed in does something here, from a page of the console; then `back`. Auth is asked first: it
    /// notes the act, and with that says whether they may.
    pub(super) async fn act_here(
        &self,
        headers: &HeaderMap,
        back: &str,
        (act, subject): (&str, &str),
        done: impl AsyncFnOnce() -> Result<String, String>,
    ) -> Response {
        let Some((signed, _)) = self.signed(headers) else {
            return self.ask(None).into_response();
        };
        if foreign(headers) {
            return StatusCode::FORBIDDEN.into_response();
        }
        let note = serde_json::json!({"act": act, "subject": subject});
        let noted =
            self.auth.administer(signed.token.expose(), Method::POST, "audit", Some(note)).await;
        let outcome = match noted {
            Ok(_) => done().await,
            Err(Error::Refused { reason, .. }) => Err(reason),
            Err(error) => Err(error.to_string()),
        };
        if let Some(entry) = self.table().get_mut(&signed.key) {
            entry.flash = Some(outcome.map_or_else(Flash::Failed, Flash::Done));
        }
        Redirect::to(back).into_response()
    }

    /// What auth says of something; why it does not, if it does not.
    pub(super) async fn ask_auth(
        &self,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<serde_json::Value, String> {
        let token = {
            let table = self.table();
            let entry = key(headers).and_then(|key| table.get(key));
            entry.map(|entry| entry.signed.token.clone()).ok_or("not signed in")?
        };
        let asked = self.auth.administer(token.expose(), Method::GET, path, None).await;
        asked.map_err(|error| error.to_string())
    }
}
