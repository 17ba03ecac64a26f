//! A swarm that the session looks after.

use std::time::Duration;

use segment::{ContentKey, SwarmId};
use swarm::{Cause, Serve, Substreams};
use ticket::Role;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::line::Ask;
use crate::node::Watch;
use crate::protocol::{EpochKey, Parameters, Publication, Quality, SwarmReport};

/// Rendezvous is asked for peers of one swarm at most this often.
const FIND_EVERY: Duration = Duration::from_secs(1);
/// Content keys that are kept: playout runs behind the newest.
const KEYS: usize = 4;
/// Free sub-streams that are reported where no limit is known.
const PLENTY: u16 = 1000;

/// What the session knows of a swarm that was joined.
pub(crate) struct Member {
    pub(crate) watch: Watch,
    /// Tells two joins of one swarm apart.
    pub(crate) instance: u64,
    pub(crate) parameters: Parameters,
    pub(crate) keys: watch::Sender<Vec<ContentKey>>,
    /// What is announced, by a headend.
    pub(crate) publication: Option<watch::Receiver<Publication>>,
    /// Whether the rendezvous of now knows of it.
    pub(crate) confirmed: bool,
    /// When it was asked last.
    pub(crate) asked: Instant,
}

impl Member {
    /// Takes new keys in beside those that are still played under.
    pub(crate) fn add_keys(&self, fresh: Vec<EpochKey>) {
        if !fresh.is_empty() {
            self.keys.send_if_modified(|keys| merge(keys, fresh));
        }
    }

    pub(crate) fn report(&self, role: Role) -> SwarmReport {
        let stats = self.watch.shared.stats();
        let limits = self.watch.shared.limits();
        let Parameters { n, k, bitrate, .. } = self.parameters;
        let flowing: Substreams = stats.substreams.iter().map(|parent| parent.index).collect();
        // Who has K can make the others.
        let all = role == Role::Headend || role == Role::Repeater && flowing.len() >= k;
        let rate = (bitrate / u64::from(k.max(1))).max(1);
        let by_uplink = limits.uplink.map(|uplink| uplink / rate);
        let most = by_uplink.into_iter().chain(limits.max_pushed.map(u64::from)).min();
        let free = match (limits.serve, most) {
            (Serve::Nobody, _) => 0,
            (_, None) => PLENTY,
            (_, Some(most)) => most.saturating_sub(stats.pushed.into()).min(PLENTY.into()) as u16,
        };
        let by_role = |bytes: &swarm::ByRole| [bytes.headend, bytes.repeater, bytes.viewer];
        SwarmReport {
            swarm: self.watch.id.0,
            have: if all { Substreams::first(n) } else { flowing },
            free,
            pushed: stats.pushed.min(u16::MAX.into()) as u16,
            lag_ms: stats.arrival.as_millis().min(u32::MAX.into()) as u32,
            startup_ms: stats
                .startup
                .map_or(0, |startup| startup.as_millis().clamp(1, u32::MAX.into()) as u32),
            stalls: stats.stalls.min(u32::MAX.into()) as u32,
            stall_ms: stats.stalled.as_millis() as u64,
            bytes_in: by_role(&stats.bytes_in),
            bytes_out: by_role(&stats.bytes_out),
        }
    }
}

impl Member {
    /// What is told of a viewer beyond its report.
    pub(crate) fn quality(&self) -> Quality {
        let stats = self.watch.shared.stats();
        let causes = [
            Cause::ParentLeft,
            Cause::UplinkFull,
            Cause::Nat,
            Cause::SourceGap,
            Cause::Downlink,
            Cause::Decoder,
        ];
        let count = |cause| stats.stall_causes.get(&cause).copied().unwrap_or_default();
        Quality {
            swarm: self.watch.id.0,
            stalls: causes.map(|cause| count(cause).min(u32::MAX.into()) as u32),
            played: stats.played,
            rebuilt: stats.rebuilt,
            lost: stats.lost,
            duplicate: stats.duplicate_bytes,
            near_in: stats.near_in,
        }
    }
}

/// Adds keys by epoch; whether anything is new. The oldest epochs go.
fn merge(keys: &mut Vec<ContentKey>, fresh: Vec<EpochKey>) -> bool {
    let mut changed = false;
    for EpochKey { epoch, key } in fresh {
        let new = ContentKey { epoch, key };
        match keys.iter_mut().find(|old| old.epoch == epoch) {
            Some(old) if *old == new => {}
            Some(old) => {
                *old = new;
                changed = true;
            }
            None => {
                keys.push(new);
                changed = true;
            }
        }
    }
    keys.sort_by_key(|key| key.epoch);
    keys.drain(..keys.len().saturating_sub(KEYS));
    changed
}

/// Tells the line what happens to a swarm, until it is left.
pub(crate) async fn attend(
    watch: Watch,
    instance: u64,
    mut publication: Option<watch::Receiver<Publication>>,
    line: mpsc::Sender<Ask>,
) {
    let swarm: SwarmId = watch.id;
    loop {
        let changed = async {
            match &mut publication {
                // Who announces no more keeps what was announced.
                Some(publication) => match publication.changed().await {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let ask = tokio::select! {
            () = watch.shared.left().cancelled() => {
                let _ = line.send(Ask::Left { swarm, instance }).await;
                return;
            }
            () = watch.shared.wants_peers() => Ask::FindPeers { swarm },
            () = changed => Ask::Republish { swarm },
        };
        if line.send(ask).await.is_err() {
            return;
        }
        tokio::select! {
            () = watch.shared.left().cancelled() => {}
            () = sleep(FIND_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_epoch_before_are_kept_and_older_ones_go() {
        let key = |epoch| EpochKey { epoch, key: [epoch as u8; 32] };
        let mut keys = Vec::new();
        assert!(merge(&mut keys, vec![key(7), key(8)]));
        assert!(!merge(&mut keys, vec![key(8)]));
        assert!(merge(&mut keys, vec![key(8), key(9)]));
        assert!(merge(&mut keys, vec![key(10), key(11)]));
        assert_eq!(keys.iter().map(|key| key.epoch).collect::<Vec<_>>(), [8, 9, 10, 11]);
    }
}
