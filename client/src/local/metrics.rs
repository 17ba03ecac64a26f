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

fn text(stats: &Stats) -> String {
    let mut out = String::new();
    let mut put = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
        let _ = writeln!(
            out,
            "# HELP braidcast_client_{name} {help}\n# TYPE braidcast_client_{name} {kind}"
        );
        for (labels, value) in values {
            let _ = writeln!(out, "braidcast_client_{name}{labels} {value}");
        }
    };
    let plain = |value| [("", value)];
    put(
        "startup_milliseconds",
        "gauge",
        "Choice of channel to its first segment",
        &plain(stats.startup_ms),
    );
    put("lag_milliseconds", "gauge", "Capture to playout", &plain(stats.lag_ms));
    put(
        "behind_edge_milliseconds",
        "gauge",
        "Playout behind the newest segment",
        &plain(stats.behind_edge_ms),
    );
    put(
        "stalls_total",
        "counter",
        "Runs of segments that were not played whole in time",
        &plain(stats.stalls),
    );
    put("stall_milliseconds_total", "counter", "Media time in stalls", &plain(stats.stall_ms));
    let segments = &stats.segments;
    put(
        "segments_total",
        "counter",
        "Segments by what became of them",
        &[("{result=\"played\"}", segments.played), ("{result=\"lost\"}", segments.lost)],
    );
    let bytes = &stats.bytes_in;
    put(
        "received_bytes_total",
        "counter",
        "Media in, by the sender's role",
        &[
            ("{role=\"headend\"}", bytes.headend),
            ("{role=\"repeater\"}", bytes.repeater),
            ("{role=\"viewer\"}", bytes.viewer),
        ],
    );
    put("sent_bytes_total", "counter", "Media sent to others", &plain(stats.bytes_out));
    put("substreams", "gauge", "Sub-streams that flow in", &plain(stats.substreams.len() as u64));
    put(
        "rejected_shards_total",
        "counter",
        "Shards that failed their proof",
        &plain(stats.rejected_shards),
    );
    put(
        "failovers_total",
        "counter",
        "Sub-streams moved to another parent",
        &plain(stats.failovers),
    );
    out
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
