//! A node's session with a platform that a test plays: auth over HTTP, rendezvous over QUIC.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{CHANNEL, Channel, PATIENCE, PLATFORM, Platform, micros, until};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use link::protocol::{
    self, ChannelInfo, EpochKey, Event, Parameters, Publication, Refusal, Request,
};
use link::{
    Endpoint, Login, Node, NodeConfig, Part, Purpose, Session, SessionConfig, SessionError,
};
use serde_json::{Value, json};
use ticket::{ChannelTicket, Confirmation, Identity, Issuer, Location, PeerId, Role};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

/// What auth is asked, and what it knows.
struct Books {
    rendezvous: Mutex<Option<(PeerId, SocketAddr)>>,
    away: AtomicBool,
    /// Seconds that a user ticket lives.
    life: AtomicU32,
    calls: Mutex<Vec<(String, Value)>>,
}

impl Books {
    fn note(&self, call: &str, body: Value) {
        self.calls.lock().unwrap().push((call.into(), body));
    }

    fn calls(&self, name: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(call, _)| call == name).map(|(_, body)| body.clone()).collect()
    }

    fn grant(&self, serial: usize) -> Value {
        json!({
            "ticket": format!("user-ticket-{serial}"),
            "refresh_token": format!("refresh-{serial}"),
            "expires_at": micros() / 1_000_000 + u64::from(self.life.load(Ordering::Relaxed)),
            "location": { "subset": 1, "asn": 64500, "country": "CH" },
            "platform": PLATFORM,
        })
    }
}

type Answer = (StatusCode, Json<Value>);

fn problem(status: StatusCode, code: &str, detail: &str) -> Answer {
    (status, Json(json!({ "title": code, "detail": detail, "code": code })))
}

async fn well_known(State(books): State<Arc<Books>>) -> Answer {
    if books.away.load(Ordering::Relaxed) {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "away");
    }
    let servers: Vec<Value> = books
        .rendezvous
        .lock()
        .unwrap()
        .iter()
        .map(|(peer, addr)| json!({ "peer_id": peer, "quic": [addr], "http": null }))
        .collect();
    let body = json!({ "platform": PLATFORM, "auth": "http://x", "rendezvous": servers });
    (StatusCode::OK, Json(body))
}

async fn sign_in(State(books): State<Arc<Books>>, Json(body): Json<Value>) -> Answer {
    let right = body["username"] == "ann" && body["password"] == "secret";
    let many = body["username"] == "many";
    books.note("sign in", body);
    match (right, many) {
        (true, _) => (StatusCode::CREATED, Json(books.grant(1))),
        (_, true) => problem(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", "wait"),
        _ => problem(StatusCode::UNAUTHORIZED, "wrong-credentials", "wrong user or password"),
    }
}

async fn refresh(State(books): State<Arc<Books>>, Json(body): Json<Value>) -> Answer {
    if books.away.load(Ordering::Relaxed) {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "away");
    }
    let known = body["refresh_token"].as_str().is_some_and(|token| token.starts_with("refresh-"));
    books.note("refresh", body);
    if known {
        let serial = books.calls("refresh").len() + 1;
        (StatusCode::OK, Json(books.grant(serial)))
    } else {
        problem(StatusCode::UNAUTHORIZED, "unknown-token", "the refresh token is not known")
    }
}

async fn sign_in_node(State(books): State<Arc<Books>>, Json(body): Json<Value>) -> Answer {
    let right = body["credential"] == "good";
    books.note("node", body);
    if right {
        (StatusCode::CREATED, Json(books.grant(1)))
    } else {
        problem(StatusCode::FORBIDDEN, "node-revoked", "the node was revoked")
    }
}

async fn sign_out(State(books): State<Arc<Books>>, headers: axum::http::HeaderMap) -> StatusCode {
    let bearer = headers["authorization"].to_str().unwrap().to_owned();
    books.note("sign out", json!(bearer));
    StatusCode::NO_CONTENT
}

