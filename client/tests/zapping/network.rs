//! Real nodes on loopback: a headend on air, and viewers as the player sees them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::platform::{Platform, Tuned};
use client::settings::Share;
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

/// What a network is made of.
pub(crate) struct Plan {
    /// Transport stream packets of a segment.
    pub(crate) packets: u64,
    /// The most connections of the headend.
    pub(crate) most: usize,
}

/// A headend that publishes three channels, and viewers' nodes.
pub(crate) struct Network {
    pub(crate) headend: Node,
    rendezvous: Identity,
    channels: Vec<(String, JoinSpec, ContentKey)>,
    on_air: Vec<JoinHandle<()>>,
}

impl Network {
    pub(crate) async fn start(plan: Plan) -> Arc<Self> {
        let rendezvous = Identity::generate();
        let headend = node(&rendezvous, Role::Headend, plan.most).await;
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
            let packets = plan.packets;
            channels.push((name.to_owned(), spec, key));
            on_air.push(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(SEGMENT / 4);
                let now = || micros() / SEGMENT.as_micros() as u64;
                let mut number = now() - 8;
                loop {
                    ticks.tick().await;
                    while number < now() {
                        let cut = Cut {
                            ts: media(number, packets).into(),
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
        Arc::new(Self { headend, rendezvous, channels, on_air })
    }

    /// A viewer that is told of these peers, which give it channels by these addresses.
    pub(crate) async fn viewer(self: &Arc<Self>, peers: &[(&Node, Role)]) -> Arc<Viewer> {
        let node = node(&self.rendezvous, Role::Viewer, 10).await;
        let hint = |(peer, role): &(&Node, Role)| PeerHint {
            peer: peer.id(),
            role: *role,
            location: Location::default(),
            addrs: vec![peer.local_addr()],
            age_s: 0,
        };
        Arc::new(Viewer {
            network: self.clone(),
            node,
            peers: peers.iter().map(hint).collect(),
            joins: AtomicU64::new(0),
            share: watch::Sender::new(Share::default()),
        })
    }

    pub(crate) async fn end(&self) {
        self.on_air.iter().for_each(JoinHandle::abort);
        self.headend.shutdown().await;
    }
}

/// A viewer's side of the network.
pub(crate) struct Viewer {
    network: Arc<Network>,
    pub(crate) node: Node,
    peers: Vec<PeerHint>,
    pub(crate) joins: AtomicU64,
    pub(crate) share: watch::Sender<Share>,
}

async fn node(rendezvous: &Identity, role: Role, max_connections: usize) -> Node {
    let config = NodeConfig {
        identity: Arc::new(Identity::generate()),
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        role,
        platform: "tv".into(),
        max_connections,
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

impl Platform for Viewer {
    fn join<'a>(&'a self, channel: &'a str) -> BoxFuture<'a, Result<Tuned, SessionError>> {
        Box::pin(async move {
            let found = self.network.channels.iter().find(|(name, ..)| name == channel);
            let (_, spec, key) =
                found.ok_or_else(|| SessionError::NoSuchChannel(channel.to_owned()))?;
            self.joins.fetch_add(1, Ordering::SeqCst);
            let share = self.share.subscribe();
            let uplink = Some(share.borrow().uplink());
            let swarm = self.node.join(JoinSpec { uplink, ..spec.clone() });
            swarm.candidates(self.peers.clone());
            Ok(Tuned {
                share,
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
        self.node.stats()
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), wait)
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A segment's packets: PID 256, counters that go on.
fn media(number: u64, packets: u64) -> Vec<u8> {
    let packet = |i: u64| {
        let mut packet = vec![0x47, 1, 0, 0x10 | ((number * packets + i) & 15) as u8];
        packet.resize(188, number as u8);
        packet
    };
    (0..packets).flat_map(packet).collect()
}
