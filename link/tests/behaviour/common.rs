//! A platform in a box: tickets without auth and rendezvous, a channel without a headend's media,
//! and a peer that says what a test wants it to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use link::protocol::{self, Frame, FrameError};
use link::{Connection, ConnectionError, Endpoint, JoinSpec, Node, NodeConfig, Purpose, Swarm};
use segment::{ChannelSecret, Coding, ContentKey, Cut, Sealer, Shard, SwarmId};
use serde::{Deserialize, Serialize};
use swarm::{PeerHint, Serve};
use ticket::{
    ChannelTicket, Confirmation, Identity, Issuer, KeyPurpose, KeySet, Location, PeerId,
    PublishedKey, Role,
};
use tokio::time::timeout;

pub(crate) const PLATFORM: &str = "tv";
pub(crate) const CHANNEL: &str = "one";
/// T.
pub(crate) const SEGMENT: Duration = Duration::from_millis(100);
/// D.
pub(crate) const DELAY: Duration = Duration::from_millis(1000);
/// For whatever is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// Signs tickets as a rendezvous would.
pub(crate) struct Platform {
    rendezvous: Identity,
}

impl Platform {
    pub(crate) fn new() -> Self {
        Self { rendezvous: Identity::generate() }
    }

    pub(crate) fn keys(&self) -> KeySet {
        let key = self.rendezvous.id();
        let purpose = KeyPurpose::ChannelTicket;
        KeySet::new(vec![PublishedKey { kid: key.to_string(), key, purpose }])
    }

    pub(crate) fn claims(&self, device: PeerId, role: Role) -> ChannelTicket {
        let now = micros() / 1_000_000;
        ChannelTicket {
            iss: self.rendezvous.id(),
            aud: PLATFORM.into(),
            jti: format!("session of {device}"),
            iat: now,
            exp: now + 1800,
            cnf: Confirmation::new(device),
            role,
            channels: vec![CHANNEL.into()],
            loc: Location { subset: Some(1), asn: Some(64500), country: "CH".parse().ok() },
        }
    }

    pub(crate) fn sign(&self, claims: &ChannelTicket) -> String {
        Issuer::new(self.rendezvous.id().to_string(), &self.rendezvous).channel(claims)
    }

    pub(crate) fn token(&self, device: PeerId, role: Role) -> String {
        self.sign(&self.claims(device, role))
    }

    /// A node with ticket and keys, on loopback.
    pub(crate) async fn node(&self, role: Role) -> Node {
        self.small_node(role, 50).await
    }

    /// A node that takes so many connections.
    pub(crate) async fn small_node(&self, role: Role, max_connections: usize) -> Node {
        let node = start(role, max_connections).await;
        node.set_key_set(self.keys());
        let claims = self.claims(node.id(), role);
        node.set_ticket(self.sign(&claims), claims.loc);
        node
    }

    /// A peer that a test plays.
    pub(crate) fn puppet(&self) -> Puppet {
        let identity = Arc::new(Identity::generate());
        let bind = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = Endpoint::bind(bind, identity.clone(), &[Purpose::Peers]).unwrap();
        Puppet { identity, endpoint }
    }
}

pub(crate) async fn start(role: Role, max_connections: usize) -> Node {
    let config = NodeConfig {
        identity: Arc::new(Identity::generate()),
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        role,
        platform: PLATFORM.into(),
        max_connections,
        max_egress: None,
        meeting: Default::default(),
        admit: None,
    };
    Node::start(config).await.unwrap()
}

/// A channel and its source.
pub(crate) struct Channel {
    pub(crate) secret: ChannelSecret,
    sealer: Sealer,
}

impl Channel {
    pub(crate) fn new(seed: u8) -> Self {
        let secret = ChannelSecret::new([seed; 32]);
        let coding = Coding::new(12, 8, None).unwrap();
        let sealer = Sealer::new(secret.clone(), "main", coding, 1_000_000);
        Self { secret, sealer }
    }

    pub(crate) fn swarm(&self) -> SwarmId {
        *self.sealer.swarm()
    }

    pub(crate) fn content_key(&self, epoch: u32) -> ContentKey {
        self.sealer.content_key(epoch)
    }

    pub(crate) fn spec(&self) -> JoinSpec {
        JoinSpec {
            swarm: self.swarm(),
            channel: CHANNEL.into(),
            key: self.secret.channel_key(),
            coding: self.sealer.coding(),
            segment: SEGMENT,
            playout_delay: DELAY,
            uplink: None,
            max_pushed: None,
            serve: Serve::All,
            max_spares: 1,
        }
    }

    /// What the source gives for this segment.
    pub(crate) fn media(number: u64) -> Bytes {
        let mut ts = Vec::new();
        for packet in 0u64..200 {
            let mut bytes = [0; 188];
            bytes[0] = 0x47;
            bytes[1] = 0x01;
            bytes[3] = 0x10;
            bytes[4..12].copy_from_slice(&number.to_le_bytes());
            bytes[12..20].copy_from_slice(&packet.to_le_bytes());
            ts.extend(bytes);
        }
        ts.into()
    }

    pub(crate) fn shards(&mut self, number: u64) -> Vec<Shard> {
        let cut = Cut {
            ts: Self::media(number),
            number,
            capture: number * SEGMENT.as_micros() as u64,
            duration_ms: SEGMENT.as_millis() as u16,
            random_access: true,
        };
        self.sealer.seal(&cut).unwrap()
    }

