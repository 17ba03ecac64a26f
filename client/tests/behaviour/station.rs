//! A platform made for tests: channels whose segments are really sealed and opened, without a network between.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use client::channel::Channels;
use client::local;
use client::platform::{Feed, Platform, Tuned};
use client::player::Player;
use client::settings;
use futures::future::BoxFuture;
use link::protocol::ChannelInfo;
use link::{NodeStats, Played, SessionError, SwarmStats};
use segment::{
    Assembly, ChannelSecret, Coding, ContentKey, Cut, Layer, Proven, Sealer, SwarmId, Verifier,
};
use service::Stop;
use swarm::{Begin, Cause};
use tokio::sync::{mpsc, watch};

/// How much of a segment arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Whole,
    SoundOnly,
    Lost,
}

/// Channels `one`, `two` and `three`; `secret` is known and not in the package. `one/low` is a lower rendition of `one`,
/// which is offered if `laddered`.
pub(crate) struct Station {
    coding: Coding,
    laddered: bool,
    channels: Mutex<HashMap<String, Channel>>,
    pub(crate) joins: AtomicU64,
    pub(crate) alive: Arc<AtomicU64>,
}

struct Channel {
    sealer: Sealer,
    verifier: Verifier,
    keys: watch::Sender<Vec<ContentKey>>,
    feeds: Vec<mpsc::Sender<Played>>,
}

struct Listener {
    played: mpsc::Receiver<Played>,
    count: u64,
    alive: Arc<AtomicU64>,
}

impl Station {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Coding::new(6, 4, None).unwrap())
    }

    pub(crate) fn with(coding: Coding) -> Arc<Self> {
        Arc::new(Self::made(coding))
    }

    /// One whose channel `one` has two renditions.
    pub(crate) fn laddered() -> Arc<Self> {
        let coding = Coding::new(6, 4, Some(2)).unwrap();
        Arc::new(Self { laddered: true, ..Self::made(coding) })
    }

    fn made(coding: Coding) -> Self {
        let channel = |name: &str| {
            let secret = ChannelSecret::new([name.len() as u8; 32]);
            let sealer = Sealer::new(secret.clone(), name, coding, 1 << 40);
            let verifier = Verifier::new(*sealer.swarm(), secret.channel_key());
            let keys = watch::Sender::new(vec![sealer.content_key(0)]);
            (name.to_owned(), Channel { sealer, verifier, keys, feeds: Vec::new() })
        };
        Self {
            coding,
            laddered: false,
            channels: Mutex::new(["one", "two", "three", "one/low"].map(channel).into()),
            joins: AtomicU64::new(0),
            alive: Arc::default(),
        }
    }

    /// Sends a segment to whoever has joined. It is not due before there is room for it.
    pub(crate) async fn air(&self, channel: &str, number: u64, ts: Bytes, start: bool, fate: Fate) {
        let (played, feeds) = {
            let mut channels = self.channels.lock().unwrap();
            let channel = channels.get_mut(channel).unwrap();
            channel.feeds.retain(|feed| !feed.is_closed());
            (channel.played(number, ts, start, fate), channel.feeds.clone())
        };
        for feed in feeds {
            let _left = feed.send(played.clone()).await;
        }
    }

    /// A segment of four packets, and one that is random access each fourth.
    pub(crate) async fn air_simple(&self, channel: &str, number: u64, fate: Fate) {
        self.air(channel, number, simple(number), number.is_multiple_of(4), fate).await;
    }

    /// Takes the keys back, or gives them again.
    pub(crate) fn give_keys(&self, channel: &str, give: bool) {
        let channels = self.channels.lock().unwrap();
        let channel = &channels[channel];
        let keys = if give { vec![channel.sealer.content_key(0)] } else { Vec::new() };
        channel.keys.send_replace(keys);
    }
}

/// The transport stream of such a segment: PID 256, counters that go on.
pub(crate) fn simple(number: u64) -> Bytes {
    let packet = |i: u64| {
        let mut packet = vec![0x47, 1, 0, 0x10 | ((number * 4 + i) & 15) as u8];
        packet.resize(188, number as u8);
        packet
    };
    (0..4).flat_map(packet).collect::<Vec<u8>>().into()
}

