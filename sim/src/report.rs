//! What a run has shown.

use std::collections::BTreeMap;

use crate::histogram::{Distribution, Histogram, round};
use crate::moves::Reason;
use crate::population::{Manner, Nat, repeater_sizes};
use crate::setting::STEP;
use crate::tally::{CAUSES, KINDS, Record, micros};
use crate::world::{Outcome, Sample, share};

/// The results of a run. Shares are of 1, times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// What the scenario shows.
    pub about: String,
    /// Viewers that were asked for: the audience and the crowds.
    pub viewers: u32,
    /// Stays of viewers: those who went were replaced.
    pub joins: u64,
    /// What chance was drawn from.
    pub seed: u64,
    /// Length of the run.
    pub virtual_seconds: f64,
    /// Whether it was stopped before the end of the scenario.
    pub stopped: bool,
    /// How long it took to compute: the only figure that differs between two runs.
    pub wall_seconds: f64,
    /// What the engines took of that, over all threads, if it was measured; not part of the written report.
    #[serde(skip)]
    pub engine_seconds: Option<f64>,
    /// Processor time of the process so far, where the system tells: on a busy machine this says more than `wall_seconds`;
    /// not part of the written report.
    #[serde(skip)]
    pub cpu_seconds: Option<f64>,
    /// The most memory that the process has held, MiB, where the system tells; not part of the written report.
    #[serde(skip)]
    pub memory_mib: Option<u64>,
    /// A line for every stay of a viewer, if that was asked for; not part of the written report.
    #[serde(skip)]
    pub stays: Option<String>,
    /// A line for every sub-stream that was lost and moved, if that was asked for; not part of the written report.
    #[serde(skip)]
    pub failovers: Option<String>,
    /// Code and bit rate.
    pub channel: Channel,
    /// The operator's repeaters.
    pub repeaters: Repeaters,
    /// Choosing the channel to having data up to the playout point; decoding is not part of it.
    pub startup_ms: Distribution,
    /// Stays that never started, of those longer than ten seconds.
    pub not_started: u64,
    /// Of each viewer: its stalled share of its viewing time.
    pub stall_ratio: Distribution,
    /// Of all viewing time: the share that was stalled.
    pub stalled_share: f64,
    /// Of the stalled time: the share in the first ten seconds of a stay.
    pub stalled_at_start: f64,
    /// The stalled share for viewers outside the systems that were cut off.
    pub stalled_share_outside: f64,
    /// Viewers who had no stall.
    pub without_stall: f64,
    /// Stalls by the cause that the engine names.
    pub stall_causes: BTreeMap<&'static str, u64>,
    /// Newest segment known to the one playing, when a stay ended.
    pub behind_edge_ms: Distribution,
    /// Capture to the K-th shard, over all segments of all viewers.
    pub arrival_lag_ms: Distribution,
    /// The most hops from the headend among the K shards.
    pub depth: Distribution,
    /// Of every sub-stream that was lost and moved: how long it did not flow, beyond the normal spacing of shards.
    pub failover_ms: Distribution,
    /// The same by why it was lost, and where the time of the slow ones went.
    pub failover_reasons: Vec<Reason>,
    /// The longest of these, of each viewer that had one.
    pub failover_longest_ms: Distribution,
    /// Sub-streams that moved to another parent or were lost, for each viewer and minute, by reason.
    pub moves: BTreeMap<&'static str, f64>,
    /// Between the first and the last 1/200 of viewers to play a segment; and between all.
    pub playout_spread_ms: Spread,
    /// Share of the media that viewers got from viewers.
    pub offload: f64,
    /// What the viewers' uplinks allow at most: what they lend and can get to others through their NATs, over bit rate and
    /// spares.
    pub offload_bound: f64,
    /// Media to viewers, by sender.
    pub bytes: BySender,
    /// Share of the bytes between viewers that stayed in their autonomous system.
    pub same_as_share: f64,
    /// Share of the media to viewers that came from their own homes.
    pub home_share: f64,
    /// Bytes between viewers: in a subset, a system, a country, further.
    pub near: [u64; 4],
    /// Bit rate that entered each system, in streams of the channel, and its mean audience.
    pub entering: Vec<Entering>,
    /// Messages in proportion to media.
    pub control_ratio: f64,
    /// Shards that came twice in proportion to media.
    pub duplicate_ratio: f64,
    /// Share of the sub-streams that flowed beyond K.
    pub spare_share: f64,
    /// Looks at viewers that found three standby partners ready.
    pub standby_ready: f64,
    /// Pairs of a viewer and one above it where that one's leave costs one sub-stream only.
    pub leave_costs_one: f64,
    /// Of each viewer: the most of its sub-streams that came through one viewer.
    pub exposure: Distribution,
    /// The stalled share for those who lend nothing on purpose, and for the others.
    pub stalled_share_free_riders: f64,
    /// See above.
    pub stalled_share_lenders: f64,
    /// Trees that were found to be loops at the moment of a look; they do not last.
    pub loops: u64,
    /// The largest share of the peer traffic that one viewer carried.
    pub heaviest_share: f64,
    /// Shards that failed their proof; none of them counts as held.
    pub bad_shards: u64,
    /// How long after a victim's first bad shard from a peer others still came from it.
    pub bad_after_ms: Distribution,
    /// Events handled, shards delivered, messages delivered.
    pub work: Work,
    /// Curves over time.
    pub samples: Vec<Sample>,
    /// Cumulative distributions for the plots: value, share.
    pub curves: Curves,
}

