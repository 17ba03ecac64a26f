//! Children of a repeater: nodes with a real ticket that subscribe and read, without playing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use link::Endpoint;
use segment::{ChannelSecret, Shard, SwarmId, Verifier};
use serde_json::Value;
use swarm::{Grant, Message, PeerHint, Refusal, Substreams};
use system_tests::peer::{Ear, Partner, Voice};
use ticket::{ChannelTicket, Confirmation, Identity, Issuer, Location, PeerId, Role};
use tokio::time::{Interval, interval, sleep};

use crate::load::{K, SEGMENT};

/// What channel `i` of a stage is called.
pub(crate) fn channel(i: usize) -> String {
    format!("bench{i}")
}

const PLATFORM: &str = "stage";
pub(crate) const N: u8 = 12;
/// The stream's type and the swarm's id stand before a shard.
const BEFORE: usize = 17;
/// A child asks its parent this often whether it is there.
const SPEAK: Duration = Duration::from_secs(5);
/// What was refused is asked for again after this.
const AGAIN: Duration = Duration::from_millis(300);

/// What children need to know of a stage: who signs their tickets, and where the parents are.
pub(crate) struct Ground {
    issuer: Issuer,
    rendezvous: PeerId,
    secrets: Vec<ChannelSecret>,
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
    /// Whether children prove what they read, which takes as much of their core as reading.
    pub(crate) proving: AtomicBool,
    /// Sub-streams that were refused, each time that they were.
    pub(crate) refused: AtomicU64,
    /// Of those, because the parent is full.
    pub(crate) full: AtomicU64,
    /// Sub-streams that were shed, with a message.
    pub(crate) shed: AtomicU64,
}

/// What one child has read.
pub(crate) struct Tally {
    counters: Arc<Counters>,
    bytes: AtomicU64,
    proofs: Mutex<Proofs>,
}

/// What one child has proved.
struct Proofs {
    verifier: Verifier,
    /// Shards of each segment.
    proven: BTreeMap<u64, usize>,
    /// Shards that could not be.
    bad: u64,
}

impl Tally {
    /// Bytes of shards.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Of how many segments in a row it proved enough shards since it was last asked, those at both ends left out; `None`
    /// if one was missing, or a shard was not what the channel signed.
    pub(crate) fn proven(&self) -> Option<usize> {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let (proven, bad) = (std::mem::take(&mut proofs.proven), std::mem::take(&mut proofs.bad));
        let (first, last) = (*proven.first_key_value()?.0, *proven.last_key_value()?.0);
        let whole = (first + 1..last).all(|number| proven.get(&number) >= Some(&K));
        (whole && bad == 0).then_some((last - first).saturating_sub(1) as usize)
    }

    fn prove(&self, shard: Bytes) {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = Shard::decode(shard).ok();
        match shard.and_then(|shard| proofs.verifier.check(shard).ok()) {
            Some(proven) => {
                *proofs.proven.entry(proven.shard().header().number).or_default() += 1;
            }
            None => proofs.bad += 1,
        }
    }
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
    pub(crate) fn read(folder: &Path, channels: usize) -> Result<Self> {
        let rendezvous = Identity::load_or_create(&folder.join("rendezvous.identity"))?;
        let secret = |i| ChannelSecret::of_channel(demo::CHANNEL_SECRET, &channel(i));
        Ok(Self {
            issuer: Issuer::new(rendezvous.id().to_string(), &rendezvous),
            rendezvous: rendezvous.id(),
            secrets: (0..channels).map(secret).collect(),
            repeater: hint(&folder.join("repeater-0.json"), Role::Repeater)?,
            headend: hint(&folder.join("headend.json"), Role::Headend)?,
        })
    }

    /// Counts for a child of this channel.
    pub(crate) fn tally(&self, channel: usize, counters: Arc<Counters>) -> Arc<Tally> {
        let key = self.secrets[channel].channel_key();
        let verifier = Verifier::new(SwarmId::new(&key, "main"), key);
        let proofs = Mutex::new(Proofs { verifier, proven: BTreeMap::new(), bad: 0 });
        Arc::new(Tally { counters, bytes: AtomicU64::new(0), proofs })
    }

    /// A new node meets a parent, in the swarm of this channel.
    ///
    /// # Errors
    /// If it is not let in.
    pub(crate) async fn child(&self, of: Parent, channel: usize) -> Result<Child> {
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
            channels: vec!["*".into()],
            loc: Location::default(),
        });
        let at: SocketAddr = "127.0.1.66:0".parse()?;
        let endpoint = Endpoint::bind(at, Arc::new(identity), &[])?;
        let parent = match of {
            Parent::Repeater => &self.repeater,
            Parent::Headend => &self.headend,
        };
        let swarm = SwarmId::new(&self.secrets[channel].channel_key(), "main");
        let partner = Partner::meet(&endpoint, parent, &token, swarm.0).await?;
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
    let (mut voice, mut ear) = partner.split();
    let mut speak = interval(SPEAK);
    loop {
        let subscribe = Message::Subscribe { substreams: missing, from: next_segment() };
        if voice.tell(&subscribe).await.is_err() {
            return;
        }
        missing = loop {
            match hear(&mut ear, &mut voice, &mut speak).await {
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

/// The next message. Meanwhile the parent is asked now and then whether it is there, as viewers do: whoever says nothing at
/// all for 20 s is dropped.
async fn hear(ear: &mut Ear<'_>, voice: &mut Voice<'_>, speak: &mut Interval) -> Result<Message> {
    let mut heard = std::pin::pin!(ear.hear());
    loop {
        tokio::select! {
            heard = &mut heard => return heard,
            _ = speak.tick() => voice.tell(&Message::Probe { token: 0 }).await?,
        }
    }
}

/// The number of the segment that is made next. Children subscribe from there on, as those do who play already: all that
/// the parent still holds would be a start's burst, over and over.
fn next_segment() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_micros() / SEGMENT.as_micros()) as u64 + 1
}

/// Reads shards as they come and counts their bytes.
pub(crate) async fn read(connection: quinn::Connection, tally: Arc<Tally>) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let tally = tally.clone();
        tokio::spawn(async move {
            let proving = tally.counters.proving.load(Ordering::Relaxed);
            let mut whole = Vec::new();
            while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
                let bytes = chunk.bytes.len() as u64;
                tally.bytes.fetch_add(bytes, Ordering::Relaxed);
                tally.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
                if proving {
                    whole.extend_from_slice(&chunk.bytes);
                }
            }
            if whole.len() > BEFORE {
                tally.prove(whole.split_off(BEFORE).into());
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
