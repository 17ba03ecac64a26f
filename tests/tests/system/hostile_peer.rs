//! A peer with a good ticket sends what is not the channel's: it is dropped and counted, and nothing of it is played
//! or passed on.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use demo::{Channel, Plan, Repeater, Source, Stage, Watch};
use link::protocol::Event;
use swarm::{Message, PeerHint};
use system_tests::media;
use system_tests::peer::{Partner, Registered, sign_in};
use ticket::{Identity, Role};
use tokio::time::Instant;

/// A hostile node, let in like any viewer.
struct Hostile {
    node: Registered,
    token: String,
    swarm: [u8; 16],
    peers: Vec<PeerHint>,
}

impl Hostile {
    async fn enter(stage: &Stage, channel: &str) -> Result<Self> {
        let device = Identity::generate();
        let user = Watch::new("", "").user;
        let ticket = sign_in(&stage.auth_url(), &user, device.id()).await?;
        let (mut node, welcome) =
            Registered::hello(&stage.auth_url(), "127.0.1.66", device, ticket).await?;
        let Event::Welcome { ticket: token, .. } = welcome else { bail!("{welcome:?}") };
        let (parameters, peers) = node.join(channel).await?;
        let key = segment::ChannelKey(parameters.key);
        let swarm = segment::SwarmId::new(&key, &parameters.rendition).0;
        Ok(Self { node, token, swarm, peers })
    }

    async fn meet(&self, role: Role) -> Result<Partner> {
        let hint = self.peers.iter().find(|hint| hint.role == role).context("nobody there")?;
        Partner::meet(&self.node.endpoint, hint, &self.token, self.swarm).await
    }
}

/// A shard that a repeater gave, of a channel.
async fn genuine(stage: &Stage, channel: &str) -> Result<Vec<u8>> {
    let hostile = Hostile::enter(stage, channel).await?;
    let mut repeater = hostile.meet(Role::Repeater).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros();
    repeater.tell(&Message::Start { playout: now as u64 - 2_000_000, k: 8 }).await?;
    repeater.shard().await
}

/// Where a shard's number stands (docs/wire.md).
const NUMBER: std::ops::Range<usize> = 3..11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_are_dropped_and_counted() -> Result<()> {
    let channel = |id: &str| Channel { video: (320, 180, 400), ..Channel::new(id, Source::Test) };
    let mut stage = Stage::set(Plan {
        channels: vec![channel("one"), channel("two")],
        repeaters: vec![Repeater::at("127.0.1.250")],
        headend_feeds_viewers: false,
    })
    .await?;
    let watch =
        |address: &str, channel: &str| Watch { record: true, ..Watch::new(address, channel) };
    let mut victim = stage.watch(watch("127.0.1.11", "one"))?;
    victim.playing().await?;
    let mut other = stage.watch(watch("127.0.1.12", "one"))?;
    other.playing().await?;
    // So that the repeater carries it.
    let mut second = stage.watch(watch("127.0.1.13", "two"))?;
    second.playing().await?;

    let shard = genuine(&stage, "one").await?;
    let mut flipped = shard.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut renumbered = shard.clone();
    let number = u64::from_le_bytes(shard[NUMBER].try_into()?) + 8;
    renumbered[NUMBER].copy_from_slice(&number.to_le_bytes());
    let foreign = genuine(&stage, "two").await?;

    for (lie, bytes) in [
        ("a flipped bit", flipped),
        ("an old segment under a new number", renumbered),
        ("another channel's shard", foreign),
    ] {
        for role in [Role::Viewer, Role::Repeater] {
            // Each time a new device: who lied once is not let in again.
            let hostile = Hostile::enter(&stage, "one").await?;
            let partner = hostile.meet(role).await?;
            let sent = Instant::now();
            partner.push(&bytes).await?;
            let reason = partner.closed().await.with_context(|| format!("{lie} to a {role:?}"))?;
            println!("{lie}: a {role:?} closed after {:?}: {reason}", sent.elapsed());
            assert!(hostile.meet(role).await.is_err(), "{lie}: a liar was let in again");
        }
    }

    tokio::time::sleep(Duration::from_secs(3)).await;
    let (mine, others) = (victim.figures()?, other.figures()?);
    // The first viewer that rendezvous names is one of the two.
    assert_eq!(mine.rejected_shards + others.rejected_shards, 3, "{mine:#?}\n{others:#?}");
    for viewer in [victim, other, second] {
        let figures = viewer.figures()?;
        assert_eq!(figures.stalls, 0, "{}: {figures:#?}", viewer.name());
        let recording = viewer.recording();
        viewer.stop().await?;
        media::frame_hashes(&recording).context("what was played does not decode")?;
    }
    stage.strike().await
}
