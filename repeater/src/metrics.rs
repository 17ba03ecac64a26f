//! What the repeater tells Prometheus and its own page. Labels are roles and the channels of the line-up, never peers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use link::NodeStats;
use service::config::Rate;
use service::metrics::prometheus_client::collector::Collector;
use service::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use service::metrics::prometheus_client::metrics::counter::ConstCounter;
use service::metrics::prometheus_client::metrics::gauge::ConstGauge;
use swarm::{ByRole, Stats};

use crate::page::Course;

/// The figures as of the last look, about a second ago at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Of the node.
    pub(crate) node: NodeStats,
    /// Of swarms that were left: counters never go back.
    pub(crate) left: Totals,
    /// Of swarms that are carried.
    pub(crate) carried: Vec<Carrying>,
    /// The most media that may be sent now.
    pub(crate) limit: Option<Rate>,
}

/// A rendition that is carried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Carrying {
    pub(crate) channel: String,
    pub(crate) rendition: String,
    pub(crate) stats: Stats,
}

impl Figures {
    /// Over all swarms, those that were left too.
    pub(crate) fn totals(&self) -> Totals {
        let mut all = self.left;
        self.carried.iter().for_each(|carried| all.add(&carried.stats));
        all
    }
}

/// Counters over several swarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) bytes_in: ByRole,
    pub(crate) bytes_out: ByRole,
    control_bytes: u64,
    rejected_shards: u64,
    conflicts: u64,
}

impl Totals {
    /// Adds a swarm's counters.
    pub(crate) fn add(&mut self, stats: &Stats) {
        let sum = |a: &mut ByRole, b: &ByRole| {
            a.headend += b.headend;
            a.repeater += b.repeater;
            a.viewer += b.viewer;
        };
        sum(&mut self.bytes_in, &stats.bytes_in);
        sum(&mut self.bytes_out, &stats.bytes_out);
        self.control_bytes += stats.control_bytes;
        self.rejected_shards += stats.rejected_shards;
        self.conflicts += stats.conflicts;
    }
}

/// Shared between who counts and who is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    figures: Arc<Mutex<Figures>>,
    course: Arc<Mutex<Course>>,
    draining: Arc<AtomicBool>,
}

impl Metrics {
    /// Replaces the figures.
    pub(crate) fn set(&self, figures: Figures) {
        let Totals { bytes_in, bytes_out, .. } = figures.totals();
        let mut course = self.course.lock().unwrap_or_else(PoisonError::into_inner);
        course.note(Instant::now(), sum(&bytes_in), sum(&bytes_out));
        drop(course);
        *self.lock() = figures;
    }

    /// As of the last look.
    pub(crate) fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// What went in and out over time.
    pub(crate) fn course(&self) -> Course {
        self.course.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on children are moved away.
    pub(crate) fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether children are moved away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // Figures are replaced whole.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.figures();
        let all = figures.totals();

        by_role(
            &mut encoder,
            "ingress_bytes",
            "Media received, by the sender's role",
            all.bytes_in,
        )?;
        by_role(&mut encoder, "egress_bytes", "Media sent, by the receiver's role", all.bytes_out)?;
        let node = figures.node;
        for (name, help, value) in [
            ("control_bytes", "Messages of the peer protocol, both ways", all.control_bytes),
            ("wire_received_bytes", "All received on the socket", node.wire_in),
            ("wire_sent_bytes", "All sent on the socket", node.wire_out),
            ("rejected_shards", "Shards that failed their proof", all.rejected_shards),
            ("segment_conflicts", "Segment numbers seen with two roots", all.conflicts),
            ("refused_peers", "Peers refused for their ticket or their place", node.refused),
            ("dropped_peers", "Peers dropped for misbehaving", node.dropped),
        ] {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        for (name, help, value) in [
            ("connections", "Connections to peers", i64::from(node.connections)),
            ("swarms", "Renditions of channels taken part in", count(figures.carried.len())),
            (
                "draining",
                "Whether children are moved to others before the end",
                self.is_draining().into(),
            ),
        ] {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let flowing = |stats: &Stats| count(stats.substreams.len());
        by_channel(&mut encoder, "substreams_in", "Sub-streams that flow in", &figures, flowing)?;
        let pushed = |stats: &Stats| i64::from(stats.pushed);
        by_channel(&mut encoder, "substreams_out", "Sub-streams fed to others", &figures, pushed)
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// All roles together.
pub(crate) fn sum(by: &ByRole) -> u64 {
    by.headend + by.repeater + by.viewer
}

fn by_role(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    bytes: ByRole,
) -> fmt::Result {
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (role, value) in
        [("headend", bytes.headend), ("repeater", bytes.repeater), ("viewer", bytes.viewer)]
    {
        ConstCounter::new(value).encode(family.encode_family(&[("role", role)])?)?;
    }
    Ok(())
}

fn by_channel(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    figures: &Figures,
    value: impl Fn(&Stats) -> i64,
) -> fmt::Result {
    let kind = ConstGauge::new(0_i64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for Carrying { channel, rendition, stats } in &figures.carried {
        let labels = [("channel", channel.as_str()), ("rendition", rendition.as_str())];
        ConstGauge::new(value(stats)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_keep_what_was_left_behind() {
        let stats = |viewer, pushed| Stats {
            bytes_out: ByRole { viewer, ..ByRole::default() },
            pushed,
            ..Stats::default()
        };
        let metrics = Metrics::default();
        let mut left = Totals::default();
        left.add(&stats(5, 1));
        let carried =
            Carrying { channel: "news".into(), rendition: "main".into(), stats: stats(7, 3) };
        let carried = vec![carried];
        metrics.set(Figures { left, carried, ..Figures::default() });
        let registry = service::metrics::Registry::new("repeater", "0");
        registry.register_collector(Box::new(metrics));
        let text = registry.encode();
        assert!(text.contains("braidcast_egress_bytes_total{role=\"viewer\"} 12\n"), "{text}");
        assert!(text.contains("braidcast_substreams_out{channel=\"news\",rendition=\"main\"} 3\n"));
        assert!(text.contains("braidcast_swarms 1\n"), "{text}");
    }
}
