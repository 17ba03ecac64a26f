//! Tells the operator's console how the channels fare, and shows them when somebody looks; tells viewers what
//! sources say is on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use link::Session;
use link::protocol::{Condition, Programme, Schedule};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::preview::preview;
use crate::roster::Roster;

/// How often a change is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How often all is told though nothing has changed: a rendezvous that was restarted has to hear it.
const AGAIN: Duration = Duration::from_secs(5);

/// Tells each change of how the channels fare and of what is on; never returns.
pub(crate) async fn tell(roster: &Roster, session: &Session) {
    let mut told: (Vec<Condition>, Option<Instant>) = (Vec::new(), None);
    let mut on: BTreeMap<String, Vec<Programme>> = BTreeMap::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let now: Vec<_> = roster.stations().iter().map(|station| station.condition()).collect();
        let again = told.1.is_none_or(|at| at.elapsed() >= AGAIN);
        if again || !alike(&now, &told.0) {
            session.tell_conditions(now.clone()).await;
            told = (now, Some(Instant::now()));
        }
        let mut before = std::mem::take(&mut on);
        for station in roster.stations() {
            let (channel, programmes) = (station.channel().id.clone(), station.programmes());
            let changed = before.remove(&channel).unwrap_or_default() != programmes;
            on.insert(channel.clone(), programmes.clone());
            if changed || again && !programmes.is_empty() {
                session.tell_schedule(Schedule { channel, programmes }).await;
            }
        }
    }
}

/// Whether two tell the operator the same: how far the media part is behind moves all the time.
fn alike(a: &[Condition], b: &[Condition]) -> bool {
    let plain = |condition: &Condition| Condition { behind_ms: 0, ..condition.clone() };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| plain(a) == plain(b))
}

/// Shows a channel whenever the operator wants to see it, one after the other; never returns.
pub(crate) async fn show(roster: Arc<Roster>, session: &Session) {
    let mut looks = session.looks();
    loop {
        let channel = match looks.recv().await {
            Ok(channel) => channel,
            // They are asked for again.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return std::future::pending().await,
        };
        let stations = roster.stations();
        let station = stations.iter().find(|station| station.channel().id == channel);
        let Some(entry) = station.and_then(|station| station.entry()) else { continue };
        match tokio::task::spawn_blocking(move || preview(entry)).await {
            Ok(Ok(jpeg)) => session.show(channel, jpeg).await,
            Ok(Err(error)) => tracing::debug!(channel, %error, "cannot be shown"),
            Err(error) => tracing::error!(channel, %error, "cannot be shown"),
        }
    }
}
