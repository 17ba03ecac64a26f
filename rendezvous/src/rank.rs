//! Who is offered to whom, and in which order: a pure function that the simulator uses too.
//!
//! Nearest first (subset, AS, country, rest), those with uplink to spare before those without, and
//! among equals by chance, weighted by what they have to spare. Each fifth is drawn from anywhere,
//! so that the near ones never become islands. One to three repeaters stand near the top. Finding
//! a pool to rank in a large swarm is left to the map.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use ticket::{Location, Nearness, PeerId, Role};

/// The most peers that are named in one answer.
pub const MOST: usize = 30;

/// A node that was not heard of for longer is not offered.
pub const SILENT: Duration = Duration::from_secs(15);

/// A node that was not heard of for longer comes after fresher ones that are as near: reports come
/// every few seconds, so one was missed.
const STALE: Duration = Duration::from_secs(6);

/// Where repeaters (if none is there, headends) stand in a viewer's list.
const SERVER_PLACES: [usize; 3] = [0, 2, 5];

/// Every so manieth is drawn from anywhere.
const RANDOM_EVERY: usize = 5;

/// Beyond so many sub-streams to spare a node is not preferred further: it would draw a crowd
/// before its next report.
const MOST_WEIGHT: u64 = 32;

/// Who asks for peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Who.
    pub peer: PeerId,
    /// What it does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
}

/// How much a node could push, as far as it has told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capacity {
    /// It has not reported yet.
    Unknown,
    /// So many more sub-streams, at least one.
    Free(u16),
    /// Nothing.
    Full,
}

/// A node that could be offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Who.
    pub peer: PeerId,
    /// What it does.
    pub role: Role,
    /// Where it is.
    pub location: Location,
    /// How long ago it was heard of.
    pub age: Duration,
    /// What it could push.
    pub capacity: Capacity,
}

/// The place of a candidate among those of its role; the least comes first. The last part is drawn.
type Place = (bool, Nearness, bool, u64);

/// The at most `most` candidates that `asker` should try, best first. Never the asker, nobody
/// twice, nobody who has been silent. Headends are for repeaters and other headends; a viewer is
/// told of them only if the pool holds no repeater.
pub fn rank<R: Rng + ?Sized>(
    asker: &Asker,
    pool: &[Candidate],
    most: usize,
    rng: &mut R,
) -> Vec<Candidate> {
    let mut seen = BTreeSet::from([asker.peer]);
    let mut headends = Vec::new();
    let mut repeaters = Vec::new();
    let mut viewers = Vec::new();
    for candidate in pool {
        if candidate.age > SILENT || !seen.insert(candidate.peer) {
            continue;
        }
        let placed = (place(asker, candidate, rng), *candidate);
        match candidate.role {
            Role::Headend => headends.push(placed),
            Role::Repeater => repeaters.push(placed),
            Role::Viewer => viewers.push(placed),
            Role::Rendezvous => {}
        }
    }
    let [headends, repeaters, viewers] = [headends, repeaters, viewers].map(in_order);
    let mut list = match asker.role {
        Role::Viewer => {
            let servers = if repeaters.is_empty() { headends } else { repeaters };
            interleave(servers, mix(viewers, rng))
        }
        Role::Headend | Role::Repeater | Role::Rendezvous => {
            let mut list = headends;
            list.extend(mix(repeaters, rng));
            list.extend(mix(viewers, rng));
            list
        }
    };
    list.truncate(most);
    list
}

fn place<R: Rng + ?Sized>(asker: &Asker, candidate: &Candidate, rng: &mut R) -> Place {
    let (full, weight) = match candidate.capacity {
        Capacity::Unknown => (false, 1),
        Capacity::Free(free) => (false, (1 + u64::from(free)).min(MOST_WEIGHT)),
        Capacity::Full => (true, 1),
    };
    // The least of draws divided by weights belongs to each with a chance in proportion to its
    // weight. Whole numbers: the same on every machine.
    let draw = u64::from(rng.next_u32()) * MOST_WEIGHT / weight;
    (full, asker.location.nearness(&candidate.location), candidate.age > STALE, draw)
}

fn in_order(mut placed: Vec<(Place, Candidate)>) -> Vec<Candidate> {
    placed.sort_by_key(|(place, candidate)| (*place, candidate.peer));
    placed.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Each fifth is drawn from all that follow; the others keep their order.
fn mix<R: Rng + ?Sized>(list: Vec<Candidate>, rng: &mut R) -> Vec<Candidate> {
    let mut rest = std::collections::VecDeque::from(list);
    let mut mixed = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let at =
            if mixed.len() % RANDOM_EVERY == RANDOM_EVERY - 1 { below(rest.len(), rng) } else { 0 };
        mixed.extend(rest.remove(at));
    }
    mixed
}

/// Servers at their places, the others between; servers that are left over go to the end.
fn interleave(servers: Vec<Candidate>, others: Vec<Candidate>) -> Vec<Candidate> {
    let mut list = Vec::with_capacity(servers.len() + others.len());
    let mut servers = servers.into_iter();
    let mut others = others.into_iter();
    loop {
        let next = if SERVER_PLACES.contains(&list.len()) {
            servers.next().or_else(|| others.next())
        } else {
            others.next()
        };
        match next {
            Some(candidate) => list.push(candidate),
            None => break,
        }
    }
    list.extend(servers);
    list
}

/// A random number below `end`, which is not 0.
pub(crate) fn below<R: Rng + ?Sized>(end: usize, rng: &mut R) -> usize {
    ((u64::from(rng.next_u32()) * end as u64) >> 32) as usize
}

#[cfg(test)]
#[path = "rank_tests.rs"]
mod tests;
