//! The real repeater: fed by a real headend, with children that show tickets, subscribe and read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use link::Endpoint;
use segment::{ChannelSecret, Shard, SwarmId};
use serde_json::Value;
use swarm::{Grant, Message, PeerHint, Substreams};
use system_tests::peer::Partner;
use ticket::{ChannelTicket, Confirmation, Identity, Issuer, Location, PeerId, Role};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::load::{K, Load};
use crate::processor;

const CHANNEL: &str = "bench";
const PLATFORM: &str = "stage";
/// The stream's type and the swarm's id stand before a shard.
const BEFORE: usize = 17;
/// What was refused is asked for again after this.
const AGAIN: Duration = Duration::from_millis(300);
/// Of so many children one notes when shards come.
const SAMPLE: usize = 10;

/// A platform with one repeater under load.
pub(crate) struct Running {
    stage: Stage,
    children: JoinSet<()>,
    _endpoints: Vec<Endpoint>,
    bytes: Arc<AtomicU64>,
    arrivals: Arc<Arrivals>,
    empty: u64,
}

/// When shards came: straight from the headend, and through the repeater.
#[derive(Default)]
struct Arrivals {
    straight: Mutex<HashMap<(u64, u8), Instant>>,
    through: Mutex<Vec<((u64, u8), Instant)>>,
}

/// A node that is anywhere in the platform's networks, with its channel ticket.
struct Device {
    identity: Identity,
    token: String,
}

impl Device {
    fn new(issuer: &Issuer, issuer_id: PeerId) -> Result<Self> {
        let identity = Identity::generate();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let token = issuer.channel(&ChannelTicket {
            iss: issuer_id,
            aud: PLATFORM.into(),
            jti: identity.id().to_string(),
            iat: now,
            exp: now + 1_500,
            cnf: Confirmation::new(identity.id()),
            role: Role::Viewer,
            channels: vec![CHANNEL.into()],
            loc: Location::default(),
        });
        Ok(Self { identity, token })
    }
}

impl Running {
    /// Sets the stage, starts the repeater and lets all children subscribe to K sub-streams each.
    ///
    /// # Errors
    /// If a program does not start, or a child is not let in.
    pub(crate) async fn start(load: Load, clip: &Path) -> Result<Self> {
        let mut stage = Stage::set(Plan {
            channels: vec![Channel::pass_through(CHANNEL, Source::File(clip.to_owned()))],
            repeaters: vec![Repeater::at("127.0.1.250")],
            headend_feeds_viewers: true,
        })
        .await?;
        // Who signs channel tickets is rendezvous; a sign-in for each child would measure argon2.
        let folder = stage.folder().to_owned();
        let rendezvous = Identity::load_or_create(&folder.join("rendezvous.identity"))?;
        let issuer = Issuer::new(rendezvous.id().to_string(), &rendezvous);
        let swarm = swarm_of_channel();
        // A first viewer, so that the repeater carries the channel.
        let mut first = stage.watch(Watch::new("127.0.1.11", CHANNEL))?;
        first.playing().await?;

        let repeater = hint(&folder.join("repeater-0.json"), Role::Repeater)?;
        let headend = hint(&folder.join("headend.json"), Role::Headend)?;
        let pid = stage.repeaters[0].pid().context("the repeater runs")?;
        processor::pin(pid, 0)?;
        let empty = processor::resident(pid)?;

        let arrivals = Arc::new(Arrivals::default());
        let bytes = Arc::new(AtomicU64::new(0));
        let mut endpoints = Vec::new();
        let mut children = JoinSet::new();
        for child in 0..=load.children {
            let device = Device::new(&issuer, rendezvous.id())?;
            let at: SocketAddr = "127.0.1.66:0".parse()?;
            let endpoint = Endpoint::bind(at, Arc::new(device.identity), &[])?;
            // The last one looks at the headend itself, for comparison.
            let straight = child == load.children;
            let parent = if straight { &headend } else { &repeater };
            let partner = Partner::meet(&endpoint, parent, &device.token, swarm.0).await?;
            let note = (child % SAMPLE == 0 || straight).then(|| arrivals.clone());
            let counter = if straight { Arc::default() } else { bytes.clone() };
            read(partner.quic().clone(), counter, note, straight);
            // Every child another K of N, as viewers do.
            let first = child as u8 % 12;
            let substreams: Substreams = match straight {
                true => Substreams::first(12),
                false => (first..first + K as u8).map(|i| i % 12).collect(),
            };
            endpoints.push(endpoint);
            children.spawn(subscribe(partner, substreams));
        }
        first.stop().await?;
        Ok(Self { stage, children, _endpoints: endpoints, bytes, arrivals, empty })
    }

