//! What the headend tells Prometheus. Labels are the configured channels and roles.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use service::metrics::prometheus_client::collector::Collector;
use service::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use service::metrics::prometheus_client::metrics::counter::ConstCounter;
use service::metrics::prometheus_client::metrics::gauge::ConstGauge;

use crate::station::Station;

/// Reads the stations when asked.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) Arc<Vec<Station>>);

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Station({})", self.channel().id)
    }
}

/// Name, help, value.
type Row<T> = (&'static str, &'static str, fn(&Station) -> T);

const COUNTERS: [Row<u64>; 9] = [
    ("source_losses", "Times that the source was lost", |s| s.media().losses.load(Relaxed)),
    ("channel_restarts", "Times that the channel failed and began anew", |s| {
        s.media().restarts.load(Relaxed)
    }),
    ("pictures", "Pictures that left", |s| s.media().pictures.load(Relaxed)),
    ("cut_bytes", "Bytes of segments cut", |s| s.media().bytes.load(Relaxed)),
    ("cut_segments", "Segments cut", |s| s.media().segments.load(Relaxed)),
    ("dropped_segments", "Segments dropped because sealing fell behind", |s| {
        s.media().dropped.load(Relaxed)
    }),
    ("sealed_segments", "Segments sealed, coded and signed", |s| s.sealed().segments),
    ("seal_microseconds", "Time spent on sealing, coding and signing", |s| s.sealed().micros),
    ("channel_egress_bytes", "Media sent of the channel, to all", |s| {
        s.swarm().map_or(0, |stats| {
            stats.bytes_out.headend + stats.bytes_out.repeater + stats.bytes_out.viewer
        })
    }),
];

const GAUGES: [Row<i64>; 4] = [
    ("source_up", "Whether pictures come from the source rather than from the slate", |s| {
        i64::from(s.media().source_up.load(Relaxed))
    }),
    ("on_air", "Whether rendezvous has taken the channel", |s| i64::from(s.swarm().is_some())),
    ("encoder_lag_microseconds", "How far the media part is behind its clock", |s| {
        s.media().lag_us.load(Relaxed)
    }),
    ("substreams_out", "Sub-streams fed to others", |s| {
        s.swarm().map_or(0, |stats| i64::from(stats.pushed))
    }),
];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in COUNTERS {
            let kind = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for station in self.0.iter() {
                let labels = [("channel", station.channel().id.as_str())];
                ConstCounter::new(value(station)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in GAUGES {
            let kind = ConstGauge::new(0_i64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for station in self.0.iter() {
                let labels = [("channel", station.channel().id.as_str())];
                ConstGauge::new(value(station)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
