//! A peer that speaks the wire format of `docs/wire.md` by hand, so that it can lie.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use link::protocol::{self, Event, Frame, FrameError, Parameters, Request};
use link::{Connection, Endpoint, Purpose};
use serde_json::{Value, json};
use swarm::{Message, PeerHint};
use ticket::{Identity, PeerId};

const LIMIT: Duration = Duration::from_secs(20);

/// Signs in at auth as `user` for `device`, and gives the user ticket.
///
/// # Errors
/// If auth refuses.
pub async fn sign_in(auth: &str, user: &(String, String), device: PeerId) -> Result<String> {
    let body = json!({"username": user.0, "password": user.1, "device_key": device.to_string()});
    let reply: Value = reqwest::Client::new()
        .post(format!("{auth}/v1/sessions"))
        .json(&body)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    Ok(reply["ticket"].as_str().context("a ticket")?.to_owned())
}

/// A node's conversation with rendezvous.
pub struct Registered {
    /// The node's socket.
    pub endpoint: Endpoint,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    _connection: Connection,
}

impl Registered {
    /// Says hello with `ticket` as `device` from `address`, and gives the answer.
    ///
    /// # Errors
    /// If rendezvous does not answer.
    pub async fn hello(
        auth: &str,
        address: &str,
        device: Identity,
        ticket: String,
    ) -> Result<(Self, Event)> {
        let known: Value =
            reqwest::get(format!("{auth}/.well-known/braidcast")).await?.json().await?;
        let rendezvous = &known["rendezvous"][0];
        let peer: PeerId = rendezvous["peer_id"].as_str().context("peer id")?.parse()?;
        let at: SocketAddr = rendezvous["quic"][0].as_str().context("address")?.parse()?;
        let endpoint = Endpoint::bind(format!("{address}:0").parse()?, Arc::new(device), &[])?;
        let connection = endpoint.connect(at, peer, Purpose::Rendezvous).await?;
        let (send, receive) = connection.quic.open_bi().await?;
        let mut this = Self { endpoint, send, receive, _connection: connection };
        let software = "a test".into();
        let version = protocol::VERSION;
        this.say(&Request::Hello { version, ticket, advertise: Vec::new(), software }).await?;
        let answer = this.hear().await?;
        Ok((this, answer))
    }

    /// Joins a channel: its parameters, and who is there.
    ///
    /// # Errors
    /// If rendezvous refuses.
    pub async fn join(&mut self, channel: &str) -> Result<(Parameters, Vec<PeerHint>)> {
        self.say(&Request::Join { channel: channel.into(), rendition: None }).await?;
        loop {
            match self.hear().await? {
                Event::Channel { parameters, peers, .. } => return Ok((parameters, peers)),
                Event::NoChannel { reason, .. } => bail!("{reason}"),
                _ => {}
            }
        }
    }

    async fn say(&mut self, request: &Request) -> Result<()> {
        Ok(protocol::write(&mut self.send, request).await?)
    }

    async fn hear(&mut self) -> Result<Event> {
        Ok(tokio::time::timeout(LIMIT, protocol::read(&mut self.receive)).await??)
    }
}

/// A frame between peers: its type, and its body as it stands on the wire.
struct Raw(u8, Vec<u8>);

const HELLO: u8 = 0;
const ENTER: u8 = 2;
const ENTERED: u8 = 3;
const MESSAGE: u8 = 6;

