//! Who takes part, from when to when, over which line: drawn before the run, so that everything in it can read it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use link::nat::{Access, Reach};
use ticket::{Location, Role};

use crate::chance::Stream;
use crate::scenario::{Fails, Scenario};

/// Whether a node can be reached through its NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nat {
    /// No NAT, or one with a port forwarded.
    Open,
    /// A cone: can be met half way, with the help of rendezvous.
    Cone,
    /// Symmetric: only who is open can be reached, by dialling out.
    Strict,
}

impl Nat {
    /// Whether two nodes can be connected.
    pub(crate) fn meets(self, other: Nat) -> bool {
        self == Nat::Open || other == Nat::Open || (self == Nat::Cone && other == Nat::Cone)
    }

    /// What the node's engine is told of it.
    pub(crate) fn told(self) -> swarm::Reach {
        match self {
            Nat::Open => swarm::Reach::Open,
            Nat::Cone => swarm::Reach::Behind,
            Nat::Strict => swarm::Reach::Hard,
        }
    }

    /// What the node tells rendezvous of it.
    pub(crate) fn reach(self) -> Reach {
        let v4 = match self {
            Nat::Open => Access::Open,
            Nat::Cone => Access::PortRestricted,
            Nat::Strict => Access::Symmetric,
        };
        Reach { v4, v6: Access::None, servers_only: false }
    }
}

/// What a node does that it should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    Honest,
    /// Lends nothing.
    FreeRider,
    /// Every shard that it sends fails its proof.
    Polluter,
    /// Grants and never pushes.
    PromiseBreaker,
}

/// One node. What each shard asks of its receiver and sender stands first, in one line of the processor's caches: with very
/// many nodes each look at one waits for memory.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(crate) struct Profile {
    pub(crate) location: Location,
    /// The first node behind the same line: itself, where nobody shares it.
    pub(crate) home: u32,
    pub(crate) role: Role,
    /// Which kind of access line; servers have none.
    pub(crate) line: Option<u8>,
    pub(crate) nat: Nat,
    pub(crate) manner: Manner,
    /// Whether somebody shares the line.
    pub(crate) shares_line: bool,
    /// Bits per second, really.
    pub(crate) up: Option<u64>,
    pub(crate) down: Option<u64>,
    /// Bits per second that the engine is told of.
    pub(crate) lends: Option<u64>,
    pub(crate) max_pushed: Option<u32>,
    /// Presences, virtual microseconds: from, to. More than one if it is restarted.
    pub(crate) stays: Vec<Stay>,
    pub(crate) clock: Faults,
}

/// One presence of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stay {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Whether it says good-bye.
    pub(crate) good_bye: bool,
}

/// What is wrong with a node's own clock.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Faults {
    /// It gains so many thousand-millionths.
    pub(crate) gains: i32,
    /// It stands still from a moment on, microseconds, for so long.
    pub(crate) stands: u64,
    pub(crate) stands_for: u32,
}

/// The operator's own network.
const OPERATOR: u32 = 64_500;

/// Everybody: the headend first, then repeaters, then viewers in order of arrival.
pub(crate) fn draw(scenario: &Scenario, seed: u64) -> Vec<Profile> {
    let end = scenario.duration.get().as_micros() as u64;
    let mut all = vec![server(Role::Headend, operator(scenario), end)];
    all.extend(repeaters(scenario, seed, end));
    let mut arrivals = arrivals(scenario, seed, end);
    arrivals.sort_by_key(|stay| (stay.from, stay.to));
    let mut stream = Stream::new(seed, 2);
    all.extend(arrivals.into_iter().map(|stay| viewer(scenario, stay, &mut stream)));
    for (number, profile) in all.iter_mut().enumerate() {
        profile.home = number as u32;
    }
    share_lines(scenario, &mut all, seed);
    all
}

