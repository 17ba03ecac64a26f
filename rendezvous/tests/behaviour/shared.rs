//! Several rendezvous servers, one platform: nodes may connect to any, and none is missed.

use link::protocol::{Condition, Event, Request, SwarmReport};
use ticket::{PeerId, Role};

use crate::redis::{MAP, Redis};
use crate::stage::{ADMIN, Guest, Stage, publication, swarm_of, until};

/// A platform with two servers on a Redis of its own.
async fn two() -> Option<(Redis, Stage, Stage)> {
    let redis = Redis::start()?;
    let (one, two) = MAP
        .scope(Some(redis.url()), async {
            let one = Stage::new().await;
            let two = one.beside().await;
            (one, two)
        })
        .await;
    Some((redis, one, two))
}

async fn knows(stage: &Stage, expected: [u64; 3]) {
    until(async || {
        let (_, map) = stage.get_as("/v1/swarms", Some(ADMIN)).await;
        let nodes = &map["swarms"][0]["nodes"];
        [&nodes["headend"], &nodes["repeater"], &nodes["viewer"]] == expected
    })
    .await;
}

async fn on_air(stage: &Stage) -> bool {
    stage.get("/v1/channels").await.1["channels"][0]["live"] == true
}

async fn peers(node: &mut Guest) -> Vec<PeerId> {
    node.tell(Request::FindPeers { swarm: swarm_of(1).0 }).await;
    node.find(|event| match event {
        Event::Peers { peers, .. } => Some(peers.into_iter().map(|hint| hint.peer).collect()),
        _ => None,
    })
    .await
}

async fn report(node: &mut Guest) {
    let report = SwarmReport { swarm: swarm_of(1).0, free: 2, ..Default::default() };
    node.tell(Request::Report(vec![report])).await;
}

#[tokio::test]
async fn a_channel_can_be_watched_at_the_server_where_its_headend_is_not() {
    let Some((_redis, one, two)) = two().await else { return };
    let mut headend = one.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    let mut repeater = one.node(Role::Repeater, &["*"]).await;
    repeater.join("one").await.unwrap();
    until(async || on_air(&two).await).await;
    knows(&two, [1, 1, 0]).await;

    let mut viewer = two.node(Role::Viewer, &["one"]).await;
    let (_, keys, peers_of_viewer) = viewer.join("one").await.unwrap();
    assert_eq!(keys, publication("one", 1, 0).keys);
    assert_eq!(peers_of_viewer.len(), 1);
    assert_eq!(peers_of_viewer[0].peer, repeater.id());
    assert!(peers_of_viewer[0].addrs[0].ip().is_loopback());
    knows(&one, [1, 1, 1]).await;
    until(async || peers(&mut repeater).await.contains(&viewer.id())).await;

    // New keys of the one reach the viewers of the other.
    headend.publish(publication("one", 1, 1)).await.unwrap();
    let keys = viewer
        .find(|event| match event {
            Event::Keys { keys, .. } => Some(keys),
            _ => None,
        })
        .await;
    assert_eq!(keys.iter().map(|key| key.epoch).max(), Some(2));
}

#[tokio::test]
async fn a_channel_is_seen_at_the_server_where_its_headend_is_not() {
    let Some((_redis, one, two)) = two().await else { return };
    let mut headend = one.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    until(async || on_air(&two).await).await;
    let hub = two.server().hub();
    until(async || {
        assert_eq!(hub.preview("one"), None);
        tokio::time::timeout(
            std::time::Duration::from_secs(1),
            headend.find(|event| matches!(event, Event::Look { .. }).then_some(())),
        )
        .await
        .is_ok()
    })
    .await;
    let condition = Condition {
        channel: "one".into(),
        sources: Vec::new(),
        up: true,
        encoded: false,
        behind_ms: 0,
        losses: 0,
        switches: 0,
        trouble: None,
    };
    headend.tell(Request::Conditions(vec![condition.clone()])).await;
    headend.tell(Request::Preview { channel: "one".into(), jpeg: vec![1, 2, 3] }).await;
    until(async || hub.preview("one").is_some_and(|shown| shown.jpeg == [1, 2, 3])).await;
    until(async || hub.conditions("one") == [condition.clone()]).await;
}

#[tokio::test]
async fn nodes_of_different_servers_can_be_introduced() {
    let Some((_redis, one, two)) = two().await else { return };
    let mut viewer = two.node(Role::Viewer, &["one"]).await;
    let event = || Event::Clock { sent: 7, received: 8 };
    // It is heard of a moment after it came.
    until(async || one.server().hub().tell(viewer.id(), event())).await;
    assert_eq!(viewer.next().await, Some(event()));
    assert!(!one.server().hub().tell(PeerId([9; 32]), event()), "nobody knows that one");
}

