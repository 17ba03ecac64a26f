//! Children of a repeater: nodes with a real ticket that subscribe and read, without playing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use link::Endpoint;
use segment::{ChannelSecret, Shard, SwarmId};
use serde_json::Value;
use swarm::{Grant, Message, PeerHint, Refusal, Substreams};
use system_tests::peer::Partner;
use ticket::{ChannelTicket, Confirmation, Identity, Issuer, Location, PeerId, Role};
use tokio::time::sleep;

use crate::load::K;

pub(crate) const CHANNEL: &str = "bench";
const PLATFORM: &str = "stage";
const N: u8 = 12;
/// The stream's type and the swarm's id stand before a shard.
const BEFORE: usize = 17;
/// What was refused is asked for again after this.
const AGAIN: Duration = Duration::from_millis(300);

/// What children need to know of a stage: who signs their tickets, and where the parents are.
pub(crate) struct Ground {
    issuer: Issuer,
    rendezvous: PeerId,
    swarm: SwarmId,
    repeater: PeerHint,
    headend: PeerHint,
}

/// Whom a child takes its shards from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    Repeater,
    Headend,
}

/// What children have seen, all together.
#[derive(Default)]
pub(crate) struct Counters {
    /// Bytes of shards read.
    pub(crate) bytes: AtomicU64,
    /// Sub-streams that were refused, each time that they were.
    pub(crate) refused: AtomicU64,
    /// Of those, because the parent is full.
    pub(crate) full: AtomicU64,
    /// Sub-streams that were shed, with a message.
    pub(crate) shed: AtomicU64,
}

/// A node on the stage's network.
pub(crate) struct Child {
    /// Its socket, which must outlive its connection.
    pub(crate) endpoint: Endpoint,
    pub(crate) partner: Partner,
}

impl Ground {
    /// Reads it from the folder of a stage with one repeater. Who signs channel tickets is rendezvous; a sign-in for
    /// each child would measure argon2.
    ///
    /// # Errors
    /// If the stage does not stand.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let rendezvous = Identity::load_or_create(&folder.join("rendezvous.identity"))?;
        let secret = ChannelSecret::of_channel(demo::CHANNEL_SECRET, CHANNEL);
        Ok(Self {
            issuer: Issuer::new(rendezvous.id().to_string(), &rendezvous),
            rendezvous: rendezvous.id(),
            swarm: SwarmId::new(&secret.channel_key(), "main"),
            repeater: hint(&folder.join("repeater-0.json"), Role::Repeater)?,
            headend: hint(&folder.join("headend.json"), Role::Headend)?,
        })
    }

    /// A new node meets a parent.
    ///
    /// # Errors
    /// If it is not let in.
    pub(crate) async fn child(&self, of: Parent) -> Result<Child> {
        let identity = Identity::generate();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let token = self.issuer.channel(&ChannelTicket {
            iss: self.rendezvous,
            aud: PLATFORM.into(),
            jti: identity.id().to_string(),
            iat: now,
            exp: now + 1_500,
            cnf: Confirmation::new(identity.id()),
            role: Role::Viewer,
            channels: vec![CHANNEL.into()],
            loc: Location::default(),
        });
        let at: SocketAddr = "127.0.1.66:0".parse()?;
        let endpoint = Endpoint::bind(at, Arc::new(identity), &[])?;
        let parent = match of {
            Parent::Repeater => &self.repeater,
            Parent::Headend => &self.headend,
        };
        let partner = Partner::meet(&endpoint, parent, &token, self.swarm.0).await?;
        // As viewers allow it.
        partner.quic().set_max_concurrent_uni_streams(256_u32.into());
        Ok(Child { endpoint, partner })
    }
}

/// K of N sub-streams, each child another choice, as viewers do.
pub(crate) fn choice(child: usize) -> Substreams {
    let first = (child % usize::from(N)) as u8;
    (first..first + K as u8).map(|i| i % N).collect()
}

/// All N.
pub(crate) fn all() -> Substreams {
    Substreams::first(N)
}

/// Keeps these sub-streams flowing: what is refused or shed is asked for again, as viewers do.
pub(crate) async fn subscribe(
    mut partner: Partner,
    substreams: Substreams,
    counters: Arc<Counters>,
) {
    let mut missing = substreams;
    let add = |counter: &AtomicU64, which: Substreams| {
        counter.fetch_add(u64::from(which.len()), Ordering::Relaxed);
    };
    loop {
        if partner.tell(&Message::Subscribe { substreams: missing, from: 0 }).await.is_err() {
            return;
        }
        missing = loop {
            match partner.hear().await {
                Ok(Message::Grant(Grant { refused, reason, .. })) if !refused.is_empty() => {
                    add(&counters.refused, refused);
                    if reason == Some(Refusal::Full) {
                        add(&counters.full, refused);
                    }
                    break refused;
                }
                Ok(Message::Shed { substreams, .. }) => {
                    add(&counters.shed, substreams);
                    break substreams;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        };
        sleep(AGAIN).await;
    }
}

/// Reads shards as they come and counts their bytes.
pub(crate) async fn read(connection: quinn::Connection, counters: Arc<Counters>) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let counters = counters.clone();
        tokio::spawn(async move {
            while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
                counters.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
            }
        });
    }
}

/// Reads shards as they come, and says which, once one is whole.
pub(crate) async fn note(
    connection: quinn::Connection,
    came: impl Fn(&Shard) + Clone + Send + 'static,
) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let came = came.clone();
        tokio::spawn(async move {
            let Ok(mut whole) = stream.read_to_end(4 << 20).await else { return };
            if whole.len() > BEFORE
                && let Ok(shard) = Shard::decode(whole.split_off(BEFORE).into())
            {
                came(&shard);
            }
        });
    }
}

/// Where a program said that it is.
fn hint(file: &Path, role: Role) -> Result<PeerHint> {
    let said: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    Ok(PeerHint {
        peer: said["peer_id"].as_str().context("a peer id")?.parse()?,
        role,
        location: Location::default(),
        addrs: vec![said["quic"].as_str().context("an address")?.parse()?],
        age_s: 0,
    })
}