/// Puts some viewers behind the line of one who came shortly before. Each has measured the whole line: together they
/// promise more than it carries.
fn share_lines(scenario: &Scenario, all: &mut [Profile], seed: u64) {
    let mut stream = Stream::new(seed, 4);
    for number in 1..all.len() {
        // Both of a pair are counted.
        let shares = stream.happens(scenario.viewers.households / 2.0);
        let other = number - 1 - (stream.next() % 16) as usize % number;
        let (before, [mine, ..]) = all.split_at_mut(number) else { continue };
        let host = &mut before[other];
        let viewers = mine.role == Role::Viewer && host.role == Role::Viewer;
        if !shares || !viewers || host.shares_line {
            continue;
        }
        host.shares_line = true;
        let lends = if mine.lends == Some(0) { Some(0) } else { host.lends };
        let (stays, manner, clock) = (std::mem::take(&mut mine.stays), mine.manner, mine.clock);
        *mine = Profile { stays, manner, clock, lends, ..host.clone() };
    }
}

fn operator(scenario: &Scenario) -> Location {
    let country = scenario.places.countries.first().copied();
    Location { subset: None, asn: Some(OPERATOR), country }
}

fn server(role: Role, location: Location, end: u64) -> Profile {
    Profile {
        role,
        location,
        line: None,
        nat: Nat::Open,
        manner: Manner::Honest,
        up: None,
        down: None,
        lends: None,
        max_pushed: None,
        stays: vec![Stay { from: 0, to: end, good_bye: false }],
        home: 0,
        shares_line: false,
        clock: Faults::default(),
    }
}

/// How many repeaters there are and how many sub-streams each pushes.
pub(crate) fn repeater_sizes(scenario: &Scenario) -> (u32, u32) {
    let repeaters = &scenario.repeaters;
    let audience =
        scenario.viewers.count + scenario.crowd.iter().map(|crowd| crowd.count).sum::<u32>();
    let all = f64::from(audience) * repeaters.audience_share * f64::from(scenario.channel.k);
    let count = ((all / f64::from(repeaters.substreams)).ceil() as u32).max(repeaters.at_least);
    let each = (all / f64::from(count.max(1))).ceil() as u32;
    (count, each.max(repeaters.substreams_at_least))
}

fn repeaters(scenario: &Scenario, seed: u64, end: u64) -> Vec<Profile> {
    let (count, each) = repeater_sizes(scenario);
    let substream = scenario.channel.bitrate.bits_per_second() / u64::from(scenario.channel.k);
    let mut stream = Stream::new(seed, 1);
    let repeater = |i: u32| {
        let each = share(scenario, i, count, each);
        let up = substream as f64 * f64::from(each) * (1.0 + scenario.repeaters.headroom);
        let location = if scenario.repeaters.inside {
            place(scenario, i % scenario.places.systems, &mut stream)
        } else {
            operator(scenario)
        };
        let mut profile = server(Role::Repeater, location, end);
        profile.up = Some(up as u64);
        profile.max_pushed = Some(each);
        profile.stays = between_outages(scenario, i, count, end);
        profile
    };
    (0..count).map(repeater).collect()
}

/// How many of the sub-streams that `count` repeaters push, `each` on the mean, repeater `i` does: who puts one into its
/// network makes it as large as its own audience asks for.
fn share(scenario: &Scenario, i: u32, count: u32, each: u32) -> u32 {
    if !scenario.repeaters.inside {
        return each;
    }
    let systems = scenario.places.systems;
    let audience = |i: u32| {
        let system = i % systems;
        let repeaters = count / systems + u32::from(system < count % systems);
        weight(scenario, system) / f64::from(repeaters)
    };
    let all = f64::from(each) * f64::from(count);
    let sum: f64 = (0..count).map(audience).sum();
    ((all * audience(i) / sum).round() as u32).max(scenario.repeaters.substreams_at_least).max(1)
}

/// In proportion to a system's audience.
fn weight(scenario: &Scenario, system: u32) -> f64 {
    f64::from(system + 1).powf(-scenario.places.zipf)
}

/// When repeater `i` of `count` runs.
fn between_outages(scenario: &Scenario, i: u32, count: u32, end: u64) -> Vec<Stay> {
    let mut stays = Vec::new();
    let mut from = 0;
    for outage in scenario.outage.iter().filter(|outage| outage.fails == Fails::Repeaters) {
        let at = outage.at.get().as_micros() as u64;
        let hit = f64::from(i) < outage.share * f64::from(count);
        if hit && at > from && at < end {
            stays.push(Stay { from, to: at, good_bye: false });
            from = at + outage.lasts.get().as_micros() as u64;
        }
    }
    if from < end {
        stays.push(Stay { from, to: end, good_bye: false });
    }
    stays
}