/// Both servers, and what the test holds of them.
struct Stage {
    platform: Arc<Platform>,
    books: Arc<Books>,
    url: Url,
    identity: Arc<Identity>,
    desk: Option<Desk>,
}

/// A rendezvous that writes down what it is asked and says what it is told to.
struct Desk {
    endpoint: Endpoint,
    heard: mpsc::UnboundedReceiver<Request>,
    say: mpsc::UnboundedSender<Event>,
    task: tokio::task::JoinHandle<()>,
}

impl Desk {
    fn open(
        platform: Arc<Platform>,
        identity: Arc<Identity>,
        addr: SocketAddr,
    ) -> std::io::Result<Self> {
        let endpoint = Endpoint::bind(addr, identity, &[Purpose::Rendezvous])?;
        let (tell, heard) = mpsc::unbounded_channel();
        let (say, mut said) = mpsc::unbounded_channel::<Event>();
        let doors = endpoint.clone();
        let task = tokio::spawn(async move {
            while let Some(incoming) = doors.accept().await {
                let Ok(connection) = incoming.establish().await else { continue };
                let Ok((mut send, mut receive)) = connection.quic.accept_bi().await else {
                    continue;
                };
                let peer = connection.peer;
                loop {
                    tokio::select! {
                        request = protocol::read::<Request>(&mut receive) => {
                            let Ok(request) = request else { break };
                            let answer = match &request {
                                Request::Hello { .. } => Some(welcome(&platform, peer)),
                                Request::Renew { .. } => {
                                    Some(Event::Ticket { ticket: grant(&platform, peer) })
                                }
                                Request::Clock { sent } => {
                                    Some(Event::Clock { sent: *sent, received: micros() })
                                }
                                _ => None,
                            };
                            if !matches!(request, Request::Clock { .. }) {
                                let _ = tell.send(request);
                            }
                            if let Some(answer) = answer {
                                protocol::write(&mut send, &answer).await.unwrap();
                            }
                        }
                        Some(event) = said.recv() => {
                            protocol::write(&mut send, &event).await.unwrap();
                        }
                    }
                }
            }
        });
        Ok(Self { endpoint, heard, say, task })
    }