impl Frame for Raw {
    fn encode(&self) -> Vec<u8> {
        [&[self.0][..], &self.1].concat()
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError> {
        Ok(Some(Self(kind, body.to_vec())))
    }
}

/// A connection to one peer, in one swarm.
pub struct Partner {
    connection: Connection,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    swarm: [u8; 16],
}

impl Partner {
    /// Connects to `hint`, shows the channel ticket `token` and enters `swarm`.
    ///
    /// # Errors
    /// If the peer refuses or is not in the swarm.
    pub async fn meet(
        endpoint: &Endpoint,
        hint: &PeerHint,
        token: &str,
        swarm: [u8; 16],
    ) -> Result<Self> {
        let at = *hint.addrs.first().context("an address")?;
        let connection = endpoint.connect(at, hint.peer, Purpose::Peers).await?;
        let (mut send, mut receive) = connection.quic.open_bi().await?;
        // Postcard: version 1, the token's length as a varint, the token.
        let mut hello = vec![1];
        let mut len = token.len();
        while len > 0x7f {
            hello.push(len as u8 | 0x80);
            len >>= 7;
        }
        hello.push(len as u8);
        hello.extend(token.as_bytes());
        protocol::write(&mut send, &Raw(HELLO, hello)).await?;
        protocol::write(&mut send, &Raw(ENTER, swarm.to_vec())).await?;
        let entered = async {
            loop {
                let Raw(kind, body) = protocol::read(&mut receive).await?;
                if kind == ENTERED && body == swarm {
                    return Ok::<_, FrameError>(());
                }
            }
        };
        tokio::time::timeout(LIMIT, entered).await.context("not let in")??;
        Ok(Self { connection, send, receive, swarm })
    }

    /// The connection below, for who reads shards in his own way.
    pub fn quic(&self) -> &quinn::Connection {
        &self.connection.quic
    }

    /// Both directions of its messages, for who speaks while it listens.
    pub fn split(&mut self) -> (Voice<'_>, Ear<'_>) {
        let Self { send, receive, swarm, .. } = self;
        (Voice { send, swarm }, Ear { receive, swarm })
    }

    /// Sends a message to the other's engine.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn tell(&mut self, message: &Message) -> Result<()> {
        self.split().0.tell(message).await
    }

    /// The next message of the other's engine. Must not be dropped half-way: what was read is lost then.
    ///
    /// # Errors
    /// If the connection is gone, or what comes cannot be read.
    pub async fn hear(&mut self) -> Result<Message> {
        self.split().1.hear().await
    }

    /// Sends bytes as a shard of the swarm.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn push(&self, shard: &[u8]) -> Result<()> {
        let mut stream = self.connection.quic.open_uni().await?;
        stream.write_all(&[&[0], &self.swarm[..], shard].concat()).await?;
        Ok(stream.finish()?)
    }

    /// The next shard that the other sends, as it travelled.
    ///
    /// # Errors
    /// If the connection is gone, or none comes.
    pub async fn shard(&self) -> Result<Vec<u8>> {
        let next = async {
            let mut stream = self.connection.quic.accept_uni().await?;
            let bytes = stream.read_to_end(4 << 20).await?;
            Ok::<_, anyhow::Error>(bytes[17..].to_vec())
        };
        tokio::time::timeout(LIMIT, next).await.context("no shard comes")?
    }

    /// Waits until the other side closes the connection, and gives its reason.
    ///
    /// # Errors
    /// If it does not.
    pub async fn closed(&self) -> Result<String> {
        let closed = self.connection.quic.closed();
        Ok(tokio::time::timeout(LIMIT, closed).await.context("not dropped")?.to_string())
    }
}

/// What is said to a peer.
pub struct Voice<'a> {
    send: &'a mut quinn::SendStream,
    swarm: &'a [u8; 16],
}

impl Voice<'_> {
    /// As [`Partner::tell`].
    ///
    /// # Errors
    /// As that.
    pub async fn tell(&mut self, message: &Message) -> Result<()> {
        let body = [&self.swarm[..], &message.encode()].concat();
        Ok(protocol::write(self.send, &Raw(MESSAGE, body)).await?)
    }
}

/// What a peer says.
pub struct Ear<'a> {
    receive: &'a mut quinn::RecvStream,
    swarm: &'a [u8; 16],
}

impl Ear<'_> {
    /// As [`Partner::hear`].
    ///
    /// # Errors
    /// As that.
    pub async fn hear(&mut self) -> Result<Message> {
        loop {
            let Raw(kind, body) = protocol::read(self.receive).await?;
            if kind != MESSAGE {
                continue;
            }
            let message = body.strip_prefix(&self.swarm[..]).context("of another swarm")?;
            if let Some((Some(message), _)) = Message::decode(message)? {
                return Ok(message);
            }
        }
    }
}
