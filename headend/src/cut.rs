//! The cutter: units in, segments out.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::assemble::BEHIND;
use crate::clock::HZ;
use crate::ts::mux::Muxer;
use crate::unit::{Kind, Track, Unit};

/// What a source hands over, in order.
#[derive(Clone, Debug)]
pub enum Item {
    /// The tracks of the units that follow.
    Tracks(Arc<[Track]>),
    /// A unit.
    Unit(Unit),
}

/// Where a segment may begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// At the first picture at or after n T: for an encoder that puts its random access points on
    /// that grid. No picture is waited for.
    Grid,
    /// Of sound alone: where [`Grid`](Self::Grid) cuts the same sound beside pictures, of which there are so many a
    /// second.
    Sound {
        /// Pictures a second of the renditions beside it.
        fps: u32,
    },
    /// At the first random access point within half a T of n T, else at the picture nearest n T. It
    /// depends on time stamps alone, so that two headends cut one source alike.
    Window,
}

/// A segment, but for its capture time.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Packets; the tables come first.
    pub ts: Vec<u8>,
    /// Segment number.
    pub number: u64,
    /// Decoding time of its first picture, ticks.
    pub start: i64,
    /// That of the next segment.
    pub end: i64,
    /// Whether it begins at a random access point.
    pub random_access: bool,
}

/// The most bytes that a segment in the making may hold; units beyond are dropped.
const MOST: usize = 12 << 20;

#[derive(Debug)]
struct Candidate {
    index: usize,
    dts: i64,
    random_access: bool,
}

/// Cuts one rendition. Numbers grow by exactly one from slice to slice.
#[derive(Debug)]
pub struct Cutter {
    segment: i64,
    rule: Rule,
    mux: Muxer,
    lead: u16,
    number: u64,
    start: Option<(i64, bool)>,
    pending: VecDeque<Item>,
    bytes: usize,
    candidate: Option<Candidate>,
    done: Vec<Slice>,
    /// Units dropped because a segment grew too large.
    pub dropped: u64,
}

impl Cutter {
    /// A cutter for segments of `segment` ticks.
    pub fn new(segment: i64, rule: Rule) -> Self {
        Self {
            segment,
            rule,
            mux: Muxer::new(),
            lead: 0x1fff,
            number: 0,
            start: None,
            pending: VecDeque::new(),
            bytes: 0,
            candidate: None,
            done: Vec::new(),
            dropped: 0,
        }
    }

    /// Takes the next item; returns the slices that it completes.
    pub fn push(&mut self, item: Item) -> Vec<Slice> {
        match item {
            Item::Tracks(tracks) => {
                let video = tracks.iter().find(|track| track.kind == Kind::Video);
                self.lead = video.or(tracks.first()).map_or(0x1fff, |track| track.pid);
                self.pending.push_back(Item::Tracks(tracks));
            }
            Item::Unit(unit) => self.unit(unit),
        }
        std::mem::take(&mut self.done)
    }

    fn unit(&mut self, unit: Unit) {
        let is_lead = unit.pid == self.lead;
        if is_lead {
            // Sound follows its picture.
            let alone = matches!(self.rule, Rule::Sound { .. }) && self.start.is_some();
            let behind = if alone { BEHIND } else { 0 };
            self.place(unit.dts + behind, unit.random_access);
        }
        if self.start.is_none() {
            return;
        }
        if self.bytes + unit.pes.len() > MOST {
            self.dropped += 1;
            return;
        }
        self.bytes += unit.pes.len();
        let found = is_lead
            && self.candidate.as_ref().is_some_and(|c| c.index == self.pending.len())
            && self.candidate.as_ref().is_some_and(|c| c.random_access);
        self.pending.push_back(Item::Unit(unit));
        if found {
            self.cut_at_candidate();
        }
    }

    /// The tick that the next segment should begin at.
    fn boundary(&self) -> i64 {
        (self.number as i64 + 1).saturating_mul(self.segment)
    }