impl Channel {
    fn played(&mut self, number: u64, ts: Bytes, random_access: bool, fate: Fate) -> Played {
        if fate == Fate::Lost {
            return Played::Missed { number, cause: Cause::UplinkFull };
        }
        let cut = Cut { ts, number, capture: number * 250_000, duration_ms: 250, random_access };
        let shards = self.sealer.seal(&cut).unwrap();
        // The last K: what the viewer rebuilds has to be decoded.
        let k = usize::from(self.sealer.coding().full());
        let mut proven =
            shards.into_iter().rev().take(k).map(|shard| self.verifier.check(shard).unwrap());
        let first: Proven = proven.next().unwrap();
        let mut assembly = Assembly::new(first);
        proven.for_each(|shard| {
            assembly.add(shard);
        });
        let header = *assembly.header();
        Played::Segment {
            header,
            essential: header.essential.and_then(|_| assembly.sealed(Layer::Essential)),
            full: assembly.sealed(Layer::Full).filter(|_| fate == Fate::Whole),
            due: tokio::time::Instant::now(),
        }
    }
}

impl Platform for Station {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        self.join_rendition(channel, "main", None)
    }

    fn join_rendition<'a>(
        &'a self,
        channel: &'a str,
        rendition: &'a str,
        _begin_at: Option<Begin>,
    ) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        let swarm = match rendition {
            "main" => channel.to_owned(),
            lower => format!("{channel}/{lower}"),
        };
        Box::pin(async move {
            let mut channels = self.channels.lock().unwrap();
            let Some(found) = channels.get_mut(&swarm) else {
                return Err(SessionError::NotEntitled(channel.to_owned()));
            };
            let (sender, played) = mpsc::channel(8);
            found.feeds.push(sender);
            self.joins.fetch_add(1, Ordering::SeqCst);
            self.alive.fetch_add(1, Ordering::SeqCst);
            Ok(Tuned {
                feed: Box::new(Listener { played, count: 0, alive: self.alive.clone() }),
                swarm: *found.sealer.swarm(),
                coding: self.coding,
                rendition: rendition.into(),
                keys: found.keys.subscribe(),
                share: watch::channel(settings::Share::default()).1,
            })
        })
    }

    fn ladder(&self, channel: &str) -> Vec<(String, u64)> {
        let rungs = [("main", 4_000_000), ("low", 600_000)];
        let rungs = rungs.map(|(name, rate)| (name.to_owned(), rate));
        if self.laddered && channel == "one" { rungs.into() } else { Vec::new() }
    }

    fn line_up(&self) -> Vec<ChannelInfo> {
        let names = ["one", "two", "three", "secret"];
        let channel = |(number, id): (u32, &str)| ChannelInfo {
            id: id.into(),
            name: format!("Channel {id}"),
            number,
            logo: None,
            live: true,
            renditions: vec![("main".into(), 4_000_000)],
        };
        (1..).zip(names).map(channel).collect()
    }

    fn wire(&self) -> NodeStats {
        NodeStats { wire_in: 7, ..NodeStats::default() }
    }
}

impl Feed for Listener {
    fn next(&mut self) -> BoxFuture<'_, Option<Played>> {
        Box::pin(async {
            let played = self.played.recv().await?;
            self.count += u64::from(matches!(played, Played::Segment { .. }));
            Some(played)
        })
    }

    fn stats(&self) -> SwarmStats {
        SwarmStats { played: self.count, ..SwarmStats::default() }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A viewer of the station with its local address.
pub(crate) struct Viewer {
    pub(crate) player: Player,
    pub(crate) http: SocketAddr,
    stop: Stop,
    server: tokio::task::JoinHandle<()>,
}

impl Viewer {
    pub(crate) async fn start(
        station: &Arc<Station>,
        change: impl FnOnce(&mut settings::Local),
    ) -> Self {
        let linger = service::config::Duration::from_millis(0);
        let mut settings = settings::Local { linger, ..settings::Local::default() };
        change(&mut settings);
        let player = Player::new(Channels::new(station.clone(), settings.max_channels));
        let stop = Stop::new();
        let router = local::router(player.clone(), &settings);
        let (http, server) =
            service::serve("127.0.0.1:0".parse().unwrap(), router, stop.clone()).await.unwrap();
        Self { player, http, stop, server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) async fn end(self) {
        self.player.stop().await;
        self.player.channels().close().await;
        self.stop.request();
        self.server.await.unwrap();
    }
}

/// Without connections kept open between requests, so that tests can count sockets.
pub(crate) fn browser() -> reqwest::Client {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// The name of a swarm is not its channel's.
pub(crate) fn swarm_of(station: &Station, channel: &str) -> SwarmId {
    *station.channels.lock().unwrap()[channel].sealer.swarm()
}
