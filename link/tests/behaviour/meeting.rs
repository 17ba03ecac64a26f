//! Two nodes that look for each other end up with one connection.

use ticket::Role;

use crate::common::{Channel, Platform, hint, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_connections_made_at_once_one_stays() {
    let platform = Platform::new();
    for seed in 0..5 {
        let channel = Channel::new(seed);
        let (a, b) = (platform.node(Role::Repeater).await, platform.node(Role::Repeater).await);
        let (in_a, in_b) = (a.join(channel.spec()), b.join(channel.spec()));
        in_a.candidates(vec![hint(&b, Role::Headend)]);
        in_b.candidates(vec![hint(&a, Role::Headend)]);
        // A message that only a partner answers: both have told each other what they hold.
        until("both are partners", || {
            let stats = [in_a.stats(), in_b.stats()];
            stats.iter().all(|stats| stats.partners == 1 && stats.control_bytes > 0)
        })
        .await;
        until("there is one connection", || {
            a.stats().connections == 1 && b.stats().connections == 1
        })
        .await;
        tokio::join!(a.shutdown(), b.shutdown());
    }
}

#[tokio::test]
async fn a_node_that_started_again_is_met_again() {
    let platform = Platform::new();
    let channel = Channel::new(9);
    let node = platform.node(Role::Repeater).await;
    let swarm = node.join(channel.spec());
    let puppet = platform.puppet();
    let token = platform.token(puppet.id(), Role::Viewer);
    let mut first = puppet.dial(&node, token.clone()).await.unwrap();
    first.enter(channel.swarm()).await;
    until("it is a partner", || swarm.stats().partners == 1).await;
    // The same identity dials anew, as after a crash that nobody noticed.
    let mut second = puppet.dial(&node, token).await.unwrap();
    assert_eq!(first.ended().await.0, 3);
    second.enter(channel.swarm()).await;
    until("it is a partner again", || swarm.stats().partners == 1).await;
    assert_eq!(node.stats().connections, 1);
}

#[tokio::test]
async fn a_full_node_lets_go_of_idle_connections_first() {
    let platform = Platform::new();
    let channel = Channel::new(8);
    let node = platform.small_node(Role::Repeater, 2).await;
    let _swarm = node.join(channel.spec());
    let dial = async || {
        let puppet = platform.puppet();
        let token = platform.token(puppet.id(), Role::Viewer);
        (puppet.dial(&node, token).await.unwrap(), puppet)
    };
    let (idle, _a) = dial().await;
    let (mut busy, _b) = dial().await;
    busy.enter(channel.swarm()).await;
    let (mut third, _c) = dial().await;
    assert_eq!(idle.ended().await.0, 1);
    third.enter(channel.swarm()).await;
    let (fourth, _d) = dial().await;
    assert_eq!(fourth.ended().await, (6, "no room for more connections".into()));
    assert!(busy.connection.quic.close_reason().is_none());
}
