//! From publication to keys: who gets what.

use link::protocol::{Event, Request, SwarmReport};
use swarm::Substreams;
use ticket::{ChannelTicket, KeySet, Role};

use crate::auth::{PLATFORM, now};
use crate::stage::{Guest, Stage, keys, publication, swarm_of};

async fn the_welcome_holds_what_a_node_needs() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    headend.publish(publication("two", 2, 0)).await.unwrap();

    let before = now() * 1_000_000;
    let viewer = stage.node(Role::Viewer, &["two", "three"]).await;
    let Event::Welcome { ticket, observed, key_set, line_up, time } = viewer.welcome() else {
        panic!("no welcome");
    };
    assert_eq!(*observed, viewer.endpoint.local_addr());
    assert!((before..before + 60_000_000).contains(time), "{time}");
    let channels: Vec<_> =
        line_up.iter().map(|c| (c.id.as_str(), c.name.as_str(), c.number, c.live)).collect();
    assert_eq!(channels, [("two", "Channel two", 2, true)]);

    let keys = KeySet::from_json(key_set).unwrap();
    let granted = ChannelTicket::check(ticket, &keys, PLATFORM, viewer.id(), now()).unwrap();
    let user = stage.auth.user(viewer.id(), Role::Viewer, &["two", "three"]);
    assert_eq!(granted.iss, stage.server().id);
    assert_eq!((granted.jti, granted.role, granted.loc), (user.jti, user.role, user.loc));
    assert_eq!(granted.channels, user.channels);
    assert_eq!(granted.exp - granted.iat, 1800);
}

async fn content_keys_go_to_entitled_viewers_and_to_nobody_else() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    let (_, given, _) = headend.publish(publication("one", 1, 0)).await.unwrap();
    assert_eq!(given, []);
    let mut repeater = stage.node(Role::Repeater, &["*"]).await;
    let (parameters, given, _) = repeater.join("one").await.unwrap();
    assert_eq!((parameters, given), (publication("one", 1, 0).parameters, vec![]));
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let (parameters, given, _) = viewer.join("one").await.unwrap();
    assert_eq!((parameters, given), (publication("one", 1, 0).parameters, keys(1, 0)));
    let mut stranger = stage.node(Role::Viewer, &["two"]).await;
    assert!(stranger.join("one").await.is_err());

    headend.publish(publication("one", 1, 1)).await.unwrap();
    let (swarm, news) = viewer.find(keys_of).await;
    assert_eq!(swarm, swarm_of(1).0);
    assert!(keys(1, 1).iter().all(|key| news.contains(key)), "{news:?}");
    // The same once more is no news.
    headend.publish(publication("one", 1, 1)).await.unwrap();
    for mut node in [viewer, repeater, stranger, headend] {
        assert!(no_keys_wait(&mut node).await, "{:?} is given keys", node.id());
    }
}

fn keys_of(event: Event) -> Option<([u8; 16], Vec<link::protocol::EpochKey>)> {
    match event {
        Event::Keys { swarm, keys } => Some((swarm, keys)),
        _ => None,
    }
}

/// Whether nothing secret was sent before the answer to a question asked now.
async fn no_keys_wait(node: &mut Guest) -> bool {
    node.tell(Request::Clock { sent: 99 }).await;
    node.find(|event| match event {
        Event::Keys { .. } => Some(false),
        Event::Channel { keys, .. } if !keys.is_empty() => Some(false),
        Event::Clock { sent: 99, .. } => Some(true),
        _ => None,
    })
    .await
}

async fn peers_are_named_nearest_first_with_a_repeater_on_top() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut repeater = stage.node(Role::Repeater, &["*"]).await;
    let (_, _, peers) = repeater.join("one").await.unwrap();
    assert_eq!(peers.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [headend.id()]);

    let mut near = stage.node(Role::Viewer, &["one"]).await;
    near.join("one").await.unwrap();
    let identity = ticket::Identity::generate();
    let mut abroad = stage.auth.user(identity.id(), Role::Viewer, &["one"]);
    abroad.loc = ticket::Location::default();
    let mut far = stage.come(identity, &abroad).await.unwrap();
    far.join("one").await.unwrap();

    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let (_, _, peers) = viewer.join("one").await.unwrap();
    let named: Vec<_> = peers.iter().map(|peer| peer.peer).collect();
    assert_eq!(named, [repeater.id(), near.id(), far.id()]);
    let seen = peers.iter().find(|peer| peer.peer == near.id()).unwrap();
    assert_eq!(seen.addrs, [near.endpoint.local_addr()]);
    assert_eq!(seen.location.subset, Some(7));

    // Without the repeater the headend has to do.
    repeater.vanish();
    let headend = headend.id();
    loop {
        viewer.tell(Request::FindPeers { swarm: swarm_of(1).0 }).await;
        let peers = viewer
            .find(|event| match event {
                Event::Peers { peers, .. } => Some(peers),
                _ => None,
            })
            .await;
        if peers.iter().any(|peer| peer.peer == headend) {
            assert_eq!(peers.len(), 3);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn who_leaves_is_named_no_more() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut first = stage.node(Role::Viewer, &["one"]).await;
    first.join("one").await.unwrap();
    first.tell(Request::Leave { swarm: swarm_of(1).0 }).await;
    first.in_step().await;
    let mut second = stage.node(Role::Viewer, &["one"]).await;
    let (_, _, peers) = second.join("one").await.unwrap();
    assert_eq!(peers.iter().map(|peer| peer.peer).collect::<Vec<_>>(), [headend.id()]);
}

async fn the_line_up_is_told_when_it_changes() {
    let stage = Stage::with(|config| {
        config.limits.off_air_after = service::config::Duration::from_millis(200);
    })
    .await;
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("two", 2, 0)).await.unwrap();
    headend.publish(publication("one", 1, 0)).await.unwrap();
    viewer.line_up(|line_up| line_up.len() == 1 && line_up[0].live).await;
    headend.vanish();
    viewer.line_up(|line_up| line_up.len() == 1 && !line_up[0].live).await;
}

