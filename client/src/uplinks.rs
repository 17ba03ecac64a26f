//! What the uplinks of networks were seen to carry: kept from one run to the next, so that a network that is known is not
//! probed again.
//!
//! `uplinks.json` in the state folder: at most [`MOST`] networks, by names that say nothing of where they are
//! ([`link::nat::network`]). A file that cannot be read is told, and begins anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use link::Node;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::persisted::Persisted;

/// The most networks that are kept; the one used longest ago goes first.
const MOST: usize = 16;
/// A larger file is not ours, bytes.
const LARGEST: u64 = 16 << 10;
/// A longer name is not ours.
const LONGEST: usize = 64;
/// What an uplink can carry, bits per second: from 100 kbit/s, below which nothing is shared, to 100 Gbit/s.
const SENSIBLE: std::ops::RangeInclusive<u64> = 100_000..=100_000_000_000;
/// How often it is looked whether the network is another one.
const LOOK: Duration = Duration::from_secs(2);
/// What is seen is written if it differs by more than one part in so many.
const DIFFERS: u64 = 10;

/// One network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Known {
    network: String,
    /// Bits per second.
    carried: u64,
}

impl Known {
    fn is_sensible(&self) -> bool {
        SENSIBLE.contains(&self.carried) && self.network.len() <= LONGEST
    }
}

/// What is kept; the network used last stands last. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Uplinks {
    known: Arc<Persisted<Vec<Known>>>,
}

impl Uplinks {
    /// What is kept in a state folder.
    pub(crate) fn open(folder: &Path) -> Self {
        let known = Persisted::open(folder.join("uplinks.json"), LARGEST);
        tidy(&mut known.get());
        Self { known }
    }

    /// What a network carried when it was used last, bits per second.
    pub(crate) fn carried(&self, network: &str) -> Option<u64> {
        self.known.get().iter().find(|known| known.network == network).map(|known| known.carried)
    }

    /// A network is in use and was seen to carry this; written soon if either is news.
    pub(crate) fn note(&self, network: &str, carried: u64) {
        let old = self.carried(network);
        let alike = old.filter(|old| old.abs_diff(carried) * DIFFERS <= *old);
        let seen = Known { network: network.to_owned(), carried: alike.unwrap_or(carried) };
        self.known.change(|known| {
            let last = known.last().is_some_and(|known| known.network == network);
            if alike.is_some() && last || !seen.is_sensible() {
                return false;
            }
            known.retain(|known| known.network != network);
            known.push(seen);
            tidy(known);
            true
        });
    }

    /// Waits until what was noted before is on disk.
    pub(crate) async fn written(&self) {
        self.known.written().await;
    }
}

/// Takes out what is not sensible or too much.
fn tidy(known: &mut Vec<Known>) {
    known.retain(Known::is_sensible);
    known.drain(..known.len().saturating_sub(MOST));
}

/// What is to be done about the uplink, each time it is looked at.
#[derive(Default)]
struct Look {
    network: Option<String>,
    /// Whether the uplink was seen since the node came into this network.
    seen: bool,
}

impl Look {
    /// The node is in `network` now and saw its uplink carry `carried`. Gives what it is to be told, if anything: `Some(None)`
    /// for a network that is not known.
    fn look(
        &mut self,
        uplinks: &Uplinks,
        network: Option<String>,
        carried: Option<u64>,
    ) -> Option<Option<u64>> {
        // Between two networks; or the system does not tell.
        let network = network?;
        let known = uplinks.carried(&network);
        if self.network.as_ref() != Some(&network) {
            let first = self.network.replace(network).is_none();
            self.seen = false;
            // What was seen may still be of the network before.
            return (known.is_some() || !first).then_some(known);
        }
        match carried {
            Some(carried) => {
                self.seen = true;
                uplinks.note(&network, carried);
                None
            }
            // The node forgot it: the machine has slept, or came back.
            None if self.seen => {
                self.seen = false;
                known.map(Some)
            }
            None => None,
        }
    }
}

/// Tells a node what its network carried before, and keeps what it sees. Never ends.
pub(crate) async fn keep(node: Node, uplinks: Uplinks) {
    let mut look = Look::default();
    loop {
        let carried = node.uplink().and_then(|uplink| uplink.carried);
        if let Some(known) = look.look(&uplinks, link::nat::network(), carried) {
            tracing::debug!(?known, "what this network carried before, bits per second");
            node.set_uplink(known);
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_seen_is_kept_over_runs_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let uplinks = Uplinks::open(folder.path());
        for number in 0..MOST as u64 + 5 {
            uplinks.note(&format!("n{number}"), 1_000_000 + number);
        }
        uplinks.note("n10", 5_000_000);
        uplinks.note("n10", 5_100_000);
        // Used again, and no other than before.
        uplinks.note("n6", 1_000_006);
        uplinks.note("new", 1_000_000);
        uplinks.note("slow", 10);
        let uplinks = Uplinks::open(folder.path());
        assert_eq!(uplinks.known.get().len(), MOST);
        assert_eq!(uplinks.carried("n4"), None, "the oldest went");
        assert_eq!(uplinks.carried("n5"), None, "it was used longest ago");
        assert_eq!(uplinks.carried("n6"), Some(1_000_006));
        assert_eq!(uplinks.known.get()[14].network, "n6");
        assert_eq!(uplinks.carried("n10"), Some(5_000_000), "a small change is none");
        assert_eq!(uplinks.carried("slow"), None);
        let size = fs::metadata(folder.path().join("uplinks.json")).unwrap().len();
        assert!(size < LARGEST, "{size}");
    }

    #[test]
    fn rubbish_begins_anew() {
        let long = format!(r#"[{{"network":"{}","carried":1000000}}]"#, "x".repeat(100));
        let huge = format!("[{}]", " ".repeat(LARGEST as usize));
        let texts = ["{", "[1]", "\0\u{fffd}", r#"[{"network":"a","carried":1}]"#, &long, &huge];
        for text in texts {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("uplinks.json");
            fs::write(&path, text).unwrap();
            let uplinks = Uplinks::open(folder.path());
            assert!(uplinks.known.get().is_empty(), "{text:.20}");
            uplinks.note("a", 2_000_000);
            assert_eq!(Uplinks::open(folder.path()).carried("a"), Some(2_000_000));
        }
    }

    #[test]
    fn a_node_is_told_what_its_network_carried_and_what_it_sees_is_that_networks() {
        let folder = tempfile::tempdir().unwrap();
        let uplinks = Uplinks::open(folder.path());
        uplinks.note("home", 8_000_000);
        let mut look = Look::default();
        let mut at = |network: Option<&str>, carried| {
            look.look(&uplinks, network.map(str::to_owned), carried)
        };
        assert_eq!(at(Some("home"), None), Some(Some(8_000_000)));
        assert_eq!(at(Some("home"), None), None);
        assert_eq!(at(Some("home"), Some(4_000_000)), None);
        assert_eq!(at(None, Some(4_000_000)), None, "on the way");
        // What the node still has is of the network before.
        assert_eq!(at(Some("café"), Some(4_000_000)), Some(None));
        assert_eq!(at(Some("café"), None), None);
        assert_eq!(at(Some("home"), None), Some(Some(4_000_000)));
        assert_eq!(at(Some("home"), Some(4_100_000)), None);
        assert_eq!(at(Some("home"), None), Some(Some(4_000_000)), "it slept");
        assert_eq!(at(Some("home"), None), None);
        assert_eq!(uplinks.carried("café"), None);
    }
}