/// See [`Report::channel`].
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Channel {
    pub bits_per_second: u64,
    pub k: u8,
    pub n: u8,
}

/// See [`Report::repeaters`].
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Repeaters {
    pub count: u32,
    pub substreams_each: u32,
}

/// See [`Report::playout_spread_ms`].
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Spread {
    pub p99: f64,
    pub max: f64,
}

/// See [`Report::bytes`].
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
#[allow(missing_docs)]
pub struct BySender {
    pub headend: u64,
    pub repeater: u64,
    pub viewer: u64,
}

/// See [`Report::entering`].
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Entering {
    pub system: u32,
    pub viewers: f64,
    pub streams: f64,
}

/// See [`Report::work`].
#[derive(Clone, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Work {
    pub events: u64,
    pub deliveries: u64,
    pub messages: u64,
    pub kinds: BTreeMap<&'static str, u64>,
}

/// See [`Report::curves`].
#[derive(Clone, Debug, serde::Serialize)]
#[allow(missing_docs)]
pub struct Curves {
    pub startup_ms: Vec<[f64; 2]>,
    pub arrival_lag_ms: Vec<[f64; 2]>,
    pub depth: Vec<[f64; 2]>,
}

/// Why sub-streams move.
const MOVES: [&str; 5] = ["left", "silent", "shed", "gone", "better"];

/// Sums over viewers.
#[derive(Default)]
struct Sums {
    startup: Histogram,
    stall_ratio: Histogram,
    failover: Histogram,
    moves: [u64; MOVES.len()],
    bytes: BySender,
    home: u64,
    duplicates: u64,
    control: u64,
    watched: u64,
    stalled: u64,
    early: u64,
    outside: [u64; 2],
    /// Stalled and watched, of those who lend and of free riders.
    lenders: [u64; 2],
    riders: [u64; 2],
    without_stall: u64,
    not_started: u64,
    /// Bits that could have been lent, by kind of NAT, and seconds that were watched.
    lent: [f64; 3],
    wanted: [f64; 3],
    causes: BTreeMap<&'static str, u64>,
}