    /// The segment whose capture begins now.
    pub(crate) fn now() -> u64 {
        micros() / SEGMENT.as_micros() as u64
    }

    /// Publishes in real time until it is dropped.
    pub(crate) fn on_air(mut self, swarm: Swarm) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SEGMENT);
            let mut number = Self::now();
            loop {
                ticks.tick().await;
                // A segment is whole when its time is over.
                while number < Self::now() {
                    swarm.publish(self.shards(number));
                    number += 1;
                }
            }
        })
    }
}

pub(crate) fn hint(node: &Node, role: Role) -> PeerHint {
    PeerHint {
        peer: node.id(),
        role,
        location: Location::default(),
        addrs: vec![node.local_addr()],
        age_s: 0,
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The frames between peers, as `docs/wire.md` has them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Say {
    Hello { version: u16, ticket: String },
    Ticket { ticket: String },
    Enter { swarm: [u8; 16] },
    Entered { swarm: [u8; 16] },
    NotHere { swarm: [u8; 16], absence: u8 },
    Leave { swarm: [u8; 16] },
    Message { swarm: [u8; 16], message: Vec<u8> },
    Unlisted,
    Later { swarm: [u8; 16], wait_ms: u16 },
}

impl Frame for Say {
    fn encode(&self) -> Vec<u8> {
        match self {
            Say::Message { swarm, message } => [&[6][..], swarm, message].concat(),
            other => postcard::to_stdvec(other).unwrap(),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError> {
        if kind == 6 {
            let (swarm, message) = body.split_first_chunk().unwrap();
            return Ok(Some(Say::Message { swarm: *swarm, message: message.to_vec() }));
        }
        let bytes = [&[kind][..], body].concat();
        postcard::from_bytes(&bytes).map(Some).map_err(|_| FrameError::Malformed(kind))
    }
}

pub(crate) struct Puppet {
    pub(crate) identity: Arc<Identity>,
    pub(crate) endpoint: Endpoint,
}

/// A puppet's connection, tickets shown.
pub(crate) struct Strings {
    pub(crate) connection: Connection,
    pub(crate) send: quinn::SendStream,
    pub(crate) receive: quinn::RecvStream,
}

impl Puppet {
    pub(crate) fn id(&self) -> PeerId {
        self.identity.id()
    }

    /// Connects and shows a ticket; gives the other's answer or its refusal.
    pub(crate) async fn dial(
        &self,
        node: &Node,
        ticket: String,
    ) -> Result<Strings, ConnectionError> {
        self.dial_at(node.local_addr(), node.id(), ticket).await
    }

    pub(crate) async fn dial_at(
        &self,
        addr: SocketAddr,
        peer: PeerId,
        ticket: String,
    ) -> Result<Strings, ConnectionError> {
        let connection = self.endpoint.connect(addr, peer, Purpose::Peers).await?;
        let (mut send, mut receive) = connection.quic.open_bi().await?;
        let hello = Say::Hello { version: 1, ticket };
        protocol::write(&mut send, &hello).await.unwrap();
        match protocol::read::<Say>(&mut receive).await {
            Ok(Say::Hello { version: 1, .. }) => Ok(Strings { connection, send, receive }),
            Ok(other) => panic!("{other:?}"),
            Err(_) => Err(connection.quic.closed().await.into()),
        }
    }
}

impl Strings {
    pub(crate) async fn say(&mut self, frame: Say) {
        protocol::write(&mut self.send, &frame).await.unwrap();
    }

    /// The next frame that is no message.
    pub(crate) async fn hear(&mut self) -> Result<Say, FrameError> {
        loop {
            match timeout(PATIENCE, protocol::read::<Say>(&mut self.receive)).await.unwrap() {
                Ok(Say::Message { .. }) => {}
                other => return other,
            }
        }
    }

    /// The next message of the swarm.
    pub(crate) async fn hear_message(&mut self) -> swarm::Message {
        loop {
            if let Say::Message { message, .. } =
                timeout(PATIENCE, protocol::read::<Say>(&mut self.receive)).await.unwrap().unwrap()
                && let Some((Some(message), _)) = swarm::Message::decode(&message).unwrap()
            {
                return message;
            }
        }
    }

    pub(crate) async fn say_message(&mut self, swarm: SwarmId, message: &swarm::Message) {
        self.say(Say::Message { swarm: swarm.0, message: message.encode() }).await;
    }

    /// Enters a swarm that the other is in.
    pub(crate) async fn enter(&mut self, swarm: SwarmId) {
        self.say(Say::Enter { swarm: swarm.0 }).await;
        loop {
            match self.hear().await.unwrap() {
                // It may ask the same at the same time.
                Say::Enter { swarm: theirs } if theirs == swarm.0 => {}
                other => return assert_eq!(other, Say::Entered { swarm: swarm.0 }),
            }
        }
    }

    pub(crate) async fn send_shard(&self, swarm: SwarmId, wire: &[u8]) {
        let mut stream = self.connection.quic.open_uni().await.unwrap();
        stream.write_all(&[&[0][..], &swarm.0, wire].concat()).await.unwrap();
        stream.finish().unwrap();
    }

    /// How the other ends it: code and reason.
    pub(crate) async fn ended(&self) -> (u64, String) {
        match timeout(PATIENCE, self.connection.quic.closed()).await.unwrap() {
            quinn::ConnectionError::ApplicationClosed(close) => {
                (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => panic!("{other}"),
        }
    }
}
