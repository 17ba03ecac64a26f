//! Another parent is asked as soon as it is likely that one is gone, and takes its place once it brings something: to be
//! sure first takes longer than to find out that it was for nothing.

use super::Engine;
use super::feed::Lost;
use super::partner::Pid;
use crate::{Loss, Message, Substreams};

impl Engine {
    /// Asks another for what a parent brought that is late and does not answer.
    pub(super) fn hedge(&mut self, parent: Pid, index: u8) {
        let hedged = self.feeds.iter().any(|feed| feed.replaces == Some((index, parent)));
        if !self.is_viewer() || hedged || self.is_at_home(parent) {
            return;
        }
        let mut feeds = self.feeds.iter();
        let old = feeds.find(|feed| (feed.parent, feed.index) == (parent, index));
        let Some(lost) = old.and_then(|old| Lost::by(old, Loss::Silent, self.now)) else { return };
        let same = Substreams::only(index);
        let taken: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        let others = Substreams::first(self.config.n).without(taken);
        // With children on it the sub-stream itself moves, if it can.
        let mut chosen = Vec::new();
        if !self.pushes.to(index).is_empty() {
            chosen = self.choose(same, 1);
        }
        if chosen.is_empty() {
            chosen = self.choose(same.or(others), 1);
        }
        for (peer, found) in chosen {
            self.subscribe(peer, Substreams::only(found), Some((index, parent)));
            if let Some(feed) = self.feeds.last_mut() {
                feed.makes_good = Some(lost);
            }
        }
    }

    /// A parent that was doubted is there: what was to take its place and does not flow yet is called off.
    pub(super) fn call_off(&mut self, parent: Pid) {
        let hedges = self.feeds.iter().filter(|feed| {
            let for_it = feed.replaces.is_some_and(|(_, old)| old == parent);
            for_it && feed.makes_good.is_some() && !feed.flows()
        });
        let hedges: Vec<(Pid, u8)> = hedges.map(|feed| (feed.parent, feed.index)).collect();
        for (peer, index) in hedges {
            self.send(peer, Message::Unsubscribe { substreams: Substreams::only(index) });
            self.drop_feed(peer, index);
        }
    }
}