/// Somewhere in autonomous system `system`, 0 for the largest.
fn place(scenario: &Scenario, system: u32, stream: &mut Stream) -> Location {
    let countries = &scenario.places.countries;
    let subset = (stream.next() % u64::from(scenario.places.subsets)) as u32;
    Location {
        subset: Some((system + 1) * 1_000 + subset),
        asn: Some(system + 1),
        country: countries.get(system as usize % countries.len().max(1)).copied(),
    }
}

fn viewer(scenario: &Scenario, stay: Stay, stream: &mut Stream) -> Profile {
    let viewers = &scenario.viewers;
    let system = pick(scenario.places.systems, |system| weight(scenario, system), stream);
    let location = place(scenario, system, stream);
    let share = |i: u32| scenario.access[i as usize].share.max(0.0);
    let line = pick(scenario.access.len() as u32, share, stream);
    let access = &scenario.access[line as usize];
    let up = between(access.up.map(|rate| rate.bits_per_second()), stream);
    let down = between(access.down.map(|rate| rate.bits_per_second()), stream);
    let nat = match stream.unit() {
        open if open < viewers.open_nat => Nat::Open,
        strict if strict < viewers.open_nat + viewers.strict_nat => Nat::Strict,
        _ => Nat::Cone,
    };
    let manner = match stream.unit() {
        x if x < viewers.free_riders => Manner::FreeRider,
        x if x < viewers.free_riders + viewers.polluters => Manner::Polluter,
        x if x < viewers.free_riders + viewers.polluters + viewers.promise_breakers => {
            Manner::PromiseBreaker
        }
        _ => Manner::Honest,
    };
    let lends = ((up as f64 * viewers.lends) as u64).min(viewers.lends_most.bits_per_second());
    let clock = clock(scenario, stay, stream);
    Profile {
        role: Role::Viewer,
        location,
        line: Some(line as u8),
        nat,
        manner,
        up: Some(up),
        down: Some(down),
        lends: Some(if manner == Manner::FreeRider { 0 } else { lends }),
        max_pushed: None,
        stays: vec![stay],
        home: 0,
        shares_line: false,
        clock,
    }
}

fn clock(scenario: &Scenario, stay: Stay, stream: &mut Stream) -> Faults {
    let viewers = &scenario.viewers;
    let gains = (stream.unit() * 2.0 - 1.0) * viewers.clock_drift * 1e3;
    let jumps = stream.happens(viewers.clock_jumps);
    let stands_for = if jumps { viewers.clock_jump.get().as_micros() as u32 } else { 0 };
    let stands = stay.from + (stream.unit() * (stay.to - stay.from) as f64) as u64;
    Faults { gains: gains as i32, stands, stands_for }
}

/// One of `count`, by weight.
fn pick(count: u32, weight: impl Fn(u32) -> f64, stream: &mut Stream) -> u32 {
    let total: f64 = (0..count).map(&weight).sum();
    let mut left = stream.unit() * total;
    for i in 0..count {
        left -= weight(i);
        if left < 0.0 {
            return i;
        }
    }
    count.saturating_sub(1)
}

/// Even on a logarithmic scale.
fn between([from, to]: [u64; 2], stream: &mut Stream) -> u64 {
    let (from, to) = (from as f64, to as f64);
    (from * (to / from).powf(stream.unit())) as u64
}

