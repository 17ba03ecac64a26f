//! A running auth and somebody who talks to it.

use std::time::{Duration, Instant};

use auth::store::Store;
use auth::{Clock, Config, Running, Seed};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service::Stop;
use service::config::Secret;
use ticket::{Identity, KeySet, PeerId, UserTicket};

use crate::database::Database;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const ADMINISTRATOR: &str = "the administrator's token";
pub(crate) const CREDENTIAL: &str = "a credential of the rendezvous";

/// What most tests begin with.
const SEED: &str = r#"
    [[packages]]
    name = "basic"
    channels = ["one", "two"]
    [[users]]
    name = "anna"
    password = "correct horse"
    packages = ["basic"]
    [[nodes]]
    name = "rv"
    role = "rendezvous"
    credential = "a credential of the rendezvous"
    [[nodes]]
    name = "rep"
    role = "repeater"
    credential = "a credential of the repeater"
    channels = ["one"]
    [[prefixes]]
    prefix = "127.0.0.0/24"
    subset = 7
    asn = 64512
    country = "CH"
"#;

/// A running auth with its database.
pub(crate) struct Auth {
    pub(crate) base: String,
    pub(crate) clock: Clock,
    pub(crate) http: reqwest::Client,
    pub(crate) database: Database,
    config: Config,
    stop: Stop,
    running: Option<Running>,
    _folder: tempfile::TempDir,
}

/// A reply: status, `Retry-After`, body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<u64>,
    pub(crate) kind: String,
    pub(crate) body: Value,
}

impl Reply {
    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.body
    }

    /// The code of a problem with this status.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> String {
        assert_eq!(self.kind, "application/problem+json", "{self:?}");
        let body = self.expect(status);
        assert_eq!(body["status"], status);
        body["code"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn seed(text: &str) -> Seed {
    service::config::parse("seed.toml".as_ref(), text).unwrap()
}

pub(crate) async fn open(database: &Database, now: i64) -> Store {
    let store = Store::open(&database.url.parse().unwrap(), None).unwrap();
    store.prepare(now).await.unwrap();
    store
}

impl Auth {
    pub(crate) async fn start(database: Database) -> Self {
        Self::start_with(database, |_| {}).await
    }

    pub(crate) async fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::system();
        let store = open(&database, clock.seconds()).await;
        auth::apply(&store, &seed(SEED), clock.seconds()).await.unwrap();
        store.close().await;
        Self::start_on(database, change).await
    }

    /// An auth that takes the database as it is.
    pub(crate) async fn start_on(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::system();
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, ADMINISTRATOR).unwrap();
        let mut config = Config {
            platform: "tv".into(),
            database: database.url.parse().unwrap(),
            admin_token: Some(Secret::File(token)),
            ..Config::default()
        };
        config.http.listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        let mut auth = Self {
            base: String::new(),
            clock,
            http: reqwest::Client::new(),
            database,
            config,
            stop: Stop::new(),
            running: None,
            _folder: folder,
        };
        auth.run().await;
        auth
    }

    /// Another auth on the same database.
    pub(crate) async fn beside(&self) -> Self {
        let mut auth = Self {
            base: String::new(),
            clock: self.clock.clone(),
            http: self.http.clone(),
            database: Database::at(self.database.url.clone()),
            config: self.config.clone(),
            stop: Stop::new(),
            running: None,
            _folder: tempfile::tempdir().unwrap(),
        };
        auth.run().await;
        auth
    }

    async fn run(&mut self) {
        self.stop = Stop::new();
        let running =
            auth::start(self.config.clone(), self.clock.clone(), self.stop.clone()).await.unwrap();
        self.base = format!("http://{}", running.address());
        self.running = Some(running);
    }

    /// Ends it and starts it again on the same database.
    pub(crate) async fn restart(&mut self) {
        self.stop.request();
        self.running.take().unwrap().ended().await;
        self.run().await;
    }

    /// The database, as the command line would open it: beside the running auth.
    pub(crate) async fn store(&self) -> Store {
        open(&self.database, self.now()).await
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.seconds()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let header =
            |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let kind = header("content-type").unwrap_or_default();
        let retry_after = header("retry-after").map(|seconds| seconds.parse().unwrap());
        let status = reply.status();
        let text = reply.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Reply { status, retry_after, kind, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None, None).await
    }

    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.call(method, &format!("/v1/admin{path}"), Some(ADMINISTRATOR), body).await
    }

    pub(crate) async fn sign_in(&self, user: &str, password: &str, device: PeerId) -> Reply {
        let body = json!({"username": user, "password": password, "device_key": device});
        self.call(Method::POST, "/v1/sessions", None, Some(body)).await
    }

    /// Anna's session on a device.
    pub(crate) async fn anna(&self, device: PeerId) -> Value {
        self.sign_in("anna", PASSWORD, device).await.expect(201)
    }

    pub(crate) async fn refresh(&self, token: &Value) -> Reply {
        let body = json!({"refresh_token": token});
        self.call(Method::POST, "/v1/sessions/refresh", None, Some(body)).await
    }

    pub(crate) async fn node(&self, credential: &str, device: PeerId, quic: &[&str]) -> Reply {
        let body = json!({
            "credential": credential, "device_key": device,
            "advertise": {"quic": quic, "http": "http://127.0.0.1:9"},
        });
        self.call(Method::POST, "/v1/nodes/sessions", None, Some(body)).await
    }

    pub(crate) async fn keys(&self) -> KeySet {
        let text = self.http.get(format!("{}/v1/jwks.json", self.base)).send().await.unwrap();
        KeySet::from_json(&text.text().await.unwrap()).unwrap()
    }

    /// The ticket in a reply, checked with the published keys as any node would.
    pub(crate) async fn check(
        &self,
        reply: &Value,
        device: PeerId,
    ) -> Result<UserTicket, ticket::Error> {
        let now = u64::try_from(self.now()).unwrap();
        UserTicket::check(reply["ticket"].as_str().unwrap(), &self.keys().await, "tv", device, now)
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        self.stop.request();
    }
}

pub(crate) fn device() -> PeerId {
    Identity::generate().id()
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
