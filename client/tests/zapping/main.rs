//! Over real nodes on loopback: the player plays what a headend publishes, and rapid changes of channel leave nothing
//! behind, sockets and memory of the network's side included.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::channel::Channels;
use client::platform::{Platform, Tuned};
use client::player::Player;
use futures::future::BoxFuture;
use link::protocol::ChannelInfo;
use link::{JoinSpec, Node, NodeConfig, NodeStats, SessionError};
use segment::{ChannelSecret, Coding, ContentKey, Cut, Sealer};
use swarm::{PeerHint, Serve};
use ticket::{
    ChannelTicket, Confirmation, Identity, Issuer, KeyPurpose, KeySet, Location, PublishedKey, Role,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SEGMENT: Duration = Duration::from_millis(250);

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// A headend that publishes three channels to whoever comes, and a viewer's node.
struct Network {
    headend: Node,
    viewer: Node,
    channels: Vec<(String, JoinSpec, ContentKey)>,
    joins: AtomicU64,
    on_air: Vec<JoinHandle<()>>,
}

impl Network {
    async fn start() -> Arc<Self> {
        let rendezvous = Identity::generate();
        let headend = node(&rendezvous, Role::Headend).await;
        let viewer = node(&rendezvous, Role::Viewer).await;
        let coding = Coding::new(12, 8, None).unwrap();
        let (mut channels, mut on_air) = (Vec::new(), Vec::new());
        for (seed, name) in (1..).zip(["one", "two", "three"]) {
            let secret = ChannelSecret::new([seed; 32]);
            let mut sealer = Sealer::new(secret.clone(), "main", coding, u64::MAX);
            let key = sealer.content_key(0);
            let spec = JoinSpec {
                swarm: *sealer.swarm(),
                channel: name.into(),
                key: secret.channel_key(),
                coding,
                segment: SEGMENT,
                playout_delay: Duration::from_secs(2),
                uplink: None,
                max_pushed: None,
                serve: Serve::All,
                max_spares: 1,
            };
            let swarm = headend.join(spec.clone());
            channels.push((name.to_owned(), spec, key));
            on_air.push(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(SEGMENT / 4);
                let now = || micros() / SEGMENT.as_micros() as u64;
                let mut number = now() - 8;
                loop {
                    ticks.tick().await;
                    while number < now() {
                        let cut = Cut {
                            ts: media(number).into(),
                            number,
                            capture: number * SEGMENT.as_micros() as u64,
                            duration_ms: SEGMENT.as_millis() as u16,
                            random_access: number.is_multiple_of(4),
                        };
                        swarm.publish(sealer.seal(&cut).unwrap());
                        number += 1;
                    }
                }
            }));
        }
        Arc::new(Self { headend, viewer, channels, joins: AtomicU64::new(0), on_air })
    }

    async fn end(&self) {
        self.on_air.iter().for_each(JoinHandle::abort);
        self.viewer.shutdown().await;
        self.headend.shutdown().await;
    }
}

async fn node(rendezvous: &Identity, role: Role) -> Node {
    let config = NodeConfig {
        identity: Arc::new(Identity::generate()),
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        role,
        platform: "tv".into(),
        max_connections: 10,
        max_egress: None,
        meeting: Default::default(),
        admit: None,
    };
    let node = Node::start(config).await.unwrap();
    let (kid, key) = (rendezvous.id().to_string(), rendezvous.id());
    let published = PublishedKey { kid: kid.clone(), key, purpose: KeyPurpose::ChannelTicket };
    node.set_key_set(KeySet::new(vec![published]));
    let now = micros() / 1_000_000;
    let claims = ChannelTicket {
        iss: key,
        aud: "tv".into(),
        jti: "a session".into(),
        iat: now,
        exp: now + 1800,
        cnf: Confirmation::new(node.id()),
        role,
        channels: vec!["*".into()],
        loc: Location::default(),
    };
    node.set_ticket(Issuer::new(kid, rendezvous).channel(&claims), claims.loc);
    node.set_clock(micros() as i64 - node.monotonic() as i64);
    node
}

impl Platform for Network {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        Box::pin(async move {
            let found = self.channels.iter().find(|(name, ..)| name == channel);
            let (_, spec, key) =
                found.ok_or_else(|| SessionError::NoSuchChannel(channel.to_owned()))?;
            self.joins.fetch_add(1, Ordering::SeqCst);
            let swarm = self.viewer.join(spec.clone());
            swarm.candidates(vec![PeerHint {
                peer: self.headend.id(),
                role: Role::Headend,
                location: Location::default(),
                addrs: vec![self.headend.local_addr()],
                age_s: 0,
            }]);
            Ok(Tuned {
                share: watch::channel(client::settings::Share::default()).1,
                feed: Box::new(swarm),
                swarm: spec.swarm,
                coding: spec.coding,
                rendition: "main".into(),
                keys: watch::channel(vec![key.clone()]).1,
            })
        })
    }

    fn line_up(&self) -> Vec<ChannelInfo> {
        Vec::new()
    }

    fn wire(&self) -> NodeStats {
        self.viewer.stats()
    }
}

/// Waits until `condition` holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A segment's packets: PID 256, counters that go on.
fn media(number: u64) -> Vec<u8> {
    let packet = |i: u64| {
        let mut packet = vec![0x47, 1, 0, 0x10 | ((number * 4 + i) & 15) as u8];
        packet.resize(188, number as u8);
        packet
    };
    (0..4).flat_map(packet).collect()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The only test of this file: open files are counted, and tests of one file share a process.
#[tokio::test]
async fn ten_rapid_changes_leave_nothing_behind() {
    let network = Network::start().await;
    let player = Player::new(Channels::new(network.clone(), 4));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();

    let first = player.play("one", Instant::now()).await.unwrap();
    until("it plays", || first.counts().swarm.played > 0).await;
    // The first picture is there before its parents are, and the socket is looked at four times a second.
    until("its figures show it", || {
        let stats = player.stats();
        stats.startup_ms > 0
            && stats.wire_bytes.received > 0
            && stats.bytes_in.headend > 0
            && !stats.substreams.is_empty()
    })
    .await;
    drop(first);
    let before = (tasks(), open_files());

    for change in 0..10 {
        let channel = ["two", "three", "one"][change % 3];
        player.play(channel, Instant::now()).await.unwrap();
        assert_eq!(player.channels().received(), [channel]);
    }
    // It plays, though all changes came within a moment.
    let last = player.play("one", Instant::now()).await.unwrap();
    until("it plays again", || last.counts().swarm.played > 4).await;
    assert_eq!(network.joins.load(Ordering::SeqCst), 12);
    until("tasks are gone", || tasks() <= before.0).await;
    assert_eq!(open_files(), before.1);
    assert_eq!(network.viewer.stats().connections, 1, "one connection serves all channels");

    player.stop().await;
    player.channels().close().await;
    network.end().await;
}
