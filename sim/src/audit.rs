//! What one leave would cost: the trees as they stand at a moment, walked from every viewer to the servers.

use crate::histogram::Histogram;
use crate::node::Node;
use crate::setting::Setting;

/// Nobody feeds it, or a server does.
const NONE: u32 = u32::MAX;
/// Walks end here, should the trees hold a loop.
const DEEP: usize = 32;

/// Of larger audiences, so many viewers are walked from, evenly spread.
const WALKED: usize = 5_000;

/// Pairs of a viewer and a viewer above it, by how many of its sub-streams come through that one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audit {
    /// One sub-stream, two, ..., eight or more.
    pub(crate) pairs: [u64; 8],
    /// Of each viewer at each look: the most of its sub-streams that came through one viewer.
    pub(crate) exposure: Histogram,
    /// Walks that did not end: loops.
    pub(crate) loops: u64,
    /// Standby partners of viewers: how many looks, and how many of these saw at least three.
    pub(crate) looks: u64,
    pub(crate) ready: u64,
    /// Sub-streams beyond K that flowed, and all that did.
    pub(crate) spare: u64,
    pub(crate) flowing: u64,
}

/// Looks at all nodes that are present.
pub(crate) fn look<'a>(
    setting: &Setting,
    nodes: impl Iterator<Item = (u32, &'a Node)>,
    now: u64,
    audit: &mut Audit,
) {
    let n = usize::from(setting.scenario.channel.n);
    let k = u64::from(setting.scenario.channel.k);
    let mut parents = vec![NONE; setting.nodes.len() * n];
    let mut viewers = Vec::new();
    for (number, node) in nodes.filter(|(_, node)| node.is_viewer()) {
        viewers.push(number);
        let stats = node.stats(now);
        audit.looks += 1;
        audit.ready += u64::from(stats.standby >= 3);
        audit.spare += (stats.substreams.len() as u64).saturating_sub(k);
        audit.flowing += stats.substreams.len() as u64;
        for feed in stats.substreams.iter().filter(|feed| feed.role == ticket::Role::Viewer) {
            parents[number as usize * n + usize::from(feed.index)] = Setting::number(&feed.parent);
        }
    }
    let mut above: Vec<(u32, u32)> = Vec::new();
    let every = viewers.len().div_ceil(WALKED);
    for viewer in viewers.into_iter().step_by(every.max(1)) {
        above.clear();
        for index in 0..n {
            audit.loops += u64::from(!climb(&parents, n, viewer, index, &mut above));
        }
        audit.exposure.add(above.iter().map(|(_, count)| u64::from(*count)).max().unwrap_or(0));
        for &(_, count) in &above {
            audit.pairs[(count as usize).clamp(1, 8) - 1] += 1;
        }
    }
}

/// Adds everyone above a viewer in one tree; whether it ends.
fn climb(
    parents: &[u32],
    n: usize,
    viewer: u32,
    index: usize,
    above: &mut Vec<(u32, u32)>,
) -> bool {
    let mut at = viewer;
    for _ in 0..DEEP {
        at = parents[at as usize * n + index];
        if at == NONE {
            return true;
        }
        match above.iter_mut().find(|(parent, _)| *parent == at) {
            Some((_, count)) => *count += 1,
            None => above.push((at, 1)),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_counted_by_substream_and_loops_end() {
        // Viewer 0 takes both sub-streams through 2, one of them by way of 1; 3 and 4 are a loop.
        let parents = [[1, 2], [2, NONE], [NONE, NONE], [4, NONE], [3, NONE]].concat();
        let mut above = Vec::new();
        assert!(climb(&parents, 2, 0, 0, &mut above));
        assert!(climb(&parents, 2, 0, 1, &mut above));
        assert_eq!(above, [(1, 1), (2, 2)]);
        assert!(!climb(&parents, 2, 3, 0, &mut above));
    }
}
