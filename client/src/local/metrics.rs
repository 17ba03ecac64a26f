//! `/metrics`: the figures of the channel that is played, for Prometheus (text format 0.0.4).

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{Local, NOT_KEPT};
use crate::stats::Stats;

pub(super) async fn get(State(local): State<Local>) -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([kind, NOT_KEPT], text(&local.player.stats()))
}

/// Labels and value of a line.
type Value = (&'static str, u64);

fn text(stats: &Stats) -> String {
    let (segments, bytes) = (&stats.segments, &stats.bytes_in);
    let plain = |value| vec![("", value)];
    let flowing = stats.substreams.len() as u64;
    let gauges = [
        ("startup_milliseconds", "Choice of channel to its first segment", plain(stats.startup_ms)),
        ("lag_milliseconds", "Capture to playout", plain(stats.lag_ms)),
        (
            "behind_edge_milliseconds",
            "Playout behind the newest segment",
            plain(stats.behind_edge_ms),
        ),
        ("substreams", "Sub-streams that flow in", plain(flowing)),
    ];
    let results =
        vec![("{result=\"played\"}", segments.played), ("{result=\"lost\"}", segments.lost)];
    let received = vec![
        ("{role=\"headend\"}", bytes.headend),
        ("{role=\"repeater\"}", bytes.repeater),
        ("{role=\"viewer\"}", bytes.viewer),
    ];
    let counters = [
        (
            "stalls_total",
            "Runs of segments that were not played whole in time",
            plain(stats.stalls),
        ),
        ("stall_milliseconds_total", "Media time in stalls", plain(stats.stall_ms)),
        ("segments_total", "Segments by what became of them", results),
        ("received_bytes_total", "Media in, by the sender's role", received),
        ("sent_bytes_total", "Media sent to others", plain(stats.bytes_out)),
        ("rejected_shards_total", "Shards that failed their proof", plain(stats.rejected_shards)),
        ("failovers_total", "Sub-streams moved to another parent", plain(stats.failovers)),
    ];
    let mut out = String::new();
    gauges.iter().for_each(|family| put(&mut out, "gauge", family));
    counters.iter().for_each(|family| put(&mut out, "counter", family));
    out
}

fn put(out: &mut String, kind: &str, (name, help, values): &(&str, &str, Vec<Value>)) {
    let name = format!("braidcast_client_{name}");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_help_and_nothing_says_what_is_watched() {
        let mut stats = Stats::new("secret-channel".into(), None, None, Default::default());
        stats.stalls = 3;
        stats.bytes_in.viewer = 99;
        let text = text(&stats);
        assert!(text.contains("\nbraidcast_client_stalls_total 3\n"), "{text}");
        assert!(text.contains("braidcast_client_received_bytes_total{role=\"viewer\"} 99\n"));
        assert!(!text.contains("secret-channel"));
        let names = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(text.lines().filter(|line| line.starts_with("# HELP")).count(), names);
        assert!(text.lines().all(|line| line.starts_with('#') || line.split(' ').count() == 2));
    }
}
