//! How each sub-stream comes here: ancestors against loops.

use ticket::{Role, ShortId};

use super::Engine;
use super::feed::{Feed, Lost};
use super::intake::DEBT;
use super::partner::Pid;
use crate::{Availability, Substreams};

/// The most ancestors of a sub-stream; what is deeper is not passed on.
pub(super) const MAX_PATH: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    /// Nearest the source first.
    pub(super) ancestors: Vec<ShortId>,
    pub(super) rank: u8,
}

impl Path {
    pub(super) fn names(&self, short: ShortId) -> bool {
        self.ancestors.contains(&short)
    }
}

impl Engine {
    /// The feed that carries a sub-stream: the oldest that flows, else none.
    pub(super) fn main_feed(&self, index: u8) -> Option<&Feed> {
        self.feeds.iter().find(|feed| feed.index == index && feed.flows())
    }

    /// The path of sub-stream `index` when it is taken from `parent`, as that told it.
    fn path_through(&self, parent: Pid, index: u8) -> Option<Path> {
        let (told, short, rank) = self.told_path(parent, index)?;
        let mut ancestors = Vec::with_capacity(told.len() + 1);
        ancestors.extend_from_slice(told);
        ancestors.push(short);
        Some(Path { ancestors, rank })
    }

    /// The same, not put together: the ancestors before the parent, the parent, the rank.
    fn told_path(&self, parent: Pid, index: u8) -> Option<(&[ShortId], ShortId, u8)> {
        let partner = self.partners.get(parent)?;
        let offer = partner.offer(index);
        let told = offer.map_or(&[][..], |offer| &offer.path);
        let rank = offer.map_or(0, |offer| offer.rank).saturating_add(1);
        (told.len() < MAX_PATH).then_some((told, partner.short, rank))
    }

    /// How a sub-stream comes here now.
    fn path_now(&self, index: u8, regenerated: &Option<Path>) -> Option<Path> {
        match self.config.role {
            Role::Headend => Some(Path { ancestors: Vec::new(), rank: 0 }),
            Role::Viewer | Role::Rendezvous => {
                let feed = self.main_feed(index)?;
                self.path_through(feed.parent, index)
            }
            Role::Repeater => {
                if let Some(feed) = self.main_feed(index) {
                    return self.path_through(feed.parent, index);
                }
                regenerated.clone().or_else(|| {
                    let upstream = self.upstream_for(index)?;
                    self.path_through(upstream, index)
                })
            }
        }
    }

    /// Whether a viewer's path is what it was.
    fn same_path(&self, index: u8) -> bool {
        let old = self.paths.get(usize::from(index)).and_then(Option::as_ref);
        let now = self.main_feed(index).and_then(|feed| self.told_path(feed.parent, index));
        match (old, now) {
            (None, None) => true,
            (Some(old), Some((told, short, rank))) => {
                old.rank == rank && old.ancestors.split_last() == Some((&short, told))
            }
            _ => false,
        }
    }

    /// What a repeater makes from K inputs: the union of their ancestors, ranked above all of them.
    fn regenerated(&self) -> Option<Path> {
        if self.config.role != Role::Repeater {
            return None;
        }
        let flowing: Substreams =
            self.feeds.iter().filter(|feed| feed.flows()).map(|feed| feed.index).collect();
        if flowing.len() < self.config.k {
            return None;
        }
        let mut ancestors = Vec::new();
        let mut rank = 0;
        for index in flowing.iter() {
            let feed = self.main_feed(index)?;
            let path = self.path_through(feed.parent, index)?;
            rank = rank.max(path.rank);
            for short in path.ancestors {
                if !ancestors.contains(&short) {
                    ancestors.push(short);
                }
            }
        }
        let rank = rank.saturating_add(1);
        (ancestors.len() <= MAX_PATH).then_some(Path { ancestors, rank })
    }

    /// Works the paths of these sub-streams out anew after feeds or parents' paths have changed. Children hear of it at
    /// once.
    pub(super) fn refresh_paths(&mut self, which: Substreams) {
        // A repeater regenerates: all may change with any.
        let all = Substreams::first(self.paths.len() as u8);
        let which = if self.is_viewer() { which.and(all) } else { all };
        let regenerated = self.regenerated();
        let mut moved = Substreams::NONE;
        let mut gone = Substreams::NONE;
        let mut came = false;
        for index in which.iter() {
            if self.is_viewer() && self.same_path(index) {
                continue;
            }
            let path = self.path_now(index, &regenerated);
            let old = &self.paths[usize::from(index)];
            if *old == path {
                continue;
            }
            match (old, &path) {
                // A viewer that lost its feed goes on from others for a moment: told when it has not found another.
                (Some(_), None) if self.makes_do(index) => continue,
                (Some(_), None) => gone.insert(index),
                (None, Some(_)) => came = true,
                _ => moved.insert(index),
            }
            self.paths[usize::from(index)] = path;
        }
        if came || !gone.is_empty() {
            self.choose_trees();
        }
        if !gone.is_empty() {
            self.tell_gone(gone);
        }
        if !moved.is_empty() {
            self.tell_children(moved);
        }
        if came {
            self.announce_soon();
        }
    }

    /// Whether a sub-stream that was lost may still come again soon; until then children get what is regenerated.
    fn makes_do(&self, index: u8) -> bool {
        let due = |lost: &Lost| lost.index == index && self.now.since(lost.at) < DEBT;
        let debts = self.debts.iter().map(|debt| debt.lost);
        let hedges = self.feeds.iter().filter_map(|feed| feed.makes_good);
        self.is_viewer() && debts.chain(hedges).any(|lost| due(&lost))
    }

    /// The sub-streams in `wanted` that `asker` may be told of: not what came through it.
    pub(super) fn tellable(&self, asker: Pid, wanted: Substreams) -> Substreams {
        let Some(partner) = self.partners.get(asker).filter(|_| self.newest_told().is_some())
        else {
            return Substreams::NONE;
        };
        // Who takes something here must know its path, whether others may take it or not.
        let open = if partner.at_home() { Substreams::first(self.config.n) } else { self.open() };
        let wanted = wanted.and(open.or(partner.takes));
        let may = |index: &u8| {
            let path = self.paths.get(usize::from(*index)).and_then(Option::as_ref);
            path.is_some_and(|path| path.ancestors.len() < MAX_PATH && !path.names(partner.short))
        };
        wanted.iter().filter(may).collect()
    }

    /// What `asker` may be told of the sub-streams in `wanted`.
    pub(super) fn available_to(&self, asker: Pid, wanted: Substreams) -> Vec<Availability> {
        let Some(newest) = self.newest_told() else { return Vec::new() };
        let told = |index: u8| {
            let path = self.paths.get(usize::from(index))?.as_ref()?;
            // A feed that has only begun brings older segments first.
            let behind = newest.saturating_sub(2);
            let newest = self.main_feed(index).map_or(newest, |feed| feed.newest.max(behind));
            Some(Availability { index, newest, path: path.ancestors.clone(), rank: path.rank })
        };
        self.tellable(asker, wanted).iter().filter_map(told).collect()
    }

    /// The newest segment here, or what an upstream told a repeater that holds nothing yet.
    pub(super) fn newest_told(&self) -> Option<u64> {
        self.window.newest().or_else(|| {
            let upstream = self.partners.values().filter(|partner| !partner.is_viewer());
            upstream.filter_map(|partner| partner.newest()).max()
        })
    }
}
