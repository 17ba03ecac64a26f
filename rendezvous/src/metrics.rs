//! What is counted. Labels are roles, reasons and channels: never a node or an address.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use link::protocol::{CAUSES, DISTANCES, Quality, Refusal};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use service::metrics::Registry;
use swarm::Time;
use ticket::Role;

use crate::map::{Map, Progress};

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What became of something.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct ResultLabel {
    /// A word of this crate.
    pub result: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SwarmLabels {
    channel: String,
    rendition: String,
    role: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SwarmLabel {
    channel: String,
    rendition: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct FromLabel {
    from: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct DistanceLabel {
    distance: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

/// What is counted.
#[derive(Clone)]
pub struct Metrics {
    sessions: Family<RoleLabel, Gauge>,
    swarms: Gauge,
    live: Gauge,
    nodes: Family<SwarmLabels, Gauge>,
    /// The labels of `nodes`.
    shown: Arc<Mutex<HashSet<SwarmLabels>>>,
    keys_left: Family<SwarmLabel, Gauge>,
    /// The clock here less that of auth, seconds.
    pub clock_offset: Gauge<f64, AtomicU64>,
    joins: Family<RoleLabel, Counter>,
    refusals: Family<ReasonLabel, Counter>,
    join_seconds: Histogram,
    media: Family<FromLabel, Counter>,
    stalls: Counter,
    stall_causes: Family<CauseLabel, Counter>,
    startup_seconds: Histogram,
    lag: Family<SwarmLabel, Gauge<f64, AtomicU64>>,
    near: Family<DistanceLabel, Counter>,
    segments: Family<ResultLabel, Counter>,
    duplicates: Counter,
    queues: Family<QueueLabel, Gauge>,
    /// Sessions dropped because they did not keep up.
    pub slow: Counter,
    /// Introductions of one viewer to another that were passed on.
    pub introduced: Counter,
    /// Those that were not: the other is gone, in no common swarm, or cannot be met.
    pub not_introduced: Counter,
    /// Questions that reflectors have answered.
    pub reflected: Counter,
    /// Sessions revoked.
    pub revocations: Counter,
    /// Connections refused before they could say who they are.
    pub turned_away: Counter,
    /// Servers that share the map, this one among them; 0: it is not shared.
    pub shared_servers: Gauge,
    /// Bytes told on the bus of the shared map.
    pub shared_out: Counter,
    /// Bytes heard on it.
    pub shared_in: Counter,
    /// Messages on it that could not be opened.
    pub shared_broken: Counter,
    /// Times that it was lost.
    pub shared_lost: Counter,
    /// Events for nodes elsewhere that were dropped because too many waited.
    pub shared_dropped: Counter,
    /// Messages to webhooks, by what became of them.
    pub webhooks: Family<ResultLabel, Counter>,
    /// News that were lost because too many waited.
    pub webhooks_lost: Counter,
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Headend => "headend",
        Role::Repeater => "repeater",
        Role::Viewer => "viewer",
        Role::Rendezvous => "rendezvous",
    }
}

const ROLES: [Role; 3] = [Role::Headend, Role::Repeater, Role::Viewer];

impl Metrics {
    /// All at zero, registered.
    pub fn new(registry: &Registry) -> Self {
        // From a quarter of a millisecond to the patience of a restart.
        let buckets = [0.00025, 0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0];
        let join_seconds = Histogram::new(buckets);
        registry.register(
            "rendezvous_join_seconds",
            "From a node's request to take part until the answer is ready",
            join_seconds.clone(),
        );
        let startup_seconds = Histogram::new([0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0, 8.0]);
        registry.register(
            "rendezvous_viewer_startup_seconds",
            "From a viewer's choice of a channel to its first playable segment",
            startup_seconds.clone(),
        );
        Self {
            sessions: registry.add("rendezvous_sessions", "Nodes connected, by role"),
            swarms: registry.add("rendezvous_swarms", "Swarms in the live map"),
            live: registry.add("rendezvous_channels_live", "Channels on air"),
            nodes: registry
                .add("rendezvous_swarm_nodes", "Nodes connected here that take part, by role"),
            shown: Arc::default(),
            keys_left: registry.add(
                "rendezvous_content_keys_left_seconds",
                "For how long the content keys of a rendition reach at least",
            ),
            clock_offset: registry
                .add("rendezvous_clock_offset_seconds", "The clock here less the clock of auth"),
            joins: registry.add("rendezvous_joins", "Nodes that were let into a swarm"),
            refusals: registry.add("rendezvous_refusals", "What was refused, by reason"),
            join_seconds,
            media: registry.add(
                "rendezvous_media_received_bytes",
                "Media bytes that viewers report, by role of the sender",
            ),
            stalls: registry.add("rendezvous_viewer_stalls", "Stalls that viewers report"),
            stall_causes: registry
                .add("rendezvous_viewer_stalls_by_cause", "Stalls that viewers report, by cause"),
            startup_seconds,
            lag: registry.add(
                "rendezvous_swarm_lag_seconds",
                "From capture to arrival at the median viewer of a rendition",
            ),
            near: registry.add(
                "rendezvous_media_received_near_bytes",
                "Media bytes that viewers report, by how near the sender is",
            ),
            segments: registry.add(
                "rendezvous_viewer_segments",
                "Segments at viewers: played, of those rebuilt with parity, and lost",
            ),
            duplicates: registry
                .add("rendezvous_viewer_duplicate_bytes", "Bytes of shards that came twice"),
            queues: registry.add("rendezvous_queue", "What waits in each queue"),
            slow: registry.add("rendezvous_slow_sessions", "Dropped for not keeping up"),
            introduced: registry
                .add("rendezvous_introductions", "Introductions of viewers passed on"),
            not_introduced: registry.add(
                "rendezvous_introductions_refused",
                "Introductions not passed on: the other is gone, in no common swarm, or cannot be met",
            ),
            reflected: registry
                .add("rendezvous_reflections", "Viewers' questions at what address they are seen"),
            revocations: registry.add("rendezvous_revocations", "Sessions revoked"),
            turned_away: registry.add(
                "rendezvous_connections_turned_away",
                "Connections refused before a ticket was shown: too many from one prefix or in all",
            ),
            shared_servers: registry.add(
                "rendezvous_shared_servers",
                "Servers that share the live map, this one among them; 0: it is not shared",
            ),
            shared_out: registry.add("rendezvous_shared_sent_bytes", "Told to other servers"),
            shared_in: registry.add("rendezvous_shared_received_bytes", "Heard of other servers"),
            shared_broken: registry.add(
                "rendezvous_shared_broken_messages",
                "Messages of other servers that could not be opened: another secret, or damaged",
            ),
            shared_lost: registry.add(
                "rendezvous_shared_bus_losses",
                "Times that the bus of the shared map could not be used",
            ),
            webhooks: registry
                .add("rendezvous_webhooks", "Messages to webhooks: delivered, retried, given_up"),
            webhooks_lost: registry.add(
                "rendezvous_webhooks_lost",
                "News that were lost because too many waited for a webhook",
            ),
            shared_dropped: registry.add(
                "rendezvous_shared_dropped_events",
                "Events for nodes of other servers that were dropped because too many waited",
            ),
        }
    }

    /// Something was refused.
    pub fn refused(&self, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Ticket => "ticket",
            Refusal::Revoked => "revoked",
            Refusal::NotEntitled => "not_entitled",
            Refusal::NoSuchChannel => "no_such_channel",
            Refusal::Role => "role",
            Refusal::Limit => "limit",
            Refusal::Version => "version",
        };
        self.refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A node was let into a swarm after so long.
    pub fn joined(&self, role: Role, after: Duration) {
        self.joins.get_or_create(&RoleLabel { role: name(role) }).inc();
        self.join_seconds.observe(after.as_secs_f64());
    }

    /// A node has reported. What viewers receive is the media that counts for offload.
    pub fn progress(&self, role: Role, progress: &Progress) {
        if role == Role::Viewer {
            for (from, bytes) in ROLES.into_iter().zip(progress.received) {
                self.media.get_or_create(&FromLabel { from: name(from) }).inc_by(bytes);
            }
            self.stalls.inc_by(progress.stalls.into());
        }
    }

    /// A viewer has started after so many milliseconds.
    pub fn started(&self, after_ms: u32) {
        self.startup_seconds.observe(f64::from(after_ms) / 1e3);
    }

    /// A viewer tells how it has fared since it told it `before`.
    pub fn fared(&self, before: &Quality, now: &Quality) {
        for ((cause, now), before) in CAUSES.into_iter().zip(now.stalls).zip(before.stalls) {
            let new = now.saturating_sub(before).into();
            self.stall_causes.get_or_create(&CauseLabel { cause }).inc_by(new);
        }
        for ((distance, now), before) in DISTANCES.into_iter().zip(now.near_in).zip(before.near_in)
        {
            let new = now.saturating_sub(before);
            self.near.get_or_create(&DistanceLabel { distance }).inc_by(new);
        }
        for (result, now, before) in [
            ("played", now.played, before.played),
            ("rebuilt", now.rebuilt, before.rebuilt),
            ("lost", now.lost, before.lost),
        ] {
            let new = now.saturating_sub(before);
            self.segments.get_or_create(&ResultLabel { result }).inc_by(new);
        }
        self.duplicates.inc_by(now.duplicate.saturating_sub(before.duplicate));
    }

    /// Shows what waits.
    pub fn show_queues(&self, queues: [(&'static str, usize); 3]) {
        for (queue, waits) in queues {
            self.queues.get_or_create(&QueueLabel { queue }).set(waits as i64);
        }
    }

    /// Shows the map as it is now.
    pub fn show(&self, map: &dyn Map, now: Time) {
        let summaries = map.summaries(now);
        self.swarms.set(summaries.len() as i64);
        let mut channels: Vec<&str> = summaries
            .iter()
            .filter(|swarm| swarm.live)
            .map(|swarm| swarm.channel.as_str())
            .collect();
        channels.dedup();
        self.live.set(channels.len() as i64);
        let mut shown = HashSet::new();
        for swarm in &summaries {
            let counts = [swarm.here.headend, swarm.here.repeater, swarm.here.viewer];
            for (role, count) in ROLES.into_iter().zip(counts) {
                let (channel, rendition) = (swarm.channel.clone(), swarm.rendition.clone());
                let labels = SwarmLabels { channel, rendition, role: name(role) };
                self.nodes.get_or_create(&labels).set(count as i64);
                shown.insert(labels);
            }
        }
        self.keys_left.clear();
        for swarm in summaries.iter().filter(|swarm| swarm.live) {
            let (channel, rendition) = (swarm.channel.clone(), swarm.rendition.clone());
            let left = self.keys_left.get_or_create(&SwarmLabel { channel, rendition }).clone();
            left.set(swarm.keys_left_s as i64);
        }
        self.lag.clear();
        for swarm in &summaries {
            if let Some(lag) = swarm.lag_ms {
                let (channel, rendition) = (swarm.channel.clone(), swarm.rendition.clone());
                let shown = self.lag.get_or_create(&SwarmLabel { channel, rendition }).clone();
                shown.set(f64::from(lag) / 1e3);
            }
        }
        // Swarms that are over leave no label behind.
        let mut before = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for over in before.difference(&shown) {
            self.nodes.remove(over);
        }
        *before = shown;
    }

    /// Shows who is connected now.
    pub fn show_sessions(&self, roles: impl Iterator<Item = Role>) {
        let mut counts = BTreeMap::from(ROLES.map(|role| (role, 0)));
        roles.for_each(|role| *counts.entry(role).or_default() += 1);
        for (role, count) in counts {
            self.sessions.get_or_create(&RoleLabel { role: name(role) }).set(count);
        }
    }
}