impl Sums {
    fn add(&mut self, record: &Record, nat: Nat, outside: bool) {
        let stats = &record.stats;
        let (watched, stalled) = (record.watched(), record.stalled());
        match record.startup {
            Some(startup) => self.startup.add(startup),
            None if record.stayed > 10_000_000 => self.not_started += 1,
            // Who went before it could start says nothing.
            None => return,
        }
        // In parts of a million.
        self.stall_ratio.add(stalled * 1_000_000 / watched.max(1));
        self.watched += watched;
        self.stalled += stalled;
        self.early += record.early.unwrap_or(stalled).min(stalled);
        if outside {
            self.outside[0] += stalled;
            self.outside[1] += watched;
        }
        self.without_stall += u64::from(stalled == 0);
        if stats.failovers > 0 {
            self.failover.add(micros(stats.failover_max));
        }
        let riding = record.manner == Manner::FreeRider;
        let sum = if riding { &mut self.riders } else { &mut self.lenders };
        sum[0] += stalled;
        sum[1] += watched;
        self.lent[nat as usize] += record.lends as f64 * record.stayed as f64 / 1e6;
        self.wanted[nat as usize] += watched as f64 / 1e6;
        let swarm::Moves { left, silent, shed, lost, better } = stats.moves;
        for (sum, count) in self.moves.iter_mut().zip([left, silent, shed, lost, better]) {
            *sum += count;
        }
        self.duplicates += stats.duplicate_bytes;
        self.home += stats.home_in;
        self.bytes.headend += stats.bytes_in.headend;
        self.bytes.repeater += stats.bytes_in.repeater;
        self.bytes.viewer += stats.bytes_in.viewer;
        for (cause, name) in CAUSES {
            let count = stats.stall_causes.get(&cause).copied().unwrap_or_default();
            if count > 0 {
                *self.causes.entry(name).or_default() += count;
            }
        }
    }
}

pub(crate) fn make(outcome: &Outcome) -> Report {
    let Outcome { setting, tally, samples, audit, .. } = outcome;
    let cut = |record: &Record| setting.cuts().iter().any(|cut| cut.asn == record.system);
    let mut sums = Sums::default();
    for record in tally.viewers.iter().filter(|record| record.manner != Manner::Polluter) {
        sums.add(record, setting.nat(record.node), !cut(record));
    }
    for record in tally.viewers.iter().chain(&tally.servers) {
        sums.control += record.stats.control_bytes;
    }
    let BySender { headend, repeater, viewer } = sums.bytes;
    let all = headend + repeater + viewer;
    let scenario = &setting.scenario;
    let minutes = (sums.watched as f64 / 60e6).max(1e-6);
    let rate = scenario.channel.bitrate.bits_per_second() as f64;
    let spare = audit.spare as f64 / (audit.flowing.saturating_sub(audit.spare)).max(1) as f64;
    let wanted = sums.wanted.map(|seconds| seconds * rate * (1.0 + spare));
    let bound = carried(sums.lent, wanted) / wanted.iter().sum::<f64>().max(1.0);
    let heaviest = tally.viewers.iter().map(|record| record.stats.bytes_out.viewer).max();
    let pairs: u64 = audit.pairs.iter().sum();
    let (count, substreams_each) = repeater_sizes(scenario);
    let crowds: u32 = scenario.crowd.iter().map(|crowd| crowd.count).sum();
    Report {
        about: scenario.about.clone(),
        viewers: scenario.viewers.count + crowds,
        joins: tally.viewers.len() as u64,
        seed: setting.seed,
        virtual_seconds: outcome.end as f64 / 1e6,
        stopped: outcome.end < setting.end / STEP * STEP,
        wall_seconds: 0.0,
        engine_seconds: None,
        cpu_seconds: None,
        memory_mib: None,
        stays: None,
        failovers: None,
        channel: Channel {
            bits_per_second: scenario.channel.bitrate.bits_per_second(),
            k: scenario.channel.k,
            n: scenario.channel.n,
        },
        repeaters: Repeaters { count, substreams_each },
        startup_ms: sums.startup.distribution(1000.0),
        not_started: sums.not_started,
        stall_ratio: sums.stall_ratio.distribution(1e6),
        stalled_share: precise(sums.stalled, sums.watched),
        stalled_at_start: share(sums.early, sums.stalled),
        stalled_share_outside: precise(sums.outside[0], sums.outside[1]),
        without_stall: share(sums.without_stall, sums.stall_ratio.count()),
        stall_causes: sums.causes,
        behind_edge_ms: tally.behind_edge.distribution(1000.0),
        arrival_lag_ms: tally.lag.distribution(1000.0),
        depth: tally.depth.distribution(1.0),
        failover_ms: tally.failover.distribution(1000.0),
        failover_reasons: tally.moves.reasons(),
        failover_longest_ms: sums.failover.distribution(1000.0),
        moves: MOVES
            .into_iter()
            .zip(sums.moves.map(|count| round(count as f64 / minutes)))
            .collect(),
        playout_spread_ms: spread(&tally.playout),
        offload: share(viewer, all),
        offload_bound: round(bound.min(1.0)),
        bytes: sums.bytes,
        same_as_share: share(tally.near[0] + tally.near[1], tally.near.iter().sum()),
        home_share: share(sums.home, all),
        near: tally.near,
        entering: entering(outcome, rate),
        // Both ends have counted each message.
        control_ratio: precise(sums.control / 2, all),
        duplicate_ratio: precise(sums.duplicates, all),
        spare_share: share(audit.spare, audit.flowing),
        standby_ready: share(audit.ready, audit.looks),
        leave_costs_one: share(audit.pairs[0], pairs),
        exposure: audit.exposure.distribution(1.0),
        stalled_share_free_riders: precise(sums.riders[0], sums.riders[1]),
        stalled_share_lenders: precise(sums.lenders[0], sums.lenders[1]),
        loops: audit.loops,
        heaviest_share: share(heaviest.unwrap_or(0), viewer),
        bad_shards: tally.bad,
        bad_after_ms: tally.bad_after.distribution(1000.0),
        work: Work {
            events: tally.events,
            deliveries: tally.deliveries,
            messages: tally.messages.iter().sum(),
            kinds: KINDS.into_iter().zip(tally.messages).filter(|(_, count)| *count > 0).collect(),
        },
        samples: samples.clone(),
        curves: Curves {
            startup_ms: sums.startup.curve(1000.0),
            arrival_lag_ms: tally.lag.curve(1000.0),
            depth: tally.depth.curve(1.0),
        },
    }
}

