//! A rendezvous, nodes that speak to it, and patience with limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use link::protocol::{
    self, ChannelInfo, EpochKey, Event, Parameters, Publication, Refusal, Request,
};
use link::{Connection, Endpoint, Purpose};
use quinn::{RecvStream, SendStream};
use rendezvous::{Config, Server};
use segment::{ChannelKey, SwarmId};
use service::Stop;
use swarm::PeerHint;
use ticket::{Identity, PeerId, Role, UserTicket};
use tokio::time::timeout;

use crate::auth::{Auth, CREDENTIAL};

/// Far more than anything here takes; only a test that fails waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ADMIN: &str = "the operator's token";

pub(crate) struct Stage {
    pub(crate) auth: Auth,
    pub(crate) http: reqwest::Client,
    pub(crate) config: Config,
    running: Option<Running>,
    _folder: tempfile::TempDir,
}

struct Running {
    server: Server,
    stop: Stop,
}

impl Stage {
    /// Auth and a rendezvous that is ready.
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut stage = Self::dark(change).await;
        stage.start().await;
        stage.ready().await;
        stage
    }

    /// Auth alone.
    pub(crate) async fn dark(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Auth::start().await, change)
    }

    /// A rendezvous that was not started.
    fn at(auth: Auth, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(service::config::Secret::File(path))
        };
        let mut config = Config {
            identity: folder.path().join("identity"),
            state: folder.path().join("state"),
            admin_token: secret("admin", ADMIN),
            ..Config::default()
        };
        config.http.listen = SocketAddr::new(auth.addr.ip(), 0);
        config.quic.listen = config.http.listen;
        config.auth.url = format!("http://{}/", auth.addr).parse().unwrap();
        config.auth.credential = secret("credential", CREDENTIAL);
        if let Some(redis) = crate::redis::chosen() {
            config.shared.redis = Some(redis);
            // Platforms of tests stand side by side.
            config.shared.prefix = format!("test-{}", auth.addr.ip());
            config.shared.secret = secret("shared", "what the servers have in common");
        }
        change(&mut config);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { auth, http, config, running: None, _folder: folder }
    }

    /// Another rendezvous of the same platform, ready.
    pub(crate) async fn beside(&self) -> Self {
        let shared = self.config.shared.clone();
        let mut stage = Self::at(self.auth.same(), |config| config.shared = shared);
        stage.start().await;
        stage.ready().await;
        stage
    }

    /// Starts the rendezvous; again on the same addresses if it ran before.
    pub(crate) async fn start(&mut self) {
        let again = async {
            loop {
                let stop = Stop::new();
                match Server::start(&self.config, stop.clone()).await {
                    Ok(server) => break (server, stop),
                    // QUIC's driver may hold the socket a moment longer than the server lives.
                    Err(error) if format!("{error:#}").contains("in use") => stop.request(),
                    Err(error) => panic!("{error:#}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (server, stop) = timeout(PATIENCE, again).await.unwrap();
        self.config.http.listen = server.http;
        self.config.quic.listen = server.quic;
        self.running = Some(Running { server, stop });
    }

    pub(crate) async fn stop(&mut self) {
        let Running { server, stop } = self.running.take().unwrap();
        stop.request();
        timeout(PATIENCE, server.ended()).await.unwrap();
    }

    pub(crate) fn server(&self) -> &Server {
        &self.running.as_ref().unwrap().server
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.get_as(path, None).await
    }

    pub(crate) async fn get_as(&self, path: &str, token: Option<&str>) -> (u16, serde_json::Value) {
        let mut request = self.http.get(format!("http://{}{path}", self.server().http));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap_or_default())
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.server().http);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn ready(&self) {
        until(async || self.get("/readyz").await.0 == 200).await;
    }

    /// A node that signed in at auth and comes in at rendezvous.
    pub(crate) async fn node(&self, role: Role, channels: &[&str]) -> Guest {
        let identity = Identity::generate();
        let ticket = self.auth.user(identity.id(), role, channels);
        self.come(identity, &ticket).await.unwrap()
    }

    /// A node with this ticket comes in, or is refused.
    pub(crate) async fn come(
        &self,
        identity: Identity,
        ticket: &UserTicket,
    ) -> Result<Guest, (Refusal, String)> {
        let token = self.auth.sign(ticket);
        self.come_with(Arc::new(identity), token).await
    }

    pub(crate) async fn come_with(
        &self,
        identity: Arc<Identity>,
        token: String,
    ) -> Result<Guest, (Refusal, String)> {
        self.say(identity, hello(token)).await
    }

    /// A node whose first frame is this one.
    pub(crate) async fn say(
        &self,
        identity: Arc<Identity>,
        first: Request,
    ) -> Result<Guest, (Refusal, String)> {
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let endpoint = Endpoint::bind(local, identity.clone(), &[]).unwrap();
        let (quic, id) = (self.server().quic, self.server().id);
        let connection = endpoint.connect(quic, id, Purpose::Rendezvous).await.unwrap();
        let (mut send, recv) = connection.quic.open_bi().await.unwrap();
        protocol::write(&mut send, &first).await.unwrap();
        let mut guest = Guest { identity, endpoint, connection, send, recv, welcome: None };
        match guest.next().await {
            Some(Event::Refused { refusal, reason }) => Err((refusal, reason)),
            Some(event @ Event::Welcome { .. }) => {
                guest.welcome = Some(event);
                Ok(guest)
            }
            other => panic!("neither welcome nor refused: {other:?}"),
        }
    }
}

pub(crate) fn hello(ticket: String) -> Request {
    let version = protocol::VERSION;
    Request::Hello { version, ticket, advertise: Vec::new(), software: "test 1".into() }
}

/// Waits until it is so.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    let look = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("it does not come to be");
}

/// A node's side of a session.
pub(crate) struct Guest {
    pub(crate) identity: Arc<Identity>,
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    send: SendStream,
    recv: RecvStream,
    welcome: Option<Event>,
}

impl Guest {
    pub(crate) fn id(&self) -> PeerId {
        self.identity.id()
    }

    pub(crate) fn welcome(&self) -> &Event {
        self.welcome.as_ref().unwrap()
    }

    pub(crate) async fn tell(&mut self, request: Request) {
        protocol::write(&mut self.send, &request).await.unwrap();
    }

    /// Bytes that need not be a frame.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.unwrap();
    }

    /// The next event; `None` once the session has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let event = timeout(PATIENCE, protocol::read::<Event>(&mut self.recv)).await;
        event.expect("nothing comes").ok()
    }

    /// The first event to come that is meant; others are passed over.
    pub(crate) async fn find<T>(&mut self, mut meant: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.next().await.expect("the session has ended");
            if let Some(found) = meant(event) {
                return found;
            }
        }
    }

    /// Everything until the session ends.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    pub(crate) async fn join(&mut self, channel: &str) -> Result<Joined, (Refusal, String)> {
        self.tell(Request::Join { channel: channel.into(), rendition: None }).await;
        self.answered().await
    }

    pub(crate) async fn publish(&mut self, what: Publication) -> Result<Joined, (Refusal, String)> {
        self.tell(Request::Publish(what)).await;
        self.answered().await
    }

    async fn answered(&mut self) -> Result<Joined, (Refusal, String)> {
        self.find(|event| match event {
            Event::Channel { parameters, keys, peers } => Some(Ok((parameters, keys, peers))),
            Event::NoChannel { refusal, reason, .. } => Some(Err((refusal, reason))),
            _ => None,
        })
        .await
    }

    /// A line-up that is like this.
    pub(crate) async fn line_up(&mut self, like: impl Fn(&[ChannelInfo]) -> bool) {
        self.find(|event| match event {
            Event::LineUp(line_up) if like(&line_up) => Some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until everything told before was worked on.
    pub(crate) async fn in_step(&mut self) {
        let token = own_number(self.id());
        self.tell(Request::Clock { sent: token }).await;
        self.find(|event| match event {
            Event::Clock { sent, .. } if sent == token => Some(()),
            _ => None,
        })
        .await;
    }

    /// The connection breaks without a word.
    pub(crate) fn vanish(self) {
        self.connection.quic.close(quinn::VarInt::from_u32(9), b"");
    }
}

/// Only has to be unlike what a test uses itself.
fn own_number(id: PeerId) -> u64 {
    u64::from(id.short().0) | 1 << 40
}

pub(crate) type Joined = (Parameters, Vec<EpochKey>, Vec<PeerHint>);

/// What a headend publishes whose channel has this secret.
pub(crate) fn publication(channel: &str, secret: u8, epoch: u32) -> Publication {
    Publication {
        name: format!("Channel {channel}"),
        parameters: Parameters {
            channel: channel.into(),
            rendition: "main".into(),
            key: [secret; 32],
            n: 12,
            k: 8,
            essential_k: Some(4),
            segment_ms: 250,
            delay_ms: 2000,
            bitrate: 4_000_000,
        },
        epoch_segments: 4800,
        keys: keys(secret, epoch),
    }
}

pub(crate) fn keys(secret: u8, epoch: u32) -> Vec<EpochKey> {
    [epoch, epoch + 1].map(|epoch| EpochKey { epoch, key: [secret ^ 0x55; 32] }).to_vec()
}

pub(crate) fn swarm_of(secret: u8) -> SwarmId {
    SwarmId::new(&ChannelKey([secret; 32]), "main")
}
