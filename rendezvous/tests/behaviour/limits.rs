//! Nothing grows without bound.

use std::time::Duration;

use link::protocol::{Event, Refusal, Request};
use ticket::{Identity, Role};

use crate::stage::{Stage, publication, until};

async fn a_full_rendezvous_refuses_and_has_room_again_when_somebody_goes() {
    let stage = Stage::with(|config| config.limits.sessions = 2).await;
    let first = stage.node(Role::Viewer, &["one"]).await;
    let _second = stage.node(Role::Viewer, &["one"]).await;
    let identity = Identity::generate();
    let ticket = stage.auth.user(identity.id(), Role::Viewer, &["one"]);
    let refused = stage.come(identity, &ticket).await.err().unwrap();
    assert_eq!(refused.0, Refusal::Limit);
    first.vanish();
    until(async || stage.server().hub().sessions() == 1).await;
    stage.node(Role::Viewer, &["one"]).await;
}

async fn a_viewer_takes_part_in_so_many_swarms_and_no_more() {
    let stage = Stage::with(|config| config.limits.swarms_per_viewer = 1).await;
    let mut headend = stage.node(Role::Headend, &["*"]).await;
    headend.publish(publication("one", 1, 0)).await.unwrap();
    headend.publish(publication("two", 2, 0)).await.unwrap();
    let mut viewer = stage.node(Role::Viewer, &["*"]).await;
    viewer.join("one").await.unwrap();
    assert_eq!(viewer.join("two").await.unwrap_err().0, Refusal::Limit);
    let mut repeater = stage.node(Role::Repeater, &["*"]).await;
    repeater.join("one").await.unwrap();
    repeater.join("two").await.unwrap();
}

async fn one_prefix_cannot_keep_the_others_out() {
    let stage = Stage::with(|config| {
        config.limits.prefix_burst = 3;
        config.limits.prefix_per_second = 1;
    })
    .await;
    let (quic, id) = (stage.server().quic, stage.server().id);
    let mut knocks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let identity = std::sync::Arc::new(Identity::generate());
        let local = "127.0.0.1:0".parse().unwrap();
        knocks.spawn(async move {
            let endpoint = link::Endpoint::bind(local, identity, &[]).unwrap();
            endpoint.connect(quic, id, link::Purpose::Rendezvous).await.is_ok()
        });
    }
    let came = knocks.join_all().await.into_iter().filter(|came| *came).count();
    assert!((1..20).contains(&came), "{came}");
    let local = "127.0.9.1:0".parse().unwrap();
    let endpoint = link::Endpoint::bind(local, Identity::generate().into(), &[]).unwrap();
    endpoint.connect(quic, id, link::Purpose::Rendezvous).await.unwrap();
}

async fn a_node_that_floods_is_slowed_down_and_not_answered_faster() {
    let stage = Stage::with(|config| {
        config.limits.frames_burst = 5;
        config.limits.frames_per_second = 20;
    })
    .await;
    let mut viewer = stage.node(Role::Viewer, &["one"]).await;
    let start = tokio::time::Instant::now();
    for sent in 0..25 {
        viewer.tell(Request::Clock { sent }).await;
    }
    for expected in 0..25 {
        let sent = viewer
            .find(|event| match event {
                Event::Clock { sent, .. } => Some(sent),
                _ => None,
            })
            .await;
        assert_eq!(sent, expected);
    }
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
}

async fn a_node_in_many_swarms_is_answered_however_much_it_asks_at_once() {
    let stage = Stage::new().await;
    let mut repeater = stage.node(Role::Repeater, &["*"]).await;
    for sent in 0..1500 {
        repeater.tell(Request::Clock { sent }).await;
    }
    for expected in 0..1500 {
        let event = repeater.next().await;
        assert!(matches!(event, Some(Event::Clock { sent, .. }) if sent == expected), "{event:?}");
    }
}

async fn the_same_node_has_one_session_and_the_later_one_stays() {
    let stage = Stage::new().await;
    let mut before = stage.node(Role::Viewer, &["one"]).await;
    let token = stage.auth.sign(&stage.auth.user(before.id(), Role::Viewer, &["one"]));
    let mut after = stage.come_with(before.identity.clone(), token).await.unwrap();
    assert_eq!(before.rest().await, [], "it ends without a verdict");
    assert_eq!(stage.server().hub().sessions(), 1);
    after.in_step().await;
}

async fn noise_ends_the_session_of_who_makes_it_and_no_other() {
    let stage = Stage::new().await;
    let mut bystander = stage.node(Role::Viewer, &["one"]).await;
    // A known type with a body that is none, then a length beyond all bounds.
    for noise in [&[5, 0, 0, 0, 3, 255, 255, 255][..], &[7, 255, 255, 255, 255]] {
        let mut noisy = stage.node(Role::Viewer, &["one"]).await;
        noisy.raw(noise).await;
        assert_eq!(noisy.rest().await, []);
    }
    bystander.in_step().await;
}

crate::on_both!(
    a_full_rendezvous_refuses_and_has_room_again_when_somebody_goes,
    a_viewer_takes_part_in_so_many_swarms_and_no_more,
    one_prefix_cannot_keep_the_others_out,
    a_node_that_floods_is_slowed_down_and_not_answered_faster,
    a_node_in_many_swarms_is_answered_however_much_it_asks_at_once,
    the_same_node_has_one_session_and_the_later_one_stays,
    noise_ends_the_session_of_who_makes_it_and_no_other,
);
