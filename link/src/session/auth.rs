//! Calls to auth, over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ticket::PeerId;
use url::Url;

use super::{Login, SessionConfig, SessionError};

/// A call that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, bytes.
const MAX_ANSWER: usize = 512 << 10;

/// Where everything is: `/.well-known/braidcast`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Directory {
    pub(crate) platform: String,
    #[serde(default)]
    pub(crate) rendezvous: Vec<Rendezvous>,
}

/// A rendezvous server.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Rendezvous {
    pub(crate) peer_id: PeerId,
    #[serde(default)]
    quic: Vec<String>,
}

impl Rendezvous {
    /// Where it can be reached. What is no address is passed over: it may be of a newer kind.
    pub(crate) fn addrs(&self) -> Vec<SocketAddr> {
        self.quic.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

/// What a sign-in gives.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Signed {
    pub(crate) ticket: String,
    /// Seconds since 1970, the platform's clock.
    pub(crate) expires_at: u64,
    #[serde(default)]
    refresh_token: Option<String>,
}

/// An error reply (RFC 9457).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
}

/// One node's account at auth.
pub(crate) struct Auth {
    http: reqwest::Client,
    url: Url,
    device: PeerId,
    login: Login,
    advertise: Vec<SocketAddr>,
    /// The next refresh token.
    refresh: Mutex<Option<String>>,
}

impl Auth {
    pub(crate) fn new(config: &SessionConfig, device: PeerId) -> Result<Self, SessionError> {
        let local = config.url_is_local();
        let mut http = reqwest::Client::builder()
            .user_agent(&config.software)
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .local_address(config.bind);
        if local {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| SessionError::Refused(error.to_string()))?;
        let refresh = match &config.login {
            Login::Refresh { token } => Some(token.clone()),
            _ => None,
        };
        Ok(Self {
            http,
            url: config.auth.clone(),
            device,
            login: config.login.clone(),
            advertise: config.advertise.clone(),
            refresh: Mutex::new(refresh),
        })
    }

    pub(crate) fn unreachable(&self) -> SessionError {
        SessionError::AuthUnreachable(self.url.as_str().trim_end_matches('/').to_owned())
    }

    pub(crate) fn refresh_token(&self) -> Option<String> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_refresh_token(&self, token: Option<String>) {
        *self.refresh.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    pub(crate) async fn directory(&self) -> Result<Directory, SessionError> {
        self.call(Method::GET, ".well-known/braidcast", None).await.map_err(|error| match error {
            // Whoever answers so is no auth.
            SessionError::Refused(_) | SessionError::Credential(_) => self.unreachable(),
            error => error,
        })
    }

    /// Signs in, or renews: with the refresh token if there is one.
    pub(crate) async fn sign_in(&self) -> Result<Signed, SessionError> {
        if let Login::Node { credential } = &self.login {
            let body = json!({
                "credential": credential,
                "device_key": self.device,
                "advertise": { "quic": self.advertise },
            });
            return self.call(Method::POST, "v1/nodes/sessions", Some(body)).await;
        }
        let signed = match self.refresh_token() {
            Some(token) => match self.refresh(&token).await {
                // The session ended, but we know the password.
                Err(SessionError::Refused(_)) if matches!(self.login, Login::User { .. }) => {
                    self.set_refresh_token(None);
                    self.with_password().await?
                }
                other => other?,
            },
            None => self.with_password().await?,
        };
        self.set_refresh_token(signed.refresh_token.clone());
        Ok(signed)
    }

    async fn refresh(&self, token: &str) -> Result<Signed, SessionError> {
        let body = json!({ "refresh_token": token, "device_key": self.device });
        self.call(Method::POST, "v1/sessions/refresh", Some(body)).await
    }

    async fn with_password(&self) -> Result<Signed, SessionError> {
        let Login::User { username, password } = &self.login else {
            return Err(SessionError::Refused("sign in again".into()));
        };
        let body = json!({
            "username": username,
            "password": password,
            "device_key": self.device,
        });
        self.call(Method::POST, "v1/sessions", Some(body)).await
    }

    /// Ends the session of this ticket, or, if that has lapsed, of the refresh token. Nodes have none
    /// to end: their credential stays.
    pub(crate) async fn sign_out(&self, ticket: &str) {
        if matches!(self.login, Login::Node { .. }) {
            return;
        }
        let Ok(url) = self.url.join("v1/sessions/current") else { return };
        let by_ticket = self.http.delete(url.clone()).bearer_auth(ticket);
        let by_token = self
            .refresh_token()
            .map(|token| self.http.delete(url).json(&json!({ "refresh_token": token })));
        for call in [Some(by_ticket), by_token].into_iter().flatten() {
            if call.send().await.is_ok_and(|answer| answer.status().is_success()) {
                self.set_refresh_token(None);
                return;
            }
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, SessionError> {
        let unreachable = |error: &dyn std::fmt::Display| {
            tracing::debug!(%error, path, "auth cannot be reached");
            self.unreachable()
        };
        let url = self.url.join(path).map_err(|error| unreachable(&error))?;
        let mut call = self.http.request(method, url);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let mut answer = call.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let retry = answer.headers().get(reqwest::header::RETRY_AFTER);
        let retry = retry.and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(unreachable(&"the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| unreachable(&error));
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        Err(self.refused(status, retry, problem))
    }

    fn refused(&self, status: StatusCode, retry: Option<u64>, problem: Problem) -> SessionError {
        let Problem { title, detail, code } = problem;
        let detail = [detail, title].into_iter().find(|text| !text.is_empty());
        let text = detail.unwrap_or_else(|| format!("auth answers {status}"));
        match (status, code.as_str()) {
            // Something of auth's own is away: it comes back.
            (status, _) if status.is_server_error() => self.unreachable(),
            (StatusCode::TOO_MANY_REQUESTS, _) => SessionError::TooMany(retry.unwrap_or(1)),
            (_, "wrong-credentials") => SessionError::WrongPassword,
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)
                if matches!(self.login, Login::Node { .. }) =>
            {
                SessionError::Credential(text)
            }
            _ => SessionError::Refused(text),
        }
    }
}

impl SessionConfig {
    /// Whether auth is on this machine: no proxy stands between.
    fn url_is_local(&self) -> bool {
        match self.auth.host() {
            Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}
