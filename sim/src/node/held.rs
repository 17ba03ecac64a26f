//! Which shards a viewer or server has got of the last segments: for what is measured, not for what it does.

#[derive(Clone, Copy, Default)]
struct Segment {
    number: u32,
    shards: u64,
}

/// See the module.
pub(crate) struct Held {
    /// Those in view: more than are under way at any time.
    segments: Box<[Segment]>,
    /// Hops from the source by which each sub-stream came last.
    hops: Box<[u8]>,
}

impl Held {
    pub(crate) fn new(n: u8, in_view: usize) -> Self {
        Self {
            segments: vec![Segment::default(); in_view.max(1)].into_boxed_slice(),
            hops: vec![0; n.into()].into_boxed_slice(),
        }
    }

    /// Notes a shard; gives the hops of the segment if it is the `k`th different one.
    pub(crate) fn take(&mut self, number: u32, index: u8, hops: u8, k: u8) -> Option<u8> {
        let place = number as usize % self.segments.len();
        let segment = &mut self.segments[place];
        if segment.number > number {
            return None;
        }
        if segment.number != number {
            *segment = Segment { number, shards: 0 };
        }
        let shards = segment.shards | 1 << index;
        if shards == segment.shards {
            return None;
        }
        segment.shards = shards;
        if let Some(noted) = self.hops.get_mut(usize::from(index)) {
            *noted = hops;
        }
        (shards.count_ones() == u32::from(k)).then(|| self.most(shards))
    }

    fn most(&self, shards: u64) -> u8 {
        let among = |&(index, _): &(usize, &u8)| shards & 1 << index != 0;
        self.hops.iter().enumerate().filter(among).map(|(_, &hops)| hops).max().unwrap_or(0)
    }

    /// The hops of a shard that is sent: its own if it came in, else those of what it is made from.
    pub(crate) fn hops(&self, number: u32, index: u8) -> u8 {
        let segment = self.segments[number as usize % self.segments.len()];
        let shards = if segment.number == number { segment.shards } else { 0 };
        match self.hops.get(usize::from(index)) {
            Some(&hops) if shards & 1 << index != 0 => hops,
            _ => self.most(shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kth_different_shard_completes_a_segment() {
        let mut held = Held::new(4, 64);
        assert_eq!(held.take(9, 0, 2, 2), None);
        assert_eq!(held.take(9, 0, 2, 2), None);
        assert_eq!(held.take(9, 3, 5, 2), Some(5));
        assert_eq!(held.take(9, 1, 1, 2), None);
        assert_eq!((held.hops(9, 0), held.hops(9, 2)), (2, 5));
    }

    #[test]
    fn late_shards_of_forgotten_segments_are_nothing() {
        let mut held = Held::new(4, 64);
        held.take(70, 0, 1, 1);
        assert_eq!(held.take(6, 0, 1, 1), None);
    }
}
