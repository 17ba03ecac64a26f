//! What the headend tells Prometheus. Labels are the configured channels, their renditions and sources.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use service::metrics::prometheus_client::collector::Collector;
use service::metrics::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use service::metrics::prometheus_client::metrics::MetricType;
use service::metrics::prometheus_client::metrics::counter::ConstCounter;
use service::metrics::prometheus_client::metrics::gauge::ConstGauge;

use crate::roster::Roster;
use crate::source::health::State;
use crate::station::{Rendition, Station};
use crate::stats::Stats;

/// Reads the stations when asked.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) Arc<Roster>);

/// Name, help, value.
type Row<S, T> = (&'static str, &'static str, fn(&S) -> T);

const CHANNEL_COUNTERS: [Row<Stats, u64>; 4] = [
    ("source_losses", "Times that no source was left and the slate began", |s| {
        s.losses.load(Relaxed)
    }),
    ("source_switches", "Times that another source took over", |s| s.switches.load(Relaxed)),
    ("channel_restarts", "Times that the channel failed and began anew", |s| {
        s.restarts.load(Relaxed)
    }),
    ("pictures", "Pictures that left", |s| s.pictures.load(Relaxed)),
];

const CHANNEL_GAUGES: [Row<Stats, f64>; 2] = [
    ("source_up", "Whether pictures come from a source rather than from the slate", |s| {
        f64::from(u8::from(s.source_up.load(Relaxed)))
    }),
    ("encoder_lag_seconds", "How far the media part is behind its clock", |s| {
        s.lag_us.load(Relaxed) as f64 / 1e6
    }),
];

const RENDITION_COUNTERS: [Row<Rendition, f64>; 6] = [
    ("cut_bytes", "Bytes of segments cut", |r| r.output.bytes.load(Relaxed) as f64),
    ("cut_segments", "Segments cut", |r| r.output.segments.load(Relaxed) as f64),
    ("dropped_segments", "Segments dropped because sealing fell behind", |r| {
        r.output.dropped.load(Relaxed) as f64
    }),
    ("sealed_segments", "Segments sealed, coded and signed", |r| r.sealed().segments as f64),
    ("seal_seconds", "Time spent on sealing, coding and signing", |r| {
        r.sealed().micros as f64 / 1e6
    }),
    ("channel_egress_bytes", "Media sent of the rendition, to all", |r| {
        r.swarm().map_or(0.0, |stats| {
            let out = stats.bytes_out;
            (out.headend + out.repeater + out.viewer) as f64
        })
    }),
];

const RENDITION_GAUGES: [Row<Rendition, f64>; 2] = [
    ("on_air", "Whether rendezvous has taken the rendition", |r| {
        f64::from(u8::from(r.swarm().is_some()))
    }),
    ("substreams_out", "Sub-streams fed to others", |r| {
        r.swarm().map_or(0.0, |stats| f64::from(stats.pushed))
    }),
];

const PLAYING: (&str, &str) =
    ("source_playing", "Which source of the channel plays, by its place in the list");
const STATE: (&str, &str) =
    ("source_state", "What each source of the channel is good for: 1 for the state it is in");

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stations = self.0.stations();
        for (name, help, value) in CHANNEL_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for station in &stations {
                let labels = [("channel", station.channel().id.as_str())];
                let counter = ConstCounter::new(value(station.media()));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in CHANNEL_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for station in &stations {
                let labels = [("channel", station.channel().id.as_str())];
                let gauge = ConstGauge::new(value(station.media()));
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in RENDITION_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, rendition) in stations.iter().flat_map(labelled) {
                ConstCounter::new(value(rendition)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in RENDITION_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, rendition) in stations.iter().flat_map(labelled) {
                ConstGauge::new(value(rendition)).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family =
            encoder.encode_descriptor(PLAYING.0, PLAYING.1, None, MetricType::Gauge)?;
        for station in &stations {
            for (index, health) in station.media().sources.iter().enumerate() {
                let place = (index + 1).to_string();
                let labels =
                    [("channel", station.channel().id.as_str()), ("source", place.as_str())];
                let playing = f64::from(u8::from(health.is_active()));
                ConstGauge::new(playing).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(STATE.0, STATE.1, None, MetricType::Gauge)?;
        for station in &stations {
            for (index, health) in station.media().sources.iter().enumerate() {
                let (channel, place) = (station.channel().id.as_str(), (index + 1).to_string());
                for state in State::ALL {
                    let labels =
                        [("channel", channel), ("source", &place), ("state", state.name())];
                    let is = f64::from(u8::from(health.state() == state));
                    ConstGauge::new(is).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// The renditions of a channel with their labels.
fn labelled(station: &Arc<Station>) -> impl Iterator<Item = ([(&str, &str); 2], &Rendition)> {
    let channel = station.channel().id.as_str();
    let labels = move |rendition| [("channel", channel), ("rendition", rendition)];
    station.renditions().iter().map(move |r| (labels(r.name.as_str()), r))
}
