//! Changing channels keeps connections warm and leaves nothing behind.

use ticket::Role;
use tokio::runtime::Handle;

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
        assert_eq!(viewer.stats().connections, 1);
        assert_eq!(repeater.stats().connections, 1);
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
