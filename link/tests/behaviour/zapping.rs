//! Changing channels keeps connections warm, leaves nothing behind, and is not refused however fast it is.

use std::time::Duration;

use link::{Node, Swarm};
use ticket::Role;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::common::{Channel, Platform, hint, until};

#[tokio::test]
async fn ten_changes_of_channel_leave_nothing_behind() {
    let platform = Platform::new();
    let repeater = platform.node(Role::Repeater).await;
    let viewer = platform.node(Role::Viewer).await;
    let channels: Vec<_> = (1..=3).map(Channel::new).collect();
    let _carried: Vec<_> = channels.iter().map(|c| repeater.join(c.spec())).collect();
    let mut tasks = None;
    for change in 0..11 {
        let channel = &channels[change % channels.len()];
        let mut watched = viewer.join(channel.spec());
        watched.candidates(vec![hint(&repeater, Role::Repeater)]);
        until("it has a partner", || watched.stats().partners == 1).await;
        // Nodes count four times a second, a viewer's engine more often.
        until("it is the only one", || {
            (viewer.stats().connections, repeater.stats().connections) == (1, 1)
        })
        .await;
        let alive = Handle::current().metrics().num_alive_tasks();
        assert_eq!(alive, *tasks.get_or_insert(alive), "tasks after {change} changes");
        let ending = async {
            drop(viewer.join(channel.spec()));
            while watched.next().await.is_some() {}
        };
        tokio::time::timeout(crate::common::PATIENCE, ending).await.unwrap();
    }
    let before_leaving = repeater.stats().connections;
    viewer.shutdown().await;
    until("the repeater is alone", || repeater.stats().connections == 0).await;
    assert_eq!(before_leaving, 1);
}

/// A viewer and a repeater of two channels.
struct Scene {
    repeater: Node,
    viewer: Node,
    channels: [Channel; 2],
    _carried: Vec<Swarm>,
}

impl Scene {
    async fn new() -> Self {
        let platform = Platform::new();
        let repeater = platform.node(Role::Repeater).await;
        let viewer = platform.node(Role::Viewer).await;
        let channels = [Channel::new(1), Channel::new(2)];
        let _carried = channels.iter().map(|c| repeater.join(c.spec())).collect();
        Self { repeater, viewer, channels, _carried }
    }

    /// Goes to the other channel.
    fn zap(&self, change: usize) -> Swarm {
        let watched = self.viewer.join(self.channels[change % 2].spec());
        watched.candidates(vec![hint(&self.repeater, Role::Repeater)]);
        watched
    }
}

/// Faster than anybody presses keys for so long: thirty entries into each channel within fifteen seconds.
#[tokio::test]
async fn who_zaps_to_and_fro_is_not_refused() {
    let scene = Scene::new().await;
    for change in 0..60 {
        let _watched = scene.zap(change);
        sleep(Duration::from_millis(250)).await;
    }
    let watched = scene.zap(0);
    until("it has a partner", || watched.stats().partners == 1).await;
    assert_eq!(scene.repeater.stats().refused, 0);
}

/// It is put off, asks again when it was told to, and needs no other help: nobody joins the channel anew for it.
#[tokio::test]
async fn who_zaps_without_rest_waits_for_its_turn() {
    let scene = Scene::new().await;
    let mut change = 0;
    while scene.repeater.stats().refused == 0 {
        let _watched = scene.zap(change);
        sleep(Duration::from_millis(20)).await;
        change += 1;
        assert!(change < 5000, "nobody limits it");
    }
    let watched = scene.zap(change);
    until("it has a partner", || watched.stats().partners == 1).await;
}
