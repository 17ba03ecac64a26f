//! Auth as rendezvous sees it: sign-in, key set, revocations.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use service::Stop;
use ticket::{
    Confirmation, Identity, Issuer, KeyPurpose, KeySet, Location, PeerId, PublishedKey, Role,
    UserTicket,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const PLATFORM: &str = "test-tv";
pub(crate) const CREDENTIAL: &str = "the credential of the rendezvous";

pub(crate) struct Auth {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(Stop, JoinHandle<()>)>,
}

struct Shared {
    keys: Mutex<Vec<(String, Arc<Identity>)>>,
    listed: Mutex<Vec<PeerId>>,
    signed_in: Mutex<Vec<Value>>,
    revoked: watch::Sender<Vec<(String, String)>>,
}

impl Auth {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            keys: Mutex::new(vec![("first".into(), Arc::new(Identity::generate()))]),
            listed: Mutex::default(),
            signed_in: Mutex::default(),
            revoked: watch::Sender::new(Vec::new()),
        });
        let addr = SocketAddr::new(own_ip(), 0);
        let mut auth = Self { addr, shared, running: None };
        auth.up().await;
        auth
    }

    /// The same, for another rendezvous; it cannot be taken down there.
    pub(crate) fn same(&self) -> Self {
        Self { addr: self.addr, shared: self.shared.clone(), running: None }
    }

    /// Serves; after [`Auth::down`] on the same address as before.
    pub(crate) async fn up(&mut self) {
        let router = Router::new()
            .route("/.well-known/braidcast", get(directory))
            .route("/v1/nodes/sessions", post(sign_in))
            .route("/v1/jwks.json", get(key_set))
            .route("/v1/revocations", get(revocations))
            .with_state(self.shared.clone());
        let stop = Stop::new();
        let (addr, task) = service::serve(self.addr, router, stop.clone()).await.unwrap();
        self.addr = addr;
        self.running = Some((stop, task));
    }

    /// Nobody answers any more.
    pub(crate) async fn down(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.request();
        // Long polls would hold it up for their time.
        task.abort();
        let _ = task.await;
    }

    pub(crate) fn user(&self, device: PeerId, role: Role, channels: &[&str]) -> UserTicket {
        user(device, role, channels)
    }

    pub(crate) fn sign(&self, ticket: &UserTicket) -> String {
        self.shared.sign(ticket)
    }
    /// From now on a new key signs; nobody is told.
    pub(crate) fn rotate(&self) {
        let mut keys = self.shared.keys.lock().unwrap();
        let kid = format!("key {}", keys.len());
        keys.push((kid, Arc::new(Identity::generate())));
    }

    pub(crate) fn revoke(&self, session: &str, reason: &str) {
        self.shared.revoked.send_modify(|all| all.push((session.into(), reason.into())));
    }

    /// What rendezvous servers said when they signed in.
    pub(crate) fn signed_in(&self) -> Vec<Value> {
        self.shared.signed_in.lock().unwrap().clone()
    }
}

/// A loopback address of this test alone, so that nobody takes a port while what had it restarts.
pub(crate) fn own_ip() -> IpAddr {
    static TESTS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::from([127, 64 + high % 128, low, TESTS.fetch_add(1, Ordering::Relaxed)])
}

impl Shared {
    fn sign(&self, ticket: &UserTicket) -> String {
        let keys = self.keys.lock().unwrap();
        let (kid, identity) = keys.last().unwrap();
        Issuer::new(kid.clone(), identity).user(ticket)
    }
}

fn user(device: PeerId, role: Role, channels: &[&str]) -> UserTicket {
    let now = now();
    UserTicket {
        iss: "http://auth".into(),
        aud: PLATFORM.into(),
        sub: format!("account of {device}"),
        jti: format!("session of {device}"),
        iat: now,
        exp: now + 600,
        cnf: Confirmation::new(device),
        role,
        channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        loc: Location { subset: Some(7), asn: Some(64500), country: "CH".parse().ok() },
    }
}

pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), (StatusCode, Json<Value>)> {
    let device: PeerId = body["device_key"].as_str().unwrap().parse().unwrap();
    let role = match body["credential"].as_str().unwrap() {
        CREDENTIAL => None,
        "headend" => Some(Role::Headend),
        "repeater" => Some(Role::Repeater),
        "viewer" => Some(Role::Viewer),
        _ => {
            let problem = json!({"title": "no", "detail": "no node has this credential"});
            return Err((StatusCode::UNAUTHORIZED, Json(problem)));
        }
    };
    let ticket = match role {
        Some(role) => shared.sign(&user(device, role, &["*"])),
        None => {
            shared.signed_in.lock().unwrap().push(body);
            let mut listed = shared.listed.lock().unwrap();
            if !listed.contains(&device) {
                listed.push(device);
            }
            "the ticket of the rendezvous".into()
        }
    };
    let answer = json!({
        "ticket": ticket,
        "expires_at": now() + 600,
        "location": {"subset": null, "asn": null, "country": null},
        "platform": PLATFORM,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn directory(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let listed = shared.signed_in.lock().unwrap();
    let rendezvous: Vec<Value> = listed
        .iter()
        .rev()
        .take(1)
        .map(|body| {
            let Value::Object(mut server) = body["advertise"].clone() else { unreachable!() };
            server.insert("peer_id".into(), body["device_key"].clone());
            Value::Object(server)
        })
        .collect();
    Json(json!({
        "platform": PLATFORM, "auth": "http://auth", "rendezvous": rendezvous,
        "time": now() * 1_000_000,
    }))
}

async fn key_set(State(shared): State<Arc<Shared>>) -> String {
    let mut keys: Vec<PublishedKey> = shared
        .keys
        .lock()
        .unwrap()
        .iter()
        .map(|(kid, identity)| PublishedKey {
            kid: kid.clone(),
            key: identity.id(),
            purpose: KeyPurpose::UserTicket,
        })
        .collect();
    keys.extend(shared.listed.lock().unwrap().iter().map(|id| PublishedKey {
        kid: id.to_string(),
        key: *id,
        purpose: KeyPurpose::ChannelTicket,
    }));
    KeySet::new(keys).to_json()
}

#[derive(serde::Deserialize)]
struct Poll {
    after: usize,
    wait: u64,
}

async fn revocations(
    State(shared): State<Arc<Shared>>,
    Query(Poll { after, wait }): Query<Poll>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    if headers.get("authorization").is_none_or(|v| v != "Bearer the ticket of the rendezvous") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut changes = shared.revoked.subscribe();
    let more = changes.wait_for(|all| all.len() > after);
    let _ = tokio::time::timeout(Duration::from_secs(wait), more).await;
    let all = shared.revoked.borrow().clone();
    let revoked: Vec<Value> = all
        .iter()
        .enumerate()
        .skip(after)
        .map(|(i, (session, reason))| json!({"seq": i + 1, "session": session, "reason": reason}))
        .collect();
    Ok(Json(json!({"next": all.len(), "revoked": revoked})))
}