/// The most that can be carried from those who lend to those who want, where not every NAT meets every other: the least
/// cut, over all sets of those who want (Hall's condition for flows).
fn carried(lent: [f64; 3], wanted: [f64; 3]) -> f64 {
    let kinds = [Nat::Open, Nat::Cone, Nat::Strict];
    let cut = |set: u8| {
        let within = |kind: Nat| set >> kind as u8 & 1 == 1;
        let reaches = |from: &Nat| kinds.iter().any(|to| within(*to) && from.meets(*to));
        let supply = kinds.iter().filter(|from| reaches(from)).map(|from| lent[*from as usize]);
        let rest = kinds.iter().filter(|to| !within(**to)).map(|to| wanted[*to as usize]);
        supply.chain(rest).sum::<f64>()
    };
    (0..8).map(cut).fold(f64::INFINITY, f64::min)
}

/// A share that may be small.
fn precise(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 1e7).round() / 1e7 }
}

fn spread(playout: &Histogram) -> Spread {
    let between = |least: f64, most: f64| {
        let span = playout.quantile(most).saturating_sub(playout.quantile(least));
        round(span as f64 / 1000.0)
    };
    Spread { p99: between(0.005, 0.995), max: between(0.0, 1.0) }
}

fn entering(outcome: &Outcome, rate: f64) -> Vec<Entering> {
    let seconds = (outcome.end as f64 / 1e6).max(1.0);
    let mut stayed = vec![0.0; outcome.tally.entering.len()];
    for record in &outcome.tally.viewers {
        if let Some(sum) = stayed.get_mut((record.system as usize).wrapping_sub(1)) {
            *sum += record.stayed as f64 / 1e6;
        }
    }
    let one = |(i, (&bytes, stayed)): (usize, (&u64, f64))| Entering {
        system: i as u32 + 1,
        viewers: round(stayed / seconds),
        streams: round(bytes as f64 * 8.0 / seconds / rate),
    };
    outcome.tally.entering.iter().zip(stayed).enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_nats_lend_to_open_viewers_only() {
        assert_eq!(carried([5.0, 5.0, 0.0], [1.0, 8.0, 1.0]), 10.0);
        assert_eq!(carried([0.0, 0.0, 9.0], [1.0, 8.0, 1.0]), 1.0);
        assert_eq!(carried([0.0, 9.0, 0.0], [1.0, 8.0, 1.0]), 9.0);
        assert_eq!(carried([2.0, 3.0, 1.0], [5.0, 5.0, 5.0]), 6.0);
    }
}
