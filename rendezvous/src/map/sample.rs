//! Sets of peers from which some can be drawn by chance, at a cost that does not grow with the set.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::Rng;
use ticket::{Country, Location, PeerId};

use crate::rank::below;

/// A set of peers. The order follows from the order of calls alone, so that the same calls and the
/// same seed draw the same peers.
#[derive(Default)]
pub(super) struct Sample {
    list: Vec<PeerId>,
    at: HashMap<PeerId, usize>,
}

impl Sample {
    pub(super) fn insert(&mut self, peer: PeerId) {
        self.at.entry(peer).or_insert_with(|| {
            self.list.push(peer);
            self.list.len() - 1
        });
    }

    pub(super) fn remove(&mut self, peer: &PeerId) {
        if let Some(at) = self.at.remove(peer) {
            self.list.swap_remove(at);
            if let Some(moved) = self.list.get(at) {
                self.at.insert(*moved, at);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds `want` different members, or all if there are no more (R. Floyd's method, CACM 30:9).
    pub(super) fn draw<R: Rng + ?Sized>(&self, want: usize, rng: &mut R, out: &mut Vec<PeerId>) {
        let len = self.list.len();
        if len <= want {
            out.extend(&self.list);
            return;
        }
        let mut taken = BTreeSet::new();
        for end in len - want..len {
            let at = below(end + 1, rng);
            let at = if taken.insert(at) { at } else { end };
            taken.insert(at);
            out.push(self.list[at]);
        }
    }
}

/// Peers by place.
#[derive(Default)]
pub(super) struct Places {
    all: Sample,
    subsets: BTreeMap<u32, Sample>,
    systems: BTreeMap<u32, Sample>,
    countries: BTreeMap<Country, Sample>,
}

impl Places {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn insert(&mut self, peer: PeerId, location: &Location) {
        self.all.insert(peer);
        if let Some(subset) = location.subset {
            self.subsets.entry(subset).or_default().insert(peer);
        }
        if let Some(asn) = location.asn {
            self.systems.entry(asn).or_default().insert(peer);
        }
        if let Some(country) = location.country {
            self.countries.entry(country).or_default().insert(peer);
        }
    }

    pub(super) fn remove(&mut self, peer: &PeerId, location: &Location) {
        fn take<K: Ord>(places: &mut BTreeMap<K, Sample>, place: Option<K>, peer: &PeerId) {
            let Some(place) = place else { return };
            if let Some(sample) = places.get_mut(&place) {
                sample.remove(peer);
                if sample.is_empty() {
                    places.remove(&place);
                }
            }
        }
        self.all.remove(peer);
        take(&mut self.subsets, location.subset, peer);
        take(&mut self.systems, location.asn, peer);
        take(&mut self.countries, location.country, peer);
    }

    /// Up to `want` from each circle around `location` and as many from anywhere; some may come
    /// more than once.
    pub(super) fn draw<R: Rng + ?Sized>(
        &self,
        location: &Location,
        want: usize,
        rng: &mut R,
        out: &mut Vec<PeerId>,
    ) {
        let subset = location.subset.and_then(|subset| self.subsets.get(&subset));
        let system = location.asn.and_then(|asn| self.systems.get(&asn));
        let country = location.country.and_then(|country| self.countries.get(&country));
        for circle in [subset, system, country, Some(&self.all)].into_iter().flatten() {
            circle.draw(want, rng, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_pcg::Pcg64Mcg;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    #[test]
    fn different_members_are_drawn_and_everyone_has_a_chance() {
        let mut sample = Sample::default();
        (0..50).for_each(|i| sample.insert(peer(i)));
        (0..50).step_by(2).for_each(|i| sample.remove(&peer(i)));
        sample.insert(peer(1));
        assert_eq!(sample.len(), 25);
        let mut rng = Pcg64Mcg::seed_from_u64(7);
        let mut ever = BTreeSet::new();
        for _ in 0..100 {
            let mut drawn = Vec::new();
            sample.draw(5, &mut rng, &mut drawn);
            let different: BTreeSet<_> = drawn.iter().copied().collect();
            assert_eq!(different.len(), 5);
            assert!(different.iter().all(|peer| peer.0[0] % 2 == 1));
            ever.extend(different);
        }
        assert_eq!(ever.len(), 25);
    }

    #[test]
    fn places_that_became_empty_are_forgotten() {
        let mut places = Places::default();
        let here = Location { subset: Some(4), asn: Some(5), country: "CH".parse().ok() };
        places.insert(peer(1), &here);
        places.insert(peer(2), &Location::default());
        let mut drawn = Vec::new();
        places.draw(&here, 3, &mut Pcg64Mcg::seed_from_u64(1), &mut drawn);
        assert_eq!(drawn.iter().filter(|&&drawn| drawn == peer(1)).count(), 4);
        assert_eq!(drawn.iter().filter(|&&drawn| drawn == peer(2)).count(), 1);
        places.remove(&peer(1), &here);
        assert!(places.subsets.is_empty() && places.systems.is_empty());
        assert!(places.countries.is_empty());
        assert_eq!(places.len(), 1);
    }
}