    /// The next request of this kind; others before it are passed over.
    async fn hear<T>(&mut self, pick: impl Fn(&Request) -> Option<T>) -> T {
        let wait = async {
            loop {
                let request = self.heard.recv().await.unwrap();
                if let Some(picked) = pick(&request) {
                    return picked;
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("not asked")
    }

    fn say(&self, event: Event) {
        self.say.send(event).unwrap();
    }
}

fn grant(platform: &Platform, peer: PeerId) -> String {
    let mut claims: ChannelTicket = platform.claims(peer, Role::Viewer);
    claims.loc = Location { subset: Some(7), ..claims.loc };
    platform.sign(&claims)
}

fn welcome(platform: &Platform, peer: PeerId) -> Event {
    Event::Welcome {
        ticket: grant(platform, peer),
        observed: (Ipv4Addr::LOCALHOST, 1).into(),
        key_set: platform.keys().to_json(),
        line_up: vec![info(true)],
        time: micros(),
    }
}

fn info(live: bool) -> ChannelInfo {
    ChannelInfo {
        id: CHANNEL.into(),
        name: "One".into(),
        number: 1,
        logo: None,
        live,
        renditions: vec![("main".into(), 4_000_000)],
    }
}

fn parameters(channel: &Channel) -> Parameters {
    let spec = channel.spec();
    Parameters {
        channel: CHANNEL.into(),
        rendition: "main".into(),
        key: spec.key.0,
        n: spec.coding.n(),
        k: spec.coding.full(),
        essential_k: spec.coding.essential(),
        segment_ms: spec.segment.as_millis() as u16,
        delay_ms: spec.playout_delay.as_millis() as u32,
        bitrate: 4_000_000,
    }
}

fn key(epoch: u32) -> EpochKey {
    EpochKey { epoch, key: [epoch as u8; 32] }
}

impl Stage {
    async fn set() -> Self {
        let books = Arc::new(Books {
            rendezvous: Mutex::default(),
            away: AtomicBool::new(false),
            life: AtomicU32::new(600),
            calls: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/braidcast", get(well_known))
            .route("/v1/sessions", post(sign_in))
            .route("/v1/sessions/refresh", post(refresh))
            .route("/v1/sessions/current", axum::routing::delete(sign_out))
            .route("/v1/nodes/sessions", post(sign_in_node))
            .with_state(books.clone());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let platform = Arc::new(Platform::new());
        let identity = Arc::new(Identity::generate());
        let mut stage = Self { platform, books, url, identity, desk: None };
        stage.open_desk((Ipv4Addr::LOCALHOST, 0).into());
        stage
    }

    fn open_desk(&mut self, addr: SocketAddr) {
        self.try_open_desk(addr).unwrap();
    }

    /// At an address that was closed just now: its socket goes with the last of its connections.
    async fn open_desk_again(&mut self, addr: SocketAddr) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while let Err(error) = self.try_open_desk(addr) {
            assert!(tokio::time::Instant::now() < until, "{addr}: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn try_open_desk(&mut self, addr: SocketAddr) -> std::io::Result<()> {
        let desk = Desk::open(self.platform.clone(), self.identity.clone(), addr)?;
        let addr = desk.endpoint.local_addr();
        *self.books.rendezvous.lock().unwrap() = Some((self.identity.id(), addr));
        self.desk = Some(desk);
        Ok(())
    }

    fn desk(&mut self) -> &mut Desk {
        self.desk.as_mut().unwrap()
    }

    /// Rendezvous goes, and says so or not.
    async fn close_desk(&mut self) -> SocketAddr {
        let desk = self.desk.take().unwrap();
        desk.task.abort();
        let addr = desk.endpoint.local_addr();
        desk.endpoint.close("restart").await;
        addr
    }

    async fn viewer(&self) -> Node {
        let config = NodeConfig {
            identity: Arc::new(Identity::generate()),
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            role: Role::Viewer,
            platform: String::new(),
            max_connections: 20,
            max_egress: None,
            meeting: Default::default(),
            admit: None,
        };
        Node::start(config).await.unwrap()
    }

    fn config(&self, login: Login) -> SessionConfig {
        SessionConfig {
            auth: self.url.clone(),
            bind: Some(Ipv4Addr::LOCALHOST.into()),
            login,
            advertise: Vec::new(),
            software: "test/1".into(),
        }
    }

    async fn start(&self, node: &Node, login: Login) -> Result<Session, SessionError> {
        timeout(PATIENCE, Session::start(node.clone(), self.config(login), false)).await.unwrap()
    }

    async fn ann(&self, node: &Node) -> Session {
        self.start(node, ann()).await.unwrap()
    }
}

fn ann() -> Login {
    Login::User { username: "ann".into(), password: "secret".into() }
}

#[tokio::test]
async fn signing_in_gives_ticket_keys_clock_and_line_up() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let session = stage.ann(&node).await;
    let ticket = stage
        .desk()
        .hear(|request| match request {
            Request::Hello { ticket, software, version: 1, .. } => {
                assert_eq!(software, "test/1");
                Some(ticket.clone())
            }
            _ => None,
        })
        .await;
    assert_eq!(ticket, "user-ticket-1");
    assert_eq!(stage.books.calls("sign in")[0]["device_key"], node.id().to_string());
    assert_eq!(&*node.platform(), PLATFORM);
    let mut state = session.state();
    let ready = state.wait_for(|state| state.rendezvous && !state.line_up.is_empty());
    let ready = timeout(PATIENCE, ready).await.unwrap().unwrap().clone();
    assert_eq!((ready.auth, ready.missing), (true, None));
    assert_eq!(ready.line_up, [info(true)]);
    assert_eq!(session.refresh_token(), Some("refresh-1".into()));
    // Its peers take the ticket that rendezvous gave.
    let peer = stage.platform.puppet();
    let token = stage.platform.token(peer.id(), Role::Viewer);
    peer.dial(&node, token).await.unwrap();
    stage.desk().say(Event::LineUp(vec![info(false)]));
    timeout(PATIENCE, state.wait_for(|state| !state.line_up[0].live)).await.unwrap().unwrap();
    session.sign_out().await;
    assert_eq!(stage.books.calls("sign out"), [json!("Bearer user-ticket-1")]);
}

#[tokio::test]
async fn what_refuses_is_told_in_words() {
    let stage = Stage::set().await;
    let node = stage.viewer().await;
    let user = |name: &str| Login::User { username: name.into(), password: "x".into() };
    let error = stage.start(&node, user("ann")).await.err().unwrap();
    assert_eq!(error.to_string(), "wrong user or password");
    let error = stage.start(&node, user("many")).await.err().unwrap();
    assert_eq!(error, SessionError::TooMany(1));
    let login = Login::Refresh { token: "stale".into() };
    let error = stage.start(&node, login).await.err().unwrap();
    assert_eq!(error.to_string(), "the refresh token is not known");
    let login = Login::Node { credential: "bad".into() };
    let error = stage.start(&node, login).await.err().unwrap();
    assert_eq!(error.to_string(), "credential is not valid: the node was revoked");

    let vacant = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", vacant.local_addr().unwrap());
    drop(vacant);
    let config = SessionConfig { auth: url.parse().unwrap(), ..stage.config(ann()) };
    let error = Session::start(node, config, false).await.err().unwrap();
    assert_eq!(error.to_string(), format!("auth at {url} cannot be reached"));
}

#[tokio::test]
async fn without_a_rendezvous_no_refresh_token_is_used_up() {
    let mut stage = Stage::set().await;
    stage.close_desk().await;
    let node = stage.viewer().await;
    let login = Login::Refresh { token: "refresh-0".into() };
    let error = stage.start(&node, login.clone()).await.err();
    assert_eq!(error, Some(SessionError::RendezvousUnreachable));
    assert!(stage.books.calls("refresh").is_empty());
    stage.open_desk((Ipv4Addr::LOCALHOST, 0).into());
    let session = stage.start(&node, login).await.unwrap();
    assert_eq!(session.refresh_token(), Some("refresh-2".into()));
}

#[tokio::test]
async fn patience_waits_for_auth() {
    let mut stage = Stage::set().await;
    stage.books.away.store(true, Ordering::Relaxed);
    let node = stage.viewer().await;
    let config = stage.config(Login::Node { credential: "good".into() });
    let starting = tokio::spawn(Session::start(node, config, true));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!starting.is_finished());
    stage.books.away.store(false, Ordering::Relaxed);
    let _session = timeout(PATIENCE, starting).await.unwrap().unwrap().unwrap();
    stage.desk().hear(|request| matches!(request, Request::Hello { .. }).then_some(())).await;
}

async fn join(stage: &mut Stage, session: &Session, channel: &Channel) -> link::Joined {
    let parameters = parameters(channel);
    let desk = async {
        let desk = stage.desk();
        desk.hear(|request| matches!(request, Request::Join { .. }).then_some(())).await;
        desk.say(Event::Channel { parameters, keys: vec![key(1), key(2)], peers: vec![] });
    };
    let (joined, ()) = tokio::join!(session.join(CHANNEL, None, Part::default()), desk);
    joined.unwrap()
}

#[tokio::test]
async fn joining_reporting_keys_and_leaving() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let session = stage.ann(&node).await;
    let channel = Channel::new(1);
    let swarm = channel.swarm();
    let mut joined = join(&mut stage, &session, &channel).await;
    assert_eq!((joined.spec.swarm, joined.rendition.as_str()), (swarm, "main"));
    assert_eq!(joined.keys.borrow().iter().map(|k| k.epoch).collect::<Vec<_>>(), [1, 2]);
    let reported = |request: &Request| match request {
        Request::Report(reports) => reports.iter().find(|r| r.swarm == swarm.0).cloned(),
        _ => None,
    };
    let report = stage.desk().hear(reported).await;
    assert_eq!((report.pushed, report.startup_ms), (0, 0));
    // An engine without partners wants some.
    let wants = |request: &Request| {
        matches!(request, Request::FindPeers { swarm: of } if *of == swarm.0).then_some(())
    };
    stage.desk().hear(wants).await;
    stage.desk().say(Event::Keys { swarm: swarm.0, keys: vec![key(2), key(3)] });
    timeout(PATIENCE, joined.keys.wait_for(|keys| keys.len() == 3)).await.unwrap().unwrap();
    drop(joined);
    let left = |request: &Request| {
        matches!(request, Request::Leave { swarm: of } if *of == swarm.0).then_some(())
    };
    stage.desk().hear(left).await;
}

#[tokio::test]
async fn refused_joins_say_why() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let session = stage.ann(&node).await;
    for (refusal, text) in [
        (Refusal::NotEntitled, "channel one is not in your package"),
        (Refusal::NoSuchChannel, "channel one is not on air"),
        (Refusal::Limit, "too many swarms"),
    ] {
        let desk = async {
            let desk = stage.desk();
            desk.hear(|request| matches!(request, Request::Join { .. }).then_some(())).await;
            let (channel, reason) = (CHANNEL.into(), "too many swarms".into());
            desk.say(Event::NoChannel { channel, refusal, reason });
        };
        let (joined, ()) = tokio::join!(session.join(CHANNEL, None, Part::default()), desk);
        assert_eq!(joined.err().unwrap().to_string(), text);
    }
}

#[tokio::test]
async fn a_restarted_rendezvous_is_told_all_again_and_swarms_go_on() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let session = stage.ann(&node).await;
    let channel = Channel::new(2);
    let joined = join(&mut stage, &session, &channel).await;
    let mut state = session.state();
    timeout(PATIENCE, state.wait_for(|state| state.rendezvous)).await.unwrap().unwrap();
    stage.close_desk().await;
    let lost = state.wait_for(|state| !state.rendezvous);
    let lost = timeout(PATIENCE, lost).await.unwrap().unwrap().missing.clone();
    assert_eq!(lost.as_deref(), Some("rendezvous cannot be reached"));
    // While it is away nothing can be joined; what was joined stays.
    let error = session.join("two", None, Part::default()).await.err();
    assert_eq!(error, Some(SessionError::RendezvousUnreachable));
    stage.books.away.store(true, Ordering::Relaxed);
    let both = state.wait_for(|state| !state.auth && !state.rendezvous);
    let both = timeout(PATIENCE, both).await.unwrap().unwrap().missing.clone().unwrap();
    let auth = stage.url.as_str().trim_end_matches('/');
    assert_eq!(both, format!("rendezvous cannot be reached; auth at {auth} cannot be reached"));
    stage.books.away.store(false, Ordering::Relaxed);
    // It comes back elsewhere, which auth tells.
    stage.open_desk((Ipv4Addr::LOCALHOST, 0).into());
    let again = |request: &Request| match request {
        Request::Join { channel, rendition } => Some((channel.clone(), rendition.clone())),
        _ => None,
    };
    let rejoined = stage.desk().hear(again).await;
    assert_eq!(rejoined, (CHANNEL.to_owned(), Some("main".to_owned())));
    let whole = state.wait_for(|state| state.missing.is_none());
    timeout(PATIENCE, whole).await.unwrap().unwrap();
    let keys = vec![key(2), key(3)];
    stage.desk().say(Event::Channel { parameters: parameters(&channel), keys, peers: vec![] });
    let mut keys = joined.keys.clone();
    timeout(PATIENCE, keys.wait_for(|keys| keys.len() == 3)).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_auth_that_comes_back_after_rendezvous_is_told_soon() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let session = stage.ann(&node).await;
    let state = session.state();
    until("both are there", || state.borrow().auth && state.borrow().rendezvous).await;
    stage.books.away.store(true, Ordering::Relaxed);
    let addr = stage.close_desk().await;
    until("both are away", || !state.borrow().auth && !state.borrow().rendezvous).await;
    stage.open_desk_again(addr).await;
    until("rendezvous is back", || state.borrow().rendezvous).await;
    assert!(!state.borrow().auth);
    stage.books.away.store(false, Ordering::Relaxed);
    until("auth is back", || state.borrow().auth).await;
}

#[tokio::test]
async fn user_tickets_are_renewed_at_half_life_and_shown_to_rendezvous() {
    let mut stage = Stage::set().await;
    stage.books.life.store(4, Ordering::Relaxed);
    let node = stage.viewer().await;
    let _session = stage.ann(&node).await;
    let renewed = |request: &Request| match request {
        Request::Renew { ticket } => ticket.clone(),
        _ => None,
    };
    assert_eq!(stage.desk().hear(renewed).await, "user-ticket-2");
    assert_eq!(stage.desk().hear(renewed).await, "user-ticket-3");
    assert_eq!(stage.books.calls("refresh")[1]["refresh_token"], "refresh-2");
}

#[tokio::test]
async fn a_headend_announces_again_when_keys_change_or_rendezvous_comes_back() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let login = Login::Node { credential: "good".into() };
    let session = stage.start(&node, login).await.unwrap();
    let channel = Channel::new(3);
    let publication = Publication {
        name: "One".into(),
        parameters: parameters(&channel),
        epoch_segments: 100,
        keys: vec![key(1), key(2)],
    };
    let (tell, told) = tokio::sync::watch::channel(publication.clone());
    let announced = |request: &Request| match request {
        Request::Publish(publication) => Some(publication.clone()),
        _ => None,
    };
    let desk = async {
        let desk = stage.desk();
        assert_eq!(desk.hear(announced).await, publication);
        let parameters = publication.parameters.clone();
        desk.say(Event::Channel { parameters, keys: vec![], peers: vec![] });
    };
    let (swarm, ()) = tokio::join!(session.publish(told, Part::default()), desk);
    assert_eq!(swarm.as_ref().unwrap().id(), channel.swarm());
    tell.send_modify(|publication| publication.keys = vec![key(2), key(3)]);
    assert_eq!(stage.desk().hear(announced).await.keys, [key(2), key(3)]);
    stage.close_desk().await;
    stage.open_desk((Ipv4Addr::LOCALHOST, 0).into());
    assert_eq!(stage.desk().hear(announced).await.keys, [key(2), key(3)]);
}

