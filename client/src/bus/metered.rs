//! Whether the connection is paid by volume: NetworkManager says so, or, in a sandbox, the NetworkMonitor portal. Both tell
//! changes at once.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::watch;
use zbus::{Connection, proxy};

use super::{session, system, within};

/// After so long it is looked again whether there is somebody to ask.
const AGAIN: Duration = Duration::from_secs(30);

#[proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager"
)]
trait NetworkManager {
    #[zbus(property)]
    fn metered(&self) -> zbus::Result<u32>;
}

#[proxy(
    interface = "org.freedesktop.portal.NetworkMonitor",
    default_service = "org.freedesktop.portal.Desktop",
    default_path = "/org/freedesktop/portal/desktop"
)]
trait NetworkMonitor {
    fn get_metered(&self) -> zbus::Result<bool>;
    #[zbus(signal, name = "changed")]
    fn changed(&self) -> zbus::Result<()>;
}

/// NetworkManager's `NMMetered`: 1 is "yes", 3 "guess yes".
fn is_metered(value: u32) -> bool {
    matches!(value, 1 | 3)
}

/// Whether the connection is paid by volume, and each change; `false` while nobody says.
pub(crate) fn watch() -> watch::Receiver<bool> {
    let (tell, metered) = watch::channel(false);
    tokio::spawn(async move {
        while !tell.is_closed() {
            if let Some(bus) = system().await {
                follow_manager(&bus, &tell).await;
            }
            // Nobody there, or not any more: the portal may be.
            if let Some(bus) = session().await {
                follow_portal(&bus, &tell).await;
            }
            say(&tell, false);
            tokio::select! {
                () = tell.closed() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    });
    metered
}

fn say(tell: &watch::Sender<bool>, metered: bool) {
    tell.send_if_modified(|now| std::mem::replace(now, metered) != metered);
}

/// Follows NetworkManager on this bus, as long as it is there and somebody wants to know.
pub(super) async fn follow_manager(bus: &Connection, tell: &watch::Sender<bool>) {
    let Some(manager) = within(NetworkManagerProxy::new(bus)).await else { return };
    let mut changes = manager.receive_metered_changed().await;
    let Some(first) = within(manager.metered()).await else { return };
    say(tell, is_metered(first));
    loop {
        tokio::select! {
            () = tell.closed() => return,
            change = changes.next() => match change {
                Some(change) => match change.get().await {
                    Ok(value) => say(tell, is_metered(value)),
                    Err(_) => return,
                },
                None => return,
            },
        }
    }
}

/// The same with the portal.
pub(super) async fn follow_portal(bus: &Connection, tell: &watch::Sender<bool>) {
    let Some(monitor) = within(NetworkMonitorProxy::new(bus)).await else { return };
    let Some(mut changes) = within(monitor.receive_changed()).await else { return };
    loop {
        let Some(metered) = within(monitor.get_metered()).await else { return };
        say(tell, metered);
        tokio::select! {
            () = tell.closed() => return,
            change = changes.next() => if change.is_none() { return },
        }
    }
}
