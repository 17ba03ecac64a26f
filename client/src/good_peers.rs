//! Peers that were good to have in a channel: kept from one run to the next, and tried first when the channel is joined again.
//!
//! `peers.json` in the state folder, for the owner's eyes alone: of at most [`CHANNELS`] channels what the engine named
//! ([`link::Swarm::good_peers`]), for a day. A file that cannot be read is told, and begins anew.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use link::{Played, Swarm, SwarmStats};
use segment::SwarmId;
use serde::{Deserialize, Serialize};
use swarm::PeerHint;

use crate::persisted::Persisted;
use crate::platform::Feed;
use crate::settings::Share;

/// The most channels that are kept; the one left longest ago goes first.
const CHANNELS: usize = 16;
/// The most peers of one: as many as an engine takes.
const PEERS: usize = 32;
/// What was left longer ago is of no use: addresses change. Seconds.
const FRESH: u64 = 86_400;
/// A larger file is not ours, bytes.
const LARGEST: u64 = 512 << 10;

/// One channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Left {
    /// The swarm's id.
    swarm: [u8; 16],
    /// Seconds since 1970.
    at: u64,
    peers: Vec<PeerHint>,
}

/// See the module.
pub(crate) struct GoodPeers {
    left: Arc<Persisted<Vec<Left>>>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl GoodPeers {
    /// What is kept in a state folder.
    pub(crate) fn open(folder: &Path) -> Self {
        let left = Persisted::open(folder.join("peers.json"), LARGEST);
        tidy(&mut left.get(), now());
        Self { left }
    }

    /// Those of a channel, the best first.
    pub(crate) fn of(&self, swarm: SwarmId) -> Vec<PeerHint> {
        let left = self.left.get();
        let fresh = left.iter().filter(|left| left.at.saturating_add(FRESH) > now());
        fresh.filter(|left| left.swarm == swarm.0).flat_map(|left| left.peers.clone()).collect()
    }

    /// A channel is left; what there is to keep is written soon.
    pub(crate) fn note(&self, swarm: SwarmId, peers: Vec<PeerHint>) {
        if peers.is_empty() {
            return;
        }
        self.left.change(|left| {
            left.retain(|left| left.swarm != swarm.0);
            left.push(Left { swarm: swarm.0, at: now(), peers });
            tidy(left, now());
            true
        });
    }

    /// Waits until what was noted before is on disk.
    pub(crate) async fn written(&self) {
        self.left.written().await;
    }
}

/// Takes out what is old or too much.
fn tidy(left: &mut Vec<Left>, now: u64) {
    left.retain(|left| left.at.saturating_add(FRESH) > now && left.at <= now + 60);
    left.iter_mut().for_each(|left| left.peers.truncate(PEERS));
    left.drain(..left.len().saturating_sub(CHANNELS));
}

/// A channel that tells who was good when it is left.
pub(crate) struct Kept {
    pub(crate) swarm: Swarm,
    pub(crate) id: SwarmId,
    pub(crate) good: Arc<GoodPeers>,
}

impl Feed for Kept {
    fn next(&mut self) -> BoxFuture<'_, Option<Played>> {
        Box::pin(self.swarm.next())
    }

    fn stats(&self) -> SwarmStats {
        self.swarm.stats()
    }

    fn rest(&self) {
        Feed::rest(&self.swarm);
    }

    fn set_share(&self, share: Share) {
        Feed::set_share(&self.swarm, share);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.good.note(self.id, self.swarm.good_peers());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ticket::{Location, PeerId, Role};

    use super::*;

    fn hint(id: u8) -> PeerHint {
        PeerHint {
            peer: PeerId([id; 32]),
            role: Role::Viewer,
            location: Location { subset: Some(3), asn: Some(64_500), country: None },
            addrs: vec!["192.0.2.7:4000".parse().unwrap(), "[2001:db8::7]:4000".parse().unwrap()],
            age_s: 0,
        }
    }

    #[test]
    fn who_was_good_is_known_in_the_next_run_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let good = GoodPeers::open(folder.path());
        let swarm = |id: u8| SwarmId([id; 16]);
        for id in 0..CHANNELS as u8 + 3 {
            good.note(swarm(id), (0..40).map(hint).collect());
        }
        good.note(swarm(9), Vec::new());
        let good = GoodPeers::open(folder.path());
        assert_eq!(good.of(swarm(9)), (0..PEERS as u8).map(hint).collect::<Vec<_>>());
        assert_eq!(good.of(swarm(2)), [], "the oldest went");
        assert_eq!(good.of(swarm(200)), []);
        assert!(fs::metadata(folder.path().join("peers.json")).unwrap().len() < LARGEST);
    }

    #[test]
    fn what_is_a_day_old_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let good = GoodPeers::open(folder.path());
        good.note(SwarmId([1; 16]), vec![hint(1)]);
        good.left.get()[0].at -= FRESH;
        assert_eq!(good.of(SwarmId([1; 16])), []);
    }

    #[test]
    fn rubbish_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["{", "[1]", "\0", &format!("[{}]", " ".repeat(LARGEST as usize))] {
            fs::write(folder.path().join("peers.json"), text).unwrap();
            let good = GoodPeers::open(folder.path());
            assert_eq!(good.of(SwarmId([1; 16])), []);
            good.note(SwarmId([1; 16]), vec![hint(1)]);
            assert_eq!(GoodPeers::open(folder.path()).of(SwarmId([1; 16])).len(), 1);
        }
    }
}