/// When viewers come and go.
fn arrivals(scenario: &Scenario, seed: u64, end: u64) -> Vec<Stay> {
    let viewers = &scenario.viewers;
    let mut stream = Stream::new(seed, 3);
    let mut stays = Vec::new();
    let mut leaving: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    let begin = viewers.from.get().as_micros() as u64;
    let step = 100_000;
    let mut now = begin;
    while now < end {
        while leaving.peek().is_some_and(|&Reverse(at)| at <= now) {
            leaving.pop();
        }
        let wanted = audience(scenario, (now + step - begin) as f64 / 1e6).round() as usize;
        for _ in leaving.len()..wanted {
            let from = now + stream.next() % step;
            let stay = stay(scenario, from, end, &mut stream);
            leaving.push(Reverse(stay.to));
            stays.push(stay);
        }
        now += step;
    }
    for crowd in &scenario.crowd {
        let begin = crowd.at.get().as_micros() as u64;
        for i in 0..crowd.count {
            let from = begin + ((f64::from(i) + stream.unit()) * 1e6 / crowd.rate) as u64;
            if from < end {
                stays.push(stay(scenario, from, end, &mut stream));
            }
        }
    }
    stays
}

/// How many should be there so many seconds after the first.
fn audience(scenario: &Scenario, seconds: f64) -> f64 {
    let viewers = &scenario.viewers;
    let count = f64::from(viewers.count);
    let Some((first, last)) = viewers.curve.first().zip(viewers.curve.last()) else {
        let ramp = viewers.ramp.get().as_secs_f64().max(1e-6);
        return count * (seconds / ramp).min(1.0);
    };
    if seconds <= first[0] {
        return count * first[1];
    }
    for pair in viewers.curve.windows(2) {
        let ([x, y], [x2, y2]) = (pair[0], pair[1]);
        if seconds <= x2 {
            return count * (y + (y2 - y) * (seconds - x) / (x2 - x));
        }
    }
    count * last[1]
}

fn stay(scenario: &Scenario, from: u64, end: u64, stream: &mut Stream) -> Stay {
    let mean = scenario.viewers.life.get().as_secs_f64();
    let (normal, good_bye) = (stream.normal(), stream.happens(scenario.viewers.good_bye));
    if mean <= 0.0 {
        return Stay { from, to: end, good_bye };
    }
    let sigma = scenario.viewers.life_sigma;
    let life = mean * (sigma * normal - sigma * sigma / 2.0).exp();
    let life = (life.clamp(1.0, 1e7) * 1e6) as u64;
    Stay { from, to: (from + life).min(end), good_bye }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shard_asks_of_a_node_is_in_one_cache_line() {
        assert_eq!(std::mem::offset_of!(Profile, lends), 64);
    }

    #[test]
    fn the_audience_is_as_large_as_asked_though_people_go() {
        let mut scenario = Scenario::default();
        scenario.viewers.life = service::config::Duration::from_secs(30);
        scenario.viewers.life_sigma = 1.0;
        let all = draw(&scenario, 4);
        let at = 100_000_000;
        let there = |profile: &&Profile| {
            profile.role == Role::Viewer
                && profile.stays.iter().any(|stay| stay.from <= at && at < stay.to)
        };
        let there = all.iter().filter(there).count();
        assert!((190..=200).contains(&there), "{there}");
        assert!(all.len() > 500, "{} came", all.len());
    }

    #[test]
    fn the_largest_system_has_the_largest_share() {
        let scenario = Scenario::default();
        let all = draw(&scenario, 4);
        let within = |asn| all.iter().filter(|profile| profile.location.asn == Some(asn)).count();
        assert!(within(1) > within(8), "{} {}", within(1), within(8));
    }

    #[test]
    fn a_crowd_comes_at_its_rate() {
        let mut scenario = Scenario::default();
        scenario.crowd = vec![crate::scenario::Crowd::default()];
        let all = draw(&scenario, 4);
        let second = |profile: &&Profile| {
            profile.stays.iter().any(|stay| (60_000_000..61_000_000).contains(&stay.from))
        };
        assert!((98..=101).contains(&all.iter().filter(second).count()));
        assert_eq!(all.iter().filter(|profile| profile.role == Role::Viewer).count(), 300);
    }

    #[test]
    fn repeaters_are_away_in_their_outage() {
        let mut scenario = Scenario::default();
        let outage = crate::scenario::Outage { share: 0.5, ..Default::default() };
        scenario.outage = vec![outage];
        let stays: Vec<usize> = draw(&scenario, 4)[1..3].iter().map(|p| p.stays.len()).collect();
        assert_eq!(stays, [2, 1]);
    }
}
