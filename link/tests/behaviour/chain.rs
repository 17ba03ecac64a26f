//! Sealed segments travel from a headend over a repeater to a viewer, byte for byte.

use crate::common::{CHANNEL, Channel, PATIENCE, Platform, hint, until};
use link::Played;
use ticket::Role;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_played_over_a_repeater() {
    let platform = Platform::new();
    let channel = Channel::new(1);
    let (spec, key) = (channel.spec(), channel.content_key(0));
    assert_eq!(spec.channel, CHANNEL);
    let headend = platform.node(Role::Headend).await;
    let repeater = platform.node(Role::Repeater).await;
    let viewer = platform.node(Role::Viewer).await;

    let on_air = channel.on_air(headend.join(spec.clone()));
    let carried = repeater.join(spec.clone());
    carried.candidates(vec![hint(&headend, Role::Headend)]);
    let mut watched = viewer.join(spec.clone());
    watched.candidates(vec![hint(&repeater, Role::Repeater)]);

    let mut expected = None;
    for seen in 0..35 {
        let played = timeout(PATIENCE, watched.next()).await.expect("nothing is played").unwrap();
        let Played::Segment { header, essential, full, .. } = played else {
            panic!("segment {seen} was missed: {played:?}");
        };
        assert_eq!(header.number, *expected.get_or_insert(header.number));
        expected = Some(header.number + 1);
        let key = segment::ContentKey { epoch: header.epoch, ..channel_key(&key, header.epoch) };
        let opened =
            segment::open(&spec.swarm, &header, essential.as_deref(), full.as_deref(), &key)
                .unwrap();
        assert!(opened.whole);
        assert_eq!(opened.ts, Channel::media(header.number));
    }
    until("the viewer counts what it had from the repeater", || {
        let stats = watched.stats();
        stats.played >= 15 && stats.bytes_in.repeater > 0 && stats.bytes_in.headend == 0
    })
    .await;
    until("the repeater counts what it had from the headend", || {
        carried.stats().bytes_in.headend > 0
    })
    .await;
    on_air.abort();

    // Leaving: each is told, and nothing is played any more.
    viewer.shutdown().await;
    let rest = async { while watched.next().await.is_some() {} };
    timeout(PATIENCE, rest).await.unwrap();
    until("the repeater has lost the viewer", || repeater.stats().connections == 1).await;
    headend.shutdown().await;
    repeater.shutdown().await;
}

/// The key of the epoch that the segment names.
fn channel_key(_: &segment::ContentKey, epoch: u32) -> segment::ContentKey {
    Channel::new(1).content_key(epoch)
}
