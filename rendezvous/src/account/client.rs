//! Calls to auth.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ticket::{KeySet, PeerId};
use url::Url;

use crate::hub::Revocation;

/// How long a call may take, beside what it is asked to wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, bytes: 1000 revocations are a tenth of it.
const LONGEST: usize = 4 << 20;

/// Why a call has failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers, or the answer broke off.
    #[error("auth at {0} cannot be reached")]
    Unreachable(String),
    /// It answers, and says no.
    #[error("auth refuses: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// For people.
        reason: String,
    },
    /// It answers, but not what was asked.
    #[error("auth at {0} answers what cannot be read")]
    Unreadable(String),
}

/// How others reach this rendezvous.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Advertised {
    /// UDP addresses.
    pub quic: Vec<SocketAddr>,
    /// The HTTP side.
    pub http: String,
}

#[derive(Serialize)]
struct SignIn<'a> {
    credential: &'a str,
    device_key: PeerId,
    advertise: &'a Advertised,
}

/// The answer to a sign-in.
#[derive(Clone, Deserialize)]
pub struct SignedIn {
    /// Opens calls to auth.
    pub ticket: String,
    /// The platform's name.
    pub platform: String,
    /// Auth's clock, microseconds since 1970.
    #[serde(default)]
    pub time: Option<u64>,
}

/// The answer about revocations.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Revoked {
    /// What to ask for next.
    pub next: i64,
    /// Oldest first.
    pub revoked: Vec<Revocation>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

/// Calls auth.
#[derive(Clone)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// A client of auth at `base`, whose requests come from `bind`.
    ///
    /// # Errors
    /// If the system's certificates cannot be used.
    pub fn new(mut base: Url, bind: Option<IpAddr>) -> Result<Self, reqwest::Error> {
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let local = match base.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let mut http = reqwest::Client::builder();
        if local {
            // A proxy of the environment is for others.
            http = http.no_proxy();
        }
        let http = http
            .local_address(bind)
            .connect_timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("braidcast-rendezvous/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { base, http })
    }

    /// Signs in, or renews the session.
    ///
    /// # Errors
    /// If auth is away or refuses.
    pub async fn sign_in(
        &self,
        credential: &str,
        device: PeerId,
        advertise: &Advertised,
    ) -> Result<SignedIn, Error> {
        let request = self
            .http
            .post(self.at("v1/nodes/sessions"))
            .json(&SignIn { credential, device_key: device, advertise })
            .timeout(PATIENCE);
        self.json(&self.call(request).await?)
    }

    /// The key set.
    ///
    /// # Errors
    /// If auth is away or publishes something else.
    pub async fn key_set(&self) -> Result<KeySet, Error> {
        let request = self.http.get(self.at("v1/jwks.json")).timeout(PATIENCE);
        let body = self.call(request).await?;
        let text = std::str::from_utf8(&body).map_err(|_| self.unreadable())?;
        KeySet::from_json(text).map_err(|_| self.unreadable())
    }

    /// What was revoked after number `after`; waits up to `wait` seconds for something.
    ///
    /// # Errors
    /// If auth is away or refuses.
    pub async fn revocations(&self, ticket: &str, after: i64, wait: u64) -> Result<Revoked, Error> {
        let mut url = self.at("v1/revocations");
        url.query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("wait", &wait.to_string());
        let patience = PATIENCE + Duration::from_secs(wait);
        let request = self.http.get(url).bearer_auth(ticket).timeout(patience);
        self.json(&self.call(request).await?)
    }

    /// Something of auth's administration, with the administrator's token; `path` is below
    /// `/v1/admin/` and may have a query. An answer without a body is null.
    ///
    /// # Errors
    /// If auth is away or refuses.
    pub async fn administer(
        &self,
        token: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<serde_json::Value, Error> {
        let url = format!("{}v1/admin/{path}", self.base);
        let mut request = self.http.request(method, url).bearer_auth(token).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = self.call(request).await?;
        if answer.is_empty() { Ok(serde_json::Value::Null) } else { self.json(&answer) }
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Error> {
        let away = |_| Error::Unreachable(self.base.to_string());
        let id = service::request::current().unwrap_or_else(service::request::fresh);
        let request = request.header(service::request::HEADER, id);
        let mut response = request.send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(away)? {
            if body.len() + part.len() > LONGEST {
                return Err(self.unreadable());
            }
            body.extend_from_slice(&part);
        }
        let status = response.status();
        if status.is_success() {
            return Ok(body);
        }
        if status.is_server_error() {
            return Err(Error::Unreachable(self.base.to_string()));
        }
        let problem = serde_json::from_slice::<Problem>(&body).ok();
        let reason = problem
            .map(|Problem { title, detail }| if detail.is_empty() { title } else { detail })
            .filter(|reason| !reason.is_empty())
            .unwrap_or_else(|| status.to_string());
        Err(Error::Refused { status: status.as_u16(), reason: reason.chars().take(200).collect() })
    }

    fn json<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|_| self.unreadable())
    }

    fn unreadable(&self) -> Error {
        Error::Unreadable(self.base.to_string())
    }
}