async fn a_second_headend_must_be_a_twin() {
    let stage = Stage::new().await;
    let mut first = stage.node(Role::Headend, &["*"]).await;
    first.publish(publication("one", 1, 0)).await.unwrap();
    let mut second = stage.node(Role::Headend, &["*"]).await;
    let (_, reason) = second.publish(publication("one", 9, 0)).await.unwrap_err();
    assert!(reason.contains("another secret"), "{reason}");
    let mut other = publication("one", 1, 0);
    other.parameters.k = 6;
    let (_, reason) = second.publish(other).await.unwrap_err();
    assert!(reason.contains("another code"), "{reason}");
    let (_, _, peers) = second.publish(publication("one", 1, 0)).await.unwrap();
    assert_eq!(peers.len(), 1);
}

async fn the_platforms_clock_can_be_asked() {
    let stage = Stage::new().await;
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let before = std::time::SystemTime::now();
    viewer.tell(Request::Clock { sent: 42 }).await;
    let (sent, received) = viewer
        .find(|event| match event {
            Event::Clock { sent, received } => Some((sent, received)),
            _ => None,
        })
        .await;
    let after = std::time::SystemTime::now();
    let micros = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
    };
    assert_eq!(sent, 42);
    assert!((micros(before)..=micros(after)).contains(&received));
}

async fn a_narrower_package_ends_what_it_no_longer_holds() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    headend.publish(publication("two", 2, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["one", "two"]).await;
    viewer.join("one").await.unwrap();
    viewer.join("two").await.unwrap();
    let narrower = stage.auth.user(viewer.id(), Role::Viewer, &["two"]);
    viewer.tell(Request::Renew { ticket: Some(stage.auth.sign(&narrower)) }).await;
    let channel = viewer
        .find(|event| match event {
            Event::NoChannel { channel, .. } => Some(channel),
            _ => None,
        })
        .await;
    assert_eq!(channel, "one");
    viewer.line_up(|line_up| line_up.len() == 1 && line_up[0].id == "two").await;
    headend.publish(publication("one", 1, 1)).await.unwrap();
    headend.publish(publication("two", 2, 1)).await.unwrap();
    assert_eq!(viewer.find(keys_of).await.0, swarm_of(2).0);
    assert!(no_keys_wait(&mut viewer).await);
}

async fn reports_show_in_the_map() {
    let stage = Stage::new().await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    viewer.join("one").await.unwrap();
    for step in 1..=2 {
        let report = SwarmReport {
            swarm: swarm_of(1).0,
            have: Substreams::first(8),
            free: 3,
            lag_ms: 120,
            bytes_in: [0, 1000 * step, 3000 * step],
            ..Default::default()
        };
        viewer.tell(Request::Report(vec![report])).await;
    }
    viewer.in_step().await;
    let (_, map) = stage.get_as("/v1/swarms", Some(crate::stage::ADMIN)).await;
    assert_eq!(map["swarms"][0]["offload"], 0.75, "{map}");
    assert_eq!(map["swarms"][0]["free"]["viewer"], 3, "{map}");
    assert_eq!(map["swarms"][0]["lag_ms"], 120, "{map}");
    let metrics = stage.text("/metrics").await;
    let line = r#"braidcast_rendezvous_media_received_bytes_total{from="viewer"} 3000"#;
    assert!(metrics.contains(line), "{metrics}");
}

crate::on_both!(
    the_welcome_holds_what_a_node_needs,
    content_keys_go_to_entitled_viewers_and_to_nobody_else,
    peers_are_named_nearest_first_with_a_repeater_on_top,
    who_leaves_is_named_no_more,
    the_line_up_is_told_when_it_changes,
    a_second_headend_must_be_a_twin,
    the_platforms_clock_can_be_asked,
    a_narrower_package_ends_what_it_no_longer_holds,
    reports_show_in_the_map,
);