    /// The repeater's process id.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.stage.repeaters[0].pid().context("the repeater ended")
    }

    /// Bytes of shards that children have read.
    pub(crate) fn bytes(&self) -> &Arc<AtomicU64> {
        &self.bytes
    }

    /// Memory per child, bytes.
    ///
    /// # Errors
    /// If the repeater has ended.
    pub(crate) fn memory_per_child(&self) -> Result<u64> {
        let grown = processor::resident(self.pid()?)?.saturating_sub(self.empty);
        Ok(grown / (self.children.len() as u64 - 1))
    }

    /// How much later shards came through the repeater than straight from the headend: median and 99th
    /// percentile. Both ways end in the same process.
    pub(crate) fn delay(&self) -> Option<(Duration, Duration)> {
        let straight = self.arrivals.straight.lock().unwrap_or_else(PoisonError::into_inner);
        let through = self.arrivals.through.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delays: Vec<Duration> = through
            .iter()
            .filter_map(|(shard, at)| Some(at.saturating_duration_since(*straight.get(shard)?)))
            .collect();
        delays.sort_unstable();
        let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied();
        Some((at(0.5)?, at(0.99)?))
    }

    /// Ends everything.
    ///
    /// # Errors
    /// If a program does not stop in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.children.shutdown().await;
        self.stage.strike().await
    }
}

/// Keeps these sub-streams flowing: what is refused or shed is asked for again, as viewers do.
async fn subscribe(mut partner: Partner, substreams: Substreams) {
    let mut missing = substreams;
    loop {
        if partner.tell(&Message::Subscribe { substreams: missing, from: 0 }).await.is_err() {
            return;
        }
        missing = loop {
            match partner.hear().await {
                Ok(Message::Grant(Grant { refused, .. })) if !refused.is_empty() => break refused,
                Ok(Message::Shed { substreams, .. }) => break substreams,
                Ok(_) => {}
                Err(_) => return,
            }
        };
        sleep(AGAIN).await;
    }
}

fn swarm_of_channel() -> SwarmId {
    let secret = ChannelSecret::of_channel(demo::CHANNEL_SECRET, CHANNEL);
    SwarmId::new(&secret.channel_key(), "main")
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

/// Reads shards as they come.
fn read(
    connection: quinn::Connection,
    bytes: Arc<AtomicU64>,
    note: Option<Arc<Arrivals>>,
    straight: bool,
) {
    tokio::spawn(async move {
        while let Ok(mut stream) = connection.accept_uni().await {
            let (bytes, note) = (bytes.clone(), note.clone());
            tokio::spawn(async move {
                let mut whole = Vec::new();
                while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
                    bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
                    if note.is_some() {
                        whole.extend_from_slice(&chunk.bytes);
                    }
                }
                let (Some(note), true) = (note, whole.len() > BEFORE) else { return };
                let Ok(shard) = Shard::decode(whole.split_off(BEFORE).into()) else { return };
                let (which, now) = ((shard.header().number, shard.index()), Instant::now());
                match straight {
                    true => drop(lock(&note.straight).insert(which, now)),
                    false => lock(&note.through).push((which, now)),
                }
            });
        }
    });
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
