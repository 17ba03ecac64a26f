//! Interior in few trees: where many viewers are within reach, each passes on few sub-streams, to many children each.
//! The trees are wide and so shallow, and who leaves takes little along (SplitStream, SOSP 2003).

use ticket::Role;

use super::Engine;
use crate::Substreams;

/// With fewer viewers within reach everybody passes on all it has: there is no depth to save.
const CROWD: usize = 14;
/// Children in one tree before a second one is begun.
const WIDE: u32 = 10;

impl Engine {
    /// The sub-streams that others may subscribe to here.
    pub(super) fn open(&self) -> Substreams {
        if self.is_viewer() { self.open } else { Substreams::first(self.config.n) }
    }

    /// Chooses anew which sub-streams are passed on: those that have children, then what is nearest to the source and
    /// what the fewest others pass on.
    pub(super) fn choose_trees(&mut self) {
        if !self.is_viewer() {
            return;
        }
        let here: Substreams =
            (0..self.config.n).filter(|&index| self.paths[usize::from(index)].is_some()).collect();
        let viewers = self.partners.values().filter(|p| p.info.role == Role::Viewer).count();
        let most = self.uplink.capacity().div_ceil(WIDE).min(64) as usize;
        if viewers < CROWD || most >= usize::from(here.len()) {
            self.set_open(here);
            return;
        }
        let mut ranked: Vec<(usize, bool, u8, usize, u8)> = Vec::new();
        for index in here.iter() {
            let children = self.pushes.to(index).len();
            let rank = self.paths[usize::from(index)].as_ref().map_or(u8::MAX, |path| path.rank);
            let others = self.partners.values().filter(|p| p.info.role == Role::Viewer);
            let others = others.filter(|p| p.offered.contains(index)).count();
            let open = self.open.contains(index);
            ranked.push((usize::MAX - children, !open, rank, others, index));
        }
        ranked.sort_unstable();
        self.set_open(ranked.into_iter().take(most.max(1)).map(|(.., index)| index).collect());
    }

    fn set_open(&mut self, open: Substreams) {
        if self.open != open {
            self.open = open;
            self.announce_soon();
        }
    }
}
