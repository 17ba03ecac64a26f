//! Why a segment could not be played whole.

use std::time::Duration;

use super::Engine;
use crate::Cause;

/// A loss explains what is missing so long after it.
const AFTERMATH: Duration = Duration::from_secs(3);

impl Engine {
    pub(super) fn cause(&self, number: u64) -> Cause {
        let now = self.now;
        let delay = self.config.playout_delay;
        let some = self.window.get(number).is_some_and(|slot| !slot.held().is_empty());
        let told = self.partners.values().any(|partner| partner.newest() >= Some(number));
        if !some && !told && self.window.newest().is_some_and(|newest| newest > number) {
            return Cause::SourceGap;
        }
        if self.losses.back().is_some_and(|&at| now.since(at) <= delay + AFTERMATH) {
            return Cause::ParentLeft;
        }
        if self.active().len() < self.config.k {
            return Cause::Nat;
        }
        let late = |feed: &&super::Feed| {
            feed.suspect.is_some() || feed.last.is_none_or(|at| now.since(at) > delay)
        };
        // All parents late at once, servers and viewers alike: the fault is at this end.
        if self.feeds.iter().filter(late).count() * 3 >= self.feeds.len() * 2 {
            return Cause::Downlink;
        }
        Cause::UplinkFull
    }
}