#[tokio::test]
async fn revocations_reach_the_node() {
    let mut stage = Stage::set().await;
    let node = stage.viewer().await;
    let _session = stage.ann(&node).await;
    let peer = stage.platform.puppet();
    let claims = stage.platform.claims(peer.id(), Role::Viewer);
    let strings = peer.dial(&node, stage.platform.sign(&claims)).await.unwrap();
    until("it is in", || node.stats().connections == 1).await;
    stage.desk().say(Event::Revoked(vec![claims.jti.clone()]));
    assert_eq!(strings.ended().await, (2, "ticket was revoked".into()));
}

/// The rendezvous key is not the one in its key set: nothing that it signs passes.
#[tokio::test]
async fn a_ticket_of_an_unknown_signer_is_refused_by_peers() {
    let stage = Stage::set().await;
    let node = stage.viewer().await;
    let _session = stage.ann(&node).await;
    let peer = stage.platform.puppet();
    let mut claims = stage.platform.claims(peer.id(), Role::Viewer);
    claims.cnf = Confirmation::new(peer.id());
    let stranger = Identity::generate();
    let token = Issuer::new(stranger.id().to_string(), &stranger).channel(&claims);
    let error = peer.dial(&node, token).await.err().unwrap();
    assert_eq!(error.to_string(), "refused: ticket is signed by an unknown key");
}
