//! How much is to flow in: K sub-streams and spares for a viewer, what children ask for at a repeater.

use std::time::Duration;

use ticket::Role;

use super::Engine;
use super::feed::Feed;
use super::partner::Pid;
use crate::{Message, Substreams};

/// A repeater keeps a sub-stream that nobody takes any more so long.
const LINGER: Duration = Duration::from_secs(5);
/// A line that was full is spared so long what could be done without.
const RELIEF: Duration = Duration::from_secs(10);
/// A repeater is kept warm so long after a viewer last asked it for something.
const WARM: Duration = Duration::from_secs(300);

impl Engine {
    /// Whether as many sub-streams flow as rebuild everything.
    pub(super) fn settled_set(&self) -> bool {
        let flowing: Substreams =
            self.feeds.iter().filter(|feed| feed.flows()).map(|feed| feed.index).collect();
        flowing.len() >= self.config.k
    }

    /// Sub-streams asked for or flowing, those apart that only wait to replace another.
    pub(super) fn active(&self) -> Substreams {
        let own = self.feeds.iter().filter(|feed| feed.replaces.is_none());
        own.map(|feed| feed.index).collect()
    }

    /// Whether this node's own line was too full for what comes, not long ago.
    pub(super) fn line_is_full(&self) -> bool {
        self.line_full.is_some_and(|at| self.now.since(at) < RELIEF)
    }

    /// How many sub-streams a viewer wants beyond K: more the oftener some were lost of late, but none while uplinks are
    /// short, for then they would be taken from those who lack what they need, or its own line is full.
    fn spares(&self) -> u8 {
        let spares = match self.losses.len() {
            0..2 => 0,
            2..6 => 1,
            _ => 2,
        };
        if spares == 0 {
            return 0;
        }
        // Where all comes from one at home, one more from outside saves nothing.
        let none = self.scarce() || self.line_is_full() || self.lives_on_home();
        if none { 0 } else { spares.min(self.config.max_spares) }
    }

    /// Whether most viewers within reach have nothing to spare.
    pub(super) fn scarce(&self) -> bool {
        let viewers = self.partners.values().filter(|p| p.met && p.info.role == Role::Viewer);
        let (mut free, mut full) = (0, 0);
        for partner in viewers {
            *(if partner.free > 0 { &mut free } else { &mut full }) += 1;
        }
        full >= usize::from(self.config.k) && full > free * 2
    }

    /// Gives a spare back that is not wanted any more: the one that nobody takes and that is the latest.
    pub(super) fn give_back(&mut self) {
        let most = self.config.k + self.spares();
        let flowing = self.feeds.iter().filter(|feed| feed.flows() && feed.replaces.is_none());
        // What comes from outside of the home goes first.
        let outside = |feed: &Feed| !self.is_at_home(feed.parent);
        let mut flowing: Vec<(bool, u64, u8, Pid)> =
            flowing.map(|feed| (outside(feed), feed.late_us, feed.index, feed.parent)).collect();
        if flowing.len() <= most.into() {
            return;
        }
        flowing.retain(|&(.., index, _)| self.pushes.to(index).is_empty());
        if let Some(&(.., index, parent)) = flowing.iter().max() {
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            self.drop_feed(parent, index);
            self.refresh_paths(Substreams::only(index));
        }
    }

    /// Sub-streams that may be asked for now, and how many of them are wanted.
    pub(super) fn wanted(&self) -> (Substreams, usize) {
        let all = Substreams::first(self.config.n);
        let taken: Substreams = self.feeds.iter().map(|feed| feed.index).collect();
        match self.config.role {
            Role::Viewer => {
                let most = (self.config.k + self.spares()).min(self.config.n);
                let most = most.min(self.gentle.most(self.now));
                (all.without(taken), most.saturating_sub(self.active().len()).into())
            }
            Role::Repeater => {
                let wanted = self.to_carry().without(taken);
                (wanted, wanted.len().into())
            }
            Role::Headend | Role::Rendezvous => (Substreams::NONE, 0),
        }
    }

    /// What a repeater pulls: what is asked of it, but never more than K; while it is warm, K.
    fn to_carry(&self) -> Substreams {
        let k = self.config.k;
        let demanded = self.pushes.demanded();
        let warm = self.warm_until.is_some_and(|until| self.now < until);
        if demanded.len() <= k && !warm {
            return demanded;
        }
        let taken = self.active();
        let all = Substreams::first(self.config.n);
        let order = [taken.and(demanded), demanded, taken, all];
        let mut carried = Substreams::NONE;
        for index in order.iter().flat_map(|set| set.iter()) {
            if carried.len() < k {
                carried.insert(index);
            }
        }
        carried
    }

    /// A repeater that feeds viewers holds enough to patch what they miss, and to give others their first picture.
    pub(super) fn warm_for(&mut self, peer: Pid) {
        let viewer = self.partners.get(peer).is_some_and(|p| p.info.role == Role::Viewer);
        if viewer && self.config.role == Role::Repeater {
            self.warm_until = Some(self.now + WARM);
        }
    }

    /// A repeater takes what its children want from upstream, and drops what nobody wants.
    pub(super) fn pull_upstream(&mut self) {
        if self.config.role != Role::Repeater {
            return;
        }
        let carried = self.to_carry();
        let old = |feed: &&Feed| self.now.since(feed.asked) >= LINGER;
        let idle: Vec<_> = self
            .feeds
            .iter()
            .filter(|feed| !carried.contains(feed.index))
            .filter(old)
            .map(|feed| (feed.parent, feed.index))
            .collect();
        for &(parent, index) in &idle {
            self.send(parent, Message::Unsubscribe { substreams: Substreams::only(index) });
            self.drop_feed(parent, index);
        }
        if !idle.is_empty() {
            self.refresh_paths(Substreams::NONE);
        }
        self.fill();
    }
}