    /// Decides what a picture means for the boundary ahead; it will be the next of `pending`.
    fn place(&mut self, dts: i64, random_access: bool) {
        if self.start.is_none() {
            if random_access {
                self.number = ((dts + self.segment / 2) / self.segment).max(0).unsigned_abs();
                self.start = Some((dts, true));
            }
            return;
        }
        let half = self.segment / 2;
        match self.rule {
            Rule::Grid => {
                while dts >= self.boundary() {
                    self.cut(self.tables_before(self.pending.len()), dts, random_access);
                }
            }
            Rule::Sound { fps } => {
                let fps = i64::from(fps.max(1));
                let picture = |at: i64| (at * fps + HZ - 1).div_euclid(HZ) * HZ / fps;
                while dts >= picture(self.boundary()) {
                    self.cut(self.tables_before(self.pending.len()), dts, random_access);
                }
            }
            Rule::Window => {
                // Windows that have passed.
                while dts >= self.boundary() + half {
                    if self.candidate.is_some() {
                        self.cut_at_candidate();
                    } else {
                        self.cut(self.tables_before(self.pending.len()), dts, random_access);
                    }
                }
                if dts < self.boundary() - half {
                    return;
                }
                let distance = |at: i64| (at - self.boundary()).abs();
                let better = match &self.candidate {
                    None => true,
                    Some(c) => {
                        !c.random_access && (random_access || distance(dts) < distance(c.dts))
                    }
                };
                if better {
                    let index = self.pending.len();
                    self.candidate = Some(Candidate { index, dts, random_access });
                }
            }
        }
    }

