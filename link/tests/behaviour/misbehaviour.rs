//! Peers that send what is not the channel's own are cut off at once, and nothing of it is kept.

use std::time::{Duration, Instant};

use crate::common::{Channel, Platform, Say, Strings, until};
use link::{ConnectionError, Node, Swarm};
use ticket::Role;
use tokio::time::timeout;

struct Scene {
    platform: Platform,
    node: Node,
    swarm: Swarm,
    channel: Channel,
}

async fn scene() -> Scene {
    let platform = Platform::new();
    let node = platform.node(Role::Repeater).await;
    let channel = Channel::new(4);
    let swarm = node.join(channel.spec());
    Scene { platform, node, swarm, channel }
}

impl Scene {
    async fn partner(&self) -> (crate::common::Puppet, Strings) {
        let puppet = self.platform.puppet();
        let token = self.platform.token(puppet.id(), Role::Viewer);
        let mut strings = puppet.dial(&self.node, token).await.unwrap();
        strings.enter(self.channel.swarm()).await;
        (puppet, strings)
    }
}

#[tokio::test]
async fn bad_shards_drop_the_peer_within_a_second_and_for_good() {
    let mut scene = scene().await;
    let number = Channel::now();
    let good = scene.channel.shards(number)[0].wire().clone();
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let mut renumbered = scene.channel.shards(number - 300)[1].wire().to_vec();
    renumbered[3..11].copy_from_slice(&number.to_le_bytes());
    let foreign = Channel::new(5).shards(number)[2].wire().to_vec();
    let short = good[..good.len() / 2].to_vec();
    for (seen, bad) in (1..).zip([flipped, renumbered, foreign, short, Vec::new()]) {
        let (puppet, strings) = scene.partner().await;
        strings.send_shard(scene.channel.swarm(), &bad).await;
        let (code, reason) = timeout(Duration::from_secs(1), strings.ended()).await.unwrap();
        assert_eq!((code, reason.as_str()), (4, "sent a bad shard"));
        let token = scene.platform.token(puppet.id(), Role::Viewer);
        let again = puppet.dial(&scene.node, token).await.err();
        assert_eq!(again, Some(ConnectionError::Refused("peer misbehaved".into())));
        until("it is counted", || {
            scene.node.stats().dropped == seen && scene.swarm.stats().rejected_shards == seen
        })
        .await;
    }
    let stats = scene.swarm.stats();
    assert_eq!((stats.bytes_in.viewer, stats.partners), (0, 0));
    // A good one from somebody else is welcome.
    let (_puppet, strings) = scene.partner().await;
    strings.send_shard(scene.channel.swarm(), &good).await;
    until("it is taken", || scene.swarm.stats().bytes_in.viewer > 0).await;
}

#[tokio::test]
async fn shards_of_swarms_that_were_not_joined_are_passed_over() {
    let mut scene = scene().await;
    let (_puppet, strings) = scene.partner().await;
    let good = scene.channel.shards(Channel::now())[0].wire().clone();
    strings.send_shard(segment::SwarmId([7; 16]), &[1, 2, 3]).await;
    strings.send_shard(scene.channel.swarm(), &good).await;
    until("the other one is taken", || scene.swarm.stats().bytes_in.viewer > 0).await;
    assert!(strings.connection.quic.close_reason().is_none());
}

#[tokio::test]
async fn broken_frames_end_the_connection() {
    let scene = scene().await;
    for junk in [&[3u8, 0, 0, 0, 1, 9][..], &[2, 255, 255, 255, 255], &[6, 0, 0, 0, 2, 1, 2]] {
        let (_puppet, mut strings) = scene.partner().await;
        strings.send.write_all(junk).await.unwrap();
        assert_eq!(strings.ended().await.0, 5);
    }
    let (_puppet, mut strings) = scene.partner().await;
    let swarm = scene.channel.swarm().0;
    strings.say(Say::Message { swarm, message: vec![0, 200, 255, 255, 255] }).await;
    assert_eq!(strings.ended().await.0, 5);
}

#[tokio::test]
async fn unknown_frames_streams_and_messages_are_skipped() {
    let scene = scene().await;
    let (_puppet, mut strings) = scene.partner().await;
    strings.send.write_all(&[200, 0, 0, 0, 2, 1, 2]).await.unwrap();
    let swarm = scene.channel.swarm();
    strings.say(Say::Message { swarm: swarm.0, message: vec![120, 2, 1, 2] }).await;
    let mut stream = strings.connection.quic.open_uni().await.unwrap();
    stream.write_all(&[77; 40]).await.unwrap();
    stream.finish().unwrap();
    strings.say(Say::Enter { swarm: [8; 16] }).await;
    assert_eq!(strings.hear().await, Ok(Say::NotHere { swarm: [8; 16], absence: 0 }));
}

#[tokio::test]
async fn who_enters_again_and_again_is_put_off_even_on_a_new_connection() {
    let scene = scene().await;
    let swarm = scene.channel.swarm();
    let (puppet, mut strings) = scene.partner().await;
    let begun = Instant::now();
    let mut entered = 1;
    let mut put_off = 0;
    while put_off < 3 {
        strings.say(Say::Enter { swarm: swarm.0 }).await;
        match strings.hear().await.unwrap() {
            Say::Entered { .. } => entered += 1,
            Say::Later { swarm: theirs, wait_ms } => {
                assert_eq!(theirs, swarm.0);
                until("it is no partner", || scene.swarm.stats().partners == 0).await;
                assert!((1..=1001).contains(&wait_ms), "{wait_ms}");
                let token = scene.platform.token(puppet.id(), Role::Viewer);
                strings = puppet.dial(&scene.node, token).await.unwrap();
                put_off += 1;
                if put_off == 3 {
                    // As long as it was told, and it is let in.
                    tokio::time::sleep(Duration::from_millis(wait_ms.into())).await;
                    strings.enter(swarm).await;
                }
            }
            // It asks the same at the same time.
            Say::Enter { .. } => {}
            other => panic!("{other:?}"),
        }
        // At once, and then once a second.
        let most = 20 + begun.elapsed().as_secs() + 1;
        assert!(entered <= most, "{entered} times, where {most} are the most");
    }
    until("it is a partner", || scene.swarm.stats().partners == 1).await;
    // Others are none the worse for it.
    let _other = scene.partner().await;
    until("another is a partner", || scene.swarm.stats().partners == 2).await;
}

#[tokio::test]
async fn a_shower_of_tickets_ends_the_connection() {
    let scene = scene().await;
    let (puppet, mut strings) = scene.partner().await;
    let ticket = scene.platform.token(puppet.id(), Role::Viewer);
    for _ in 0..200 {
        let frame = Say::Ticket { ticket: ticket.clone() };
        if link::protocol::write(&mut strings.send, &frame).await.is_err() {
            break;
        }
    }
    assert_eq!(strings.ended().await.0, 5);
}