#[tokio::test]
async fn when_a_server_is_lost_its_nodes_come_to_the_other_and_the_channel_stays() {
    let Some((_redis, mut one, two)) = two().await else { return };
    let mut headend = one.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    until(async || on_air(&two).await).await;
    let mut viewer = two.node(Role::Viewer, &["one"]).await;
    viewer.join("one").await.unwrap();
    knows(&one, [1, 0, 1]).await;

    one.stop().await;
    let token = two.auth.sign(&two.auth.user(headend.id(), Role::Headend, &["*"]));
    let mut back = two.come_with(headend.identity.clone(), token).await.unwrap();
    back.publish(publication("one", 1, 0)).await.unwrap();
    assert!(on_air(&two).await);
    assert!(peers(&mut viewer).await.contains(&headend.id()));

    // It comes again with nothing, and is told everything.
    one.start().await;
    knows(&one, [1, 0, 1]).await;
    assert!(on_air(&one).await);
}

#[tokio::test]
async fn without_redis_everyone_goes_on_and_the_map_heals_when_it_is_back() {
    let Some((redis, one, two)) = two().await else { return };
    let mut headend = one.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    until(async || on_air(&two).await).await;
    redis.kill();
    until(async || {
        let (code, body) = two.get("/readyz").await;
        code == 503 && body["missing"]["shared map"].as_str().unwrap().contains("cannot be used")
    })
    .await;
    // Who comes now is served with what is known.
    let mut viewer = two.node(Role::Viewer, &["one"]).await;
    let (_, keys, found) = viewer.join("one").await.unwrap();
    assert_eq!((keys.len(), found.len()), (2, 1));
    let mut repeater = one.node(Role::Repeater, &["*"]).await;
    repeater.join("one").await.unwrap();
    report(&mut repeater).await;

    // It comes back empty.
    redis.resume();
    one.ready().await;
    two.ready().await;
    knows(&one, [1, 1, 1]).await;
    knows(&two, [1, 1, 1]).await;
    until(async || peers(&mut viewer).await.contains(&repeater.id())).await;
    viewer.in_step().await;
}

#[tokio::test]
async fn a_server_with_another_secret_is_not_believed() {
    let Some((_redis, one, mut two)) = two().await else { return };
    two.stop().await;
    let Some(service::config::Secret::File(path)) = two.config.shared.secret.clone() else {
        panic!("the secret is a file")
    };
    let other = path.with_extension("other");
    std::fs::write(&other, "something else").unwrap();
    two.config.shared.secret = Some(service::config::Secret::File(other));
    two.start().await;
    two.ready().await;
    let mut headend = two.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    until(async || {
        let metrics = one.text("/metrics").await;
        let name = "braidcast_rendezvous_shared_broken_messages_total ";
        metrics.lines().any(|line| line.strip_prefix(name).is_some_and(|count| count != "0"))
    })
    .await;
    let (_, channels) = one.get("/v1/channels").await;
    assert_eq!(channels["channels"], serde_json::json!([]));
}

#[tokio::test]
async fn a_node_that_moves_is_at_one_server_only() {
    let Some((_redis, one, two)) = two().await else { return };
    let mut before = one.node(Role::Viewer, &["one"]).await;
    let token = two.auth.sign(&two.auth.user(before.id(), Role::Viewer, &["one"]));
    let mut after = two.come_with(before.identity.clone(), token).await.unwrap();
    let mut rest = before.rest().await;
    // The other server has only just come: its key may be told meanwhile.
    rest.retain(|event| !matches!(event, Event::KeySet(_)));
    assert_eq!(rest, [], "the earlier session ends without a verdict");
    until(async || one.server().hub().sessions() == 0).await;
    after.in_step().await;
    assert_eq!(two.server().hub().sessions(), 1);
}

#[tokio::test]
async fn nodes_soon_know_the_key_of_a_server_that_is_new() {
    let Some((_redis, one, _two)) = two().await else { return };
    let mut node = one.node(Role::Repeater, &["*"]).await;
    let three = MAP.scope(one.config.shared.redis.clone(), one.beside()).await;
    let id = three.server().id.to_string();
    // Without a hint the key set is looked at each 15 s only.
    let asked = tokio::time::Instant::now();
    node.find(|event| match event {
        Event::KeySet(keys) if keys.contains(&id) => Some(()),
        _ => None,
    })
    .await;
    assert!(asked.elapsed() < std::time::Duration::from_secs(10));
}
