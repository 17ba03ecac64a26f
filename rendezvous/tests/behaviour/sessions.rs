//! The sessions that headends, repeaters and viewers really hold (`link::Session`).

use std::sync::Arc;

use link::{Login, Node, NodeConfig, Part, Session, SessionConfig};
use ticket::{Identity, Role};
use tokio::sync::watch;

use crate::auth::PLATFORM;
use crate::stage::{PATIENCE, Stage, publication, until};

async fn session(stage: &Stage, role: Role, credential: &str) -> Session {
    let config = NodeConfig {
        identity: Arc::new(Identity::generate()),
        bind: "127.0.0.1:0".parse().unwrap(),
        role,
        platform: PLATFORM.into(),
        max_connections: 16,
        max_egress: None,
        meeting: Default::default(),
        admit: None,
    };
    let node = Node::start(config).await.unwrap();
    let config = SessionConfig {
        auth: stage.config.auth.url.clone(),
        bind: None,
        login: Login::Node { credential: credential.into() },
        advertise: Vec::new(),
        software: "test 1".into(),
    };
    Session::start(node, config, false).await.unwrap()
}

/// Who takes part in the first swarm, once that is whole: headends, repeaters, viewers.
async fn whole(stage: &Stage, expected: [u64; 3]) {
    until(async || {
        let summaries = stage.server().hub().look(|map, now| map.summaries(now));
        summaries.first().is_some_and(|swarm| {
            let nodes = swarm.nodes;
            swarm.live && [nodes.headend, nodes.repeater, nodes.viewer] == expected
        })
    })
    .await;
}

async fn real_sessions_publish_join_get_new_keys_and_come_back_after_a_restart() {
    let mut stage = Stage::new().await;
    let headend = session(&stage, Role::Headend, "headend").await;
    let (announce, publications) = watch::channel(publication("one", 1, 0));
    let _source = headend.publish(publications, Part::default()).await.unwrap();
    let repeater = session(&stage, Role::Repeater, "repeater").await;
    let carried = repeater.join("one", None, Part::default()).await.unwrap();
    assert!(carried.keys.borrow().is_empty());
    let viewer = session(&stage, Role::Viewer, "viewer").await;
    let mut watched = viewer.join("one", None, Part::default()).await.unwrap();
    let epochs = |keys: &[segment::ContentKey]| keys.iter().map(|k| k.epoch).collect::<Vec<_>>();
    assert_eq!(epochs(&watched.keys.borrow_and_update()), [0, 1]);
    whole(&stage, [1, 1, 1]).await;

    announce.send(publication("one", 1, 1)).unwrap();
    let newest = |keys: &Vec<segment::ContentKey>| keys.iter().any(|key| key.epoch == 2);
    tokio::time::timeout(PATIENCE, watched.keys.wait_for(newest)).await.unwrap().unwrap();
    let absent = viewer.join("two", None, Part::default()).await.err().unwrap();
    assert_eq!(absent.to_string(), "channel two is not on air");

    stage.stop().await;
    stage.start().await;
    whole(&stage, [1, 1, 1]).await;
    announce.send(publication("one", 1, 2)).unwrap();
    let newest = |keys: &Vec<segment::ContentKey>| keys.iter().any(|key| key.epoch == 3);
    tokio::time::timeout(PATIENCE, watched.keys.wait_for(newest)).await.unwrap().unwrap();
    assert!(carried.keys.borrow().is_empty());

    drop((watched, carried));
    whole(&stage, [1, 0, 0]).await;
}

crate::on_both!(real_sessions_publish_join_get_new_keys_and_come_back_after_a_restart,);