    fn cut_at_candidate(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            let index = self.tables_before(candidate.index);
            self.cut(index, candidate.dts, candidate.random_access);
        }
    }

    /// Tables that announce a unit go with it.
    fn tables_before(&self, mut index: usize) -> usize {
        while index > 0 && matches!(self.pending.get(index - 1), Some(Item::Tracks(_))) {
            index -= 1;
        }
        index
    }

    /// Ends the segment before `pending[index]`, which decodes at `dts`.
    fn cut(&mut self, index: usize, dts: i64, random_access: bool) {
        let Some((start, starts_clean)) = self.start else { return };
        let mut ts = Vec::with_capacity(self.bytes + self.bytes / 16 + 1024);
        let mut tables = false;
        for item in self.pending.drain(..index) {
            match item {
                Item::Tracks(tracks) => {
                    self.mux.set_tracks(&tracks);
                    tables = false;
                }
                Item::Unit(unit) => {
                    if !tables {
                        self.mux.tables(&mut ts);
                        tables = true;
                    }
                    self.bytes -= unit.pes.len();
                    self.mux.unit(unit, &mut ts);
                }
            }
        }
        if !tables {
            self.mux.tables(&mut ts);
        }
        let number = self.number;
        // A hole in the pictures: the segments within hold no picture of their own.
        let empty = start >= dts;
        let random_access_here = starts_clean && !empty;
        let (start, end) =
            if empty { (number as i64 * self.segment, self.boundary()) } else { (start, dts) };
        self.done.push(Slice { ts, number, start, end, random_access: random_access_here });
        self.number += 1;
        self.start = Some((dts, random_access));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::ts::packet::{Packet, SIZE};
    use crate::ts::pes;

    const T: i64 = 22_500;

    fn tracks() -> Item {
        let track = |pid, stream_type, kind| Track { pid, stream_type, kind, info: Bytes::new() };
        Item::Tracks(Arc::new([track(256, 0x1b, Kind::Video), track(272, 0x0f, Kind::Audio)]))
    }

    fn unit(pid: u16, dts: i64, random_access: bool) -> Item {
        let pes = pes::wrap_unit(if pid == 256 { 0xe0 } else { 0xc0 }, &[1; 100], false);
        Item::Unit(Unit { pid, pts: dts, dts, random_access, pes })
    }

    fn pids(slice: &Slice) -> Vec<u16> {
        slice.ts.as_chunks::<SIZE>().0.iter().map(|p| Packet::parse(p).unwrap().pid()).collect()
    }

    #[test]
    fn an_encoder_on_the_grid_gives_a_random_access_point_each_second() {
        let mut cutter = Cutter::new(T, Rule::Grid);
        cutter.push(tracks());
        let mut slices = Vec::new();
        for frame in 0..101i64 {
            slices.extend(cutter.push(unit(256, 4000 * T + frame * 3600, frame % 25 == 0)));
        }
        let numbers: Vec<_> = slices.iter().map(|s| s.number).collect();
        assert_eq!(numbers, (4000..4016).collect::<Vec<_>>());
        for slice in &slices {
            assert_eq!(slice.random_access, slice.number % 4 == 0, "{}", slice.number);
            assert_eq!(pids(slice)[..3], [0, 0x1000, 256]);
        }
    }

    #[test]
    fn a_random_access_point_near_the_boundary_wins_over_the_nearest_picture() {
        let mut cutter = Cutter::new(T, Rule::Window);
        cutter.push(tracks());
        let mut slices = Vec::new();
        for frame in 0..30i64 {
            // Points at pictures 0, 8 (32,400 behind 22,500 + half) and 14.
            slices.extend(cutter.push(unit(
                256,
                400 * T + frame * 3600,
                [0, 8, 14].contains(&frame),
            )));
        }
        let got: Vec<_> = slices.iter().map(|s| (s.start - 400 * T, s.random_access)).collect();
        assert_eq!(got[..4], [(0, true), (28_800, true), (50_400, true), (68_400, false)]);
    }

    #[test]
    fn a_hole_is_filled_with_segments_of_tables_alone() {
        let mut cutter = Cutter::new(T, Rule::Window);
        cutter.push(tracks());
        cutter.push(unit(256, 400 * T, true));
        let slices = cutter.push(unit(256, 405 * T, true));
        let slices = [slices, cutter.push(unit(256, 406 * T, true))].concat();
        let numbers: Vec<_> = slices.iter().map(|s| s.number).collect();
        assert_eq!(numbers, [400, 401, 402, 403, 404, 405]);
        assert_eq!(pids(&slices[2]), [0, 0x1000]);
        assert!(!slices[2].random_access && slices[5].random_access);
    }

    proptest! {
        /// Whatever the pictures' times: no number is missing, no unit is lost or doubled, segments
        /// join, and each begins with its tables.
        #[test]
        fn segments_join(
            steps in proptest::collection::vec((1i64..9000, 0u8..12, any::<bool>()), 1..200),
            grid: bool,
        ) {
            let mut cutter = Cutter::new(T, if grid { Rule::Grid } else { Rule::Window });
            let mut slices = cutter.push(tracks());
            let mut dts = 1_000 * T;
            slices.extend(cutter.push(unit(256, dts, true)));
            let mut sent = 1;
            for (step, kind, sound) in steps {
                dts += step;
                slices.extend(cutter.push(unit(256, dts, kind == 0)));
                sent += 1;
                if sound {
                    slices.extend(cutter.push(unit(272, dts - 500, true)));
                    sent += 1;
                }
            }
            let mut got = 0;
            for (index, slice) in slices.iter().enumerate() {
                prop_assert_eq!(slice.number, 1000 + index as u64);
                prop_assert_eq!(&pids(slice)[..2], &[0, 0x1000][..]);
                if let Some(next) = slices.get(index + 1) {
                    prop_assert_eq!(slice.end, next.start);
                }
                if !grid {
                    prop_assert!((slice.start - slice.number as i64 * T).abs() <= T / 2);
                }
                got += slice.ts.as_chunks::<SIZE>().0.iter()
                    .map(|p| Packet::parse(p).unwrap())
                    .filter(|p| p.pid() >= 256 && p.pid() < 0x1000 && p.starts_unit())
                    .count();
            }
            let open = cutter.pending.iter().filter(|item| matches!(item, Item::Unit(_))).count();
            prop_assert_eq!(got + open, sent);
        }
    }
}
